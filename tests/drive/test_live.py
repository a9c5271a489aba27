from __future__ import annotations

import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan
import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.drive.capture_writer import Portion
from portulan.drive.live import LiveCapture, by_time
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
    monkeypatch.setattr("portulan.drive.listening.RING_BLOCKS", 8)
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


@pytest.fixture
def crossing(namespace):
    """Two ends to send on, and how to listen on both: va hears what vb sends and the other way."""
    with inside(namespace):
        links = [PacketLink(name, rx=False) for name in ("va", "vb")]
    with links[0], links[1]:
        yield links


def several(namespace, *names, **options):
    with inside(namespace):
        return LiveCapture(list(names), **options)


@pytest.mark.live
def test_several_interfaces_come_by_time_and_are_told_apart_in_the_file(
    namespace, crossing, tmp_path
):
    live = several(namespace, "va", "vb", count=40)
    live.keep(tmp_path / "a.pcapng")
    for number in range(10):
        packet = ETH / wire.IPv4(src="10.9.0.1") / wire.UDP(sport=number)
        crossing[number % 2].send(frames([packet]))
        crossing[number % 2].send(frames([packet]))
    seen = list(live)
    assert len(seen) == 40
    times = [packet.time_ns for packet in seen]
    assert times == sorted(times)
    # Each packet passes the one end and then the other.
    ends = [(seen[n]["udp.sport"] % 2, seen[n].interface, seen[n + 1].interface)
            for n in range(0, 40, 2)]
    assert set(ends) == {(0, "va", "vb"), (1, "vb", "va")}
    with PcapngReader(tmp_path / "a.pcapng") as reader:
        kept = np.concatenate([batch.interface for batch in reader]).tolist()
        assert [each.name for each in reader.interfaces] == ["va", "vb"]
        assert [each.delivered for each in reader.statistics] == [20, 20]
        assert [each.interface for each in reader.statistics] == [0, 1]
    assert [("va", "vb")[number] for number in kept] == [packet.interface for packet in seen]


@pytest.mark.live
def test_any_is_all_interfaces_in_one_cooked_capture(namespace, sender, tmp_path):
    live = several(namespace, "any", filter="udp port 53", duration_s=0.2)
    live.keep(tmp_path / "a.pcapng")
    sender.send(frames(MIXED[:2]))
    seen = list(live)
    kept = Capture(tmp_path / "a.pcapng")
    assert [packet.interface for packet in seen] == ["va", "vb"]
    assert [packet.octets for packet in kept] == [packet.octets for packet in seen]
    assert kept.link_type == 276 and {packet.interface for packet in kept} == {"any"}
    assert {packet.octets[20:] for packet in seen} == {UDP.pack()}


@pytest.mark.live
@pytest.mark.parametrize("text", ["", "udp or vlan", "udp.dport == 53 or vlan"])
def test_snaplen_cuts_and_keeps_the_length(namespace, sender, tmp_path, text):
    chosen = (0, 2, 3) if text else (0, 1, 2, 3)
    live = listening(namespace, filter=text, duration_s=0.2, snaplen=40)
    sender.send(frames())
    assert live.write(tmp_path / "a.pcapng") == len(chosen)
    packets = list(Capture(tmp_path / "a.pcapng"))
    assert [packet.octets for packet in packets] == [frames()[n][:40] for n in chosen]
    assert [packet.length for packet in packets] == [len(frames()[n]) for n in chosen]
    with PcapngReader(tmp_path / "a.pcapng") as reader:
        assert reader.interfaces[0].snaplen == 40


@pytest.mark.live
def test_one_of_several_goes_down_keeps_what_was_held(namespace, crossing):
    live = several(namespace, "va", "vb", duration_s=5)
    crossing[0].send(frames([ETH / UDP] * 5))
    run("ip", "-n", namespace, "link", "set", "va", "down")
    try:
        assert len(list(live)) == 10
    finally:
        run("ip", "-n", namespace, "link", "set", "va", "up")
    assert "went down" in live.damage


@pytest.mark.live
def test_several_link_types_do_not_fit_a_pcap(namespace, tmp_path):
    run("ip", "-n", namespace, "tuntap", "add", "tun0", "mode", "tun")
    run("ip", "-n", namespace, "link", "set", "tun0", "up")
    try:
        with several(namespace, "va", "tun0") as live:
            assert live.link_types == [1, 101]
            with pytest.raises(UsageError, match="one link type"):
                live.keep(tmp_path / "a.pcap")
    finally:
        run("ip", "-n", namespace, "link", "del", "tun0")


@pytest.mark.parametrize(("names", "options"), [
    (["lo", "lo"], {}), (["any", "lo"], {}), ([], {}), (["lo"], {"snaplen": 0}),
    (["lo"], {"snaplen": 300_000})])
def test_interfaces_that_make_no_sense_are_refused(names, options):
    with pytest.raises(UsageError):
        LiveCapture(names, **options)


def part(number, times, link_type=1):
    return number, Frames.of([bytes([number, t]) for t in times], times, link_type)


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=6)), max_size=5))
def test_by_time_any_parts_come_sorted_and_whole(drawn):
    parts = [part(number, sorted(times), 1 + number % 2) for number, times in drawn]
    got = [(int(t), int(n), octets, frames.link_type) for frames, numbers in by_time(parts)
           for t, n, octets in zip(frames.time_ns, numbers, frames, strict=True)]
    wanted = sorted(((t, place, number) for place, (number, times) in enumerate(drawn)
                     for t in sorted(times)), key=lambda each: each[:2])
    assert got == [(t, n, bytes([n, t]), 1 + n % 2) for t, _, n in wanted]
