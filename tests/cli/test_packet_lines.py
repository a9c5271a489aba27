from __future__ import annotations

import io
import json
import sys

import pytest

import portulan.wire as wire
from portulan.cli.packet_lines import binary_out, hex_dump, put, shown, texts
from portulan.drive.capture import Capture
from portulan.errors import UsageError
from portulan.link.pcapng_writer import PcapngWriter


@pytest.fixture
def capture():
    file = io.BytesIO()
    packet = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(sport=7, dport=80)
    PcapngWriter(file, link_type=101).write(wire.Frames.of([packet.pack()] * 2, [5, 6], 101))
    file.seek(0)
    return Capture(file)


def test_texts_end_a_batch_with_none(capture):
    lines = list(shown(capture, [], as_json=False, as_hex=False, verbose=False))
    assert lines[-1] is None
    assert len(lines) == 3


def test_names_without_json_are_tabs_between_values(capture):
    lines = shown(capture, ["ip.src", "tcp.dport"], as_json=False, as_hex=False, verbose=False)
    assert list(lines) == ["10.9.0.1\t80", "10.9.0.1\t80", None]


def test_put_batch_end_writes_what_there_is(capsys):
    put(iter(["a", None, "b", None, None]))
    assert capsys.readouterr().out == "a\nb\n"


@pytest.mark.parametrize(("time", "wanted"), [
    ("since", ["0.000000", "1.500000", "1.750000"]),
    ("delta", ["0.000000", "1.500000", "0.250000"]),
    ("epoch", ["1700000000.000000001", "1700000001.500000001", "1700000001.750000001"]),
    ("utc", ["22:13:20.000000", "22:13:21.500000", "22:13:21.750000"]),
])
def test_lines_say_when_as_asked(time, wanted):
    file = io.BytesIO()
    packet = (wire.IPv4() / wire.UDP()).pack()
    times = [1_700_000_000_000_000_001 + n * 250_000_000 for n in (0, 6, 7)]
    PcapngWriter(file, link_type=101).write(wire.Frames.of([packet] * 3, times, 101))
    file.seek(0)
    lines = [line for line in texts(Capture(file), as_hex=False, verbose=False, time=time) if line]
    assert [line.split()[2 if time == "utc" else 1] for line in lines] == wanted


def test_dump_stands_behind_each_packet_and_shows_no_control_octets(capture):
    lines = list(shown(capture, [], as_json=False, as_hex=False, verbose=False, dump=True))
    assert lines[1].startswith("    0000  45 00 00 28 00 00 40 00  40 06 ")
    assert len(lines) == 2 * (1 + 3) + 1
    assert list(hex_dump(b"ab\x1b[2J\x7f\xff")) == [
        f"    0000  {'61 62 1b 5b 32 4a 7f ff':<23}  {'':<23}  ab.[2J.."]


def test_capture_is_not_written_to_a_terminal(monkeypatch):
    class Terminal:
        isatty = staticmethod(lambda: True)

    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(UsageError, match="terminal"):
        binary_out()


def test_comments_are_shown_escaped_in_every_way():
    file = io.BytesIO()
    packet = (wire.IPv4() / wire.UDP()).pack()
    PcapngWriter(file, link_type=101, interface="tun0").write(
        wire.Frames.of([packet] * 2, [1, 2], 101), comments={1: "odd\x1b[2J\u202e"})
    said = "odd\\x1b[2J\\u202e"
    file.seek(0)
    capture = Capture(io.BytesIO(file.getvalue()))
    line = list(texts(capture, as_hex=False, verbose=False))[1]
    assert line.endswith(f" # {said}")
    trees = list(texts(Capture(io.BytesIO(file.getvalue())), as_hex=False, verbose=True))
    assert trees[1].splitlines()[:2][1] == f"  # {said}" and " on tun0, " in trees[0]
    objects = [json.loads(each) for each in shown(
        Capture(io.BytesIO(file.getvalue())), [], as_json=True, as_hex=False, verbose=False)
        if each]
    assert objects[1]["frame.comment"] == said and "frame.comment" not in objects[0]
    fields = list(shown(Capture(io.BytesIO(file.getvalue())), ["frame.interface", "frame.comment"],
                        as_json=False, as_hex=False, verbose=False))
    assert fields[:2] == ["tun0\t", f"tun0\t{said}"]


def test_field_of_captures_in_a_filter_is_refused(capture):
    with pytest.raises(UsageError, match="no field that filters know"):
        capture.filter('frame.comment contains "x"')
