"""BER as LDAP and SNMP use it: tag, length, value (X.690 section 8.1); LDAP's and SNMP's fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .facts import Facts
from .text import decode

VALUES_MAX: Final = 512
"""Values read of one reply: a root DSE has some fifty attributes."""
TEXT_MAX: Final = 512
_SYSDESCR: Final = bytes.fromhex("2b06010201010100")
_ENGINE: Final = {8072: "net-snmp", 9: "cisco", 11: "hp", 311: "microsoft", 2636: "juniper",
                  14988: "mikrotik", 2011: "huawei", 12356: "fortinet", 25506: "h3c", 6527: "nokia"}
"""Private enterprise numbers (IANA) that name a maker of agents."""

Value = tuple[int, int, int]


def values(data: bytes, at: int, end: int) -> Iterator[Value]:
    """Yield tag, start and end of the values side by side from `at`; stop where one is cut off."""
    count = 0
    while at + 2 <= end and count < VALUES_MAX:
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4 or at + width > end:
                return
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + size > end:
            return
        yield tag, at, at + size
        at, count = at + size, count + 1


def _inside(data: bytes, value: Value) -> list[Value]:
    return list(values(data, value[1], value[2]))


def ldap(data: bytes) -> Facts | None:
    """Read LDAP messages: the answer to a bind or a search, the root DSE's attributes."""
    fields: dict[str, str] = {}
    known = False
    for message in values(data, 0, len(data)):
        parts = _inside(data, message)
        if message[0] != 0x30 or len(parts) < 2 or parts[0][0] != 2 or parts[1][0] not in _LDAP:
            break
        known = True
        if parts[1][0] == 0x64:
            fields |= _attributes(data, parts[1])
    # An entry larger than what was read is still LDAP by its first octets.
    known = known or (data[:1] == b"0" and b"\x02\x01" in data[2:8] and b"\x64" in data[5:11]
                      and b"objectClass" in data[:200])
    return Facts("ldap", fields, 0.95) if known else None


_LDAP: Final = {0x61, 0x64, 0x65, 0x73, 0x78}
_TOLD: Final = {
    "vendorname": "vendor_name", "vendorversion": "vendor_version", "objectclass": "object_class",
    "rootdomainnamingcontext": "active_directory", "isglobalcatalogready": "active_directory",
    "forestfunctionality": "active_directory", "dnshostname": "host",
    "structuralobjectclass": "object_class",
}


def _attributes(data: bytes, entry: Value) -> dict[str, str]:
    """Return the attributes of a root DSE that tell its server, values joined."""
    told: dict[str, str] = {}
    parts = _inside(data, entry)
    for attribute in _inside(data, parts[1]) if len(parts) > 1 else ():
        pair = _inside(data, attribute)
        if len(pair) < 2:
            continue
        name = _TOLD.get(decode(data[pair[0][1] : min(pair[0][2], pair[0][1] + 64)]).lower())
        if name:
            texts = [decode(data[start : min(end, start + TEXT_MAX)])
                     for _, start, end in _inside(data, pair[1])[:8]]
            told[f"ldap.{name}"] = " ".join([told.get(f"ldap.{name}", ""), *texts]).strip()
    return told


def snmp(data: bytes) -> Facts | None:
    """Read an SNMP answer: sysDescr of versions 1 and 2c, the engine's maker of version 3."""
    whole = next(values(data, 0, len(data)), None)
    parts = _inside(data, whole) if whole and whole[0] == 0x30 else []
    if len(parts) < 3 or parts[0][0] != 2 or parts[0][2] - parts[0][1] != 1:
        return None
    version = data[parts[0][1]]
    if version in (0, 1) and parts[1][0] == 4 and parts[2][0] in (0xA2, 0xA8):
        told = _sysdescr(data, parts[2])
        return Facts("snmp", {"snmp.sysdescr": told} if told else {}, 0.95)
    if version == 3 and parts[1][0] == 0x30 and len(parts) >= 4 and parts[2][0] == 4:
        told = _engine(data, parts[2])
        return Facts("snmp", {"snmp.engine": told} if told else {}, 0.95)
    return None


def _sysdescr(data: bytes, answer: Value) -> str:
    at = data.find(_SYSDESCR, answer[1], answer[2])
    text = next(values(data, at + len(_SYSDESCR), answer[2]), None) if at > 0 else None
    return decode(data[text[1] : min(text[2], text[1] + TEXT_MAX)]) if text and text[0] == 4 else ""


def _engine(data: bytes, security: Value) -> str:
    """Return the maker by the enterprise number in an engine's id (RFC 3411 section 5)."""
    for tag, start, _ in values(data, security[1], security[2]):
        for inner, at, end in values(data, start, security[2]):
            if tag == 0x30 and inner == 4 and end - at >= 5:
                number = int.from_bytes(data[at : at + 4], "big") & 0x7FFFFFFF
                return _ENGINE.get(number, f"enterprise {number}")
    return ""
