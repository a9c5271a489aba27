"""The path to a host as a table for eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portulan.record import Hop
from portulan.render.escape import visible
from portulan.render.layout import Line
from portulan.render.text import plain
from portulan.render.wording import rtt

_WHO_LEAST = 16


def path_lines(hops: Sequence[Hop], *, width: int = 80) -> Iterator[str]:
    """Yield a path as `path_rows` does, without styles."""
    return (plain(line) for line in path_rows(hops, width=width))


def path_rows(hops: Sequence[Hop], *, width: int = 80, going: bool = False) -> Iterator[Line]:
    """Yield a title, a line a hop, and a last line if the target was not reached.

    `going` is a path that is still being asked: its end is no result yet.
    """
    if not hops:
        return
    yield [(visible(hops[0].target), "host")]
    for hop in hops:
        yield _row(hop, width)
    if hops[-1].state != "reached":
        yield [("      ...", "dim")] if going else [
            ("      not reached: ", "warning"), (_why(hops[-1])[: max(8, width - 19)], "")]


def _row(hop: Hop, width: int) -> Line:
    who = visible(" ".join(filter(None, (hop.addr or "*", hop.name, hop.mark))))
    more = f" (+{len(hop.others)})" if hop.others else ""
    lost = f"{hop.loss:.0%} lost" if hop.addr and hop.loss else ""
    room = max(_WHO_LEAST, width - 28)
    who = who if len(who) + len(more) <= room else who[: room - len(more) - 1] + "…"
    style = "open" if hop.state == "reached" else "dim" if not hop.addr else ""
    return [(f"{hop.ttl:>4}  ", "dim"), (f"{who + more:<{room}}", style),
            (f"{rtt(hop.rtt_us):>10}", ""), (f"  {lost}" if lost else "", "warning")]


def _why(last: Hop) -> str:
    if last.state == "unreachable":
        who = visible(last.addr) or "this machine"
        return f"{who} says unreachable ({visible(last.mark)})"
    return "silence from there on" if last.state == "silent" else "more hops than asked for"
