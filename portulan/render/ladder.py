"""An explanation as lines: the ladder of packets, the steps, the verdict in words.

Lines are spans as in `layout`: the terminal gives them colours, plain text drops the styles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from portulan.errors import printable
from portulan.render.exchange import Seen, words
from portulan.render.layout import Line
from portulan.render.reasoning import Explanation
from portulan.render.reasons import Why
from portulan.wire.columns import plain
from portulan.wire.tcp import TCP

#: Cells between the two sides.
ARROW_CELLS: Final = 44
_TIME_CELLS: Final = 10
#: Octets of a packet that are shown to an auditor.
HEX_MAX_BYTES: Final = 128
_WIDTH_LEAST: Final = 60


def ladder(found: Explanation, *, width: int = 80, audit: bool = False) -> Iterator[Line]:
    """Yield an explanation; with `audit` every packet's time, numbers and octets too."""
    width = max(width, _WIDTH_LEAST)
    yield from _title(found)
    yield []
    if found.seen:
        yield from _rungs(found, width, audit=audit)
    else:
        yield from _wrapped(_nothing_kept(found), width)
    if found.claims:
        yield []
        for claim in found.claims:
            mark, style = ("ok", "open") if claim.holds else ("NO", "warning")
            yield from _wrapped(claim.text, width, head=[("  ", ""), (mark, style), ("  ", "")])
    yield []
    if not found.proven:
        yield from _wrapped("The evidence does not bear this out: see NO above.", width,
                            style="warning")
    yield from _wrapped(_in_brackets(found.why.text, found.why.rule), width)
    if found.why.doubt:
        yield from _wrapped(f"But: {found.why.doubt}", width, style="dim")
    if found.named:
        yield from _wrapped(found.named, width, style="name")
    for note in found.notes:
        yield from _wrapped(f"The run notes: {note}", width, style="name")


#: Kinds of scans as people call them.
_SCANS: Final = {
    "": "other", "connect": "connect", "flags": "--scanflags", "window": "Window", "xmas": "Xmas",
    "ip": "IP protocol",
}


def meaning(methods: Sequence[str], why: Why, *, width: int = 80) -> Iterator[Line]:
    """Yield what a word means; of several meanings, in which scans it has this one."""
    if "host" in methods:
        yield [("Of a host", "label")]
    elif methods:
        names = ", ".join(_SCANS.get(one, one.upper()) for one in methods)
        yield [(f"In {names} scans", "label")]
    yield from _wrapped(_in_brackets(why.text, why.rule), width)
    if why.doubt:
        yield from _wrapped(f"But: {why.doubt}", width, style="dim")


def _title(found: Explanation) -> Iterator[Line]:
    style = found.state if found.state in _STATES else ""
    yield [(printable(found.subject), "host"), (" is ", ""), (found.state, style),
           (f" ({printable(found.reason)})", "dim")]


_STATES: Final = frozenset(
    {"open", "closed", "filtered", "unfiltered", "open|filtered", "up", "down", "unknown"})


def _nothing_kept(found: Explanation) -> str:
    asked = f"We sent {found.asked}" if found.asked else "It was asked"
    times = f", {found.tries} times" if found.tries > 1 else ""
    kept = "The packets kept are gone" if found.claims else "No packet was kept"
    return f"{asked}{times}. {kept}."


def _in_brackets(text: str, rule: str) -> str:
    return f"{text} ({rule})" if rule else text


# -- packets -----------------------------------------------------------------------------------


def _rungs(found: Explanation, width: int, *, audit: bool) -> Iterator[Line]:
    firsts: dict[bool, int] = {}
    first = found.seen[0]
    cells = min(ARROW_CELLS, width - _TIME_CELLS - 18)
    room = cells - len(found.addr)
    ours = printable(first.src) if len(first.src) < room - 1 else "we"
    yield [(f"{'ms':>{_TIME_CELLS}}  ", "dim"), (f"{ours:<{room}}{printable(found.addr)}", "label")]
    for one in found.seen:
        style = "name" if one.out else "open" if found.state in ("open", "up") else "filtered"
        yield [(f"{_late(one.rung.time_ns - first.rung.time_ns):>{_TIME_CELLS}}  ", ""),
               (_arrow(printable(words(one, firsts), cells - 8), cells, out=one.out), style),
               (f"  packet {one.rung.number}", "dim")]
        details = _details(one, found.addr)
        if details:
            yield [(f"{'':{_TIME_CELLS + 2}}   {details}"[:width].rstrip(), "dim")]
        if audit:
            yield from _audit(one, width)


