from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.drive.live import LiveCapture
from portulan.drive.replaying import (
    BEHIND_MAX_NS,
    NOT_FITTING,
    OTHER_LINK,
    FileTime,
    Rate,
    Replay,
    fitting,
)
from portulan.errors import UsageError
from portulan.link.device import Device
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire.frames import Frames, LinkType
from tests.link.namespace import inside, namespace, run

__all__ = ["namespace"]

ETHER = Device("e", 1, 1500, 1, True)
TUN = Device("t", 1, 1500, 65534, True)
ETH = wire.Ethernet(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
IP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
MS = 1_000_000


def udp(number, size=20):
    return (ETH / IP / wire.UDP(sport=number, dport=53) / bytes(size)).pack()


def column(values):
    return np.array(values, np.int64)


def saved(path, frames):
    with open(path, "wb") as file:
        PcapWriter(file, link_type=frames.link_type).write(frames)
    return Capture(path)


# -- when frames are due -----------------------------------------------------------------------


def test_file_time_keeps_gaps_across_batches_and_starts_at_once():
    pace = FileTime()
    assert pace.due(column([50, 60])).tolist() == [0, 10]
    assert pace.due(column([])).tolist() == []
    assert pace.due(column([90, 90])).tolist() == [40, 40]


def test_file_time_double_speed_halves_gaps():
    assert FileTime(2).due(column([0, 10, 30])).tolist() == [0, 5, 15]


def test_file_time_packet_out_of_order_leaves_with_the_one_before():
    assert FileTime().due(column([100, 40, 130])).tolist() == [0, 0, 30]


def test_file_time_long_silence_is_cut():
    assert FileTime(gap_max_s=1).due(column([0, 10**18, 10**18 + 5])).tolist() == [
        0, 10**9, 10**9 + 5]


def test_file_time_again_lets_the_first_follow_the_last():
    pace = FileTime()
    pace.due(column([5, 25]))
    pace.again()
    assert pace.due(column([5, 25])).tolist() == [20, 40]


@given(st.lists(st.integers(-2**63, 2**63 - 1), max_size=20), st.floats(0.001, 1000),
       st.integers(0, 20))
def test_file_time_any_times_are_due_in_order_and_bounded(times, speed, cut):
    pace = FileTime(speed, gap_max_s=2)
    due = np.concatenate([pace.due(column(times[:cut])), pace.due(column(times[cut:]))])
    assert (np.diff(due) >= 0).all() and (np.diff(due) <= 2e9 / speed + 1).all()
    assert not len(due) or due[0] == 0


@given(st.integers(1, 10**7), st.lists(st.integers(0, 50), max_size=10))
def test_rate_is_even_whatever_the_batches(rate, sizes):
    pace = Rate(rate)
    due = np.concatenate([[], *(pace.due(np.zeros(size, np.int64)) for size in sizes)])
    wanted = [number * 10**9 // rate for number in range(sum(sizes))]
    assert due.tolist() == wanted


def test_rate_zero_is_due_at_once():
    assert Rate(0).due(column([1, 2])).tolist() == [0, 0]


@pytest.mark.parametrize("make", [
    lambda: FileTime(0), lambda: FileTime(float("nan")), lambda: FileTime(gap_max_s=0),
    lambda: FileTime(gap_max_s=1e9), lambda: Rate(-1)])
def test_pace_that_makes_no_sense_is_refused(make):
    with pytest.raises(UsageError):
        make()


# -- what an interface carries -----------------------------------------------------------------


def test_fitting_counts_a_dot1q_tag_as_the_kernel_does():
    tagged = (ETH / wire.VLAN(id=7) / wire.IPv4() / bytes(1480)).pack()
    service = tagged[:12] + b"\x88\xa8" + tagged[14:]
    frames = Frames.of([bytes(13), bytes(14), bytes(1514), bytes(1515), tagged, service])
    assert len(tagged) == 1518
    assert fitting(frames, ETHER).tolist() == [False, True, True, False, True, False]


def test_fitting_without_link_header_is_up_to_the_mtu():
    frames = Frames.of([b"", bytes(1500), bytes(1501)], link_type=LinkType.RAW)
    assert fitting(frames, TUN).tolist() == [False, True, False]


# -- on the wire -------------------------------------------------------------------------------


def replayed(namespace, capture, *, count, duration_s=10.0, **options):
    """Replay on va and return what was done and the packets that came to vb."""
    with inside(namespace):
        live = LiveCapture("vb", count=count, duration_s=duration_s)
        under_way = Replay(capture, "va", **options)
    with live:
        done = under_way.run()
        return done, list(live)


@pytest.mark.live
def test_bytes_and_gaps_on_the_wire_are_those_of_the_file(namespace, tmp_path):
    at = column([0, 20, 20, 80, 100, 200]) * MS
    frames = Frames.of([udp(n, 20 + 200 * n) for n in range(6)], at.tolist())
    done, seen = replayed(namespace, saved(tmp_path / "a.pcap", frames), count=6)
    assert [packet.octets for packet in seen] == list(frames)
    came = column([packet.time_ns for packet in seen])
    # Never early (less what the kernel's two clocks may differ), and late only by the machine.
    assert (np.diff(came) >= 0).all()
    assert (came - came[0] >= at - done.late_max_ns - MS).all()
    assert (done.sent, done.sent_bytes, done.reason) == (6, sum(map(len, frames)), "done")
    assert not done.failed and done.elapsed_ns >= 200 * MS


@pytest.mark.live
def test_tagged_frames_leave_with_their_tags(namespace, tmp_path):
    octets = (ETH / wire.VLAN(id=7) / wire.IPv4(dst="10.9.0.2") / wire.UDP()).pack()
    _, seen = replayed(namespace, saved(tmp_path / "a.pcap", Frames.of([octets])), count=1)
    assert [packet.octets for packet in seen] == [octets]


@pytest.mark.live
def test_loops_and_rate_send_the_file_again_and_again(namespace, tmp_path):
    frames = Frames.of([udp(n) for n in range(10)], [n * 10**12 for n in range(10)])
    capture = saved(tmp_path / "a.pcap", frames)
    done, seen = replayed(namespace, capture, count=30, pace=Rate(200), loops=3)
    assert [packet["udp.sport"] for packet in seen] == [*range(10)] * 3
    assert (done.sent, done.loops, done.packets) == (30, 3, 30)
    assert done.elapsed_ns >= 29 * 5 * MS


@pytest.mark.live
def test_as_fast_as_it_goes_loses_nothing(namespace, tmp_path):
    frames = Frames.of([udp(n, 28 * n) for n in range(50)] * 400, [0] * 20_000)
    capture = saved(tmp_path / "a.pcap", frames)
    with inside(namespace):
        done = Replay(capture, "va", pace=Rate(0)).run()
    assert (done.sent, done.sent_bytes) == (20_000, int(frames.length.sum()))
    assert done.late_max_ns == 0


@pytest.mark.live
def test_frames_that_do_not_fit_are_counted_and_the_others_sent(namespace, tmp_path):
    octets = [udp(1), bytes(9), udp(2, 3000), udp(3)]
    done, seen = replayed(
        namespace, saved(tmp_path / "a.pcap", Frames.of(octets)), count=2)
    assert [packet.octets for packet in seen] == [octets[0], octets[3]]
    assert done.failed == {NOT_FITTING: 2} and (done.packets, done.sent) == (4, 2)


@pytest.mark.live
def test_cut_frames_are_sent_as_far_as_they_go_and_told(namespace, tmp_path):
    whole = Frames.of([udp(1, 100)])
    cut = Frames(whole.buffer, whole.offset, column([60]), whole.wire_length, whole.time_ns)
    done, seen = replayed(namespace, saved(tmp_path / "a.pcap", cut), count=1)
    assert [packet.octets for packet in seen] == [udp(1, 100)[:60]]
    assert done.cut == 1


@pytest.mark.live
def test_other_link_type_is_refused_before_anything_is_sent(namespace, tmp_path):
    packet = IP.pack()
    capture = saved(tmp_path / "a.pcap", Frames.of([packet], link_type=LinkType.RAW))
    with inside(namespace), pytest.raises(UsageError, match="RAW cannot be sent on va"):
        Replay(capture, "va")


@pytest.mark.live
def test_other_link_type_further_on_is_counted(namespace, tmp_path):
    with open(tmp_path / "a.pcapng", "wb") as file:
        writer = PcapngWriter(file, link_type=LinkType.ETHERNET)
        writer.write(Frames.of([udp(1)]))
        other = writer.add_interface("tun0", LinkType.RAW)
        writer.write(Frames.of([IP.pack()], link_type=LinkType.RAW), interface=other)
    done, seen = replayed(namespace, Capture(tmp_path / "a.pcapng"), count=1)
    assert done.failed == {OTHER_LINK: 1} and len(seen) == 1


@pytest.mark.live
def test_stop_ends_a_long_silence_soon(namespace, tmp_path):
    capture = saved(tmp_path / "a.pcap", Frames.of([udp(1), udp(2)], [0, 3000 * 10**9]))
    with inside(namespace):
        under_way = Replay(capture, "va")
    timer = threading.Timer(0.05, under_way.stop)
    timer.start()
    done = under_way.run()
    timer.join()
    assert (done.reason, done.sent, done.loops) == ("interrupted", 1, 0)


@pytest.mark.live
def test_interface_goes_down_ends_with_its_reason(namespace, tmp_path):
    capture = saved(tmp_path / "a.pcap", Frames.of([udp(1)] * 100, [n * 10**8 for n in range(100)]))
    with inside(namespace):
        under_way = Replay(capture, "va")
    down = threading.Timer(0.05, run, ["ip", "-n", namespace, "link", "set", "va", "down"])
    down.start()
    try:
        done = under_way.run()
    finally:
        down.join()
        run("ip", "-n", namespace, "link", "set", "va", "up")
    assert done.reason == "error" and "went down" in done.damage
    assert 0 < done.sent < 100


@pytest.mark.live
def test_replay_far_behind_goes_on_without_a_burst_of_all_it_missed(namespace, tmp_path):
    frames = Frames.of([udp(n) for n in range(3)], [0, 10 * MS, 20 * MS])
    with inside(namespace):
        under_way = Replay(saved(tmp_path / "a.pcap", frames), "va")
    real = under_way._capture.frames

    def slow():
        for batch in real():
            yield batch.take(slice(1))
            under_way._start_ns -= 5 * BEHIND_MAX_NS  # as if the disk had taken so long
            yield batch.take(slice(1, None))

    under_way._capture.frames = slow
    done = under_way.run()
    assert done.sent == 3
    assert BEHIND_MAX_NS <= done.late_max_ns < 2 * BEHIND_MAX_NS


@pytest.mark.live
def test_damaged_file_is_sent_as_far_as_it_goes(namespace, tmp_path):
    saved(tmp_path / "a.pcap", Frames.of([udp(1), udp(2)]))
    whole = (tmp_path / "a.pcap").read_bytes()
    (tmp_path / "a.pcap").write_bytes(whole[:-5])
    done, seen = replayed(namespace, Capture(tmp_path / "a.pcap"), count=1)
    assert len(seen) == 1 and done.damage and done.reason == "done"


@pytest.mark.live
def test_stream_cannot_be_sent_twice(namespace):
    file = io.BytesIO()
    PcapWriter(file, link_type=1).write(Frames.of([udp(1)]))
    file.seek(0)
    with inside(namespace), pytest.raises(UsageError, match="only once"):
        Replay(Capture(file), "va", loops=2)
