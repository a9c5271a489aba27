"""The path to a host as a table for eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portulan.record import Hop
from portulan.render.escape import visible
from portulan.render.wording import rtt


def path_lines(hops: Sequence[Hop], *, width: int = 80) -> Iterator[str]:
    """Yield a title, a line a hop, and a last line that says whether the target was reached."""
    if not hops:
        return
    target, last = visible(hops[0].target), hops[-1]
    yield target
    for hop in hops:
        who = visible(" ".join(filter(None, (hop.addr or "*", hop.name, hop.mark))))
        more = f" (+{len(hop.others)})" if hop.others else ""
        lost = f"{hop.loss:.0%} lost" if hop.addr and hop.loss else ""
        room = max(16, width - 28)
        who = who if len(who) + len(more) <= room else who[: room - len(more) - 1] + "…"
        yield f"{hop.ttl:>4}  {who + more:<{room}}{rtt(hop.rtt_us):>10}  {lost}".rstrip()
    if last.state != "reached":
        yield f"      not reached: {_why(last)}"


def _why(last: Hop) -> str:
    if last.state == "unreachable":
        return f"{visible(last.addr)} says unreachable ({visible(last.mark)})"
    return "silence from there on" if last.state == "silent" else "more hops than asked for"
