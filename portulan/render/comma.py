"""CSV, one port a line, safe to open in a spreadsheet.

Lines end in LF: every reader of CSV takes that, while CRLF (RFC 4180) sticks to the last column in
`cut`, `awk` and `while read`. Control characters are written visibly, so a line is always a row.
A host that is up without any port result has a row with empty port and protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portulan.record import AnyEvent, Port
from portulan.render.escape import visible
from portulan.render.gather import Finding, gather
from portulan.render.wording import guess

COLUMNS = (
    "addr", "port", "protocol", "state", "reason", "service", "product", "version", "ttl",
    "rtt_us", "frames", "names",
)

FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""First characters that make a spreadsheet compute a cell (CWE-1236), wide forms included."""


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield the header, then the rows of one host at a time."""
    yield ",".join(COLUMNS) + "\n"
    for host in gather(events).hosts:
        yield "".join(",".join(map(cell, row)) + "\n" for row in _rows(host))


def cell(text: str) -> str:
    """Return a cell that holds `text` as text: never a formula, quoted where it must be."""
    if not text or text.isalnum():
        return text
    safe = visible(text)
    if text.lstrip(" \"'").startswith(FORMULA):
        safe = "'" + safe
    if any(mark in safe for mark in ',";\'') or safe != safe.strip():
        return '"' + safe.replace('"', '""') + '"'
    return safe


def _rows(host: Finding) -> Iterator[tuple[str, ...]]:
    names = " ".join(host.names)
    if host.state == "up" and not host.ports and not host.rest:
        yield (host.addr, "", "", host.state, host.reason, "", "", "", "", _number(host.rtt_us), "",
               names)
    for port in host.sorted_ports():
        yield _row(host, port, names)


def _row(host: Finding, port: Port, names: str) -> tuple[str, ...]:
    found = host.service(port)
    return (
        host.addr, str(port.port), port.protocol, port.state, port.reason,
        found.name if found else guess(port.port, port.protocol),
        found.product if found else "",
        found.version if found else "",
        _number(port.ttl), _number(port.rtt_us), " ".join(map(str, port.frames)), names,
    )


def _number(value: int) -> str:
    return str(value) if value else ""
