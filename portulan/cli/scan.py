"""`portulan scan`: from what was typed to a kept, proven result.

The flags and what they may not say together are in `scan_options`, the files in `scan_files`, the
plan in `scan_plan`, what is shown in `scan_show`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from portulan.cli.scan_options import Options, flags
from portulan.errors import UsageError

if TYPE_CHECKING:
    from portulan.api import Scan
    from portulan.drive.plan import Plan

#: Signals that end a scan with what is known.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("scan", context_settings={
    "help_option_names": ["-h", "--help"], "max_content_width": 100,
})
@click.argument("targets", nargs=-1, metavar="TARGET...")
@flags(Options)
def scan(**words: Any) -> None:  # noqa: ANN401 - whatever click made of the words
    """Find hosts that are up and their ports' states, and keep the proof.

    TARGET is an address, a name, a net (10.0.0.0/24), a range (10.0.0-3.1-9), or host:port.
    """
    _refuse_empty(words)
    options = Options(**words)
    options.check()
    if options.resume:
        _run(lambda: _resumed(options.resume), options)
        return
    from portulan.cli import scan_plan

    request = options.request()
    if options.dry_run:
        scan_plan.print_probes(request)
        return
    from portulan import api

    plan = scan_plan.confirmed_plan(request, ask=not options.plan_only)
    if options.plan_only:
        scan_plan.print_plan(plan, as_json=options.as_json)
        return
    _run(lambda: api.Scan.begin(plan, keep=not options.no_keep), options, plan)


def _refuse_empty(words: dict[str, Any]) -> None:
    """Raise `UsageError` for `--scope ""` and its like: an unset variable must not mean "all"."""
    context = get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if words.get(option.name or "") == "" and source is ParameterSource.COMMANDLINE:
            raise UsageError("an empty value", where=option.opts[0],
                             hint="give one, or leave it out")


def _resumed(which: str) -> Scan:
    from portulan import api

    return api.Scan.resume(which)


@dataclass
class Stop:
    """Turns the first signal into a wish to stop, and remembers which it was."""

    scan: Scan
    signal: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Stop:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
        self.scan.stop()


def _run(begin: Callable[[], Scan], options: Options, plan: Plan | None = None) -> None:
    from portulan.cli.scan_show import Show

    under_way = begin()
    show = Show(options, under_way)
    with Stop(under_way) as stop:
        if plan is not None:
            show.announce(plan)
        try:
            show.run()
        finally:
            show.write_outputs()
    show.close()
    if stop.signal:
        if under_way.folder:
            show.say(f"interrupted - go on with: portulan scan --resume {under_way.folder.id}")
        raise SystemExit(128 + stop.signal)
