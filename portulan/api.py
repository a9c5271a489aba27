"""What a Python user calls: scans that return charts, or stream their events.

>>> import portulan
>>> chart = portulan.scan("127.0.0.1", ports="1-20", method="connect", keep=False)
>>> chart.run.probes, chart.end.reason
(20, 'done')
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

import msgspec
import numpy as np
from numpy.typing import NDArray

from portulan import __version__
from portulan.drive.clock import Clock
from portulan.drive.job import Job
from portulan.drive.plan import Plan, make_plan, take_aim
from portulan.drive.request import Request
from portulan.drive.step import Known, Phase, Step
from portulan.drive.ways import find_ways
from portulan.errors import DamageError, UsageError
from portulan.link.rights import rights
from portulan.link.routes import Routes
from portulan.record import AnyEvent, End, Host, Port, Progress, Run, encode_lines
from portulan.scan.sweep import Mark
from portulan.scan.verdict import Answers
from portulan.sockets.resolve import resolve
from portulan.store.chart import Chart
from portulan.store.charts import ChartFolder, Charts
from portulan.store.disk import DiskError
from portulan.store.findings import Findings
from portulan.store.journal import Journal, read_events
from portulan.store.lock import Lock
from portulan.store.progress import ANSWER_DTYPE, ProgressLog
from portulan.store.tables import parquet_files, warm, write_parquet

if TYPE_CHECKING:
    from typing import TypedDict

    from portulan.drive.capture import Capture
    from portulan.drive.request import Method
    from portulan.link.pcapng_writer import PcapngWriter
    from portulan.wire.frames import Frames

    class ScanOptions(TypedDict, total=False):
        """Options of a scan; see `Request`, whose fields they are."""

        exclude: str | Sequence[str]
        ports: str
        top_ports: int
        method: Method
        discover: bool
        family: int
        interface: str
        max_rate: float | None
        retries: int | None
        timing: int
        seed: int
        shard: str
        every_state: bool
        scope: str
        confirmed: bool
        contact: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Events that are kept and may be shown now, and the very bytes that were kept."""

    events: list[AnyEvent]
    lines: bytes
    progress: Progress | None


def make_request(targets: str | Iterable[str], **options: Unpack[ScanOptions]) -> Request:
    """Return the request for targets and options; a seed is chosen if none is given."""
    given: dict[str, Any] = dict(options)
    words = targets.split() if isinstance(targets, str) else list(targets)
    exclude = given.pop("exclude", ())
    holes = exclude.split() if isinstance(exclude, str) else list(exclude)
    given.setdefault("seed", new_seed())
    given.setdefault("argv", ["portulan.scan", *words])
    return Request(
        targets=[(word, "target") for word in words],
        exclude=[(word, "exclude") for word in holes], **given,
    )


def new_seed() -> int:
    """Return a seed that a person can read out: below 2**32."""
    return secrets.randbelow(1 << 32)


def plan(request: Request) -> Plan:
    """Return what a request would do on this machine; nothing is sent.

    Raises `UsageError` for wrong input, `PrivilegeError` for a method that needs more rights.
    """
    aim = take_aim(request, resolve)
    ways = find_ways(aim.targets, Routes.load(), request.interface)
    return make_plan(aim, ways, rights())


