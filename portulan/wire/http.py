"""HTTP/1: the first line and the fields of a message."""

from __future__ import annotations

import re

from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, text_of

HEAD_MAX_OCTETS = 16_384
"""Bytes of a message's head that are looked at; servers refuse longer ones."""
_FIRST = re.compile(
    rb"[A-Z]{3,16} [^ \r\n]{1,8000} HTTP/1\.[01]|HTTP/1\.[01] \d{3}(?= |\r|\Z)")
_NAMES = {
    b"host": "host", b"user-agent": "user_agent", b"server": "server", b"location": "location",
    b"content-type": "content_type", b"content-length": "content_length",
}


class HTTP(Header, tcp=(80, 8080, 8000), anywhere=True):
    """HTTP/1 (RFC 9112); it has no fixed octets."""

    method = Told("of a request")
    target = Told("of a request, as sent")
    version = Told("1.0 or 1.1")
    status = Told("of a response", int)
    reason = Told("words of a response")
    host = Told("whom a request is for")
    user_agent = Told("who asks")
    server = Told("who answers")
    location = Told("where a response sends the asker")
    content_type = Told("kind of the body")
    content_length = Told("size of the body, as sent", unit="bytes")
    fields = Told("all fields, `name: value`", list)

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a request or a response begins here."""
        return _FIRST.match(octets, at, min(end, at + HEAD_MAX_OCTETS)) is not None

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the head; the body is payload."""
        first, *lines = octets[at : min(end, at + HEAD_MAX_OCTETS)].split(b"\r\n", ITEMS_MAX)
        told = _first_line(first)
        size, fields, ended = len(first) + 2, list[str](), False
        for line in lines:
            size += len(line) + 2
            if not line:
                ended = True
                break
            name, _, value = line.partition(b":")
            fields.append(f"{text_of(name)}: {text_of(value.strip())}")
            if (known := _NAMES.get(name.lower())) and known not in told:
                told[known] = text_of(value.strip())
        told["fields"] = fields
        brief = f"HTTP {text_of(first)[:80]}"
        defect = "" if ended else "the head does not end in this segment"
        return Inside(min(at + size, end), end, told=told, brief=brief, defect=defect)


def _first_line(line: bytes) -> dict[str, Value]:
    parts = line.split(b" ", 2)
    if len(parts) < 2:
        return {}
    if parts[0].startswith(b"HTTP/"):
        told: dict[str, Value] = {"version": text_of(parts[0][5:])}
        if parts[1].isdigit() and len(parts[1]) == 3:
            told["status"] = int(parts[1])
        return {**told, "reason": text_of(parts[2])} if len(parts) > 2 else told
    told = {"method": text_of(parts[0]), "target": text_of(parts[1])}
    return {**told, "version": text_of(parts[2][5:])} if len(parts) > 2 else told
