"""A sweep over packet links: frames out, frames in, until the machine is done."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.drive.clock import Clock
from portulan.errors import PeerError
from portulan.link.contract import Link
from portulan.scan.kind import Kind
from portulan.scan.sweep import Emission, Mark, Sweep
from portulan.scan.verdict import Answers
from portulan.target.space import Space
from portulan.wire.frames import Frames

#: Frames built and sent at once: the transmit ring's slots. Fewer would be gentler on the receive
#: ring, but each batch costs some 300 calls into NumPy whatever its size (measured: a /16 takes
#: 0.85 s with 4,096 and 1.05 s with 1,024).
BATCH: Final = 4_096
#: The longest sleep: a stop or a late answer is noticed at least this often.
NAP_NS: Final = 50_000_000
#: Whoever is asked for a neighbour's address, our kernel or a router, asks a second time after a
#: second, and holds what is meant for it: a host that said nothing yet is heard out until then, or
#: one lost packet would hide all of it.
LINGER_NS: Final = 1_200_000_000
#: Probes whose answers are counted again and again while hosts are heard out.
COUNTED_MAX: Final = 1 << 20
#: How often the caller hears how far it is, whatever was found.
TICK_NS: Final = 100_000_000
#: Sends that were taken by no link in a row before we say so.
STUCK_MAX: Final = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """News of a sweep: fresh answers with their replies, and where the sweep stands.

    `frames` are the batch that `answers.row` points into, times in Unix ns; `sent_ns` is when the
    probes left (Unix ns), `rtt_ns` -1 where unknown.
    """

    answers: Answers
    rtt_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    frames: Frames
    mark: Mark
    progress: float
    sent: int
    received: int
    interface: str = ""


NO_TIMES: Final = np.empty(0, np.int64)
NOTHING_HEARD: Final = (Frames.empty(), "")

Report = Callable[[Found], None]


class PacketSweep:
    """Drives one machine with one kind over some links."""

    def __init__(
        self, sweep: Sweep, kind: Kind, links: Sequence[tuple[str, Link]], *,
        report: Report, stop: threading.Event, whole_hosts: bool = False,
    ) -> None:
        self._sweep, self._kind = sweep, kind
        self._names = [name for name, _ in links]
        self._links = [link for _, link in links]
        self._whole_hosts = whole_hosts
        self._report, self._stop = report, stop
        self._poll = select.poll()
        for link in self._links:
            if link.fileno() >= 0:
                self._poll.register(link.fileno(), select.POLLIN)
        self._ticked = 0
        self._received = 0
        self._sent_ns = 0

    def run(self) -> None:
        """Ask until everything is answered or given up, or until stopped."""
        while not self._sweep.done and not self._stop.is_set():
            now = Clock.now()
            emission = self._sweep.emit(now, BATCH)
            if emission is not None:
                self._send(emission)
                self._hear(0)
            elif not self._sweep.done:
                wait = self._sweep.deadline(now) - now
                self._hear(min(max(wait, 0), NAP_NS))
            self._tick()
        if self._whole_hosts:
            self._hear_out()
        self._hear(0)
        self._tell(Answers.none())

    def _hear_out(self) -> None:
        """Wait for hosts of which nothing was heard; what is known of the others is settled."""
        until = self._sent_ns + LINGER_NS
        while (left := until - Clock.now()) > 0 and not self._stop.is_set() and self._some_silent():
            self._hear(min(left, NAP_NS))
            self._tick()

    def _some_silent(self) -> bool:
        size = self._kind.space.size
        return size > COUNTED_MAX or not bool(self._sweep.is_answered(np.arange(size)).all())

    def _send(self, emission: Emission) -> None:
        batch = self._kind.build(emission.index, emission.try_no)
        start = Clock.now()
        for out in batch:
            frames = Frames.uniform(out.rows, link_type=out.link_type)
            link, done, stuck = self._links[out.link], 0, 0
            while done < len(frames) and not self._stop.is_set():
                taken = link.send(frames.take(slice(done, None)) if done else frames)
                done += taken
                if not taken:
                    stuck += 1
                    if stuck > STUCK_MAX:
                        raise PeerError("the interface takes no frames any more")
                    self._hear(1_000_000)
        self._sent_ns = Clock.now()
        self._sweep.sent_batch(emission, start, self._sent_ns)

    def _hear(self, wait_ns: int) -> None:
        if len(self._links) > 1 and wait_ns:
            self._poll.poll(wait_ns / 1e6)
            wait_ns = 0
        for name, link in zip(self._names, self._links, strict=True):
            frames = link.receive(wait_ns)
            while len(frames):
                self._read(frames, name)
                frames = link.receive(0)

    def _read(self, frames: Frames, interface: str) -> None:
        self._received += len(frames)
        offset = Clock.offset()
        answers = self._kind.read(frames)
        if not len(answers):
            return
        machine = Answers(
            answers.index, answers.state, answers.reason, answers.ttl, answers.try_no,
            answers.time_ns - offset, answers.row, answers.soft,
        )
        fresh, rtt = self._sweep.feed(machine)
        if not len(fresh):
            return
        if self._whole_hosts:
            self._sweep.settle(siblings(self._kind.space, fresh.index))
        sent = self._sweep.sent_at(fresh.index, fresh.try_no)
        sent = np.where(sent >= 0, sent + offset, 0)
        self._tell(fresh, rtt, sent, (frames, interface))

    def _tell(
        self, fresh: Answers, rtt: NDArray[np.int64] = NO_TIMES,
        sent: NDArray[np.int64] = NO_TIMES, heard: tuple[Frames, str] = NOTHING_HEARD,
    ) -> None:
        self._ticked = now = Clock.now()
        self._report(Found(
            fresh, rtt, sent, heard[0], self._sweep.mark(now), self._sweep.progress,
            self._sweep.sent, self._received, heard[1],
        ))

    def _tick(self) -> None:
        if Clock.now() - self._ticked >= TICK_NS:
            self._tell(Answers.none())


def siblings(space: Space, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all probes of the hosts that these probes ask."""
    return probes_of(space, np.unique(space.host_of(index)))


def probes_of(space: Space, hosts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all probes of the hosts with these numbers."""
    spans = [space.host_span(host) for host in hosts.tolist()]
    none = np.empty(0, np.int64)
    return np.concatenate([none, *(np.arange(first, first + count) for first, count in spans)])
