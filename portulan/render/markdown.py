"""Markdown: a report for a ticket, a wiki or a repository (CommonMark with GitHub's tables).

Text from outside can make neither markup nor a link: its punctuation is escaped, and what GitHub
would link by itself (`http://`, `www.`, `@`) is broken up by character references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from portulan.record import AnyEvent, Port
from portulan.render import wording
from portulan.render.escape import visible
from portulan.render.gather import Finding, Findings, gather

DETAILED_HOSTS = 100
"""Up to so many hosts have a section each; more share one table, which a reader can search."""

CHUNK_HOSTS = 256

_PUNCTUATION = re.compile(r"[\\`*_\[\]|~#$]")
_REFERENCE = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"})
_LINK = re.compile(r"://|www\.", re.IGNORECASE)


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield the report: summary, hosts, in sections or in one table."""
    found = gather(events)
    yield _head(found)
    listed = [host for host in found.hosts if host.state == "up" or host.ports or host.notes]
    if len(listed) > DETAILED_HOSTS:
        yield _row("Host", "Names", "Open ports", "Other", "RTT", "Frames") + _rule("llllrl")
        for at in range(0, len(listed), CHUNK_HOSTS):
            yield "".join(map(_host_row, listed[at : at + CHUNK_HOSTS]))
    else:
        yield from map(_section, listed)


def text(value: str) -> str:
    r"""Return a text from outside as Markdown that shows it as it is.

    No place here lets it begin a line, so list and heading marks need no care.
    """
    safe = _PUNCTUATION.sub(r"\\\g<0>", visible(value)).translate(_REFERENCE)
    return _LINK.sub(lambda match: f"&#{ord(match[0][0])};{match[0][1:]}", safe)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _rule(sides: str) -> str:
    return _row(*("---:" if side == "r" else "---" for side in sides))


def _head(found: Findings) -> str:
    rows = "".join(_row(label, text(value)) for label, value in wording.summary(found))
    return f"# Portulan chart\n\n{_row('', '')}{_rule('ll')}{rows}\n"


def _section(host: Finding) -> str:
    names = f" {text(', '.join(host.names))}" if host.names else ""
    card = text(" ".join(filter(None, (host.mac, host.vendor))))
    state = f"{host.state} ({text(wording.facts(host))})"
    return (
        f"## {text(host.addr)}{names}\n\n{', '.join(filter(None, (state, card)))}\n\n"
        + _port_table(host) + _extras(host)
    )


def _port_table(host: Finding) -> str:
    counted, ports = wording.collapse(host)
    table = "".join(_port_row(host, port) for port in ports)
    if table:
        head = _row("Port", "State", "Service", "Reason", "TTL", "RTT", "Frames")
        table = f"{head}{_rule('llllrrl')}{table}\n"
    return f"{table}Not shown: {text(wording.tally(counted))}\n\n" if counted else table


def _port_row(host: Finding, port: Port) -> str:
    return _row(
        f"{port.port}/{port.protocol}", text(port.state),
        text(wording.service(port, host.service(port))), text(port.reason),
        str(port.ttl or ""), wording.rtt(port.rtt_us), wording.frames(port),
    )


def _extras(host: Finding) -> str:
    lines = [f"- System: {text(system)}\n" for system in wording.systems(host)]
    lines += [f"- {note.level.capitalize()}: {text(wording.remark(note))}\n" for note in host.notes]
    return "".join([*lines, "\n"] if lines else [])


def _host_row(host: Finding) -> str:
    opened = host.open_ports()
    return _row(
        text(host.addr), text(", ".join(host.names)),
        ", ".join(f"{port.port}/{port.protocol}" for port in opened),
        text(wording.tally(wording.not_open(host))),
        wording.rtt(wording.best_rtt_us(host)),
        " ".join(filter(None, map(wording.frames, opened))),
    )
