"""Keeps what a job yields: evidence, journal, progress, in that order; and takes it up again."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from portulan import __version__
from portulan.drive.clock import Clock
from portulan.drive.request import Request
from portulan.drive.step import Known, Phase, Step
from portulan.errors import DamageError, UsageError
from portulan.record import AnyEvent, End, Host, Note, Os, Port, Run, Service
from portulan.scan.sweep import Mark
from portulan.scan.verdict import Answers
from portulan.store.charts import ChartFolder, Charts
from portulan.store.disk import DiskError
from portulan.store.findings import Findings
from portulan.store.journal import Journal, read_events
from portulan.store.lock import Lock
from portulan.store.progress import ANSWER_DTYPE, ProgressLog
from portulan.store.tables import parquet_files, write_parquet

if TYPE_CHECKING:
    from portulan.link.pcapng_writer import PcapngWriter
    from portulan.wire.frames import Frames


#: A run that has none of these gets no tables: loading what writes them costs more than such a
#: run itself.
FINDINGS: Final = (Host, Port, Service, Os, Note)


@dataclass(slots=True)
class Keeper:
    """Keeps what a job yields: evidence, journal, progress, in that order."""

    folder: ChartFolder
    lock: Lock
    journal: Journal
    events: list[AnyEvent] = field(default_factory=list)
    times: int = 0
    damage: list[str] = field(default_factory=list)
    """What is wrong with the files of an earlier run, one sentence each."""
    _logs: dict[str, ProgressLog] = field(default_factory=dict)
    _marks: dict[str, Mark] = field(default_factory=dict)
    _evidence: PcapngWriter | None = None
    _interfaces: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def create(cls, request: Request, charts: Charts) -> Keeper:
        """Make a chart folder for a request."""
        folder = charts.create(Clock.unix())
        lock = Lock.take(folder.lock)
        try:
            folder.write_plan(msgspec.to_builtins(request))
            return cls(folder, lock, Journal.create(folder.journal))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def reopen(cls, which: str, charts: Charts) -> tuple[Keeper, Request]:
        """Take a chart up again; raises `UsageError` if its scan is over, `Busy` if it runs."""
        folder = charts.find(which)
        lock = Lock.take(folder.lock)
        try:
            request = msgspec.convert(folder.read_plan(), Request)
            # A kill between the plan and the first event leaves no journal.
            begun = folder.journal.exists()
            journal = (Journal.reopen if begun else Journal.create)(folder.journal)
            events, damage = read_events(folder.journal)
            ended = [event.reason for event in events if isinstance(event, End)]
            if ended and ended[-1] == "done":
                _end_tables(folder, events)
                raise UsageError("this scan is complete", text=folder.id, where="--resume",
                                 hint=f"see it with: portulan charts show {folder.id}")
        except BaseException:
            lock.release()
            raise
        runs = sum(isinstance(event, Run) for event in events)
        keeper = cls(folder, lock, journal, events, max(runs - 1, 0))
        keeper.damage = [str(each) for each in damage]
        keeper.damage += _check_evidence(folder.evidence)
        return keeper, request

    # -- evidence --------------------------------------------------------------------------

    def write(self, frames: Frames, interface: str) -> int:
        """Keep frames; return the number of the first."""
        key = interface, frames.link_type
        try:
            evidence = self._evidence or self._open_evidence(*key)
            if key not in self._interfaces:
                self._interfaces[key] = evidence.add_interface(*key)
            return evidence.write(frames, interface=self._interfaces[key])
        except OSError as error:
            raise DiskError(error, self.folder.evidence) from error

    def _open_evidence(self, interface: str, link_type: int) -> PcapngWriter:
        from portulan.link.pcapng_writer import PcapngWriter
        from portulan.wire.frames import Frames

        evidence = self._evidence = PcapngWriter.reopen(
            self.folder.evidence, link_type=link_type, interface=interface,
            application=f"Portulan {__version__}",
        )
        self._interfaces = {
            (each.name, each.link_type): number for number, each in enumerate(evidence.interfaces)
        }
        # A file that lost its end, as by power loss: its numbers were given away already.
        lost = max((n for port in self.ports for n in port.frames), default=0) - evidence.packets
        if lost > 0:
            holes = Frames.uniform(
                np.empty((lost, 0), np.uint8), link_type=evidence.interfaces[0].link_type)
            evidence.write(holes, comments={0: f"the file was cut: {lost} packets are lost"})
        return evidence

    # -- events and progress ---------------------------------------------------------------

    def keep(self, step: Step) -> bytes:
        """Keep a step; return the bytes of its events that may now be shown."""
        lines = self.journal.append(step.events) if step.events else b""
        if step.phase is not None and step.answers is not None and step.rtt_ns is not None:
            self._progress(step, step.phase, _rows(step.answers, step.rtt_ns))
        return lines

    def _progress(self, step: Step, phase: Phase, rows: NDArray[np.void]) -> None:
        log = self._logs.get(phase.name)
        if log is None:
            log = self._logs[phase.name] = self._open_log(phase)
        if len(rows):
            log.answers(rows)
        if step.mark is not None and self._marks.get(phase.name) != step.mark:
            self._marks[phase.name] = step.mark
            log.mark(step.mark.pass_no, step.mark.position, step.sent)

    def _log_path(self, phase: Phase) -> Path:
        return self.folder.progress.with_name(f"progress-{phase.name}.bin")

    def _open_log(self, phase: Phase) -> ProgressLog:
        path, digest = self._log_path(phase), _digest(phase)
        if path.exists():
            with contextlib.suppress(UsageError, DamageError):
                return ProgressLog.reopen(path, digest)
            path.unlink()
        return ProgressLog.create(path, digest)

    # -- memory of an earlier run ----------------------------------------------------------

    @property
    def hosts(self) -> Sequence[Host]:
        """Host events that were kept."""
        return [event for event in self.events if isinstance(event, Host)]

    @property
    def ports(self) -> Sequence[Port]:
        """Port events that were kept."""
        return [event for event in self.events if isinstance(event, Port)]

    def recall(self, phase: Phase) -> Known | None:
        """Return what the progress log knows of a phase."""
        path = self._log_path(phase)
        if not path.exists():
            return None
        try:
            rows, mark = ProgressLog.load(path, _digest(phase))
        except (UsageError, DamageError):
            # Another order of probing, as when more hosts turned out to be up, or a file that
            # was cut within its first bytes: begin it anew.
            return None
        position = Mark(mark.pass_, mark.position) if mark else Mark(1, 0)
        return Known(_answers(rows), position, mark.sent if mark else 0)

    # -- the end ---------------------------------------------------------------------------

    def finish(self, events: list[AnyEvent]) -> None:
        """Close the record; a scan that is complete gets its tables and needs no progress log."""
        self.close_files()
        last = events[-1] if events else None
        if any(isinstance(event, FINDINGS) for event in events):
            write_parquet(Findings.of(events), parquet_files(self.folder))
        if isinstance(last, End) and last.reason == "done":
            for path in self.folder.path.glob("progress-*.bin"):
                path.unlink()

    def close_files(self) -> None:
        """Put everything on the disk."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        if self._evidence is not None:
            self._evidence.close()
            self._evidence = None
        self.journal.close()

    def close(self) -> None:
        """Let go of the chart."""
        with contextlib.suppress(DiskError, OSError):
            self.close_files()
        self.lock.release()


