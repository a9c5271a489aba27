from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.cli.shell_complete import Completions
from portulan.drive.capture_batch import CapturedPacket

OCTETS = (wire.IPv4(src="10.9.0.1") / wire.UDP(dport=53)).pack()
NAMES = {
    "IPv4": wire.IPv4, "TCP": wire.TCP, "wire": wire, "Frames": wire.Frames,
    "packet": wire.IPv4() / wire.TCP(), "options": {"first": 1, "fast": 2, 3: 4},
    "seen": CapturedPacket(OCTETS, number=1, time_ns=0, length=28, link_type=101)}


def of(line):
    word = line
    for at in range(len(line) - 1, -1, -1):
        if line[at] in " ()[]{}=,/'\"":
            word = line[at + 1 :]
            break
    return Completions(NAMES).of(line, word)


@pytest.mark.parametrize(("line", "wanted"), [
    ("TCP(dp", ["dport="]),
    ("IPv4(dst=1) / TCP(sport=(1, 2), win", ["window="]),
    ("wire.TCP(urg", ["urgent="]),
    ("TCP(sport=1, sp", []),
    ("packet.tc", ["packet.tcp"]),
    ("packet.tcp.dpo", ["packet.tcp.dport"]),
    ("seen.udp.le", ["seen.udp.length"]),
    ('seen["ip.sr', ["ip.src"]),
    ("options['fa", ["fast"]),
    ("options['f", ["first", "fast"]),
    ("'TCP(dp", []),
    ("nothing.at.all", []),
])
def test_line_completes_to_what_fits(line, wanted):
    assert of(line) == wanted


def test_open_call_offers_all_fields_and_those_given_no_more():
    found = Completions(NAMES).of("TCP(sport=1, ", "")
    assert found[:3] == ["dport=", "seq=", "ack="]


def test_columns_complete_to_fields_of_the_registry():
    class Capture:
        columns = None

    found = Completions({"capture": Capture()}).of('capture.columns("tcp.dp', "tcp.dp")
    assert found == ["tcp.dport"]


def test_empty_line_indents():
    assert Completions(NAMES).of("", "") == ["\t"]


def test_readline_is_given_one_after_the_other_and_no_exception():
    class Broken:
        def __getattr__(self, name):
            raise RuntimeError(name)

    asked = Completions({**NAMES, "broken": Broken()})
    asked._line = lambda: "TCP(dp"
    assert [asked.complete("dp", n) for n in range(2)] == ["dport=", None]
    asked._line = lambda: "broken.a('"
    assert asked.complete("", 0) is None


@given(st.text(st.sampled_from("TCP(.[]{}'\"= ,dp/seen\\"), max_size=30), st.integers(0, 30))
def test_any_line_gives_a_list(line, cut):
    found = Completions(NAMES).of(line, line[cut:])
    assert all(isinstance(each, str) for each in found)
