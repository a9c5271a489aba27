"""LLDP: what a neighbour says of itself."""

from __future__ import annotations

from portulan.wire.address import Ip4, Ip6, Mac
from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, number_at, text_of

_TEXTS = {4: "port_description", 5: "system_name", 6: "system_description"}
_MAC_SUBTYPES = {1: 4, 2: 3}
"""Which subtype of chassis (1) and port (2) is an Ethernet address."""
_ADDRESS_SUBTYPES = {1: 5, 2: 4}


class LLDP(Header, ethertype=0x88CC):
    """Link layer discovery (IEEE 802.1AB section 8); it has no fixed octets."""

    chassis = Told("identifier of the neighbour")
    port = Told("identifier of the neighbour's port")
    ttl_s = Told("how long this is valid", int, "s")
    port_description = Told("the port as its owner calls it")
    system_name = Told("name of the neighbour")
    system_description = Told("hardware and software of the neighbour")
    capabilities = Told("bits: 4 bridge, 16 router, 128 station, ...; those enabled", int)
    management = Told("address of the neighbour, the first it tells")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell what the neighbour says."""
        told: dict[str, Value] = {}
        defect = "no end of the list"
        for _ in range(ITEMS_MAX):
            if at + 2 > end:
                break
            head = number_at(octets, at, 2)
            kind, size = head >> 9, head & 0x1FF
            at += 2
            if kind == 0:
                defect = ""
                break
            if at + size > end:
                defect = f"item of type {kind} cut short"
                break
            _tell(told, kind, octets[at : at + size])
            at += size
        name = told.get("system_name", told.get("chassis", ""))
        brief = f"LLDP {name} port {told.get('port', '')}"
        return Inside(at, end, told=told, brief=brief, defect=defect)


def _tell(told: dict[str, Value], kind: int, data: bytes) -> None:
    if kind in _TEXTS:
        told[_TEXTS[kind]] = text_of(data)
    elif kind in (1, 2) and data:
        told["chassis" if kind == 1 else "port"] = _identifier(kind, data)
    elif kind == 3:
        told["ttl_s"] = number_at(data, 0, 2)
    elif kind == 7:
        told["capabilities"] = number_at(data, 2, 2)
    elif kind == 8 and len(data) >= 2 and data[0] >= 1:
        told.setdefault("management", _address(data[1], data[2 : 1 + data[0]]))


def _identifier(kind: int, data: bytes) -> str:
    if data[0] == _MAC_SUBTYPES[kind] and len(data) == 7:
        return str(Mac(number_at(data, 1, 6)))
    if data[0] == _ADDRESS_SUBTYPES[kind] and len(data) > 2:
        return _address(data[1], data[2:])
    return text_of(data[1:])


def _address(family: int, data: bytes) -> str:
    number = number_at(data, 0, len(data))
    if (family, len(data)) == (1, 4):
        return str(Ip4(number))
    return str(Ip6(number)) if (family, len(data)) == (2, 16) else data.hex(":")
