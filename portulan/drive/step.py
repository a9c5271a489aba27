"""What a job yields, and what it is given back when it is taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from portulan.record import AnyEvent, Host, Missed, Port, Progress
from portulan.scan.sweep import Mark
from portulan.scan.verdict import Answers


@dataclass(frozen=True, slots=True)
class Phase:
    """One machine's part of a job; its answers mean something only with the same fingerprint."""

    name: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What happened since the last step; keep `events` before showing them, then `answers`."""

    events: list[AnyEvent]
    phase: Phase | None = None
    answers: Answers | None = None
    rtt_ns: NDArray[np.int64] | None = None
    mark: Mark | None = None
    sent: int = 0
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What an earlier run of a phase knew when it was killed."""

    answers: Answers
    mark: Mark
    sent: int

    @classmethod
    def nothing(cls) -> Known:
        """Return what a run knows that was killed before it had written anything."""
        return cls(Answers.none(), Mark(1, 0), 0)


class Memory(Protocol):
    """An earlier run that is taken up again."""

    @property
    def hosts(self) -> Sequence[Host]:
        """Host events that were kept."""
        ...

    @property
    def ports(self) -> Sequence[Port]:
        """Port events that were kept."""
        ...

    @property
    def times(self) -> int:
        """How often the run was taken up before."""
        ...

    @property
    def damage(self) -> Sequence[str]:
        """What is wrong with the files of the earlier run, one sentence each."""
        ...

    def recall(self, phase: Phase) -> Known | None:
        """Return what is known of a phase, None if nothing is."""
        ...


@dataclass(slots=True)
class Tally:
    """What a whole job counts."""

    sent: int = 0
    received: int = 0
    drops: int = 0
    up: dict[str, str] = field(default_factory=dict)
    """Address -> reason of hosts that were found up before any port was asked."""
    hosts_up: int = 0
    open: int = 0
    missed: Missed | None = None
    timed_out: int = 0
    """Hosts given up for their time."""
