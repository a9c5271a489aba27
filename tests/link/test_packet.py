from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from portulan.errors import PeerError, PrivilegeError, UsageError
from portulan.link import packet_socket
from portulan.link.packet import PacketLink
from portulan.wire.frames import Frames, LinkType
from tests.link.conformance import (
    Ends,
    LinkConformance,
    ethernet,
    receive_all,
    send_all,
)
from tests.link.namespace import inside, namespace, run

__all__ = ["namespace"]
pytestmark = pytest.mark.live

VLAN_HEAD = b"\xff" * 6 + b"\x02" + bytes(5)


@pytest.fixture
def pair(namespace: str) -> Iterator[tuple[PacketLink, PacketLink]]:
    with inside(namespace):
        near = PacketLink("va")
        far = PacketLink("vb")
    with near, far:
        yield near, far


class TestPacketLink(LinkConformance):
    @pytest.fixture
    def ends(self, pair):
        return Ends(*pair, ethernet)


class TestPacketLinkWithRoomySlots(LinkConformance):
    @pytest.fixture
    def ends(self, namespace: str):
        with inside(namespace):
            near = PacketLink("va", frame_bytes=1514, tx_slots=256)
            far = PacketLink("vb", tx=False)
        with near, far:
            yield Ends(near, far, ethernet)


def test_flood_into_a_ring_arrives_without_a_drop(pair):
    near, far = pair
    count = 200_000
    rows = np.random.default_rng(1).integers(0, 256, (count, 60), np.uint8)
    rows[:, :14] = np.frombuffer(ethernet(1, 60)[0][:14], np.uint8)
    parts: list[Frames] = []

    def drain() -> None:
        while part := receive_all(far, 50_000):
            parts.append(part)

    reader = threading.Thread(target=drain)
    reader.start()
    send_all(near, Frames.uniform(rows))
    reader.join()
    got = Frames.concat(parts)
    assert len(got) == count
    assert (got.compact().buffer.reshape(count, 60) == rows).all()
    assert near.counters().sent == count
    assert (far.counters().received, far.counters().drops) == (count, 0)


def test_ragged_batch_of_thousands_arrives_identical(pair):
    near, far = pair
    sizes = np.random.default_rng(2).integers(14, 97, 5_000)
    frames = [ethernet(1, max(int(size), 18))[0][:size] for size in sizes]
    send_all(near, Frames.of(frames))
    assert list(receive_all(far, 5_000)) == frames


def test_sent_frames_are_on_the_wire_as_they_were(namespace: str, pair, tmp_path):
    if shutil.which("tcpdump") is None:
        pytest.skip("needs tcpdump")
    near, _ = pair
    frames = ethernet(300, 60) + ethernet(40, 1_514) + [ethernet(1, n)[0] for n in range(60, 200)]
    file = tmp_path / "wire.pcap"
    with subprocess.Popen(
        ["ip", "netns", "exec", namespace, "tcpdump", "-i", "vb", "-Q", "in", "-U", "-s0", "-w",
         str(file), "-c", str(len(frames)), "-Z", "root"], stderr=subprocess.PIPE,
    ) as tcpdump:
        try:
            assert tcpdump.stderr is not None
            while b"listening" not in tcpdump.stderr.readline():
                assert tcpdump.poll() is None
            send_all(near, Frames.of(frames))
            tcpdump.wait(timeout=20)
        finally:
            tcpdump.kill()
    assert pcap_records(file.read_bytes()) == frames


def pcap_records(data: bytes) -> list[bytes]:
    """Return the packets of a little-endian pcap file."""
    at, found = 24, []
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        found.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return found


@pytest.mark.parametrize("tpid", [0x8100, 0x88A8])
def test_tagged_frames_have_their_tag_back(pair, tpid: int):
    near, far = pair
    frames = [
        VLAN_HEAD + tpid.to_bytes(2, "big") + (0x6000 | index).to_bytes(2, "big") + b"\x88\xb5"
        + bytes([index]) * (50 + index) for index in range(1, 30)
    ]
    mixed = [frame for tagged in frames for frame in (tagged, ethernet(1, 64)[0])]
    send_all(near, Frames.of(mixed))
    got = receive_all(far, len(mixed))
    assert list(got) == mixed
    assert got.wire_length.tolist() == [len(frame) for frame in mixed]


def test_times_are_of_the_kernels_unix_clock(pair):
    near, far = pair
    before = time.time_ns()
    send_all(near, Frames.of(ethernet(10, 60)))
    got = receive_all(far, 10)
    assert before - 1_000_000 <= got.time_ns[0] <= got.time_ns[-1] <= time.time_ns()


