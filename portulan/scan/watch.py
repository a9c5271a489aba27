"""Which hosts limit how often they say no, and their schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .limits import REFUSALS, Limits
from .skew import Skew
from .verdict import Answers

#: Hosts of a sweep beyond which none is looked at: each has so few probes in a second that no known
#: limiter is felt.
HOSTS_MAX: Final = 65_536

Span: TypeAlias = Callable[[int], tuple[int, int]]
"""A host's number -> the index of its first probe, and how many follow each other."""


class Watch:
    """Looks for limited hosts after each pass; without `span_of` it never finds one.

    `doubt` is the chance of a false alarm by host, `shards` how many share each host's probes.
    """

    def __init__(
        self, hosts: int, span_of: Span | None, doubt: float, *, shards: int = 1
    ) -> None:
        self._shards = shards
        self._span_of = span_of if hosts <= HOSTS_MAX else None
        self._skew = Skew(hosts if self.on else 0, doubt)
        self._limited = np.zeros(hosts if self.on else 0, np.bool_)
        self.limits = Limits()
        self._passes = 0

    @property
    def on(self) -> bool:
        """Whether anybody is watched."""
        return self._span_of is not None

    def free(self, host: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell hosts that have no schedule."""
        if not self.limits.any:
            return np.ones(len(host), np.bool_)
        free: NDArray[np.bool_] = ~self._limited[host]
        return free

    def learn(
        self, host: NDArray[np.int64], place: NDArray[np.float64], answers: Answers
    ) -> None:
        """Take in answers and the places (0..1) of their probes in the order of sending."""
        row = np.flatnonzero(np.isin(answers.state, REFUSALS))
        self._skew.learn(
            host[row], place[row], answers.try_no[row].astype(np.int64),
            index=answers.index[row], time_ns=answers.time_ns[row],
        )

    def look(
        self, pass_no: int, now: int, *, silent_hosts: Callable[[], NDArray[np.int64]],
        silent_of: Callable[[int, int], NDArray[np.int64]],
    ) -> NDArray[np.int64]:
        """Give hosts that turn out to be limited their schedules, once a pass; return them.

        `silent_hosts` tells who has silent probes, `silent_of` which probes of a span are silent.
        """
        found: list[int] = []
        span_of = self._span_of
        if span_of is not None and self._passes < pass_no:
            self._passes = pass_no
            hosts = silent_hosts()
            suspects = self._skew.suspects(
                hosts[self.free(hosts)], lambda host: span_of(host)[1] // self._shards)
            for host in suspects.tolist():
                silent = silent_of(*span_of(host))
                if len(silent):
                    self.limits.owe(
                        host, silent, sentinel=self._skew.sentinel(host),
                        burst=self._skew.burst(host), now=now,
                        since_ns=self._skew.last_ns(host) or now)
                    found.append(host)
        self._limited[found] = True
        return np.array(found, np.int64)

    def ask(self, now: int, wait_ns: int, room: int) -> list[tuple[NDArray[np.int64], int]]:
        """Return what schedules ask now, by the number of the try."""
        asked = self.limits.ask(now, wait_ns, room)
        return [
            (np.array([probe for probe, number in asked if number == try_no], np.int64), try_no)
            for try_no in sorted({try_no for _, try_no in asked})
        ]
