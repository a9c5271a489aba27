"""The path to a host as a table for eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

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


def tree_rows(paths: Sequence[Sequence[Hop]], *, width: int = 80) -> Iterator[Line]:
    """Yield many paths as one tree: a router that several share stands once, hosts below it.

    Hops are the same where all hops before them are, too; a silent one is as good as a name.
    """
    yield [("this machine", "host")]
    yield from _branches(_grown(paths), "", width)


Tree: TypeAlias = "dict[str, tuple[Hop, Tree]]"


def _grown(paths: Sequence[Sequence[Hop]]) -> Tree:
    root: Tree = {}
    for hops in paths:
        level = root
        for hop in _without_silent_end(hops):
            level = level.setdefault(hop.addr, (hop, {}))[1]
    return root


def _without_silent_end(hops: Sequence[Hop]) -> Sequence[Hop]:
    """Return a path up to the one silent hop that says that it goes no further."""
    heard = max((at for at, hop in enumerate(hops, 1) if hop.addr), default=0)
    return hops[: heard + 1]


def _branches(level: Tree, indent: str, width: int) -> Iterator[Line]:
    for number, branch in enumerate(level.values(), 1):
        last = number == len(level)
        chain, below = _straight(*branch)
        deeper = f"{indent}{'   ' if last else '|  '}"
        yield from _chain(chain, f"{indent}{'`- ' if last else '|- '}", deeper, width=width)
        yield from _branches(below, deeper, width)


def _straight(hop: Hop, below: Tree) -> tuple[list[Hop], Tree]:
    """Return the routers up to where ways part or a target is, and what is below."""
    chain = [hop]
    while len(below) == 1:
        ((following, further),) = below.values()
        if "reached" in (hop.state, following.state):
            break
        chain.append(following)
        below = further
    return chain, below


def _chain(chain: Sequence[Hop], indent: str, deeper: str, *, width: int) -> Iterator[Line]:
    """Yield routers that have one way on in one line, or as few as they need."""
    room = max(_WHO_LEAST, width - len(indent) - 10)
    line = ""
    for number, hop in enumerate(chain):
        word = visible(" ".join(filter(None, (hop.addr or "*", hop.name, hop.mark))))[:room]
        word = f"> {word}" if number else word
        if line and len(line) + 1 + len(word) > room:
            yield [(indent, "dim"), (line, "")]
            indent, line = f"{deeper}  ", ""
        line = f"{line} {word}" if line else word
    end = chain[-1]
    yield [(indent, "dim"), (line, "open" if end.state == "reached" else ""),
           (f"  {rtt(end.rtt_us)}" if end.rtt_us else "", "dim")]


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
