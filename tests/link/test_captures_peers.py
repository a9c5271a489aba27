"""What tcpdump, tshark and editcap write we read, and what we write they read: to the bit."""

import shutil
import subprocess

import numpy as np
import pytest

from portulan.link.captures import open_capture
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng import PcapngWriter
from portulan.wire.frames import Frames

pytestmark = pytest.mark.peer

START_NS = 1_700_000_000_123_456_789


def run(*command: str) -> str:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def udp(payload: bytes) -> bytes:
    """An Ethernet frame that every tool can print, checksums left out."""
    size = len(payload)
    ip = b"\x45\0" + (28 + size).to_bytes(2, "big") + bytes(4) + b"\x40\x11\0\0"
    ip += bytes([10, 0, 0, 1] * 2)
    datagram = (4000).to_bytes(2, "big") * 2 + (8 + size).to_bytes(2, "big") + bytes(2) + payload
    return bytes(range(12)) + b"\x08\0" + ip + datagram


def ragged(count: int = 300) -> Frames:
    sizes = np.random.default_rng(4).integers(0, 90, count).tolist()
    times = [START_NS + 1_000_000_007 * i for i in range(count)]
    return Frames.of([udp(bytes([size]) * size) for size in sizes], times)


def assert_same(found: list[Frames], frames: Frames, unit_ns: int = 1) -> None:
    whole = Frames.concat(found)
    assert list(whole) == list(frames)
    assert (whole.time_ns // unit_ns == frames.time_ns // unit_ns).all()
    assert (whole.wire_length == frames.wire_length).all()


def hexdump_of(path: str) -> list[bytes]:
    out = run("tcpdump", "-r", path, "-nn", "-xx", "-t", "-S")
    frames: list[bytearray] = []
    for line in out.splitlines():
        if line.startswith("\t0x"):
            frames[-1] += bytes.fromhex(line.split(":", 1)[1])
        else:
            frames.append(bytearray())
    return [bytes(frame) for frame in frames]


@pytest.mark.parametrize("suffix", ["nano.pcap", "micro.pcap", "pcapng"])
def test_our_file_read_by_tcpdump_and_tshark_is_the_same(tmp_path, suffix):
    path, frames = str(tmp_path / suffix), ragged()
    if suffix == "pcapng":
        writer = PcapngWriter(path, link_type=1, interface="eth0")
        assert writer.write(frames, comments={0: "first", 299: "last: ünïcode"}) == 1
    else:
        writer = PcapWriter(path, link_type=1, nanoseconds=suffix == "nano.pcap")
        writer.write(frames)
    writer.close()
    unit = 1000 if suffix == "micro.pcap" else 1
    assert hexdump_of(path) == list(frames)
    fields = ["-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.comment"]
    lines = run("tshark", "-r", path, "-T", "fields", *fields).splitlines()
    rows = [line.split("\t") for line in lines]
    seen = [int(row[0].replace(".", "")) // unit for row in rows]
    assert seen == (frames.time_ns // unit).tolist()
    assert [int(row[1]) for row in rows] == frames.wire_length.tolist()
    if suffix == "pcapng":
        comments = {i: row[2] for i, row in enumerate(rows) if len(row) > 2 and row[2]}
        assert comments == {0: "first", 299: "last: ünïcode"}


@pytest.mark.parametrize(("kind", "unit_ns"), [("nsecpcap", 1), ("pcap", 1000), ("pcapng", 1)])
def test_file_rewritten_by_editcap_is_read_the_same(tmp_path, kind, unit_ns):
    ours, theirs, frames = str(tmp_path / "a.pcap"), str(tmp_path / "b"), ragged()
    with PcapWriter(ours, link_type=1) as writer:
        writer.write(frames)
    run("editcap", "-F", kind, "-a", "7:seven", ours, theirs)
    with open_capture(theirs) as capture:
        assert_same(list(capture), frames, unit_ns)
        assert capture.damage is None
        if kind == "pcapng":
            assert capture.comments == {7: "seven"}


def test_files_of_two_link_types_merged_come_as_batches_of_one_link_type(tmp_path):
    paths = [str(tmp_path / name) for name in ("ether", "raw", "merged")]
    ether, raw = ragged(4), Frames.of([b"E" + bytes(19)] * 3, START_NS + 5, link_type=101)
    for path, frames in zip(paths, (ether, raw), strict=False):
        with PcapWriter(path, link_type=frames.link_type) as writer:
            writer.write(frames)
    run("mergecap", "-F", "pcapng", "-w", paths[2], *paths[:2])
    with open_capture(paths[2]) as capture:
        batches = list(capture)
    assert [(batch.link_type, len(batch), batch.first) for batch in batches] == [
        (1, 1, 1), (101, 3, 2), (1, 3, 5),
    ]
    assert {interface.link_type for interface in capture.interfaces} == {1, 101}


def test_text_turned_into_a_capture_by_text2pcap_is_read(tmp_path):
    text, path = tmp_path / "text", str(tmp_path / "out")
    text.write_text("0000 " + " ".join(f"{byte:02x}" for byte in udp(b"hi")) + "\n")
    run("text2pcap", str(text), path)
    with open_capture(path) as capture:
        assert [bytes(frame) for batch in capture for frame in batch] == [udp(b"hi")]


def test_capture_piped_through_tcpdump_is_read_without_seeking(tmp_path):
    path, frames = str(tmp_path / "a.pcap"), ragged()
    with PcapWriter(path, link_type=1, nanoseconds=False) as writer:
        writer.write(frames)
    if not shutil.which("tcpdump"):
        pytest.skip("tcpdump is not installed")
    with subprocess.Popen(
        ["tcpdump", "-r", path, "-w", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process, open_capture(process.stdout) as capture:
        assert_same(list(capture), frames, 1000)


def test_statistics_and_interfaces_are_shown_by_capinfos(tmp_path):
    path = str(tmp_path / "a.pcapng")
    with PcapngWriter(path, link_type=1, interface="eth0", comment="a chart") as writer:
        tun = writer.add_interface("tun0", 101)
        writer.write(ragged(2))
        writer.write(Frames.of([b"E" * 20], START_NS, link_type=101), interface=tun)
        writer.statistics(0, 2, 0, time_ns=START_NS)
        writer.names({"10.0.0.1": ["router.example"], "2001:db8::1": ["six.example"]})
    out = run("capinfos", path)
    for expected in ("Name = eth0", "Name = tun0", "stat entries = 1", "a chart", "Portulan"):
        assert expected in out
    assert "router.example" in run("tshark", "-r", path, "-N", "nm", "-q", "-z", "hosts")
