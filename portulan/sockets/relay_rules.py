"""Whom a relay serves, for how long, and what it says about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from portulan.errors import UsageError
from portulan.sockets.acceptor import HANDSHAKE_S
from portulan.sockets.access import AccessList

TRUSTED: Final = ("127.0.0.0/8", "::1")
"""Whose PROXY headers are believed by default: only those of a proxy on this machine."""
SECONDS_MAX: Final = 31_536_000.0
"""A year: longer limits are typing errors."""

ProxyProtocol: TypeAlias = Literal["in", "out", "out-v2"]
HeaderVersion: TypeAlias = Literal[0, 1, 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits and lists of a relay; raises `UsageError` for what cannot be meant."""

    idle_s: float | None = None
    """Seconds without a byte in either direction until a connection is closed; 0: no limit; None:
    2 h 4 min for streams, 2 min for flows of datagrams."""
    handshake_s: float = HANDSHAKE_S
    """For a client's PROXY header and TLS handshake together."""
    max_conns: int = 0
    """At once; 0: as many as there may be descriptors."""
    access: AccessList = field(default_factory=AccessList)
    proxy_in: bool = False
    """Whether each connection begins with a PROXY header, v1 or v2."""
    trusted: AccessList = field(default_factory=lambda: AccessList.of(TRUSTED))
    """Who may send such headers; others are turned away."""
    proxy_out: HeaderVersion = 0
    """The version of the PROXY header that the target gets; 0: none."""

    def __post_init__(self) -> None:
        for name, value, least in (("idle", self.idle_s or 0, 0.0),
                                   ("handshake", self.handshake_s, 0.001)):
            if not least <= value <= SECONDS_MAX:
                raise UsageError(f"not a number of seconds for {name}", text=f"{value:g}",
                                 where="relay", hint=f"from {least:g} to a year")
        if self.max_conns < 0:
            raise UsageError("not a number of connections", text=str(self.max_conns),
                             where="relay", hint="0 is no limit of its own")


def proxy_rules(given: Iterable[ProxyProtocol]) -> tuple[bool, HeaderVersion]:
    """Return (whether headers come in, the version that goes out); raises `UsageError`."""
    every = set(given)
    if {"out", "out-v2"} <= every:
        raise UsageError("one version goes out, not two", where="--proxy-protocol",
                         hint="out, or out-v2")
    version: HeaderVersion = 2 if "out-v2" in every else 1 if "out" in every else 0
    return "in" in every, version
