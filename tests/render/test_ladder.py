from __future__ import annotations

from portulan.record import Port
from portulan.render.ladder import WHY, Rung, ladder
from portulan.wire.frames import LinkType
from portulan.wire.ipv4 import IPv4
from portulan.wire.tcp import TCP


def rung(number, sport, dport, flags, **words):
    ours = dport == 80
    src, dst = ("192.0.2.1", "192.0.2.9") if ours else ("192.0.2.9", "192.0.2.1")
    octets = (IPv4(src=src, dst=dst) / TCP(sport=sport, dport=dport, flags=flags, **words)).pack()
    return Rung(number, number * 1_000_000, octets, LinkType.RAW)


def port(state="open", reason="syn-ack", **words):
    return Port(addr="192.0.2.9", port=80, protocol="tcp", state=state, reason=reason, **words)


def test_handshake_is_drawn_with_relative_numbers_and_its_rule():
    rungs = [rung(3, 61000, 80, "S", seq=7), rung(4, 80, 61000, "SA", seq=0xFFFFFFFF, ack=8)]
    text = "\n".join(ladder(port(frames=[3, 4]), rungs))
    out, back = [line for line in text.splitlines() if "packet" in line]
    assert "S seq=0 " in out and out.index(">") > out.index("seq")
    assert "SA seq=0 ack=1" in back and back.index("<") < back.index("seq")
    assert out.split()[0] == "0.000" and back.split()[0] == "1.000"
    assert "RFC 9293" in text


def test_silence_says_how_often_and_what_it_can_mean():
    text = "\n".join(ladder(port("filtered", "no-response", tries=3), []))
    assert "asked 3 times" in text
    assert "cannot tell them apart" in text


def test_every_explanation_and_hostile_frames_keep_to_the_width():
    junk = [Rung(1, 0, bytes(range(0, 250, 3)), LinkType.ETHERNET), Rung(2, 5, b"", 147)]
    for reason in [*WHY, "\x1b[2Jnew"]:
        for line in ladder(port(reason=reason, frames=[1, 2]), junk):
            assert len(line) <= 80
            assert line.isprintable()
