"""HTTP from a proxy's side, sans I/O: CONNECT, and plain requests passed on (RFC 9110, 9112)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from portulan.sockets.proxy_rules import Door
from portulan.sockets.serve_http import (
    HEAD_MAX_BYTES,
    PHRASES,
    RefusedError,
    Request,
    parse_head,
    read_lines,
)

AUTHORITY: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")
URL: Final = re.compile(r"[Hh][Tt][Tt][Pp]://([^/?#@]*)([/?][^#]*)?")
HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
    "te", "trailer", "upgrade", "expect",
})
"""Fields that end here (RFC 9110 section 7.6.1); a body follows without being asked for first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants: a tunnel, or `request` passed on.

    `head` is what the target gets of a plain request, `request` tells its body, `expects` whether
    the client waits to be told to send it.
    """

    host: str
    port: int
    head: bytes = b""
    request: Request | None = None
    expects: bool = False


def parse(head: bytes, door: Door) -> Asked:
    """Return what a request's head asks of a proxy; raises RefusedError, with 407 for the login."""
    (method, target, version), headers = read_lines(head)
    _check_login(headers, door)
    if method == "CONNECT":
        host, port = _authority(target, 0)
        return Asked(host, port)
    match = URL.fullmatch(target)
    if match is None:
        raise RefusedError(400, "this is a proxy: it expects CONNECT or a whole http:// address")
    host, port = _authority(match[1], 80)
    path = match[2] or "/"
    path = path if path.startswith("/") else "/" + path
    named = {word.strip().lower() for key, value in headers if key == "connection"
             for word in value.split(",")}
    kept = [(key, value) for key, value in headers
            if key not in HOP_BY_HOP and key not in named - {"host", "content-length"}]
    lines = [f"{method} {path} HTTP/1.1", f"host: {match[1]}"]
    lines += [f"{key}: {value}" for key, value in kept if key != "host"]
    lines += [f"via: 1.{version[1]} portulan", "connection: close", "", ""]
    made = "\r\n".join(lines).encode("latin-1")
    # The same strict reader as our server's sees it before any target does: nothing is smuggled.
    expects = any(key == "expect" for key, _ in headers)
    return Asked(host, port, made, parse_head(made), expects)


def refusal(status: int, reason: str) -> bytes:
    """Return an answer that is not the target's."""
    body = (reason or PHRASES[status]).encode() + b"\n"
    ask = 'Proxy-Authenticate: Basic realm="portulan"\r\n' if status == 407 else ""
    return (f"HTTP/1.1 {status} {PHRASES[status]}\r\n{ask}Content-Type: text/plain; charset=utf-8"
            f"\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body


ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD_MAX: Final = HEAD_MAX_BYTES


def _authority(text: str, default: int) -> tuple[str, int]:
    match = AUTHORITY.fullmatch(text)
    port = int(match[3] or default) if match else 0
    if match is None or not 1 <= port <= 65_535:
        raise RefusedError(400, "the target is no HOST:PORT")
    return match[1] or match[2], port


def _check_login(headers: tuple[tuple[str, str], ...], door: Door) -> None:
    if not door.user:
        return
    given = [value for key, value in headers if key == "proxy-authorization"]
    scheme, _, word = (given[0] if len(given) == 1 else "").partition(" ")
    try:
        login = base64.b64decode(word.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        login = b""
    user, _, password = login.partition(b":")
    if not door.knows(user, password):
        raise RefusedError(407, "wrong login" if given else "a login is needed")
