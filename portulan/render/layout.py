"""Lay a run out as lines of styled words for people: shared by the terminal and plain text.

A line is a list of (text, style) spans; the styles are names that `terminal` gives colours to.
All text from outside is escaped here, so neither of the two can forget to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias
from unicodedata import combining, east_asian_width

from portulan.errors import printable
from portulan.record import Note, Port
from portulan.render import wording
from portulan.render.gather import Finding, Findings

Span: TypeAlias = tuple[str, str]
Line: TypeAlias = list[Span]
Row: TypeAlias = tuple[Span, ...]

DETAILED_HOSTS = 12
"""Up to so many hosts with listed ports get a table each; more get one line each, because nobody
pages through a hundred tables to find the odd one."""

TOP_PORTS = 10
"""Bars in the overview of open ports."""

BAR_CELLS = 24

NAME_CELLS = 28
"""A host's name in a crowded line."""

FIELD_LIMIT = 200
"""Characters of one field from outside: more is never useful on one line."""

LEFT, RIGHT = "<", ">"


def layout(
    found: Findings, *, width: int = 80, limit: int = 0, elsewhere: str = "-o FILE keeps them",
) -> Iterator[Line]:
    """Yield the report of a run, `width` cells wide, at most `limit` hosts (0: all of them).

    `elsewhere` says where the hosts over the limit are.
    """
    yield from _head(found, width)
    listed = [host for host in found.hosts if host.ports or host.notes or host.systems]
    listed = listed or [host for host in found.hosts if host.state == "up"]
    if len(listed) > DETAILED_HOSTS:
        yield from _overview(found)
        yield from _compact(listed, width, limit)
    else:
        listed = _with_silent(found, listed)
        for host in listed[:limit] if limit else listed:
            yield []
            yield from _host(host, width)
    yield from _more(len(listed) - limit if limit else 0, elsewhere)
    yield from _foot(found)


def cells(text: str) -> int:
    """Return how many terminal cells printable text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(c) in "WF" else 0 if combining(c) else 1 for c in text)


def clip(text: str, width: int) -> str:
    """Return text cut to `width` cells, ending in an ellipsis if it was cut."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += cells(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def _safe(text: str) -> str:
    return printable(text, FIELD_LIMIT)


def _fit(line: Line, width: int) -> Line:
    """Return the line cut to `width` cells."""
    fitted, left = [], width
    for text, style in line:
        if left <= 0:
            break
        fitted.append((clip(text, left), style))
        left -= cells(text)
    return fitted


