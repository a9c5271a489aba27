"""The filter that lets replies to a batch of probes through, and little else.

>>> from portulan.wire import IPv4, TCP, build
>>> probes = build(IPv4(src="10.9.0.1", dst="10.9.0.0/28") / TCP(sport=(7, 9), dport=80))
>>> replies_text(probes)
'icmp or tcp dst portrange 7-9'

With it a socket's ring is not filled by what else comes to a busy host. `match.Questions` judges
what passes: the filter only has to pass all that it would accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.ipv6 import EXTENSIONS
from portulan.wire.locate import Located, Part, locate

_PORTED: Final = {
    int(IpProtocol.TCP): "tcp", int(IpProtocol.UDP): "udp", int(IpProtocol.SCTP): "sctp"}
_ICMP: Final = (int(IpProtocol.ICMP), int(IpProtocol.ICMPV6))
_PROTOCOL: Final = {4: "ip proto", 6: "ip6 proto"}
_FOURS: Final = 4
PROTOCOLS_MAX: Final = 32
"""Other protocols in one filter; for more there is none."""


def replies_text(probes: Frames) -> str | None:
    """Return a filter that passes every reply to some probes; None if any packet may be one."""
    at = locate(probes)
    arp = at.ethertype == EtherType.ARP
    known = (at.defect == 0) & (at.family != 0)
    if not len(probes) or not (known | arp).all():
        return None
    words = ["arp"] if arp.any() else []
    families = {family: np.flatnonzero(at.family == family) for family in (4, 6)}
    if len(families[4]):
        words.append("icmp")
    if len(families[6]):
        # Extension headers may stand before what we look for: such packets are judged later.
        words += ["icmp6", *(f"ip6[6] = {kind}" for kind in sorted(EXTENSIONS))]
    words += _ports(probes, at)
    for family, rows in families.items():
        others = sorted({*at.protocol[rows].tolist()} - {*_PORTED, *_ICMP})
        if len(others) > PROTOCOLS_MAX:
            return None
        words += [f"{_PROTOCOL[family]} {protocol}" for protocol in others]
    return " or ".join(words)


def _ports(probes: Frames, at: Located) -> Iterator[str]:
    for protocol, name in _PORTED.items():
        rows = np.flatnonzero((at.protocol == protocol) & (at.family != 0))
        start = at.transport_offset[rows]
        told = start + _FOURS <= probes.offset[rows] + probes.length[rows]
        told &= at.fragment[rows] != Part.LATER
        if not told.all():
            yield name
        elif len(rows):
            ports = octets_at(probes.buffer, start, 2).copy().view(">u2")
            yield f"{name} dst portrange {ports.min()}-{ports.max()}"
