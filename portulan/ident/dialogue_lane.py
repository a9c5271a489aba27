"""One connection of a dialogue: its states, what happens to it, and what it has heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from .dialogue_upgrade import Step
from .probes import Probe

HEARD_MAX: Final = 64 << 10
"""Bytes kept of one answer; a flood is cut off there."""


class LaneState(IntEnum):
    """How far a connection is."""

    OPENING = 0
    LISTENING = 1
    SECURING = 2
    ASKED = 3
    OVER = 4


class LaneEvent(IntEnum):
    """What happens to a connection."""

    OPENED = 0
    SPEAK = 1
    SECURE = 2
    SECURED = 3
    ENDED = 4


_O, _L, _S, _A, _X = LaneState
NEXT: Final[tuple[tuple[LaneState | None, ...], ...]] = (
    # OPENED SPEAK SECURE SECURED ENDED
    (_L,     None, None,  None,   _X),  # OPENING
    (None,   _A,   _S,    None,   _X),  # LISTENING
    (None,   None, None,  _L,     _X),  # SECURING
    (None,   _A,   _S,    None,   _X),  # ASKED: one more question on the same connection
    (None,   None, None,  None,   _X),  # OVER
)
"""The state after an event; None: the event cannot be."""


@dataclass(slots=True)
class Lane:
    """A connection; times are ns of the dialogue's clock."""

    number: int
    probe: Probe
    tls: bool
    """Whether the question is to be asked inside of TLS."""
    opened_ns: int
    listen_ns: int
    """How long it listens before it speaks."""
    until_ns: int
    """When the present state has lasted long enough."""
    state: LaneState = LaneState.OPENING
    asked: str = ""
    """The probe that `heard` answers; empty: none, the service spoke first."""
    sent: bytes = b""
    """What was asked last."""
    resend_ns: int = 0
    """When a datagram is sent again; 0: never."""
    first_ns: int = 0
    """When the first byte of the present answer came; 0: none yet."""
    rtt_ns: int = 0
    heard: bytearray = field(default_factory=bytearray)
    secured: bool = False
    step: Step | None = None
    """What it has been asked on the way to TLS, once the service was known."""
    steps: tuple[Step, ...] | None = None
    """What is left of that way; None: it does not go there."""

    @property
    def open(self) -> bool:
        """Whether something can be asked on it."""
        return self.state in (LaneState.LISTENING, LaneState.ASKED)

    def move(self, event: LaneEvent) -> None:
        """Go to the next state; an event that cannot be raises `ValueError`."""
        state = NEXT[self.state][event]
        if state is None:
            raise ValueError(f"{event.name} while {self.state.name}")
        self.state = state

    def hear(self, data: bytes, now: int) -> bool:
        """Keep bytes; return whether there is no room for more."""
        self.heard += data[: HEARD_MAX - len(self.heard)]
        self.first_ns = self.first_ns or now
        return len(self.heard) >= HEARD_MAX

    def forget(self) -> bytes:
        """Return what was heard and begin anew, for the next answer."""
        data = bytes(self.heard)
        self.heard.clear()
        self.first_ns = 0
        return data
