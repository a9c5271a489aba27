"""What a dialogue has heard and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .facts import Facts
from .judge import judge, parse
from .reply import Reply
from .rules import Book
from .verdict import Verdict

REPLIES_MAX: Final = 24
"""Answers kept of one port."""
KEPT_MAX: Final = 1 << 20
"""Bytes kept of one port."""
SURE: Final = 0.7
"""A protocol told less surely than this is no reason to stop asking."""
ECHO: Final = Verdict(name="echo", rule="echo", confidence=0.95)
"""The verdict on a service that returns what it is told (RFC 862)."""
DNS_ERROR: Final = Verdict(name="domain", rule="dns-error", confidence=0.9)
"""The verdict on a service that sends back the beginning of a question of another protocol as a
DNS error: the id kept, the bit of a response set, an error as code (RFC 1035 section 4.1.1)."""
BY_QUESTION: Final = frozenset({ECHO.rule, DNS_ERROR.rule})
"""Rules that look at the question, too, which a record does not keep."""
ECHO_LEAST: Final = 4
"""Bytes of a question whose return is no accident."""
MIRRORED: Final = (b"JDWP-Handshake", b"AMQP")
"""Questions that a service of their own protocol returns."""


@dataclass(frozen=True, slots=True)
class Secured:
    """What a TLS handshake agreed on; `certificates` are DER, the server's own first."""

    version: str = ""
    cipher: str = ""
    alpn: str = ""
    certificates: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Known:
    """The best verdict so far, and all that was heard; fields of two replies are never mixed."""

    book: Book | None = None
    verdict: Verdict | None = None
    facts: Facts | None = None
    tls: Secured | None = None
    upgraded: Secured | None = None
    """TLS that the service went on to when it was asked to."""
    replies: list[Reply] = field(default_factory=list)
    kept: int = 0

    @property
    def told(self) -> bool:
        """Whether product and version are known."""
        return self.verdict is not None and bool(self.verdict.product and self.verdict.version)

    @property
    def sure(self) -> bool:
        """Whether the protocol is known."""
        return self.facts is not None and self.facts.sure >= SURE

    def take(self, reply: Reply, *, asked: bytes = b"") -> Facts | None:
        """Keep a reply and judge it; return what it says by itself.

        Whoever returns what it was asked says nothing of its own, in whatever protocol that was.
        """
        self.keep(reply)
        if _is_echo(asked, reply.data):
            self.verdict, self.facts = ECHO, Facts("echo", {}, 0.95)
            return self.facts
        if _is_dns_error(asked, reply.data):
            name_server = Facts("domain", {}, 0.9)
            self.weigh(name_server, DNS_ERROR)
            return name_server
        facts = parse(reply)
        verdict = judge(reply, self.book) if facts is not None else None
        if facts is not None and verdict is not None:
            self.weigh(facts, verdict)
        return facts

    def keep(self, reply: Reply) -> None:
        """Keep a reply, within bounds."""
        if len(self.replies) < REPLIES_MAX and self.kept < KEPT_MAX:
            self.replies.append(reply)
            self.kept += len(reply.data)

    def weigh(self, facts: Facts, verdict: Verdict) -> None:
        """Take a verdict if it says more than the one there is."""
        if self.verdict is None or _weight(verdict) > _weight(self.verdict):
            self.verdict, self.facts = verdict, facts

    def move_inside(self, tls: Secured) -> None:
        """Forget verdicts on what was said outside of TLS: the service is inside."""
        self.tls, self.verdict, self.facts = tls, None, None


def _is_echo(asked: bytes, said: bytes) -> bool:
    long = len(said) >= ECHO_LEAST and said == asked[: len(said)]
    return long and not asked.startswith(MIRRORED)


def _is_dns_error(asked: bytes, said: bytes) -> bool:
    if len(said) < 12 or len(said) > len(asked):
        return False
    changed = said[2] & 0x80 and not asked[2] & 0x80 and said[3] & 0x0F in (1, 4, 5)
    return bool(changed) and said[:2] == asked[:2] and said[4:] == asked[4 : len(said)]


def _weight(verdict: Verdict) -> tuple[bool, bool, float]:
    return bool(verdict.product), bool(verdict.version), verdict.confidence
