"""The terminal: the report in colour for `rich`, and the line that shows how far a run is.

Text objects carry the words literally: `rich` reads no markup, emoji or link out of a banner.
Whether there are colours is the console's decision (no terminal, NO_COLOR, TERM=dumb).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import StringIO
from shlex import quote

from rich.console import Console
from rich.text import Text

from portulan.errors import printable
from portulan.record import AnyEvent, Progress
from portulan.render import wording
from portulan.render.gather import Findings, gather
from portulan.render.layout import Line, clip, layout
from portulan.render.text import ascii_only

HOSTS_SHOWN = 50
"""Hosts listed on a terminal before the rest is left to the chart: about a screen and a half."""

BAR_CELLS = 20

#: Only the 16 colours that every theme defines, so that light and dark terminals both read well.
STYLES = {
    "": "",
    "title": "bold",
    "label": "bold",
    "host": "bold",
    "name": "cyan",
    "dim": "dim",
    "open": "bold green",
    "closed": "red",
    "filtered": "yellow",
    "unfiltered": "cyan",
    "open|filtered": "yellow",
    "up": "green",
    "down": "red",
    "unknown": "yellow",
    "service": "",
    "bar": "green",
    "warning": "bold yellow",
    "drop": "bold yellow",
}


def render(
    events: Iterable[AnyEvent], *, width: int = 80, color: bool = False, unicode: bool = True,
    limit: int = HOSTS_SHOWN, chart: str = "",
) -> Iterator[str]:
    """Yield the report line by line, with ANSI colours if `color` says so."""
    buffer = StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=color, no_color=not color,
        color_system="standard" if color else None, legacy_windows=False,
    )
    for text in lines(events, width=width, unicode=unicode, limit=limit, chart=chart):
        console.print(text, soft_wrap=True)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def lines(
    events: Iterable[AnyEvent], *, width: int = 80, unicode: bool = True,
    limit: int = HOSTS_SHOWN, chart: str = "",
) -> Iterator[Text]:
    """Yield the report as lines for a console: `console.print(line, soft_wrap=True)`.

    `chart` is the folder that keeps the run; with it, the foot says where the evidence is.
    """
    found = gather(events)
    elsewhere = "all of them are in the chart" if chart else "-o FILE keeps them"
    for line in layout(found, width=width, limit=limit, elsewhere=elsewhere):
        yield styled(line, unicode=unicode)
    for line in _kept(found, chart):
        yield styled(line, unicode=unicode)


def styled(line: Line, *, unicode: bool = True) -> Text:
    """Return a line of the layout as rich text."""
    text = Text(no_wrap=True, end="\n")
    for part, style in line:
        text.append(part if unicode else ascii_only(part), STYLES[style] or None)
    text.rstrip()
    return text


def _kept(found: Findings, chart: str) -> Iterator[Line]:
    if not chart:
        return
    folder = printable(chart, 1000)
    yield [("chart     ", "label"), (folder, "")]
    if any(port.frames for host in found.hosts for port in host.ports.values()):
        yield [("evidence  ", "label"), (f"tcpdump -nr {quote(folder + '/evidence.pcapng')}", "")]
    if not found.complete and found.run:
        run = printable(found.run.id)
        yield [("resume    ", "label"), (f"portulan scan --resume {quote(run)}", "")]


def progress(event: Progress, *, width: int = 80, unicode: bool = True, found: str = "") -> Text:
    """Return one line on how far the run is, for a `Live` on stderr.

    `found` is a short word on what was found so far (`12 open on 3 hosts`).
    """
    done = min(1.0, max(0.0, event.done))
    full = round(BAR_CELLS * done)
    parts = [
        f"{wording.remaining(event.eta_s)} left" if event.eta_s > 0 else "", found,
        f"{event.rate_pps:,.0f}/s", f"{event.sent:,} sent", f"{event.received:,} received",
    ]
    words = f" {done:4.0%}  " + " · ".join(filter(None, parts))
    line: Line = [
        ("━" * full, "bar"), ("─" * (BAR_CELLS - full), "dim"),
        (clip(printable(words, 1000), max(8, width - BAR_CELLS)), ""),
    ]
    return styled(line, unicode=unicode)
