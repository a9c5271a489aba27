"""HTTP and its look-alikes (SIP, RTSP, SSDP): status line, headers, title (RFC 9110, 9112)."""

from __future__ import annotations

import html
import re
import zlib
from typing import Final

from .facts import Facts
from .text import decode

HEADERS_MAX: Final = 100
BODY_MAX: Final = 1 << 20
"""Bytes of an unpacked body; titles stand near the top of a page."""
RATIO_MAX: Final = 100
"""Unpacked bytes for each packed one; beyond it is a bomb."""
TITLE_MAX: Final = 512
_STATUS: Final = re.compile(rb"(HTTP|SIP|RTSP|ICY)(?:/([0-9.]{1,5}))? ([1-5][0-9]{2})(?:[ \r\n]|$)")
_TITLE: Final = re.compile(rb"<title[^<>]{0,200}>", re.IGNORECASE)


def parse(data: bytes) -> Facts | None:
    """Return the fields of a response, or None where no status line stands."""
    status = _STATUS.match(data)
    if not status:
        return None
    family = {b"HTTP": "http", b"ICY": "http", b"SIP": "sip", b"RTSP": "rtsp"}[status[1]]
    head, body = _split(data)
    headers = _headers(head)
    if family == "http" and ("st" in headers or "usn" in headers):
        family = "ssdp"
    fields = {f"{family}.status": status[3].decode()}
    for header, name in _NAMES.items():
        if header in headers:
            fields[f"{family}.{name}"] = decode(headers[header])
    if family == "http" and body:
        title = _title(_unpack(body, headers.get("content-encoding", b"")))
        if title:
            fields["http.title"] = title
    return Facts(family, fields, 0.98)


_NAMES: Final = {
    "server": "server", "user-agent": "user_agent", "www-authenticate": "www_authenticate",
    "x-powered-by": "powered_by", "set-cookie": "cookie", "via": "via",
}


def _split(data: bytes) -> tuple[bytes, bytes]:
    at, size = data.find(b"\r\n\r\n"), 4
    if at < 0:
        at, size = data.find(b"\n\n"), 2
    return (data, b"") if at < 0 else (data[:at], data[at + size :])


def _headers(head: bytes) -> dict[str, bytes]:
    """Return headers by name in lower case: cookies and challenges joined, else the first."""
    found: dict[str, bytes] = {}
    for line in head.split(b"\n", HEADERS_MAX + 1)[1 : HEADERS_MAX + 1]:
        name, colon, value = line.partition(b":")
        key, value = name.strip().decode("latin-1").lower(), value.strip()
        if colon and key in found and key in _JOINED:
            found[key] += b"; " + value
        elif colon:
            found.setdefault(key, value)
    return found


_JOINED: Final = ("set-cookie", "www-authenticate")


def _unpack(body: bytes, encoding: bytes) -> bytes:
    """Return a gzip or deflate body unpacked within bounds, any other as it is."""
    if encoding.lower() not in (b"gzip", b"x-gzip", b"deflate"):
        return body
    limit = min(BODY_MAX, len(body) * RATIO_MAX)
    try:
        return zlib.decompressobj(wbits=47).decompress(body, limit)
    except zlib.error:
        return b""


def _title(page: bytes) -> str:
    start = _TITLE.search(page)
    if not start:
        return ""
    text = page[start.end() : start.end() + TITLE_MAX].split(b"<", 1)[0]
    return " ".join(html.unescape(decode(text)).split())
