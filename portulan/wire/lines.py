"""Protocols of lines: FTP, SMTP, POP3, IMAP and SIP, a command or a reply a line."""

from __future__ import annotations

import re

from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, text_of

LINE_MAX_OCTETS = 1_000
"""SMTP allows 1000 (RFC 5321 section 4.5.3.1.6), the others no more in practice."""
_COMMAND = re.compile(rb"[A-Za-z]{3,12}(?=[ \r\n]|\Z)")
_CODE = re.compile(rb"\d{3}(?=[ -])")
_TAGGED = re.compile(rb"(?:\*|\+|[A-Za-z0-9.]{1,16}) [A-Za-z0-9\[]")
_STATE = re.compile(rb"(?:\+OK|-ERR)(?=[ \r\n]|\Z)")
_SIP = re.compile(rb"SIP/2\.0 \d{3} |[A-Z]{3,12} \S{1,500} SIP/2\.0")

_SIP_FIELDS = {
    b"call-id": "call_id", b"i": "call_id", b"cseq": "cseq", b"from": "sender", b"f": "sender",
    b"to": "receiver", b"t": "receiver", b"user-agent": "user_agent", b"server": "user_agent",
}
"""Names of fields, the compact forms of RFC 3261 section 7.3.3 among them."""


def _line(octets: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return the first line without its end, and where the next begins."""
    line, ended, _ = octets[at : min(end, at + LINE_MAX_OCTETS)].partition(b"\n")
    return line.rstrip(b"\r"), min(at + len(line) + len(ended), end)


def _replies(octets: bytes, at: int, end: int, name: str) -> Inside:
    """Tell a command with its argument, or a reply of three digits."""
    line, stop = _line(octets, at, end)
    told: dict[str, Value] = {"line": text_of(line)}
    if _CODE.match(line):
        told.update(code=int(line[:3]), text=text_of(line[4:]))
    elif _COMMAND.match(line):
        command, _, argument = line.partition(b" ")
        told["command"] = text_of(command).upper()
        if argument:
            told["argument"] = text_of(argument)
    return Inside(stop, end, told=told, brief=f"{name} {text_of(line)[:80]}")


class FTP(Header, tcp=21):
    """FTP's control connection (RFC 959 section 4); it has no fixed octets."""

    line = Told("the first line")
    command = Told("of the client")
    argument = Told("of the command")
    code = Told("of the server's reply", int)
    text = Told("of the server's reply")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a command or a reply begins here."""
        return bool(_CODE.match(octets, at, end) or _COMMAND.match(octets, at, end))

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the first line."""
        return _replies(octets, at, end, "FTP")


class SMTP(Header, tcp=(25, 587)):
    """SMTP (RFC 5321 section 4); it has no fixed octets."""

    line = Told("the first line")
    command = Told("of the client")
    argument = Told("of the command")
    code = Told("of the server's reply", int)
    text = Told("of the server's reply")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a command or a reply begins here."""
        return bool(_CODE.match(octets, at, end) or _COMMAND.match(octets, at, end))

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the first line."""
        return _replies(octets, at, end, "SMTP")


class POP3(Header, tcp=110):
    """POP3 (RFC 1939 section 3); it has no fixed octets."""

    line = Told("the first line")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a command or a state begins here."""
        return bool(_STATE.match(octets, at, end) or _COMMAND.match(octets, at, end))

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the first line."""
        line, stop = _line(octets, at, end)
        return Inside(stop, end, told={"line": text_of(line)}, brief=f"POP3 {text_of(line)[:80]}")


class IMAP(Header, tcp=143):
    """IMAP (RFC 9051 section 2.2); it has no fixed octets."""

    line = Told("the first line")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a tagged or untagged line begins here."""
        return _TAGGED.match(octets, at, end) is not None

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the first line."""
        line, stop = _line(octets, at, end)
        return Inside(stop, end, told={"line": text_of(line)}, brief=f"IMAP {text_of(line)[:80]}")


class SIP(Header, udp=5060, tcp=5060):
    """SIP (RFC 3261 section 7); it has no fixed octets."""

    line = Told("the first line")
    method = Told("of a request")
    uri = Told("whom a request is for")
    status = Told("of a response", int)
    call_id = Told("tells one call from others")
    cseq = Told("number and method that a message belongs to")
    sender = Told("the From field")
    receiver = Told("the To field")
    user_agent = Told("program that sends")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a request or a response begins here."""
        return _SIP.match(octets, at, end) is not None

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the first line and the common fields; the body is payload."""
        line, where = _line(octets, at, end)
        told: dict[str, Value] = {"line": text_of(line)}
        first, _, rest = line.partition(b" ")
        if first == b"SIP/2.0" and rest[:3].isdigit():
            told["status"] = int(rest[:3])
        else:
            told.update(method=text_of(first), uri=text_of(rest.rpartition(b" ")[0]))
        for _ in range(ITEMS_MAX):
            field, where = _line(octets, where, end)
            name, colon, value = field.partition(b":")
            if not colon:
                break
            known = _SIP_FIELDS.get(name.strip().lower())
            if known:
                told.setdefault(known, text_of(value.strip()))
        return Inside(where, end, told=told, brief=f"SIP {text_of(line)[:80]}")
