"""What a person or a program sees of a scan under way, and of its end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from portulan.cli.scan_files import write_output
from portulan.errors import printable

if TYPE_CHECKING:
    from portulan.api import Scan, Shown
    from portulan.cli.scan_options import Options
    from portulan.drive.plan import Plan
    from portulan.record import AnyEvent


class Show:
    """What a person or a program sees of a scan."""

    def __init__(self, options: Options, scan: Scan) -> None:
        self._options, self._scan = options, scan
        self._live = _Progress() if sys.stderr.isatty() else None

    def say(self, line: str) -> None:
        """Tell a person one line."""
        print(f"portulan: {printable(line, 400)}", file=sys.stderr)

    def announce(self, plan: Plan) -> None:
        """Say what is about to happen, before anything is sent."""
        self.say(plan.why)
        for note in plan.notes:
            self.say(note)

    def run(self) -> None:
        """Show events as they are kept."""
        with self._live or contextlib.nullcontext():
            for shown in self._scan.shown():
                if self._options.as_json and shown.lines:
                    sys.stdout.buffer.write(self._chosen(shown))
                    sys.stdout.buffer.flush()
                if self._live:
                    self._live.update(shown, self._scan.events)

    def _chosen(self, shown: Shown) -> bytes:
        if not self._options.only_open:
            return shown.lines
        lines = shown.lines.splitlines(keepends=True)
        return b"".join(
            line for event, line in zip(shown.events, lines, strict=True) if _is_shown(event)
        )

    def close(self) -> None:
        """Show the result to a person."""
        if self._options.as_json:
            return
        from rich.console import Console

        from portulan.render.terminal import lines

        console = Console(highlight=False)
        # Rich would leave with code 1 when `| head` has enough; `main` knows better.
        console.on_broken_pipe = _broken_pipe  # type: ignore[method-assign]
        folder = self._scan.folder
        chart = str(folder.path) if folder else ""
        unicode = (console.encoding or "").lower().startswith("utf")
        for line in lines(self._events(), width=console.width, unicode=unicode, chart=chart):
            console.print(line, soft_wrap=True)

    def _events(self) -> list[AnyEvent]:
        if not self._options.only_open:
            return self._scan.events
        return [_bare(event) for event in self._scan.events if _is_shown(event)]

    def write_outputs(self) -> None:
        """Write the files asked for."""
        for output in self._options.outputs:
            write_output(output, self._scan, self._events())


def _broken_pipe() -> NoReturn:
    raise BrokenPipeError


def _is_shown(event: AnyEvent) -> bool:
    from portulan.record import Port

    return not isinstance(event, Port) or event.state == "open"


def _bare(event: AnyEvent) -> AnyEvent:
    """Return a host event without the counts of what is not open."""
    import msgspec

    from portulan.record import Host

    return msgspec.structs.replace(event, rest={}) if isinstance(event, Host) else event


class _Progress:
    """A live line on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, refresh_per_second=8)
        self._open = 0
        self._up: set[str] = set()

    def __enter__(self) -> _Progress:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401 - handed on as it came
        self._live.__exit__(*error)

    def update(self, shown: Shown, events: Sequence[AnyEvent]) -> None:
        """Redraw with the last progress."""
        from portulan.record import Host, Port
        from portulan.render.terminal import progress

        self._up |= {e.addr for e in shown.events if isinstance(e, Host) and e.state == "up"}
        self._open += sum(isinstance(e, Port) and e.state == "open" for e in shown.events)
        found = f"{len(self._up):,} up" if self._up and not self._open else f"{self._open:,} open"
        if shown.progress:
            self._live.update(progress(shown.progress, width=self._console.width, found=found))
