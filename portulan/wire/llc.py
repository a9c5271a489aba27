"""LLC, SNAP and the spanning tree protocol."""

from __future__ import annotations

from portulan.wire.address import Mac
from portulan.wire.ethernet import EtherType
from portulan.wire.header import BY_ETHERTYPE, Header
from portulan.wire.inside import Inside, Told, Value, number_at
from portulan.wire.layout import u8, u16, u24

_SPANNING_TREE, _SNAP = 0x42, 0xAA
_UNNUMBERED = 3
_TOPOLOGY_CHANGE = 0x80
_CONFIGURATION_OCTETS = 31


class LLC(Header, ethertype=EtherType.LLC):
    """Logical link control (IEEE 802.2).

    dsap: service access point of the receiver
    ssap: service access point of the sender
    control: 3 for unnumbered information
    """

    dsap: u8 = 0
    ssap: u8 = 0
    control: u8 = _UNNUMBERED

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the access points announce."""
        start = at + self.size
        if self.control & 3 != _UNNUMBERED:
            # Numbered frames have a second control octet.
            return Inside(min(start + 1, end), end)
        kinds: dict[int, type[Header]] = {_SPANNING_TREE: STP, _SNAP: SNAP}
        return Inside(start, end, kinds.get(self.dsap))


class SNAP(Header):
    """Subnetwork access protocol (IEEE 802).

    oui: who defines the protocol number; 0 says it is an ethertype
    protocol: what follows
    """

    oui: u24 = 0
    protocol: u16 = 0

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what an ethertype announces."""
        return Inside(at + self.size, end, None if self.oui else BY_ETHERTYPE.get(self.protocol))


class STP(Header):
    """Spanning tree, rapid ones included (IEEE 802.1D section 9.3).

    protocol: 0
    version: 0 spanning tree, 2 rapid, 3 multiple
    type: 0 configuration, 2 rapid, 128 topology change
    """

    protocol: u16 = 0
    version: u8 = 0
    type: u8 = 0

    flags = Told("topology change, proposal, port role, learning, forwarding, agreement", int)
    root_priority = Told("priority of the root bridge", int)
    root_mac = Told("address of the root bridge")
    root_cost = Told("cost of the path to the root", int)
    bridge_priority = Told("priority of the sender", int)
    bridge_mac = Told("address of the sender")
    port = Told("port of the sender, with its priority", int)
    hello_ms = Told("time between messages", int, "ms")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell root and bridge."""
        start = at + self.size
        if self.type == _TOPOLOGY_CHANGE:
            return Inside(start, end, brief="STP topology change")
        if start + _CONFIGURATION_OCTETS > end:
            return Inside(start, end, defect="configuration cut short")
        told: dict[str, Value] = {
            "flags": octets[start],
            "root_priority": number_at(octets, start + 1, 2),
            "root_mac": str(Mac(number_at(octets, start + 3, 6))),
            "root_cost": number_at(octets, start + 9, 4),
            "bridge_priority": number_at(octets, start + 13, 2),
            "bridge_mac": str(Mac(number_at(octets, start + 15, 6))),
            "port": number_at(octets, start + 21, 2),
            "hello_ms": number_at(octets, start + 27, 2) * 1000 // 256,
        }
        brief = f"STP root {told['root_mac']} cost {told['root_cost']} from {told['bridge_mac']}"
        return Inside(start + _CONFIGURATION_OCTETS, end, told=told, brief=brief)
