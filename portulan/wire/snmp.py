"""SNMP: version, community, and the variables asked for."""

from __future__ import annotations

from typing import NamedTuple

from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, number_at, text_of

_SEQUENCE, _INTEGER, _OCTETS, _OBJECT = 0x30, 0x02, 0x04, 0x06
_VERSIONS = {0: "1", 1: "2c", 3: "3"}
_PDUS = {0xA0: "get", 0xA1: "get-next", 0xA2: "response", 0xA3: "set", 0xA4: "trap",
         0xA5: "get-bulk", 0xA6: "inform", 0xA7: "trap2", 0xA8: "report"}
_OLD_TRAP = 0xA4
_PRIVATE = 2
ENGINE_MAX_OCTETS = 32
"""RFC 3411 section 5: SnmpEngineID has 5 to 32 octets."""
INTEGER_MAX_OCTETS = 9
"""A 64-bit counter with its sign octet is the longest number there is."""


class _Item(NamedTuple):
    tag: int
    at: int
    end: int


class _CutError(Exception):
    """The encoding ends, or is not what SNMP has here."""


class SNMP(Header, udp=(161, 162)):
    """SNMP (RFC 1157, RFC 3416) in BER; it has no fixed octets."""

    version = Told("1, 2c or 3")
    community = Told("community name, which is a password in clear")
    pdu = Told("get, get-next, response, set, trap, get-bulk, inform, trap2 or report")
    request_id = Told("tells one question from others", int)
    error_status = Told("0, or what went wrong; non-repeaters of get-bulk", int)
    oids = Told("names of the variables", list)
    message_id = Told("tells one message of version 3 from others", int)
    message_flags = Told("of version 3: 1 authenticated, 2 encrypted, 4 may be reported", int)
    engine_id = Told("who has the authority over a message of version 3, in hex digits")
    engine_boots = Told("how often that engine started", int)
    engine_time_s = Told("since its last start", int, "s")
    user = Told("in whose name a message of version 3 is sent")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a sequence begins here."""
        return octets[at] == _SEQUENCE

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell what is asked or answered."""
        told: dict[str, Value] = {}
        defect = ""
        try:
            _message(octets[:end], at, told)
        except _CutError as error:
            defect = str(error)
        words = [f"SNMPv{told.get('version', '?')}", str(told.get("pdu", ""))]
        oids = told.get("oids", [])
        words += [str(oid) for oid in (oids[:2] if isinstance(oids, list) else ())]
        return Inside(end, end, told=told, brief=" ".join(words), defect=defect)


def _message(octets: bytes, at: int, told: dict[str, Value]) -> None:
    whole = _expect(octets, at, len(octets), _SEQUENCE)
    version = _expect(octets, whole.at, whole.end, _INTEGER)
    number = _number(octets, version)
    told["version"] = _VERSIONS.get(number, str(number))
    if number == 3:
        _version3(octets, version.end, whole.end, told)
        return
    community = _expect(octets, version.end, whole.end, _OCTETS)
    told["community"] = text_of(octets[community.at : community.end])
    _asked(octets, community.end, whole.end, told)


def _version3(octets: bytes, at: int, end: int, told: dict[str, Value]) -> None:
    """Tell a message of version 3, whose scoped part may be encrypted (RFC 3412 section 6)."""
    head = _expect(octets, at, end, _SEQUENCE)
    number = _expect(octets, head.at, head.end, _INTEGER)
    told["message_id"] = _number(octets, number)
    flags = _expect(octets, _expect(octets, number.end, head.end, _INTEGER).end, head.end, _OCTETS)
    given = number_at(octets, flags.at, min(flags.end - flags.at, 1))
    told["message_flags"] = given
    security = _expect(octets, head.end, end, _OCTETS)
    inner = _expect(octets, security.at, security.end, _SEQUENCE)
    engine = _expect(octets, inner.at, inner.end, _OCTETS)
    told["engine_id"] = octets[engine.at : engine.end][:ENGINE_MAX_OCTETS].hex()
    boots = _expect(octets, engine.end, inner.end, _INTEGER)
    time = _expect(octets, boots.end, inner.end, _INTEGER)
    user = _expect(octets, time.end, inner.end, _OCTETS)
    told.update(engine_boots=_number(octets, boots), engine_time_s=_number(octets, time),
                user=text_of(octets[user.at : user.end]))
    if given & _PRIVATE:
        return
    scoped = _expect(octets, security.end, end, _SEQUENCE)
    context = _expect(octets, scoped.at, scoped.end, _OCTETS)
    name = _expect(octets, context.end, scoped.end, _OCTETS)
    _asked(octets, name.end, scoped.end, told)


def _asked(octets: bytes, at: int, end: int, told: dict[str, Value]) -> None:
    pdu = _item(octets, at, end)
    told["pdu"] = _PDUS.get(pdu.tag, f"tag {pdu.tag}")
    if pdu.tag == _OLD_TRAP:
        enterprise = _expect(octets, pdu.at, pdu.end, _OBJECT)
        told["oids"] = [_oid(octets[enterprise.at : enterprise.end])]
        return
    at = pdu.at
    for name in ("request_id", "error_status", ""):
        item = _expect(octets, at, pdu.end, _INTEGER)
        if name:
            told[name] = _number(octets, item)
        at = item.end
    told["oids"] = _variables(octets, _expect(octets, at, pdu.end, _SEQUENCE))


def _variables(octets: bytes, whole: _Item) -> list[str]:
    found: list[str] = []
    at = whole.at
    while at < whole.end and len(found) < ITEMS_MAX:
        pair = _expect(octets, at, whole.end, _SEQUENCE)
        name = _expect(octets, pair.at, pair.end, _OBJECT)
        found.append(_oid(octets[name.at : name.end]))
        at = pair.end
    return found


def _expect(octets: bytes, at: int, end: int, tag: int) -> _Item:
    item = _item(octets, at, end)
    if item.tag != tag:
        raise _CutError(f"tag {item.tag} where {tag} belongs, at byte {at}")
    return item


def _item(octets: bytes, at: int, end: int) -> _Item:
    """Return the item at `at`: a tag, a length of up to 4 octets behind its first, a value."""
    if at + 2 > end:
        raise _CutError(f"cut short at byte {at}")
    size, start = octets[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise _CutError(f"a length of {count} octets at byte {at}")
        size, start = number_at(octets, start, count), start + count
    if start + size > end:
        raise _CutError(f"item of {size} bytes cut short at byte {at}")
    return _Item(octets[at], start, start + size)


def _number(octets: bytes, item: _Item) -> int:
    if item.end - item.at > INTEGER_MAX_OCTETS:
        raise _CutError(f"a number of {item.end - item.at} bytes")
    return int.from_bytes(octets[item.at : item.end], "big", signed=True)


def _oid(octets: bytes) -> str:
    """Return an object identifier in dots; 128 parts are the most there may be (RFC 2578)."""
    parts: list[int] = []
    number = 0
    for octet in octets[:512]:
        number = (number << 7 | octet & 0x7F) & 0xFFFF_FFFF_FFFF_FFFF
        if not octet & 0x80:
            # The first number holds two: 40 times the first, plus the second (X.690).
            first = min(number // 40, 2)
            parts += [number] if parts else [first, number - 40 * first]
            number = 0
    return ".".join(map(str, parts[:128]))
