"""DHCP for IPv6 and its options."""

from __future__ import annotations

from portulan.wire.address import Ip6
from portulan.wire.dns import read_name
from portulan.wire.header import Header
from portulan.wire.inside import Inside, Item, Told, Value, items_of, number_at
from portulan.wire.layout import u8, u24

_MESSAGES = {1: "solicit", 2: "advertise", 3: "request", 4: "confirm", 5: "renew", 6: "rebind",
             7: "reply", 8: "release", 9: "decline", 10: "reconfigure", 11: "information-request"}
_RELAYS = (12, 13)
_RELAY_OCTETS = 34


class DHCPv6(Header, name="dhcp6", udp=(546, 547)):
    """DHCPv6 (RFC 9915 section 8); a relay's messages (12, 13) have a hop count in `xid`'s place.

    message: 1 solicit, 2 advertise, 3 request, 7 reply, 11 information request, ...
    xid: tells one exchange from others
    """

    message: u8 = 1
    xid: u24 = 0

    options = Told("kinds of the options, in order", list)
    client_id = Told("DUID of the client, in hexadecimal")
    server_id = Told("DUID of the server, in hexadecimal")
    addresses = Told("addresses given or asked for", list)
    dns_servers = Told("name servers of the network", list)
    domains = Told("domains searched for names", list)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the options."""
        start = at + (_RELAY_OCTETS if self.message in _RELAYS else self.size)
        if start > end:
            return Inside(at + self.size, end, defect="relay message cut short")
        told: dict[str, Value] = {}
        kinds: list[int] = []
        for option in items_of(octets, start, end, kind=2, length=2):
            kinds.append(option.kind)
            start = option.end
            _tell(told, option, octets)
        told["options"] = kinds
        brief = f"DHCPv6 {_MESSAGES.get(self.message, self.message)}"
        defect = "" if start == end else "options cut short"
        return Inside(start, end, told=told, brief=brief, defect=defect)


def _tell(told: dict[str, Value], option: Item, octets: bytes) -> None:
    data = octets[option.at : option.end]
    if option.kind in (1, 2):
        told["client_id" if option.kind == 1 else "server_id"] = data.hex()
    elif option.kind == 3:
        inner = items_of(data, 12, len(data), kind=2, length=2)
        told["addresses"] = [
            _ip6(data, each.at) for each in inner if each.kind == 5 and each.end - each.at > 23
        ]
    elif option.kind == 23:
        whole = len(data) // 16 * 16
        told["dns_servers"] = [_ip6(data, at) for at in range(0, whole, 16)]
    elif option.kind == 24:
        told["domains"] = _domains(data)


def _ip6(data: bytes, at: int) -> str:
    return str(Ip6(number_at(data, at, 16)))


def _domains(data: bytes) -> list[str]:
    found, at = [], 0
    while at < len(data):
        name, at, defect = read_name(data, at, 0)
        if defect:
            break
        found.append(name)
    return found