def test_filter_given_lets_only_matching_frames_in(namespace: str):
    # Keep frames whose 18th byte (the last of the frame's number) is 3; cut them to 40 bytes.
    program = [(0x30, 0, 0, 17), (0x15, 0, 1, 3), (0x06, 0, 0, 40), (0x06, 0, 0, 0)]
    with inside(namespace):
        near, far = PacketLink("va", rx=False), PacketLink("vb", tx=False, filter=program)
    with near, far:
        frames = ethernet(10, 80)
        send_all(near, Frames.of(frames))
        got = receive_all(far, 2)
        assert list(got) == [frames[3][:40]]
        assert got.wire_length.tolist() == [80]


def test_filter_that_is_no_program_is_refused(namespace: str):
    with inside(namespace), pytest.raises(UsageError, match="filter program"):
        PacketLink("va", filter=[(0x30, 0, 0, 17)])


def test_own_frames_are_seen_only_with_outgoing(namespace: str):
    with inside(namespace):
        plain, both = PacketLink("va"), PacketLink("va", outgoing=True, tx=False)
    with plain, both:
        frames = ethernet(5, 60)
        send_all(plain, Frames.of(frames))
        assert list(receive_all(both, 5)) == frames
        assert len(plain.receive(50_000_000)) == 0


def test_promiscuous_link_sets_the_interface_so_until_closed(namespace: str):
    def promiscuity() -> bool:
        shown = subprocess.run(["ip", "-n", namespace, "-d", "link", "show", "vb"],
                               capture_output=True, text=True, check=True).stdout
        return "promiscuity 1" in shown

    with inside(namespace):
        link = PacketLink("vb", tx=False, promiscuous=True)
    assert promiscuity()
    link.close()
    assert not promiscuity()


def test_tiny_ring_full_drops_are_counted_and_never_shrink(namespace: str):
    with inside(namespace):
        near = PacketLink("va", rx=False)
        far = PacketLink("vb", tx=False, rx_blocks=2, rx_block_bytes=4096)
    with near, far:
        send_all(near, Frames.of(ethernet(1_000, 60)))
        got = len(receive_all(far, 1_000))
        assert 0 < got < 1_000
        assert far.counters().drops == 1_000 - got
        assert far.counters().drops == 1_000 - got


def test_waiting_receive_nothing_comes_gives_up_about_then(pair):
    _, far = pair
    before = time.monotonic_ns()
    assert len(far.receive(3_000_000)) == 0
    assert time.monotonic_ns() - before >= 2_000_000


def test_frame_length_out_of_range_is_refused_before_anything_is_sent(pair):
    near, far = pair
    for wrong in (13, 1_519):
        with pytest.raises(UsageError, match=f"{wrong} bytes does not fit va: 14 to 1518"):
            near.send(Frames.of([*ethernet(3, 60), bytes(wrong)]))
    assert near.counters().sent == 0
    assert len(far.receive(30_000_000)) == 0


def test_missing_interface_names_those_there_are(namespace: str):
    with inside(namespace), pytest.raises(UsageError, match=r"'nosuch'.*lo, v[ab], v[ab]"):
        PacketLink("nosuch")


def test_interface_down_says_how_to_bring_it_up(namespace: str):
    run("ip", "-n", namespace, "link", "add", "downed", "type", "veth", "peer", "name", "other")
    try:
        with inside(namespace), pytest.raises(UsageError, match=r"down.*ip link set downed up"):
            PacketLink("downed")
    finally:
        run("ip", "-n", namespace, "link", "del", "downed")


def test_no_right_names_the_right_and_its_grant(namespace: str, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(packet_socket.socket, "socket", refuse)
    with pytest.raises(PrivilegeError, match="CAP_NET_RAW") as caught:
        packet_socket.open_socket(17, 3, 0)
    assert "setcap cap_net_raw" in caught.value.grant


def test_interface_vanished_sending_and_receiving_say_so(namespace: str):
    run("ip", "-n", namespace, "link", "add", "gone", "type", "veth", "peer", "name", "goner")
    for end in ("gone", "goner"):
        run("ip", "-n", namespace, "link", "set", end, "up")
    with inside(namespace):
        link = PacketLink("gone")
    with link:
        run("ip", "-n", namespace, "link", "del", "gone")
        with pytest.raises(PeerError, match="'gone' went down or away"):
            link.receive(100_000_000)
        for size in (60, 1_000):
            with pytest.raises(PeerError, match="'gone' went down or away"):
                link.send(Frames.of(ethernet(3, size)))


def test_one_way_links_refuse_the_other_way(namespace: str):
    with inside(namespace):
        out, into = PacketLink("va", rx=False), PacketLink("vb", tx=False)
    with out, into:
        assert out.link_type == into.link_type == LinkType.ETHERNET
        assert out.fileno() == -1
        with pytest.raises(UsageError, match="send only"):
            out.receive()
        with pytest.raises(UsageError, match="receive only"):
            into.send(Frames.of(ethernet(1, 60)))
