from __future__ import annotations

import json

from portulan.render.exchange import Rung
from portulan.render.ladder import as_object, ladder
from portulan.render.reasoning import explain_port
from portulan.render.reasons import WHY
from portulan.render.text import plain
from portulan.wire.frames import LinkType

from .exchanges import port, tcp_pair


def text(found, **words):
    return "\n".join(plain(line) for line in ladder(found, **words))


def test_handshake_is_drawn_with_relative_numbers_steps_and_its_rule():
    drawn = text(explain_port(port(frames=[3, 4]), tcp_pair()))
    out, back = [line for line in drawn.splitlines() if "  packet " in line and "--" in line]
    assert "SYN seq=0 " in out and out.index(">") > out.index("seq")
    assert "SYN ACK seq=0 ack=1" in back and back.index("<") < back.index("seq")
    assert out.split()[0] == "0.000" and back.split()[0] == "1.000"
    assert "8 = 7 + 1 for SYN" in drawn
    assert "RFC 9293" in drawn
    assert "NO" not in drawn


def test_broken_proof_is_said_aloud():
    drawn = text(explain_port(port(), tcp_pair(told_ack=9)))
    assert "  NO  it acknowledges" in drawn
    assert "does not bear this out" in drawn


def test_silence_says_what_was_sent_how_often_and_what_it_can_mean():
    drawn = text(explain_port(port("filtered", "no-response", tries=3), []))
    assert "a SYN" in drawn and "3 times" in drawn
    assert "cannot tell them apart" in drawn.replace("\n  ", " ")


def test_audit_adds_time_raw_numbers_and_octets():
    found = explain_port(port(), tcp_pair(seq=1234))
    assert "seq=1234" not in text(found)
    drawn = text(found, audit=True)
    assert "seq=1234" in drawn and "1970-01-01 00:00:00.003000000 UTC" in drawn
    assert tcp_pair(seq=1234)[0].octets.hex()[:32] in drawn


def test_notes_of_the_run_stand_below():
    drawn = text(explain_port(port(), [], notes=["a SYN proxy is likely"]))
    assert "The run notes: a SYN proxy is likely" in drawn


def test_every_explanation_and_hostile_frames_keep_to_the_width():
    junk = [Rung(1, 0, bytes(range(0, 250, 3)), LinkType.ETHERNET), Rung(2, 1 << 62, b"", 147)]
    for width in (60, 80, 100):
        for method, reason in [*WHY, ("syn", "\x1b[2Jnew")]:
            found = explain_port(port(reason=reason), junk, method=method, notes=["\x1b[31m" * 9])
            for line in ladder(found, width=width, audit=True):
                assert len(plain(line)) <= width
                assert plain(line).isprintable()


def test_object_has_steps_and_fields_of_packets():
    found = json.loads(json.dumps(as_object(explain_port(port(), tcp_pair()))))
    assert (found["type"], found["port"], found["proven"]) == ("explanation", 80, True)
    assert [packet["direction"] for packet in found["packets"]] == ["out", "in"]
    assert found["packets"][1]["tcp.ack"] == 8
    assert all(step["holds"] for step in found["steps"])
    assert not as_object(explain_port(port(), []))["proven"]
