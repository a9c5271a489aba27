from __future__ import annotations

import threading

import numpy as np
import pytest

from portulan.drive.filtering import Filtering
from portulan.drive.outline import describe
from portulan.drive.plan import controlled
from portulan.drive.step import Tally
from portulan.record import Note, Port
from portulan.scan.between import Facts
from portulan.scan.verdict import State
from portulan.target.ranges import Range
from portulan.target.space import Space

from .plans import plan

HOST = 0x0A00_0001


class Findings:
    """A scan's result: port -> state of the ports that answered."""

    def __init__(self, answered, ports):
        self.space = Space.hosts([Range(4, HOST)], [(6, port) for port in ports])
        count = len(answered)
        none = np.full(count, -1)
        self._facts = Facts(
            np.zeros(count, np.int64), np.array(list(answered), np.int64),
            np.array(list(answered.values()), np.int64), *[none] * 6)

    def facts(self):
        return self._facts


class Conductor:
    """Runs a course by giving its amend the resets of some ports."""

    def __init__(self, resets):
        self.resets, self.tally, self.stop = resets, Tally(), threading.Event()
        self.asked = None

    def sweep(self, name, space):
        self.asked = [key & 0xFFFF for each in space.segments for key in each.keys]
        return None, None

    def findings(self, *_, **__):
        return None

    def on_links(self, *_):
        return None

    def run(self, course):
        self.tally.open += 100
        yield course.amend([
            Port(addr="10.0.0.1", port=port, protocol="tcp", state="unfiltered", reason="reset",
                 frames=[port, port + 1]) for port in self.asked if port in self.resets])


def notes(answered, ports, resets):
    conductor = Conductor(resets)
    filtering = Filtering(conductor, Findings(answered, ports), lambda space: None)
    told = [event for step in filtering.steps() if not isinstance(step, list)
            for event in step.events]
    assert all(isinstance(event, Note) for event in told)
    assert conductor.tally.open == 0, "what strays find is no finding of the scan"
    return conductor.asked, [event.text for event in told]


def test_silent_and_open_ports_are_asked_and_their_resets_judged():
    asked, [text] = notes({22: State.OPEN, 80: State.OPEN, 81: State.CLOSED}, range(20, 100),
                          {*range(20, 100)})
    assert len(asked) == 4 + 2
    assert {22, 80} < {*asked}
    assert 81 not in asked
    assert text.startswith("a stateless filter")
    assert "frames 20, 21" in text


def test_open_ports_without_resets_are_behind_a_stateful_filter():
    _, [text] = notes({22: State.OPEN, 80: State.OPEN}, range(20, 100), set())
    assert text.startswith("a stateful filter")


@pytest.mark.parametrize(("answered", "ports"), [
    (dict.fromkeys(range(5), State.CLOSED) | {9: State.OPEN}, [*range(5), 9]),
    ({80: State.CLOSED}, range(70, 90)), ({}, range(5)),
], ids=["nothing silent", "nothing open", "nothing at all"])
def test_host_without_silent_ports_beside_open_ones_is_not_asked(answered, ports):
    asked, texts = notes(answered, ports, set())
    assert (asked, texts) == (None, [])


def test_the_plan_names_the_acks_of_a_packet_scan_only():
    by_connect = plan("127.0.0.1", ports="1-10")
    assert "ACKs" not in str(describe(by_connect, by_connect.aim.space())["controls"])
    assert controlled(by_connect, by_connect.legs[0])