def _end_tables(folder: ChartFolder, events: list[AnyEvent]) -> None:
    """Write the tables of a run that was killed between its end and its tables."""
    missing = {table: path for table, path in parquet_files(folder).items() if not path.exists()}
    if missing:
        write_parquet(Findings.of(events), missing)


def _check_evidence(path: Path) -> list[str]:
    """Set evidence aside that is damaged before its end: a new file goes on with the numbers."""
    from portulan.link.pcapng_writer import PcapngWriter
    from portulan.wire.frames import LinkType

    if not path.exists():
        return []
    try:
        PcapngWriter.reopen(path, link_type=LinkType.ETHERNET).close()
    except (DamageError, UsageError) as error:
        aside = path.with_name("evidence-damaged.pcapng")
        path.replace(aside)
        return [f"{error}; set aside as {aside.name}"]
    return []


def _digest(phase: Phase) -> bytes:
    return hashlib.sha256(phase.fingerprint).digest()


def _rows(answers: Answers, rtt_ns: NDArray[np.int64]) -> NDArray[np.void]:
    rows = np.zeros(len(answers), ANSWER_DTYPE)
    rows["index"], rows["state"], rows["reason"] = answers.index, answers.state, answers.reason
    rows["ttl"], rows["tries"] = answers.ttl, answers.try_no | (answers.soft * np.uint8(0x80))
    rows["rtt_us"] = np.clip(rtt_ns // 1000, 0, 0xFFFF_FFFF)
    return rows


def _answers(rows: NDArray[np.void]) -> Answers:
    return Answers.of(
        rows["index"].astype(np.int64), state=rows["state"], reason=rows["reason"],
        ttl=rows["ttl"], try_no=rows["tries"] & np.uint8(0x7F), time_ns=0,
        soft=(rows["tries"] & np.uint8(0x80)) != 0,
    )
