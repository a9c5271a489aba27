"""Where a frame's layers begin, by link type, and how each link names what it carries.

`vlan`, `mpls` and `pppoes` move the offsets for all of the filter that stands right of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from portulan.errors import UsageError
from portulan.wire.filter_graph import Load, Node, Not, Num, binary, every, some, test
from portulan.wire.frames import LinkType

IP, ARP, RARP, IP6 = 0x0800, 0x0806, 0x8035, 0x86DD
ATALK, AARP, IPX, MPLS, PPPOED, PPPOES = 0x809B, 0x80F3, 0x8137, 0x8847, 0x8863, 0x8864
ISO, STP, IPX_SAP, NETBEUI = 0xFE, 0x42, 0xE0, 0xF0
VLAN_TYPES: Final = (0x8100, 0x88A8, 0x9100)
PPP: Final = 9
"""DLT_PPP, the link inside PPPoE."""

LENGTH_MAX: Final = 1500
"""A type field up to this is the length of an IEEE 802.3 frame, and LLC follows."""

NAMES: Final = {
    "NULL": LinkType.NULL, "EN10MB": LinkType.ETHERNET, "RAW": LinkType.RAW,
    "LOOP": LinkType.LOOP, "LINUX_SLL": LinkType.LINUX_SLL, "IPV4": LinkType.IPV4,
    "IPV6": LinkType.IPV6, "LINUX_SLL2": LinkType.LINUX_SLL2, "IEEE802_11": LinkType.IEEE802_11,
    "IEEE802_11_RADIO": LinkType.IEEE802_11_RADIOTAP,
}
"""Link types by libpcap's names."""

_SAID: Final = {
    LinkType.NULL: "BSD loopback", LinkType.LOOP: "OpenBSD loopback", LinkType.RAW: "raw IP",
    LinkType.LINUX_SLL: "Linux cooked v1", LinkType.LINUX_SLL2: "Linux cooked v2",
    LinkType.IPV4: "raw IPv4", LinkType.IPV6: "raw IPv6", PPP: "PPP",
    LinkType.IEEE802_11: "802.11", LinkType.IEEE802_11_RADIOTAP: "802.11",
}
_TYPE_AND_PAYLOAD: Final = {
    LinkType.ETHERNET: (12, 14), LinkType.NULL: (0, 4), LinkType.LOOP: (0, 4),
    LinkType.RAW: (0, 0), LinkType.IPV4: (0, 0), LinkType.IPV6: (0, 0),
    LinkType.LINUX_SLL: (14, 16), LinkType.LINUX_SLL2: (0, 20),
    # Where LLC lies in the radio's frame `filter_air` finds out; here the places behind that.
    LinkType.IEEE802_11: (6, 8), LinkType.IEEE802_11_RADIOTAP: (6, 8),
}
_IN_PPP: Final = {IP: 0x21, IP6: 0x57, 0x6003: 0x27, ATALK: 0x29, 0x0600: 0x25, ISO: 0x23,
                  STP: 0x31, IPX_SAP: 0x2B}
_FAMILIES: Final = {IP: (2,), IP6: (10,)}
"""AF_INET and AF_INET6 of Linux, which a loopback header of this machine holds."""
_SAVED_FAMILIES: Final = {IP: (2,), IP6: (24, 28, 30)}
"""Of the systems that save such headers, as libpcap has them: NetBSD, FreeBSD, macOS."""


def link_number(name: str) -> int:
    """Return the link type of a libpcap name; raises `UsageError` naming all."""
    short = name.upper().removeprefix("DLT_")
    if short not in NAMES:
        raise UsageError("no such link type", text=name, hint=f"one of {', '.join(NAMES)}")
    return NAMES[short]

LLC_KINDS: Final = {
    "i": (0, 0x01), "s": (0x01, 0x03), "u": (0x03, 0x03),
    "rr": (0x01, 0x0F), "rnr": (0x05, 0x0F), "rej": (0x09, 0x0F),
    "ui": (0x03, 0xEF), "ua": (0x63, 0xEF), "disc": (0x43, 0xEF), "test": (0xE3, 0xEF),
    "sabme": (0x6F, 0xEF), "xid": (0xAF, 0xEF), "frmr": (0x87, 0xEF), "dm": (0x0F, 0xEF),
}
"""The control octet of each kind of frame under a mask (IEEE 802.2 section 5.4)."""


