"""What a dialogue wants done, how long it waits, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .dialogue_known import Secured
from .reply import Reply
from .verdict import Verdict

MS: Final = 1_000_000

Ending: TypeAlias = Literal[
    "eof", "reset", "refused", "timeout", "unreachable", "not-tls", "tls-alert"]
"""not-tls: what answered our hello was no TLS; tls-alert: it was, and refused us."""
State: TypeAlias = Literal["answered", "silent", "closed", "unreachable", "wrapped", "stopped"]
"""wrapped: it takes connections and hangs up before a word, as TCP wrappers do."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How long (ns) a dialogue waits for what; round trips come on top."""

    budget_ns: int = 8_000 * MS
    """The whole dialogue."""
    connect_ns: int = 3_000 * MS
    greet_ns: int = 300 * MS
    """For a greeting, where nothing is known of the port."""
    usual_greet_ns: int = 1_500 * MS
    """For a greeting, where the port's usual service greets, before others ask."""
    client_first_ns: int = 100 * MS
    """For a greeting, where the port's usual client speaks first."""
    patience_ns: int = 5_000 * MS
    """For a late greeting, while others ask."""
    stagger_ns: int = 100 * MS
    """Between one question and the next, while nobody answers."""
    late_ns: int = 60 * MS
    """The same, after the likely questions."""
    datagram_ns: int = 40 * MS
    """The same, for datagrams."""
    answer_ns: int = 3_000 * MS
    """For an answer, while nothing else is left to ask."""
    more_ns: int = 1_000 * MS
    """For an answer of a service that is known, and is asked for more."""
    settle_ns: int = 80 * MS
    """Silence after which an answer is taken for whole."""
    inside_ns: int = 300 * MS
    """For a handshake, where a plain answer may be a TLS server's complaint."""
    whole_ns: int = 2_000 * MS
    """For all of an answer after its first byte: a drip ends here."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open a connection, or a socket for datagrams; `elsewhere`: answers from any of its ports."""

    lane: int
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes."""

    lane: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Secure:
    """Begin TLS as its client."""

    lane: int


@dataclass(frozen=True, slots=True)
class Close:
    """Drop a connection."""

    lane: int


Action: TypeAlias = Open | Send | Secure | Close


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dialogue came to: the verdict, None if nothing was said, and what was heard."""

    state: State
    verdict: Verdict | None
    tls: Secured | None
    """What all was said inside of."""
    replies: tuple[Reply, ...]
    asked: tuple[str, ...]
    """Names of the probes that were sent."""
    connections: int
    upgraded: Secured | None = None
    """What a plain service went on to when it was asked to (STARTTLS)."""
