"""Names to addresses, by this machine's own resolver (files, DNS, mDNS as configured)."""

from __future__ import annotations

import socket


def resolve(name: str) -> list[str]:
    """Return the addresses of a name as text, the preferred first; empty if it has none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[4][0]) for address in found))
