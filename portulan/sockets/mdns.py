"""Names that hosts of a link give themselves: each is asked for its own, by multicast DNS.

The question goes to the host itself (RFC 6762 section 5.5), not to the group: so nobody else is
bothered, and only the host's own answer counts. Where nothing speaks multicast DNS, the port is
closed or silent, and a bounded time is lost once for all hosts together.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Final

PORT: Final = 5353
#: A host answers at once or hardly at all; a packet may be lost: asked twice.
WAIT_S: Final = 0.7
TRIES: Final = 2
#: Hosts asked at once: what a receive buffer holds of answers.
BATCH: Final = 256
NAME_MAX: Final = 253
_BYTES_MAX: Final = 9_000
_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


def own_names(addresses: Sequence[str], *, port: int = PORT) -> Iterator[tuple[str, str]]:
    """Yield (address, name) for each address whose host tells a name for it."""
    for family in (4, 6):
        part = [addr for addr in addresses if (":" in addr) == (family == 6)]
        for at in range(0, len(part), BATCH):
            yield from _asked(part[at : at + BATCH], family, port)


def _asked(addresses: list[str], family: int, port: int) -> Iterator[tuple[str, str]]:
    number = secrets.randbits(16)
    missing = dict.fromkeys(addresses)
    with socket.socket(_FAMILY[family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        for _ in range(TRIES):
            for addr in missing:
                with contextlib.suppress(OSError):  # no way, or closed by an earlier answer
                    sock.sendto(question(addr, number), (addr, port))
            for addr, data in _heard(sock, port):
                name = answer(data, addr, number) if addr in missing else ""
                if name:
                    del missing[addr]
                    yield addr, name
                if not missing:
                    return


def _heard(sock: socket.socket, port: int) -> Iterator[tuple[str, bytes]]:
    until = time.monotonic() + WAIT_S
    while (left := until - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return
        with contextlib.suppress(OSError):
            data, source = sock.recvfrom(_BYTES_MAX)
            if source[1] == port:
                yield source[0].partition("%")[0], data


def question(addr: str, number: int) -> bytes:
    """Return the question for an address's name."""
    from dns.message import make_query
    from dns.reversename import from_address

    asked = make_query(from_address(addr), "PTR", flags=0, id=number)
    return asked.to_wire()


def answer(data: bytes, addr: str, number: int) -> str:
    """Return the name that an answer gives to an address; empty if it gives none."""
    from dns.exception import DNSException
    from dns.message import from_wire
    from dns.rdatatype import PTR
    from dns.reversename import from_address

    asked = from_address(addr)
    try:
        told = from_wire(data, ignore_trailing=True)
    except (DNSException, ValueError, IndexError):
        return ""
    if told.id != number:
        return ""
    names = sorted(
        str(row.target) for found in told.answer
        if found.rdtype == PTR and found.name == asked for row in found)
    return names[0].rstrip(".")[:NAME_MAX] if names else ""