def _wrap(label: str, text: str, width: int) -> Iterator[Line]:
    """Yield `text` in lines under a label of 10 cells; a word too long for a line is cut there."""
    words, line, room = text.split(" "), "", width - 10
    for word in words:
        if line and cells(line) + 1 + min(cells(word), room // 2) > room:
            yield _fit([(f"{label:<10}", "label"), (line, "")], width)
            label, line = "", word
        else:
            line = f"{line} {word}" if line else word
    yield _fit([(f"{label:<10}", "label"), (line, "")], width)


def _head(found: Findings, width: int) -> Iterator[Line]:
    version = _safe(found.run.version) if found.run else ""
    yield [(f"Portulan {version}".rstrip(), "title")]
    foot = {"Hosts", "Open", "Packets", "Missed", "Elapsed", "Outcome"}
    for label, text in wording.summary(found):
        if label not in foot:
            yield from _wrap(label, printable(text, 4 * FIELD_LIMIT), width)


def _foot(found: Findings) -> Iterator[Line]:
    yield []
    end = found.end
    parts = [f"{found.hosts_up:,} of {wording.plural(found.hosts_asked, 'host')} up",
             f"{found.open:,} open"]
    if end:
        parts.append(wording.duration(end.elapsed_s))
    yield [(" · ".join(parts), "title")]
    if end:
        rate = f", {end.sent / end.elapsed_s:,.0f} packets/s" if end.elapsed_s > 0 else ""
        yield [(wording.packets(found) + rate, "drop" if end.drops else "dim")]
    if lost := wording.missed(found):
        yield [(f"answering ports probably missed: {lost}", "dim")]
    if not found.complete:
        yield [(_safe(wording.outcome(found)), "warning")]


def _with_silent(found: Findings, listed: list[Finding]) -> list[Finding]:
    """Return the listed hosts among all that are up, if those are few too."""
    known = {host.addr for host in listed}
    both = [host for host in found.hosts if host.state == "up" or host.addr in known]
    return listed if len(both) > DETAILED_HOSTS else both


def _more(hosts: int, elsewhere: str) -> Iterator[Line]:
    if hosts > 0:
        yield [(f"… and {wording.plural(hosts, 'more host')}: {elsewhere}", "warning")]


def _host(host: Finding, width: int) -> Iterator[Line]:
    yield from _host_lines(host, width)
    collapsed, ports = wording.collapse(host)
    if ports:
        rows = [_port_row(host, port) for port in ports]
        yield from _table(_PORT_HEAD, rows, width, slack={2: 12}, sides="<<<<>>")
    if collapsed:
        yield _fit([("  not shown: ", "dim"), (_safe(wording.tally(collapsed)), "dim")], width)
    for system in wording.systems(host):
        yield _fit([("  system: ", "dim"), (_safe(system), "")], width)
    if path := wording.path(host):
        for line in _wrap("", f"way: {printable(path, 8 * FIELD_LIMIT)}", width + 8):
            yield [("  ", ""), (line[1][0], "dim")]
    for note in host.notes:
        if not note.port:
            yield from _note("  ", f"{note.level}: {_safe(note.text)}", note.level, width)
    yield from _checked(host, width)


def _checked(host: Finding, width: int) -> Iterator[Line]:
    """Yield what checks told, port by port, each check named once."""
    about: dict[tuple[int, str], list[Note]] = {}
    for note in host.notes:
        if note.port:
            about.setdefault((note.port, note.protocol), []).append(note)
    for (port, protocol), notes in sorted(about.items()):
        yield _fit([(f"  {port}/{_safe(protocol)}", "name")], width)
        before = ""
        for note in sorted(notes, key=lambda each: each.check):  # stable: in the order told
            name = "" if note.check == before else f"    {_safe(note.check)}"
            text = printable(note.text, 4 * FIELD_LIMIT)
            yield from _note(f"{clip(name, 22):<23}", text, note.level, width)
            before = note.check


def _note(label: str, text: str, level: str, width: int) -> Iterator[Line]:
    """Yield a text in lines beside its label; a word that fits on no line takes several."""
    room, line = width - len(label), ""
    style = "warning" if level == "warning" else "dim"
    words = (word[at : at + room] for word in text.split(" ") for at in range(0, len(word), room))
    for word in words:
        if line and cells(line) + 1 + cells(word) > room:
            yield _fit([(label, "dim"), (line, style)], width)
            label, line = " " * len(label), ""
        line = f"{line} {word}" if line else word
    yield _fit([(label, "dim"), (line, style)], width)


def _host_lines(host: Finding, width: int) -> Iterator[Line]:
    names = ", ".join(map(_safe, host.names[:3]))
    line: Line = [
        (_safe(host.addr), "host"), (f"  {names}" if names else "", "name"),
        (f"  {host.state}", host.state), (f" ({_safe(wording.facts(host))})", "dim"),
    ]
    card = " ".join(_safe(part) for part in (host.mac, host.vendor) if part)
    fits = sum(cells(text) for text, _ in line) + 2 + cells(card) <= width
    yield _fit([*line, (f"  {card}", "dim")] if card and fits else line, width)
    if card and not fits:
        yield _fit([(f"  {card}", "dim")], width)


_PORT_HEAD: Row = tuple(
    (name, "label") for name in ("PORT", "STATE", "SERVICE", "REASON", "RTT", "FRAMES")
)


def _port_row(host: Finding, port: Port) -> Row:
    service = host.service(port)
    return (
        (f"{port.port}/{port.protocol}", ""),
        (port.state, port.state),
        (_safe(wording.service(port, service)), "service" if service else "dim"),
        (_safe(port.reason), "dim"),
        (wording.rtt(port.rtt_us), "dim"),
        (wording.frames(port), "dim"),
    )


def _table(
    head: Row, rows: list[Row], width: int, *, slack: dict[int, int], sides: str,
) -> Iterator[Line]:
    """Yield a table; columns without values are left out.

    When it is too wide, the columns of `slack` give way in turn, down to so many cells.
    """
    used = [at for at in range(len(head)) if any(row[at][0] for row in rows)]
    sizes = {at: max(cells(row[at][0]) for row in (head, *rows)) for at in used}
    over = 2 * len(used) + sum(sizes.values()) - width
    for at in filter(sizes.__contains__, slack):
        given = max(0, min(over, sizes[at] - slack[at]))
        sizes[at], over = sizes[at] - given, over - given
    for row in (head, *rows):
        line: Line = []
        for at in used:
            text = clip(row[at][0], sizes[at])
            pad = " " * (sizes[at] - cells(text))
            text = pad + text if sides[at] == RIGHT else text + pad
            line += [("  ", ""), (text.rstrip() if at == used[-1] else text, row[at][1])]
        yield _fit(line, width)


def _overview(found: Findings) -> Iterator[Line]:
    """Yield on how many hosts each port is open, the most frequent first, with bars."""
    top = found.top_open(TOP_PORTS)
    if not top:
        return
    yield []
    most = top[0][2]
    for protocol, number, count in top:
        name = wording.guess(number, protocol)
        bar = "█" * max(1, round(BAR_CELLS * count / most))
        yield [
            (f"  {f'{number}/{protocol}':<10}", "open"), (f"{clip(name, 14):<15}", "dim"),
            (f"{bar:<{BAR_CELLS}}  ", "bar"), (wording.plural(count, "host"), ""),
        ]


_HOST_HEAD: Row = tuple((name, "label") for name in ("HOST", "NAME", "OPEN", "RTT", "FRAMES"))


def _compact(hosts: list[Finding], width: int, limit: int) -> Iterator[Line]:
    """Yield one line a host, and what these lines leave out as one sum.

    Frames are shown in sweeps of one port: next to many ports they would tell nothing.
    """
    cut = hosts[:limit] if limit else hosts
    sweep = all(len(host.ports) <= 1 for host in cut)
    yield []
    rows = [_host_row(host, sweep) for host in cut]
    yield from _table(_HOST_HEAD, rows, width, slack={1: 16, 2: 10}, sides="<<<>>")
    others = sum((wording.not_open(host) for host in hosts), Counter[tuple[str, str]]())
    if others:
        yield _fit([("  not shown: ", "dim"), (_safe(wording.tally(others)), "dim")], width)


def _host_row(host: Finding, sweep: bool) -> Row:
    opened = host.open_ports()
    return (
        (_safe(host.addr), "host"),
        (clip(_safe(host.names[0]), NAME_CELLS) if host.names else "", "name"),
        (", ".join(map(_short, opened)), "open"),
        (wording.rtt(wording.best_rtt_us(host)), "dim"),
        (wording.frames(opened[0]) if opened and sweep else "", "dim"),
    )


def _short(port: Port) -> str:
    """Return a port for a crowded line: TCP goes without saying."""
    return str(port.port) if port.protocol == "tcp" else f"{port.port}/{port.protocol}"
