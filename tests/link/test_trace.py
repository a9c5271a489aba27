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


def test_sent_and_received_frames_are_one_line_each():
    near, far = memory_pair(now=lambda: 0)
    lines: list[str] = []
    link = Trace(near, lines.append)
    link.send(Frames.of(ethernet(2, 60)))
    far.send(Frames.of(ethernet(1, 70)))
    link.receive()
    assert [line[0] for line in lines] == [">", ">", "<"]
    assert "60 bytes" in lines[0]
    assert "70 bytes" in lines[2]


def test_hostile_bytes_print_no_control_character():
    near, _ = memory_pair(now=lambda: 0)
    lines: list[str] = []
    Trace(near, lines.append).send(Frames.of([b"\x1b[2J\r\n\x9b" * 20, b""]))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
