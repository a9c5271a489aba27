"""Paths to hosts for Python users."""

from __future__ import annotations

from collections.abc import Iterable

from portulan.drive.naming import named_paths
from portulan.drive.tracing import UDP_PORT, TraceOptions
from portulan.drive.tracing import trace as run
from portulan.errors import UsageError
from portulan.record import Hop
from portulan.sockets.hops import Manner
from portulan.sockets.resolve import resolve

HTTP_PORT = 80


def trace(
    hosts: str | Iterable[str], *, manner: Manner = "udp", port: int = 0, hops_max: int = 30,
    queries: int = 3, wait_s: float = 1.0, interface: str = "", names: bool = False,
    server: str = "",
) -> dict[str, list[Hop]]:
    """Return the hops to each host's first address, in order; no right is needed.

    `manner` is udp, icmp or tcp, `port` by default 33434 or 80. `names` asks DNS for the routers'
    names, at `server` if one is given. Raises `UsageError` for a name without an address.

    >>> import portulan
    >>> [(hop.ttl, hop.state) for hop in portulan.trace("127.0.0.1", queries=1)["127.0.0.1"]]
    [(1, 'reached')]
    """
    asked = dict.fromkeys(map(_address, hosts.split() if isinstance(hosts, str) else hosts))
    options = TraceOptions(
        manner=manner, port=port or (HTTP_PORT if manner == "tcp" else UDP_PORT),
        hops_max=hops_max, queries=queries, wait_ns=int(wait_s * 1e9), interface=interface)
    paths = run(list(asked), options)
    return {hops[0].target: hops
            for hops in (named_paths(paths, server) if names or server else paths)}


def _address(text: str) -> str:
    found = resolve(text)
    if not found:
        raise UsageError("no address for this host", text=text, hint="check the name")
    return found[0]
