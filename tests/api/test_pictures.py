from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.api.pictures import DRAWN, sequence_picture, table_picture
from portulan.cli.stats_queries import QUERIES
from portulan.drive.capture import Capture
from portulan.errors import UsageError


def capture(tmp_path, frames):
    path = tmp_path / "some.pcap"
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    path.write_bytes(head + b"".join(
        at.to_bytes(4, "little") + bytes(4) + len(each).to_bytes(4, "little") * 2 + each
        for at, each in enumerate(frames)))
    return Capture(path)


def segment(there, seq, data=b""):
    src, dst, sport, dport = ("10.9.0.1", "10.9.0.2", 9, 80) if there else (
        "10.9.0.2", "10.9.0.1", 80, 9)
    return (wire.Ethernet() / wire.IPv4(src=src, dst=dst)
            / wire.TCP(sport=sport, dport=dport, seq=seq, flags="A") / data).pack()


def test_every_picture_is_of_a_table():
    assert set(DRAWN) <= set(QUERIES)


def test_a_table_is_bars_and_one_with_times_a_line():
    bars = table_picture("talkers", ["address", "bytes"], [("10.9.0.1", 7)])
    assert list(bars.bars) == [("10.9.0.1", 7.0)]
    line = table_picture("io", ["second", "packets", "bytes"], [(0, 1, 9), (5, 1, 8)])
    assert line.series[0].points == [(0.0, 9.0), (1.0, 0.0), (4, 0.0), (5.0, 8.0)]
    with pytest.raises(UsageError, match="no picture"):
        table_picture("arp", [], [])


def test_sequence_numbers_grow_from_where_they_began_and_wrap(tmp_path):
    top = (1 << 32) - 10
    picture = sequence_picture(capture(tmp_path, [
        segment(True, top), segment(False, 500), segment(True, top, b"x" * 30),
        segment(True, 20, b"y")]), 1)
    one, two = picture.series
    assert one.points == [(0.0, 0.0), (2.0, 30.0), (3.0, 31.0)]
    assert two.points == [(1.0, 0.0)]
    assert "10.9.0.1:9" in picture.title


def test_a_flow_that_is_missing_or_no_tcp_is_one_line(tmp_path):
    datagram = (wire.Ethernet() / wire.IPv4() / wire.UDP() / b"").pack()
    for number, reason in ((1, "only TCP"), (2, "no such flow")):
        with pytest.raises(UsageError, match=reason):
            sequence_picture(capture(tmp_path, [datagram]), number)
