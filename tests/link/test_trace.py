from __future__ import annotations

import pytest

from portulan.link.memory import memory_pair
from portulan.link.trace import Trace
from portulan.wire.frames import Frames
from tests.link.conformance import Ends, LinkConformance, ethernet


class TestTrace(LinkConformance):
    @pytest.fixture
    def ends(self):
        near, far = memory_pair(now=lambda: 0)
        return Ends(Trace(near, lambda line: None), Trace(far, lambda line: None), ethernet)


ARP_ASKING = bytes.fromhex(
    "ffffffffffff 020000000001 0806 0001 0800 06 04 0001"
    "020000000001 0a090001 000000000000 0a090002")


def test_sent_and_received_frames_are_one_line_each():
    near, far = memory_pair(now=lambda: 0)
    lines: list[str] = []
    link = Trace(near, lines.append)
    link.send(Frames.of([ARP_ASKING, *ethernet(1, 60)]))
    far.send(Frames.of([ARP_ASKING]))
    link.receive()
    assert [line[0] for line in lines] == [">", ">", "<"]
    assert "10.9.0.2" in lines[0]
    assert lines[0][1:] == lines[2][1:]


def test_hostile_bytes_print_no_control_character():
    near, _ = memory_pair(now=lambda: 0)
    lines: list[str] = []
    Trace(near, lines.append).send(Frames.of([b"\x1b[2J\r\n\x9b" * 20, b""]))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
