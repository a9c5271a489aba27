"""HTTP and its look-alikes (SIP, RTSP, SSDP): status line, headers, title (RFC 9110, 9112)."""

from __future__ import annotations

import html
import re
import zlib
from typing import Final

from .facts import Facts
from .http2 import as_http1, begins_http2
from .text import decode

HEADERS_MAX: Final = 100
CHUNKS_MAX: Final = 4096
BODY_MAX: Final = 1 << 20
"""Bytes of an unpacked body; titles stand near the top of a page."""
RATIO_MAX: Final = 100
"""Unpacked bytes for each packed one; beyond it is a bomb."""
TITLE_MAX: Final = 512
TEXT_MAX: Final = 8 << 10
"""Bytes of an unpacked body that become text for rules: names stand near its top."""
_STATUS: Final = re.compile(
    rb"(HTTP|SIP|RTSP|ICY)(?:/([0-9.]{1,5}))? ([1-5][0-9]{2})(?:[ \r\n]|$)([^\r\n]{0,100})")
_TITLE: Final = re.compile(rb"<title[^<>]{0,200}>", re.IGNORECASE)
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,7})[^\r\n]{0,100}\r\n")
_GENERATOR: Final = re.compile(
    rb"<meta\s{1,8}name=[\"']generator[\"']\s{1,8}content=[\"']([^\"'<>]{2,120})", re.IGNORECASE)
_BUILD: Final = re.compile(
    rb"^([a-z][a-z_]{1,40})_build_info\{[^}\n]{0,600}?\bversion=\"v?([^\"\n]{1,40})\"",
    re.MULTILINE)


def parse(data: bytes) -> Facts | None:
    """Return the fields of a response, or None where no status line stands."""
    if begins_http2(data):
        data = as_http1(data)
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
    if family == "http":
        fields |= _head_fields(status, headers)
        if body:
            fields |= _body_fields(_whole(body, headers))
    return Facts(family, fields, 0.98)


def _head_fields(status: re.Match[bytes], headers: dict[str, bytes]) -> dict[str, str]:
    """Return what a product may be told by beside its name: reason, own headers, their order."""
    own = "\n".join(f"{name}: {decode(value)}" for name, value in headers.items()
                    if name.startswith("x-") or name in _OWN)
    order = f"{status[3].decode()} {','.join(headers)}"
    told = {"reason": decode(status[4]).strip(), "own": own, "order": order}
    return {f"http.{name}": text for name, text in told.items() if text}


def _body_fields(page: bytes) -> dict[str, str]:
    """Return title, generator, the build that metrics tell, and the text itself."""
    told = {"title": _title(page), "body": decode(page[:TEXT_MAX]).strip()}
    if generator := _GENERATOR.search(page, 0, TEXT_MAX):
        told["generator"] = decode(generator[1])
    if b"_build_info{" in page and (build := _BUILD.search(page)):
        told["build"] = f"{decode(build[1])} {decode(build[2])}"
    return {f"http.{name}": text for name, text in told.items() if text}


_NAMES: Final = {
    "server": "server", "user-agent": "user_agent", "www-authenticate": "www_authenticate",
    "x-powered-by": "powered_by", "set-cookie": "cookie", "via": "via",
}


_OWN: Final = frozenset({
    "docker-experimental", "docker-distribution-api-version", "product", "liferay-portal", "dav",
    "daap-server", "microsoftsharepointteamservices", "ms-author-via", "ollama", "cf-ray",
    "lsrequestid", "application-version",
})
"""Headers beside `X-...` that one product sends."""


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


def _whole(body: bytes, headers: dict[str, bytes]) -> bytes:
    """Return a body without its chunks and its packing."""
    if b"chunked" in headers.get("transfer-encoding", b"").lower():
        body = _unchunked(body)
    return _unpack(body, headers.get("content-encoding", b""))


def _unchunked(body: bytes) -> bytes:
    """Return the octets of chunks (RFC 9112 section 7.1), as far as they are well made."""
    parts: list[bytes] = []
    at = 0
    while len(parts) < CHUNKS_MAX:
        size = _CHUNK.match(body, at)
        if not size:
            break
        at = size.end() + int(size[1], 16)
        parts.append(body[size.end() : at])
        at += 2
    return b"".join(parts) or body


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
