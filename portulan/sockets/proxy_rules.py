"""Whom a proxy serves, whom it lets them reach, and where it listens."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from portulan.errors import UsageError
from portulan.sockets.access import AccessList
from portulan.sockets.endpoint import Endpoint

IDLE_S: Final = 7_440.0
"""As the relay: 2 h 4 min, the least that RFC 5382 (REQ-5) asks of those in between."""
HANDSHAKE_S: Final = 10.0
CONNECT_S: Final = 10.0
LOGIN_MAX_BYTES: Final = 255
"""Of a name or a password: its length is one byte (RFC 1929)."""

Protocol: TypeAlias = Literal["socks5", "http"]

_DOOR: Final = re.compile(
    r"(?P<scheme>[A-Za-z0-9]+)://(?:(?P<user>[^:@/]+):(?P<password>[^@/]*)@)?(?P<rest>[^/]*)/?")


@dataclass(frozen=True, slots=True)
class Door:
    """Where a proxy listens, what it speaks there, and what login it asks for.

    >>> door = Door.parse("socks5://me:secret@:1080")
    >>> door.protocol, door.end.address, door.shown
    ('socks5', ('127.0.0.1', 1080), 'socks5://127.0.0.1:1080')
    """

    protocol: Protocol
    end: Endpoint
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Door:
        """Read `socks5://[USER:PASSWORD@]ADDR:PORT`, or the same with http; raises UsageError."""
        match = _DOOR.fullmatch(text)
        scheme = match["scheme"].lower() if match else ""
        if match is None or scheme not in {"socks5", "http"}:
            # The text may hold a password: it is not repeated.
            raise UsageError("a proxy listens at socks5://ADDR:PORT or http://ADDR:PORT",
                             where="proxy")
        end = Endpoint.parse(match["rest"], where="proxy", listening=True)
        if end.scheme != "tcp":
            raise UsageError("expects ADDR:PORT", text=match["rest"], where="proxy")
        user, password = unquote(match["user"] or ""), unquote(match["password"] or "")
        if max(len(user.encode()), len(password.encode())) > LOGIN_MAX_BYTES:
            raise UsageError(f"a login has at most {LOGIN_MAX_BYTES} bytes each", where="proxy")
        return cls("socks5" if scheme == "socks5" else "http", end, user, password)

    @property
    def shown(self) -> str:
        """Return it without its login, for messages."""
        return f"{self.protocol}://{self.end.place}"

    def knows(self, user: bytes, password: bytes) -> bool:
        """Tell whether a login is the right one, in a time that does not tell how wrong it is."""
        right_user = hmac.compare_digest(user, self.user.encode())
        return hmac.compare_digest(password, self.password.encode()) and right_user


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A proxy's lists and limits; raises UsageError for what cannot be meant."""

    clients: AccessList = field(default_factory=AccessList)
    targets: AccessList = field(default_factory=AccessList)
    max_conns: int = 0
    """At once; 0: as many as there may be descriptors."""
    rate: float = 0.0
    """New connections a second by one address; 0: any."""
    idle_s: float = IDLE_S
    """Seconds without a byte in either direction; 0: no limit."""
    handshake_s: float = HANDSHAKE_S
    connect_s: float = CONNECT_S

    def reaches(self, client: str, target: str) -> bool:
        """Tell whether a client may reach an address.

        What listens on this machine's loopback only is for this machine: a client from elsewhere
        reaches it only if a target list allows it by name.
        """
        if not self.targets.permits(target):
            return False
        inside = _is_inside(target)
        return not inside or self.targets.allow is not None or _is_inside(client)


def _is_inside(host: str) -> bool:
    """Tell whether an address leads to this machine itself, whoever asks."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified
