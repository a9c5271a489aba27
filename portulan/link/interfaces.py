"""The machine's interfaces and their addresses, as the kernel lists them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from portulan.errors import UsageError, printable
from portulan.link.netlink import (
    FAMILY_OF_AF,
    RTM_GETADDR,
    RTM_GETLINK,
    Answer,
    Attributes,
    Rtnetlink,
    address,
    address_text,
    attribute,
    attributes,
    number,
    text,
)
from portulan.wire.frames import LinkType

IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_RUNNING, IFF_NOARP, IFF_LOWER_UP = (
    0x1, 0x8, 0x10, 0x40, 0x80, 0x10000,
)
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_EXT_MASK = 1, 3, 4, 18, 29
IFLA_INFO_KIND = 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTEXT_FILTER_SKIP_STATS = 8
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

_HARDWARE: dict[int, tuple[str, LinkType]] = {
    1: ("ethernet", LinkType.ETHERNET),
    512: ("ppp", LinkType.LINUX_SLL),  # some drivers give AF_PACKET a header, some none
    768: ("tunnel", LinkType.RAW),
    769: ("tunnel6", LinkType.RAW),
    772: ("loopback", LinkType.ETHERNET),  # frames on lo carry an Ethernet header of zeros
    776: ("sit", LinkType.RAW),
    778: ("gre", LinkType.RAW),
    803: ("radiotap", LinkType.IEEE802_11_RADIOTAP),
    65534: ("none", LinkType.RAW),
}
"""ARPHRD number (linux/if_arp.h): our word, how frames begin; all others are captured cooked."""


@dataclass(frozen=True, slots=True)
class Address:
    """An interface's address; `family` is 4 or 6, numbers are as on the wire, high byte first."""

    family: int
    address: int
    prefix_length: int
    scope: str
    broadcast: int | None = None
    peer: int | None = None
    """The other end of a point-to-point link; the prefix then is the peer's."""

    @property
    def text(self) -> str:
        """The address as people write it."""
        return address_text(self.address, self.family)

    def __str__(self) -> str:
        return f"{self.text}/{self.prefix_length}"


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface, its state and its addresses."""

    name: str
    index: int
    mac: bytes | None
    mtu: int
    up: bool
    """Switched on by its administrator."""
    running: bool
    """The link below is there too: a cable, a peer, a carrier."""
    loopback: bool
    point_to_point: bool
    arp: bool
    """Neighbours are asked for by ARP or ND; false for lo, tun, ppp and the like."""
    kind: str
    """ethernet, veth, bridge, vlan, loopback, tun, tap, ppp, wireguard, none, ..."""
    link_type: LinkType
    addresses: tuple[Address, ...] = ()


def interfaces() -> list[Interface]:
    """Return this network namespace's interfaces in the kernel's order."""
    with Rtnetlink() as kernel:
        return interfaces_of(kernel)


def interfaces_of(kernel: Rtnetlink) -> list[Interface]:
    """Return the interfaces that an open conversation with the kernel knows."""
    held: dict[int, list[Address]] = {}
    skip_statistics = attribute(IFLA_EXT_MASK, struct.pack("=I", RTEXT_FILTER_SKIP_STATS))
    links = kernel.dump(RTM_GETLINK, options=skip_statistics)
    for answer in kernel.dump(RTM_GETADDR):
        index, found = _address(answer)
        if found is not None:
            held.setdefault(index, []).append(found)
    return [_interface(answer, held) for answer in links]


def interface(name: str) -> Interface:
    """Return the interface of this name, or raise `UsageError`."""
    known = interfaces()
    for one in known:
        if one.name == name:
            return one
    names = ", ".join(printable(each.name) for each in known)
    raise UsageError("no such interface", text=name, hint=f"this machine has {names}")


def _interface(answer: Answer, held: dict[int, list[Address]]) -> Interface:
    _, hardware, index, flags, _ = struct.unpack("=BxHiII", answer.header)
    found = answer.attributes
    mac = found.get(IFLA_ADDRESS, b"")
    base, link_type = _HARDWARE.get(hardware, (f"arphrd-{hardware}", LinkType.LINUX_SLL))
    return Interface(
        name=text(found.get(IFLA_IFNAME)),
        index=index,
        mac=mac if len(mac) == 6 else None,
        mtu=number(found.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        running=bool(flags & IFF_LOWER_UP and flags & IFF_RUNNING),
        loopback=bool(flags & IFF_LOOPBACK),
        point_to_point=bool(flags & IFF_POINTOPOINT),
        arp=not flags & IFF_NOARP and not flags & IFF_LOOPBACK,
        kind=_kind(base, found),
        link_type=link_type,
        addresses=tuple(held.get(index, ())),
    )


def _kind(base: str, found: Attributes) -> str:
    """Prefer the driver's own word: a veth, a bridge and a card are all "ethernet" by ARPHRD."""
    word = text(attributes(found.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND))
    if word == "tun" and base == "ethernet":
        return "tap"
    return word or base


def _address(answer: Answer) -> tuple[int, Address | None]:
    af, prefix_length, _, scope, index = struct.unpack("=BBBBI", answer.header)
    found = answer.attributes
    far = address(found.get(IFA_ADDRESS))
    near = address(found.get(IFA_LOCAL))
    if near is None:  # IPv6 fills IFA_LOCAL only for point-to-point links
        near = far
    if af not in FAMILY_OF_AF or near is None:
        return index, None
    return index, Address(
        family=FAMILY_OF_AF[af],
        address=near,
        prefix_length=prefix_length,
        scope=SCOPES.get(scope, str(scope)),
        broadcast=address(found.get(IFA_BROADCAST)),
        peer=far if far != near else None,
    )
