"""The table of a relay's connections that are under way, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from portulan.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

    from portulan.sockets.ledger import Line

ROWS_MAX: Final = 20
"""Connections shown: those that spoke last; a screen holds no more, and each costs two calls."""


def table(lines: Collection[Line], total: int, now_s: float) -> Table:
    """Return the table at a time of the loop's clock."""
    from rich.markup import escape
    from rich.table import Table

    shown = sorted(lines, key=lambda line: line.active_s, reverse=True)[:ROWS_MAX]
    more = f", the {len(shown)} that spoke last" if len(shown) < len(lines) else ""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold",
                 title=f"{len(lines)} connections of {total}{more}", title_justify="left")
    made.add_column("CLIENT", overflow="fold")
    made.add_column("TARGET", overflow="fold")
    for name in ("AGE", "FROM", "TO", "RTT"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("TLS", overflow="fold")
    for line in shown:
        made.add_row(
            escape(printable(line.client)), escape(printable(line.target)) or "...",
            seconds_text(now_s - line.began_s), size_text(line.up.count),
            size_text(line.down.count), rtt_text(line),
            escape(" ".join(filter(None, (line.tls, line.target_tls)))),
        )
    return made


def rtt_text(line: Line) -> str:
    """Return both round trips in milliseconds, to the client and to the target."""
    both = line.rtt_us, line.target_rtt_us
    return " + ".join(f"{us / 1000:.3g}" for us in both if us) + " ms" if any(both) else ""


def seconds_text(seconds: float) -> str:
    """Return an age: 5 s, 3:07, 2:00:01."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{minutes}" if hours else minutes.removeprefix("0")


def size_text(size: float) -> str:
    """Return bytes with a binary unit: 17 B, 1.5 KiB, 3.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