@dataclass(slots=True)
class Link:
    """The offsets as they are at one place of the filter."""

    kind: int
    header: int
    type_at: int
    payload: int
    labels: int = 0
    saved: bool = False
    """Whether frames come from a file that another system may have written."""

    @classmethod
    def of(cls, link_type: int, *, saved: bool = False) -> Link:
        """Return the offsets of a frame's outermost link."""
        if link_type not in _TYPE_AND_PAYLOAD:
            raise UsageError("filters do not know this link type", text=str(link_type),
                             hint=f"known: {', '.join(NAMES)}")
        return cls(link_type, 0, *_TYPE_AND_PAYLOAD[LinkType(link_type)], saved=saved)

    @property
    def said(self) -> str:
        """The link type for people."""
        return _SAID.get(self.kind, "Ethernet")

    @property
    def llc_at(self) -> int:
        """Where LLC begins in a frame that has it."""
        return 0 if self.kind == LinkType.IEEE802_11 else self.payload

    @property
    def is_ethernet(self) -> bool:
        """Say whether the frame begins with link addresses."""
        return self.kind == LinkType.ETHERNET

    def carries(self, ethertype: int) -> Node:  # noqa: PLR0911 - one return a link
        """Return the test that the payload is of an ethertype, or of an LLC kind up to 0x5DC."""
        if self.labels:
            return self._under_label(ethertype)
        if self.kind == LinkType.RAW:
            version = {IP: 0x40, IP6: 0x60}.get(ethertype)
            return version is not None and masked(self.payload, 1, version, 0xF0)
        if self.kind in (LinkType.IPV4, LinkType.IPV6):
            return ethertype == (IP if self.kind == LinkType.IPV4 else IP6)
        if self.kind in (LinkType.NULL, LinkType.LOOP):
            families = (_SAVED_FAMILIES if self.saved else _FAMILIES).get(ethertype, ())
            # Network order on LOOP; NULL is of the machine, and most machines are little-endian.
            shift = 24 if self.kind == LinkType.NULL else 0
            return some(*(equals(self.header, 4, family << shift) for family in families))
        if self.kind == PPP:
            return equals(self.type_at, 2, _IN_PPP.get(ethertype, ethertype))
        if self.kind == LinkType.LINUX_SLL2:
            return equals(self.type_at, 2, ethertype)
        if self.kind == LinkType.IEEE802_11:
            return self._under_llc(ethertype)
        return self._typed(ethertype)

    def _under_llc(self, kind: int) -> Node:
        if kind in (ISO, NETBEUI):
            return equals(0, 2, kind << 8 | kind)
        if kind == ATALK:
            return every(equals(4, 4, 0x0007809B), equals(0, 4, 0xAAAA0308))
        return equals(0, 1, kind) if kind <= LENGTH_MAX else equals(self.type_at, 2, kind)

    def _typed(self, ethertype: int) -> Node:
        kind, at = Load(self.type_at, 2), self.payload
        llc = Not(test("gt", kind, LENGTH_MAX)) if self.is_ethernet else test("eq", kind, 4)
        if ethertype in (ISO, NETBEUI):
            return every(llc, equals(at, 2, ethertype << 8 | ethertype))
        if ethertype == IPX_SAP:
            snap = every(equals(at + 4, 4, IPX), equals(at, 4, 0xAAAA0300))
            inside = some(snap, equals(at, 1, IPX_SAP), equals(at, 2, 0xFFFF))
            return some(test("eq", kind, IPX), every(llc, inside))
        if ethertype in (ATALK, AARP):
            owner = 0x080007 if ethertype == ATALK else 0
            low, high = (owner << 16 | ethertype) & 0xFFFF_FFFF, 0xAAAA0300 | owner >> 16
            snap = every(equals(at + 4, 4, low), equals(at, 4, high))
            return some(test("eq", kind, ethertype), every(llc, snap))
        if ethertype <= LENGTH_MAX:
            return every(llc, equals(at, 1, ethertype))
        return test("eq", kind, ethertype)

    def _under_label(self, ethertype: int) -> Node:
        version = {IP: 0x40, IP6: 0x60}.get(ethertype)
        if version is None:
            raise UsageError("MPLS labels do not tell this protocol, only ip and ip6")
        bottom = masked(self.payload - 2, 1, 1, 1)
        return every(bottom, masked(self.payload, 1, version, 0xF0))

    def vlan(self, number: int | None) -> Node:
        """Return the test for a tag, and move behind it."""
        if self.labels:
            raise UsageError("no VLAN tag follows an MPLS label")
        if not self.is_ethernet:
            raise UsageError(f"no VLAN tags on {self.said}")
        found = some(*(self.carries(kind) for kind in VLAN_TYPES))
        if number is not None:
            if number > 0xFFF:
                raise UsageError("VLAN numbers go up to 4095")
            found = every(found, masked(self.payload, 2, number, 0xFFF))
        self.type_at += 4
        self.payload += 4
        return found

    def mpls(self, label: int | None) -> Node:
        """Return the test for a label, and move behind it."""
        if self.labels:
            found = masked(self.payload - 2, 1, 0, 1)
        elif self.is_ethernet:
            found = self.carries(MPLS)
        elif self.kind == PPP:
            found = equals(self.type_at, 2, 0x0281)
        else:
            raise UsageError(f"no MPLS labels on {self.said}")
        if label is not None:
            if label > 0xFFFFF:
                raise UsageError("MPLS labels go up to 1048575")
            found = every(found, masked(self.payload, 4, label << 12, 0xFFFFF000))
        self.labels += 1
        self.payload += 4
        return found

    def pppoes(self, session: int | None) -> Node:
        """Return the test for a PPPoE session, and move into it: PPP follows."""
        found = self.carries(PPPOES)
        if session is not None:
            if session > 0xFFFF:
                raise UsageError("PPPoE sessions go up to 65535")
            found = every(found, masked(self.payload, 4, session, 0xFFFF))
        self.kind, self.header = PPP, self.payload + 6
        self.type_at, self.payload = self.header, self.header + 2
        return found

    def llc(self, kind: str = "") -> Node:
        """Return the test for an IEEE 802.3 frame with LLC, or one of its kinds.

        Novell's raw IPX has no LLC.
        """
        if kind and kind not in LLC_KINDS:
            raise UsageError(f"no kind of LLC frame: {kind}", hint=", ".join(LLC_KINDS))
        if self.kind == LinkType.IEEE802_11:
            return masked(2, 1, *LLC_KINDS[kind]) if kind else True
        if not self.is_ethernet:
            raise UsageError(f"no LLC on {self.said}")
        short = Not(test("gt", Load(self.type_at, 2), LENGTH_MAX))
        found = every(short, Not(equals(self.payload, 2, 0xFFFF)))
        return every(found, masked(self.payload + 2, 1, *LLC_KINDS[kind])) if kind else found

    def interface(self, number: int | None) -> Node:
        """Return the test for frames of one interface."""
        if self.kind != LinkType.LINUX_SLL2:
            raise UsageError(f"frames of {self.said} do not say their interface",
                             hint="those of LINUX_SLL2 do")
        if number is None:
            raise UsageError("ifindex needs an interface's number")
        return equals(4, 4, number)

    def direction(self, *, outbound: bool) -> Node:
        """Return the test for frames this machine sent, or received."""
        if self.kind == LinkType.LINUX_SLL:
            sent = equals(0, 2, 4)
        elif self.kind == LinkType.LINUX_SLL2:
            sent = equals(10, 1, 4)
        else:
            raise UsageError(f"frames of {self.said} do not say their direction",
                             hint="Linux cooked ones do")
        return sent if outbound else Not(sent)


def equals(at: int, size: int, value: int) -> Node:
    """Return the test that a number at a fixed place has a value."""
    return test("eq", Load(at, size), value)


def masked(at: int, size: int, value: int, mask: int) -> Node:
    """Return the test that a number's bits under a mask have a value."""
    whole = (1 << size * 8) - 1
    load = Load(at, size)
    left = load if mask & whole == whole else binary("and", load, Num(mask))
    return test("eq", left, value)


