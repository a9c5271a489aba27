"""`portulan flows -e`: the flows that pass an interface, as a table that updates."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import rich_click as click

from portulan.cli.stopping import stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.live import Live

    from portulan.cli.flows import Lines
    from portulan.drive.live import LiveCapture
    from portulan.traffic.flows import Flow, FlowTable

REFRESH_NS: Final = 500_000_000
"""How often the table is drawn anew: what an eye can follow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is listened to, for how long, and where it is kept."""

    count: int | None
    duration_s: float | None
    filter: str
    out: str | None


def watch(
    interfaces: Sequence[str], limits: Limits, table: FlowTable, lines: Lines | None, *,
    by: str, ended: Callable[[Iterable[Flow]], None] | None,
) -> None:
    """Count what passes into `table`; on a terminal the greatest flows are shown meanwhile.

    `lines` shapes them, None shows nothing; `ended` is given the flows that silence has ended.
    """
    from portulan.drive.live import LiveCapture

    capture = LiveCapture(
        list(interfaces), filter=limits.filter, count=limits.count,
        duration_s=limits.duration_s)
    with ExitStack() as stack:
        stack.enter_context(capture)
        stack.enter_context(stopped_by_signals(capture.stop))
        if limits.out:
            capture.keep(limits.out)
        click.echo(f"listening on {', '.join(interfaces)}; Ctrl-C ends it", err=True)
        board = _Board(table, lines, by=by, stack=stack) if lines is not None else None
        for frames in capture.frames():
            table.add(frames)
            if ended is not None:
                ended(table.take_ended())
            if board is not None:
                board.show()
    _sum_up(capture)


def _sum_up(capture: LiveCapture) -> None:
    click.echo(f"{capture.packets:,} packets, {capture.drops:,} dropped by the kernel", err=True)


class _Board:
    """The greatest flows on a terminal, with what passed since the last look."""

    def __init__(self, table: FlowTable, lines: Lines, *, by: str, stack: ExitStack) -> None:
        from rich.console import Console
        from rich.live import Live

        from portulan.drive.clock import Clock

        self._table, self._lines, self._by = table, lines, by
        self._clock = Clock
        self._console = Console(highlight=False, emoji=False, markup=False)
        self._live: Live | None = None
        if self._console.is_terminal:
            # rich's own refreshing is a thread, which would read the table while it changes.
            self._live = stack.enter_context(
                Live(console=self._console, auto_refresh=False, transient=True))
        self._drawn = Clock.now()
        self._before: dict[int, int] = {}

    def show(self) -> None:
        """Draw, if it is time."""
        now = self._clock.now()
        if self._live is None or now - self._drawn < REFRESH_NS:
            return
        from rich.text import Text

        seconds, self._drawn = (now - self._drawn) / 1e9, now
        rows = self._table.top(max(self._console.height - 4, 4), self._by).tolist()
        text = [f"{len(self._table):,} flows", f"{'kB/s':>8}  {self._lines.heading()}"]
        after: dict[int, int] = {}
        for row, flow in zip(rows, self._table.flows(rows), strict=True):
            after[row] = flow.bytes_fwd + flow.bytes_rev
            rate = (after[row] - self._before.get(row, 0)) / seconds / 1e3
            text.append(f"{rate:>8,.1f}  {self._lines.line(flow)}")
        self._before = after
        self._live.update(Text("\n".join(text), overflow="crop", no_wrap=True), refresh=True)
