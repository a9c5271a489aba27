from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

import portulan
import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.drive.capture_writer import Portion
from portulan.drive.live import LiveCapture, accepted, kernel_program
from portulan.errors import UsageError
from portulan.link.packet import PacketLink
from portulan.link.pcapng_reader import PcapngReader
from portulan.wire.filter import compile_filter
from portulan.wire.frames import Frames
from tests.link.namespace import inside, namespace, run

__all__ = ["namespace"]

ETH = wire.Ethernet(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
UDP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=7, dport=53) / bytes(20)
TCP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(sport=7, dport=80)
MIXED = [ETH / UDP, ETH / TCP, ETH / wire.VLAN(id=7) / UDP, ETH / wire.VLAN(id=8) / TCP]
FIELDS = ("frame.time_ns", "frame.length", "vlan.id", "ip.src", "udp.dport", "tcp.dport")


def frames(packets=MIXED):
    return Frames.of([packet.pack() for packet in packets])


def same(one, other):
    return all(
        np.array_equal(one[n].mask, other[n].mask) and np.ma.allequal(one[n], other[n])
        for n in FIELDS)


@pytest.fixture
def sender(namespace):
    with inside(namespace):
        link = PacketLink("va", rx=False)
    with link:
        yield link


def listening(namespace, **options):
    with inside(namespace):
        return LiveCapture("vb", **options)


@pytest.mark.live
def test_live_columns_equal_those_of_the_file_written_at_the_same_time(
    namespace, sender, tmp_path
):
    live = listening(namespace, count=40)
    live.keep(tmp_path / "a.pcapng")
    assert sender.send(frames(MIXED * 10)) == 40
    seen = live.columns(*FIELDS)
    kept = Capture(tmp_path / "a.pcapng").columns(*FIELDS)
    assert len(seen["ip.src"]) == 40
    assert seen["vlan.id"].compressed().tolist() == [7, 8] * 10
    assert same(seen, kept)


@pytest.mark.live
@pytest.mark.parametrize("text", ["vlan 7", "udp", "not ip", "vlan and tcp", "ip.ttl > 200",
                                  "udp.dport == 53", "ether[12:2] = 0x8100"])
def test_filter_live_accepts_what_it_accepts_of_a_file(namespace, sender, text):
    wanted = int(compile_filter(text).mask(frames()).sum())
    live = listening(namespace, filter=text, duration_s=0.15)
    sender.send(frames())
    assert sum(map(len, live.frames())) == wanted


@pytest.mark.live
def test_end_of_capture_writes_counts_into_the_file(namespace, sender, tmp_path):
    with listening(namespace, filter="udp", duration_s=0.15) as live:
        sender.send(frames())
        assert live.write(tmp_path / "a.pcapng") == 1
    with PcapngReader(tmp_path / "a.pcapng") as reader:
        assert [len(batch) for batch in reader] == [1]
        (counted,), (interface,) = reader.statistics, reader.interfaces
    # Tagged frames pass the kernel's filter: it cannot see their tags.
    assert (counted.received, counted.dropped, counted.delivered) == (3, 0, 1)
    assert (interface.name, interface.filter) == ("vb", "udp")
    assert len(interface.mac) == 6


@pytest.mark.live
def test_ring_too_slow_reader_counts_what_the_kernel_dropped(namespace, sender, monkeypatch):
    monkeypatch.setattr("portulan.drive.live.RING_BLOCKS", 8)
    live = listening(namespace, duration_s=0.05)
    batch = frames([ETH / UDP] * 30_000)
    sent = sender.send(batch)
    total = sum(map(len, live.frames()))
    assert live.drops > 0
    assert total + live.drops == live.seen == sent


@pytest.mark.live
def test_ring_of_files_keeps_the_latest(namespace, sender, tmp_path):
    live = listening(namespace, count=10)
    live.keep(tmp_path / "r.pcapng", portion=Portion(packets=3), files=2)
    sender.send(frames([ETH / UDP] * 10))
    assert sum(map(len, live.frames())) == 10
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["r-00003.pcapng", "r-00004.pcapng"]
    counts = []
    for name in files:
        with PcapngReader(tmp_path / name) as reader:
            counts.append(sum(map(len, reader)))
            assert len(reader.statistics) == 1
    assert counts == [3, 1]


@pytest.mark.live
def test_stop_from_another_thread_ends_the_capture(namespace):
    live = listening(namespace)
    threading.Timer(0.05, live.stop).start()
    assert list(live) == []


@pytest.mark.live
def test_loopback_packet_is_seen_once(namespace):
    with inside(namespace):
        live = portulan.capture("lo", filter="udp port 9", duration=0.15)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("127.0.0.1", 9))
    assert len(list(live)) == 1


@pytest.mark.live
def test_interface_goes_down_ends_with_its_reason(namespace, tmp_path):
    live = listening(namespace)
    live.keep(tmp_path / "a.pcapng")
    down = threading.Timer(0.05, run, ["ip", "-n", namespace, "link", "set", "vb", "down"])
    down.start()
    try:
        assert list(live) == []
    finally:
        down.join()
        run("ip", "-n", namespace, "link", "set", "vb", "up")
    assert "went down" in live.damage
    assert len(Capture(tmp_path / "a.pcapng")) == 0


@pytest.mark.live
def test_live_capture_read_twice_is_refused(namespace):
    live = listening(namespace, duration_s=0.01)
    list(live)
    with pytest.raises(UsageError, match="only once"):
        list(live)


@pytest.mark.parametrize("options", [{"count": 0}, {"duration_s": 0}, {"duration_s": float("nan")}])
def test_end_that_makes_no_sense_is_refused(options):
    with pytest.raises(UsageError):
        LiveCapture("lo", **options)


def test_program_lets_tagged_frames_pass_before_it_judges():
    program = kernel_program(compile_filter("udp"))
    assert program[:3] == [(0x20, 0, 0, 0xFFFFF030), (0x15, 1, 0, 0), (6, 0, 0, 262_144)]


def test_program_that_bpf_cannot_say_is_none():
    assert kernel_program(compile_filter('dns.qname contains "a"')) is None


def test_accepted_exact_judges_tagged_frames_only():
    # The kernel has judged the first two: what it let pass stays, whatever the filter says.
    left = accepted(frames(), compile_filter("vlan 7"), exact=True)
    assert [len(each) for each in left] == [len(frames()[n]) for n in (0, 1, 2)]
    assert len(accepted(frames(), compile_filter("vlan 7"), exact=False)) == 1
