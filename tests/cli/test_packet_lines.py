from __future__ import annotations

import io

import pytest

import portulan.wire as wire
from portulan.cli.packet_lines import put, shown
from portulan.drive.capture import Capture
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
