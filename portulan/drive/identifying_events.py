"""What became of a port, as events: the verdict, and the bytes it can be judged by again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from portulan.drive.identifying import Aim, Identified
from portulan.ident.dialogue import Outcome
from portulan.ident.dialogue_known import BY_QUESTION
from portulan.ident.judge import judge_many
from portulan.ident.reply import Reply
from portulan.ident.rules import Book
from portulan.ident.text import decode
from portulan.ident.verdict import UNKNOWN, Verdict
from portulan.record import Heard, Service, Tls

WRAPPED: Final = Verdict(
    name="tcpwrapped", info="hangs up before a word", rule="hang-up", confidence=0.8)
"""The verdict, by nmap's word, on a port that takes connections and talks to others."""
BANNER_MAX: Final = 512
"""Bytes of the first answer that are shown as text."""
CHAIN_MAX: Final = 8
"""Certificates kept of a chain."""
DER_MAX: Final = 16 << 10
"""Bytes of a certificate that is kept; beyond, it is no certificate for people."""
REPLY_KEPT_MAX: Final = 8 << 10
"""Bytes of one answer that a record keeps: what tells a product stands before."""
KEPT_MAX: Final = 32 << 10
"""Bytes of all answers of one port that a record keeps."""


def service_event(found: Identified) -> Service | None:
    """Return what to record; None where nothing was said."""
    outcome = found.outcome
    verdict = WRAPPED if outcome.state == "wrapped" else outcome.verdict
    if not outcome.replies and verdict is None and outcome.tls is None:
        return None
    if verdict is None and outcome.tls is not None:
        verdict = Verdict(name="tls", rule="tls", confidence=0.9)
    return _event(
        found.aim, verdict or Verdict(), tls=outcome.tls is not None,
        handshake=_handshake(outcome), heard=_kept(outcome.replies, verdict),
        took_ms=round(found.elapsed_ns / 1e6, 1))


def judge_again(event: Service, book: Book | None = None) -> Service:
    """Return a recorded service judged anew, by the bytes that it keeps."""
    if not event.heard or event.rule in BY_QUESTION:
        return event
    transport: Final = "udp" if event.protocol == "udp" else "tcp"
    replies = [
        Reply(transport, each.data, event.port, each.probe, tls=each.tls) for each in event.heard]
    inside = [reply for reply in replies if reply.tls]
    verdict = judge_many(inside or replies, book)
    if verdict is None and event.tls:
        verdict = Verdict(name="tls", rule="tls", confidence=0.9)
    aim = Aim(event.addr, event.port, transport)
    return _event(aim, verdict or Verdict(), tls=event.tls, handshake=event.handshake,
                  heard=event.heard, took_ms=event.took_ms)


def _event(
    aim: Aim, verdict: Verdict, *, tls: bool, handshake: Tls | None, heard: Sequence[Heard],
    took_ms: float,
) -> Service:
    known = verdict.name != UNKNOWN
    return Service(
        addr=aim.addr, port=aim.port, protocol=aim.protocol, name=verdict.name,
        vendor=verdict.vendor, product=verdict.product, version=verdict.version,
        info=verdict.info, os=verdict.os, device=verdict.device, tls=tls, cpe=verdict.cpe,
        confidence=verdict.confidence if known else 0.0, rule=verdict.rule,
        banner=decode(heard[0].data[:BANNER_MAX]) if heard else "", handshake=handshake,
        heard=list(heard), took_ms=took_ms,
    )


def _handshake(outcome: Outcome) -> Tls | None:
    secured = outcome.tls or outcome.upgraded
    if secured is None:
        return None
    return Tls(
        version=secured.version, cipher=secured.cipher, alpn=secured.alpn,
        starttls=outcome.tls is None,
        certificates=[der for der in secured.certificates[:CHAIN_MAX] if len(der) <= DER_MAX])


def _kept(replies: Iterable[Reply], verdict: Verdict | None) -> list[Heard]:
    """Return the answers worth keeping: that which decided first, then the others."""
    replies = list(replies)
    decided = [r for r in replies if verdict and verdict.evidence == r.data[:len(verdict.evidence)]
               and verdict.probe == r.probe]
    room, kept = KEPT_MAX, []
    for reply in [*decided[:1], *(r for r in replies if r not in decided[:1])]:
        data = reply.data[:min(REPLY_KEPT_MAX, room)]
        if data:
            room -= len(data)
            kept.append(Heard(probe=reply.probe, data=data, tls=reply.tls))
    return kept
