"""A scan under way: planned, driven, kept step by step, and only then shown."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from portulan import __version__
from portulan.api.keeper import Keeper
from portulan.drive.discovering import Steps
from portulan.drive.job import Job
from portulan.drive.plan import Plan, make_plan, take_aim
from portulan.drive.request import Request
from portulan.drive.ways import find_ways
from portulan.link.rights import rights
from portulan.link.routes import Routes
from portulan.record import AnyEvent, Progress, encode_lines
from portulan.sockets.resolve import resolve
from portulan.store.charts import ChartFolder, Charts
from portulan.store.tables import warm

if TYPE_CHECKING:
    from portulan.drive.request import Method


class ScanOptions(TypedDict, total=False):
    """Options of a scan; see `Request`, whose fields they are."""

    exclude: str | Sequence[str]
    ports: str
    top_ports: int
    exclude_ports: str
    method: Method
    also: list[Method]
    tcp_flags: int | None
    discover: bool
    family: int
    interface: str
    max_rate: float | None
    min_rate: float
    scan_delay_s: float
    recall: float
    retries: int | None
    timing: int
    seed: int
    shard: str
    every_state: bool
    scope: str
    confirmed: bool
    identify: bool
    checks: bool
    checks_folder: str
    systems: bool
    traceroute: bool
    host_timeout_s: float
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

    def __init__(self, job: Steps, keeper: Keeper | None) -> None:
        self._job, self._keeper = job, keeper
        self.events: list[AnyEvent] = []

    @classmethod
    def begin(
        cls, plan: Plan, *, keep: bool = True, charts: Charts | None = None,
        around: Callable[[Job], Steps] | None = None,
    ) -> Scan:
        """Prepare a scan; with `keep` a chart folder is made for it; `around` adds to the job."""
        keeper = Keeper.create(plan.aim.request, charts or Charts()) if keep else None
        job = Job(
            plan, run_id=keeper.folder.id if keeper else "none", version=__version__,
            evidence=keeper,
        )
        return cls(around(job) if around else _extended(job, plan), keeper)

    @classmethod
    def resume(cls, which: str, *, charts: Charts | None = None) -> Scan:
        """Take up a scan that was killed or interrupted."""
        keeper, request = Keeper.reopen(which, charts or Charts())
        try:
            planned = plan(request)
            job = Job(
                planned, run_id=keeper.folder.id, version=__version__, evidence=keeper,
                memory=keeper,
            )
            steps = _extended(job, planned, keeper.events)
        except BaseException:
            keeper.close()
            raise
        scan = cls(steps, keeper)
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


def _extended(job: Job, plan: Plan, known: Sequence[AnyEvent] = ()) -> Steps:
    """Return a job with what is to follow it; loaded only then, since rules take 0.1 s to load."""
    steps: Steps = job
    if plan.aim.request.identify:
        from portulan.drive.identifying_job import Identifying

        steps = Identifying(steps, plan, known)
    if plan.aim.request.checks:
        from portulan.api.checks import checks
        from portulan.drive.checking_job import CheckingJob

        steps = CheckingJob(steps, plan, checks(plan.aim.request.checks_folder), known)
    if plan.aim.request.traceroute:
        from portulan.drive.tracing_job import Tracing

        steps = Tracing(steps, plan, known)
    return steps