class Scan:
    """A scan under way, kept in a chart: iterate `shown()`, call `stop()` to end it early."""

    def __init__(self, job: Job, keeper: Keeper | None) -> None:
        self._job, self._keeper = job, keeper
        self.events: list[AnyEvent] = []

    @classmethod
    def begin(cls, plan: Plan, *, keep: bool = True, charts: Charts | None = None) -> Scan:
        """Prepare a scan; with `keep` a chart folder is made for it."""
        keeper = Keeper.create(plan.aim.request, charts or Charts()) if keep else None
        job = Job(
            plan, run_id=keeper.folder.id if keeper else "none", version=__version__,
            evidence=keeper,
        )
        return cls(job, keeper)

    @classmethod
    def resume(cls, which: str, *, charts: Charts | None = None) -> Scan:
        """Take up a scan that was killed or interrupted."""
        keeper, request = Keeper.reopen(which, charts or Charts())
        try:
            job = Job(
                plan(request), run_id=keeper.folder.id, version=__version__, evidence=keeper,
                memory=keeper,
            )
        except BaseException:
            keeper.close()
            raise
        scan = cls(job, keeper)
        scan.events = list(keeper.events)
        return scan

    @property
    def folder(self) -> ChartFolder | None:
        """Where it is kept."""
        return self._keeper.folder if self._keeper else None

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._job.stopped

    def stop(self) -> None:
        """End soon, with what is known."""
        self._job.stop()

    def shown(self) -> Iterator[Shown]:
        """Yield events after they were kept.

        Raises `DiskError` when the disk does not take them any more: what was kept stays readable.
        """
        steps = self._job.steps()
        warm_up = threading.Thread(target=warm, name="portulan-warm")
        try:
            for step in steps:
                if self._keeper and step.answers and not warm_up.ident:
                    # While the kernel sends, the interpreter is idle: time to load what writes
                    # the tables at the end.
                    warm_up.start()
                lines = self._keeper.keep(step) if self._keeper else encode_lines(step.events)
                self.events += step.events
                yield Shown(step.events, lines, step.progress)
            if self._keeper:
                self._keeper.finish(self.events)
        finally:
            steps.close()
            if self._keeper:
                self._keeper.close()


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
    import hashlib

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


# -- for Python users -----------------------------------------------------------------------


def scan(
    targets: str | Iterable[str], *, keep: bool = True, **options: Unpack[ScanOptions]
) -> Chart:
    """Scan and return the chart; options are those of `portulan scan`, see `Request`.

    Without `keep` the chart lives in a temporary folder and goes with the object.
    """
    import shutil
    import tempfile
    import weakref

    with contextlib.ExitStack() as stack:
        charts = Charts()
        if not keep:
            folder = Path(tempfile.mkdtemp(prefix="portulan-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            charts = Charts(folder)
        under_way = Scan.begin(plan(make_request(targets, **options)), charts=charts)
        for _ in under_way.shown():
            pass
        chart = Chart.open(charts.find("last").path if under_way.folder is None
                           else under_way.folder.path)
        if not keep:
            weakref.finalize(chart, stack.pop_all().close)
        return chart


async def scan_events(
    targets: str | Iterable[str], *, keep: bool = False, **options: Unpack[ScanOptions]
) -> AsyncIterator[AnyEvent]:
    """Scan and yield events as they are found; leaving the loop ends the scan."""
    import asyncio

    loop = asyncio.get_running_loop()
    events: asyncio.Queue[AnyEvent | BaseException | None] = asyncio.Queue()
    under_way = Scan.begin(
        await asyncio.to_thread(plan, make_request(targets, **options)), keep=keep)

    def work() -> None:
        last: BaseException | None = None
        try:
            for shown in under_way.shown():
                for event in shown.events:
                    loop.call_soon_threadsafe(events.put_nowait, event)
        except BaseException as error:
            last = error
        with contextlib.suppress(RuntimeError):  # the loop may be closed by then
            loop.call_soon_threadsafe(events.put_nowait, last)

    thread = threading.Thread(target=work, name="portulan-scan", daemon=True)
    thread.start()
    try:
        while (event := await events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        under_way.stop()
        await asyncio.to_thread(thread.join)


def read(origin: str | Path | BinaryIO) -> Capture:
    """Open a capture file (pcap or pcapng, plain, gzip or xz) by path or file; `-` is stdin.

    Raises `UsageError` if it cannot be read or is no capture. Damage further on is data: see
    `Capture.damage`.
    """
    from portulan.drive.capture import Capture

    return Capture(origin)


def open_chart(which: str | Path = "last") -> Chart:
    """Open a kept chart by its id, a unique part of it, a path, or "last"."""
    return Chart.open(which)
