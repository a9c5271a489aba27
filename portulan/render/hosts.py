"""Who is there, as a table for eyes: one line a host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portulan.record import AnyEvent
from portulan.render.escape import visible
from portulan.render.gather import Finding, gather
from portulan.render.wording import rtt

_MAC_WIDTH = 17


def host_lines(events: Iterable[AnyEvent], *, width: int = 80) -> Iterator[str]:
    """Yield a head, a line for each host that is up, by address, and their number."""
    found = gather(events)
    up = [host for host in found.hosts if host.state == "up"]
    if up:
        wide = max(7, *(len(visible(host.addr)) for host in up))
        with_mac = any(host.mac for host in up)
        mac = f"{'mac':<{_MAC_WIDTH}}  " if with_mac else ""
        yield f"{'address':<{wide}}  {'rtt':>8}  {mac}{'who'}"
        for host in up:
            yield _line(host, wide, width=width, with_mac=with_mac)
    asked = found.hosts_asked
    yield f"{len(up)} of {asked} address{'es' * (asked != 1)} answer{'s' * (len(up) == 1)}"


def _line(host: Finding, wide: int, *, width: int, with_mac: bool) -> str:
    mac = f"{visible(host.mac):<{_MAC_WIDTH}}  " if with_mac else ""
    head = f"{visible(host.addr):<{wide}}  {rtt(host.rtt_us):>8}  {mac}"
    maker = f"({host.vendor})" if host.vendor else ""
    who = visible(" ".join(filter(None, (*host.names, maker)))) or f"by {visible(host.reason)}"
    room = max(12, width - len(head))
    return head + (who if len(who) <= room else who[: room - 1] + "…")