def _late(by_ns: int) -> str:
    text = f"{by_ns / 1e6:.3f}"
    return text if len(text) <= _TIME_CELLS else f"{by_ns / 1e6:.2g}"


def _arrow(text: str, cells: int, *, out: bool) -> str:
    dashes = "-" * (cells - len(text) - 5)
    return f"-- {text} {dashes}>" if out else f"<- {text} {dashes}-"


def _details(one: Seen, addr: str) -> str:
    """Return what else may matter: who sent it, if another; TTL, window, options."""
    parts = []
    if not one.out and one.src and one.src != addr:
        parts.append(f"from {one.src}")
    if one.ttl:
        parts.append(f"ttl={one.ttl}")
    layer = one.layer(TCP)
    if layer is not None and isinstance(layer.header, TCP):
        parts.append(f"window={layer.header.window}")
        parts += [f"{name}={value}" for name, value in layer.told.items()
                  if name != "payload_length"]
    return printable(" ".join(parts), 200)


def _audit(one: Seen, width: int) -> Iterator[Line]:
    indent = " " * (_TIME_CELLS + 5)
    yield [(indent + _time(one.rung.time_ns), "")]
    tcp = one.header(TCP)
    if tcp is not None:
        yield [(f"{indent}seq={tcp.seq} ack={tcp.ack}", "")]
    octets = one.rung.octets[:HEX_MAX_BYTES]
    step = max(8, (width - len(indent)) // 2 // 8 * 8)
    for at in range(0, len(octets), step):
        yield [(indent + octets[at : at + step].hex(), "dim")]
    if len(one.rung.octets) > HEX_MAX_BYTES:
        yield [(f"{indent}and {len(one.rung.octets) - HEX_MAX_BYTES} octets more", "dim")]


def _time(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest_ns:09} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"


def _wrapped(
    text: str, width: int, *, style: str = "", head: Line | None = None
) -> Iterator[Line]:
    """Yield text in lines of at most `width`, indented under `head`."""
    head = head or [("  ", "")]
    indent = sum(len(part) for part, _ in head)
    line = ""
    for word in printable(text, 2000).split():
        if line and indent + len(line) + len(word) + 1 > width:
            yield [*head, (line, style)]
            head, line = [(" " * indent, "")], ""
        line = f"{line} {word}" if line else word
    yield [*head, (line[: width - indent], style)]


# -- for programs ------------------------------------------------------------------------------


def as_object(found: Explanation) -> dict[str, Any]:
    """Return an explanation as one JSON object; packets by registry names."""
    return {
        "type": "explanation", "addr": found.addr,
        **({} if found.port is None else {"port": found.port, "protocol": found.protocol}),
        "state": found.state, "reason": found.reason, "asked": found.asked, "tries": found.tries,
        "proven": found.proven and bool(found.claims),
        "steps": [{"text": claim.text, "holds": claim.holds} for claim in found.claims],
        "why": found.why.text, "rule": found.why.rule, "doubt": found.why.doubt,
        "named": found.named, "notes": found.notes,
        "packets": [_packet(one) for one in found.seen],
    }


def _packet(one: Seen) -> dict[str, Any]:
    values: dict[str, Any] = {
        "frame.number": one.rung.number, "frame.time_ns": one.rung.time_ns,
        "frame.length": len(one.rung.octets), "direction": "out" if one.out else "in",
        "summary": words(one, {}), "frame.hex": one.rung.octets.hex(),
    }
    for layer in one.found.layers:
        for name, value in layer.values():
            values.setdefault(name, plain(value))
    return values
