"""A sweep over `connect()`: the same machine, asked through sockets."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Sequence
from typing import Final

import numpy as np

from portulan.drive.clock import Clock
from portulan.drive.packets import LINGER_NS, NAP_NS, TICK_NS, Found, Report, siblings
from portulan.scan.sweep import Emission, Sweep
from portulan.scan.verdict import Answers, Reason, State
from portulan.sockets.connects import Connects, Probe
from portulan.sockets.instant import Instant, Told
from portulan.target.address import address_texts
from portulan.target.space import Space
from portulan.wire.frames import Frames

#: Local ports asked at once: what the threads share before they report.
LOCAL_BATCH: Final = 4_096

_VERDICTS: Final = {
    0: (State.OPEN, Reason.SYN_ACK),
    # Accepted and reset at once: somebody is there who does not want to talk to us.
    errno.ECONNRESET: (State.OPEN, Reason.ACCEPT_RESET),
    errno.ECONNREFUSED: (State.CLOSED, Reason.CONN_REFUSED),
    errno.EHOSTUNREACH: (State.FILTERED, Reason.HOST_UNREACH),
    errno.ENETUNREACH: (State.FILTERED, Reason.NET_UNREACH),
    errno.EACCES: (State.FILTERED, Reason.LOCAL_DENIED),
    errno.EPERM: (State.FILTERED, Reason.LOCAL_DENIED),
    errno.ENOPROTOOPT: (State.FILTERED, Reason.PORT_UNREACH),
    errno.ETIMEDOUT: (State.FILTERED, Reason.NO_RESPONSE),
}
_OTHER: Final = (State.FILTERED, Reason.DEST_UNREACH)
#: Said by somebody on the way, or by our own machine: not the target's word.
_SOFT: Final = frozenset({
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ENOPROTOOPT,
    errno.ETIMEDOUT,
})


class ConnectSweep:
    """Drives one machine over a pool of sockets.

    `hosts_only` turns every answer of a target into "up". `local` says that all targets are
    addresses of this machine.
    """

    def __init__(
        self, sweep: Sweep, space: Space, *, report: Report, stop: threading.Event,
        zones: dict[str, int], interface: str = "", local: bool = False, hosts_only: bool = False,
    ) -> None:
        self._sweep, self._space = sweep, space
        self._report, self._stop = report, stop
        self._zones, self._hosts_only = zones, hosts_only
        self._connects = Connects(interface=interface)
        self._instant = Instant(Clock.now) if local and not interface else None
        self._waiting: list[Probe] = []
        self._ticked = 0
        self._received = 0
        self._heard: set[int] = set()

    def run(self) -> None:
        """Ask until everything is answered or given up, or until stopped."""
        while not self._sweep.done and not self._stop.is_set():
            self._step()
        while self._hears_out() and not self._stop.is_set():
            self._take(self._connects.collect(NAP_NS, Clock.now()))
        self._tell(Answers.none())

    def _hears_out(self) -> bool:
        """Tell whether a host is left of which nothing was heard, and its time not run out."""
        self._connects.expire(Clock.now() - LINGER_NS)
        left = np.array([probe.at for probe in self._connects.waiting()], np.int64)
        return not self._heard.issuperset(self._space.host_of(left).tolist())

    def close(self) -> None:
        """Close the sockets."""
        self._connects.close()
        if self._instant:
            self._instant.close()

    def _step(self) -> None:
        now = Clock.now()
        self._start_waiting(now)
        room = self._connects.room if not self._waiting else 0
        instant = self._instant if self._instant and self._instant.works else None
        if instant:
            room = min(room, 1) and LOCAL_BATCH
        emission = self._sweep.emit(now, room) if room else None
        wait = 0
        if emission is None and not self._sweep.done:
            wait = min(max(self._sweep.deadline(now) - now, 0), NAP_NS)
            if not room:
                wait = max(wait, 1_000_000)
        if emission is not None:
            self._ask(emission, instant)
        self._collect(wait)
        if Clock.now() - self._ticked >= TICK_NS:
            self._tell(Answers.none())

    def _ask(self, emission: Emission, instant: Instant | None) -> None:
        start = Clock.now()
        probes = self._probes(emission)
        if instant:
            outcomes, probes = instant.ask(probes)
            self._sweep.sent_batch(emission, start, Clock.now())
            self._take(outcomes)
        self._waiting += probes
        self._start_waiting(Clock.now())
        if not instant:
            self._sweep.sent_batch(emission, start, Clock.now())

    def _probes(self, emission: Emission) -> list[Probe]:
        asked = self._space.probes(emission.index)
        texts = address_texts(asked.family, asked.hi, asked.lo)
        ports, families = asked.port.tolist(), asked.family.tolist()
        at = emission.index.tolist()
        try_no = emission.try_no
        if families and max(families) == 4:
            return [
                Probe(index, try_no, (text, port))
                for index, text, port in zip(at, texts, ports, strict=True)
            ]
        return [
            Probe(index, try_no, (text, port)) if family == 4
            else Probe(index, try_no, (text, port, 0, self._zones.get(text, 0)), socket.AF_INET6)
            for index, text, port, family in zip(at, texts, ports, families, strict=True)
        ]

    def _start_waiting(self, now: int) -> None:
        """Start what could not be started yet for want of descriptors or source ports."""
        started = 0
        for probe in self._waiting:
            if not self._connects.room or not self._connects.start(probe, now):
                break
            started += 1
        del self._waiting[:started]

    def _collect(self, wait_ns: int) -> None:
        now = Clock.now()
        patience = self._patience()
        self._connects.expire(now - patience)
        oldest = self._connects.oldest()
        if oldest is not None:
            wait_ns = min(wait_ns, max(oldest + patience - now, 0))
        self._take(self._connects.collect(wait_ns, now))

    def _patience(self) -> int:
        """Return how long (ns) a socket waits: beyond the try's own time while there is room."""
        wait = self._sweep.round_trip.wait_ns
        crowded = self._connects.room <= self._connects.pending
        return wait if crowded else max(wait, LINGER_NS)

    def _take(self, outcomes: Sequence[Told]) -> None:
        if not outcomes:
            return
        self._received += len(outcomes)
        at, try_no, error, time_ns, rtt_ns = np.array(outcomes, np.int64).T
        codes, where = np.unique(error, return_inverse=True)
        verdicts = np.array([_VERDICTS.get(code, _OTHER) for code in codes.tolist()], np.uint8)
        soft = np.isin(error, list(_SOFT))
        self._heard.update(self._space.host_of(at).tolist())
        # The socket knows its own round trip better than the batch it was started in: `row`,
        # which counts frames elsewhere, carries it.
        answers = Answers.of(
            at, state=verdicts[where, 0], reason=verdicts[where, 1],
            try_no=try_no.astype(np.uint8), time_ns=time_ns, row=rtt_ns, soft=soft,
        )
        if self._hosts_only:
            answers = answers.take(~soft)
            answers = Answers.of(
                answers.index, state=State.UP, reason=answers.reason, try_no=answers.try_no,
                time_ns=answers.time_ns, row=answers.row,
            )
        fresh, _ = self._sweep.feed(answers)
        if len(fresh):
            if self._hosts_only:
                self._sweep.settle(siblings(self._space, fresh.index))
            self._tell(fresh)

    def _tell(self, fresh: Answers) -> None:
        self._ticked = now = Clock.now()
        rtt, count = fresh.row, len(fresh)
        none = np.full(count, -1, np.int64)
        shown = Answers(
            fresh.index, fresh.state, fresh.reason, fresh.ttl, fresh.try_no, fresh.time_ns, none,
            fresh.soft,
        )
        self._report(Found(
            shown, rtt, none, Frames.empty(), self._sweep.mark(now), self._sweep.progress,
            self._sweep.sent, self._received,
        ))
