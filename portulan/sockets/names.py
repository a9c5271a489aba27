"""Names of addresses by reverse DNS (RFC 1035 section 3.5, RFC 3596 section 2.5), many at once.

Whoever runs the reverse zone wrote these names: they are shown, never believed. A server that does
not answer costs a bounded time, whatever the number of addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from portulan.errors import UsageError

if TYPE_CHECKING:
    from dns.resolver import Resolver

#: Questions under way at once; a home router's forwarder takes about as many.
WORKERS: Final = 32
#: Seconds for one name, repeats included.
WAIT_S: Final = 2.0
#: So many questions in a row without any answer: there is no server, the rest is not asked.
DEAF_MAX: Final = WORKERS
NAME_MAX: Final = 253
PORT: Final = 53


def reverse_names(addresses: Sequence[str], server: str = "") -> Iterator[tuple[str, str]]:
    """Yield (address, name) for each address that has a name, in the order of addresses.

    `server` is `ADDR` or `ADDR#PORT`; empty for the machine's own. Without any server, or with a
    silent one, nothing is yielded. Raises `UsageError` for a server that is no address.
    """
    resolver = _resolver(server)
    if resolver is None:
        return
    deaf = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for at in range(0, len(addresses), WORKERS):
            part = addresses[at : at + WORKERS]
            for address, (name, heard) in zip(
                part, pool.map(lambda one: _name(resolver, one), part), strict=True
            ):
                deaf = 0 if heard else deaf + 1
                if name:
                    yield address, name
            if deaf >= DEAF_MAX:
                return


def check_server(server: str) -> tuple[str, int]:
    """Return address and port of a server's text; raises `UsageError` if it is none."""
    address, mark, port = server.partition("#")
    try:
        ip_address(address or "::")
        number = int(port) if mark else PORT
    except ValueError:
        number = 0
    if not 0 < number < 65_536:
        raise UsageError("not the address of a server", text=server, where="--dns-server",
                         hint="as 192.0.2.53, or 192.0.2.53#5353")
    return address, number


def _resolver(server: str) -> Resolver | None:
    from dns.exception import DNSException
    from dns.resolver import Resolver

    if not server:
        try:
            return Resolver()
        except (DNSException, OSError):
            return None
    address, port = check_server(server)
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = [address], port
    return resolver


def _name(resolver: Resolver, address: str) -> tuple[str, bool]:
    """Return a name, and whether any server answered."""
    from dns.exception import DNSException, Timeout
    from dns.resolver import NoNameservers
    from dns.reversename import from_address

    try:
        found = resolver.resolve(from_address(address), "PTR", lifetime=WAIT_S, search=False)
        names = sorted(str(row.target) for row in found)
    except (Timeout, NoNameservers, OSError):
        return "", False
    except (DNSException, ValueError):
        return "", True
    return (names[0].rstrip(".")[:NAME_MAX] if names else ""), True
