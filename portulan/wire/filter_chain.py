"""`protochain`: a protocol anywhere in a packet's chain of headers.

The chain is a loop, which no BPF program of the kernel may have: captures only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from portulan.wire.filter_graph import Native, Node, every, some
from portulan.wire.filter_link import IP, IP6, Link
from portulan.wire.filter_primitives import ip_number
from portulan.wire.filter_syntax import Primitive
from portulan.wire.filter_tokens import problem
from portulan.wire.frames import Frames

_NO_NEXT = 59
_AH = 51
_EXTENSIONS = frozenset({0, 43, 44, 60})
"""Those that libpcap follows in IPv6: hop-by-hop, routing, fragment, destination options."""


def chain(link: Link, link_type: int, tree: Primitive) -> Node:
    """Return the test for a protocol in the chain of IPv4's or IPv6's headers."""
    name, number = tree.qualifiers.protocol, ip_number(tree.token)
    if name not in ("", "ip", "ip6") or tree.qualifiers.direction:
        raise problem("protochain follows ip or ip6", tree.token)
    ways = list[Node]()
    for family, ethertype in ((6, IP6), (4, IP)):
        if name in ("", "ip" if family == 4 else "ip6"):
            test = _native(_walker(link.payload, family, number), tree.token.text)
            ways.append(every(link.carries(ethertype), test))
    return some(*ways)


def _native(walk: Callable[[bytes], bool], text: str) -> Native:
    def mask(frames: Frames) -> NDArray[np.bool_]:
        return np.array([walk(octets) for octets in frames], np.bool_)

    return Native(f"protochain {text}", walk, mask)


def _walker(payload: int, family: int, wanted: int) -> Callable[[bytes], bool]:
    """Return the walk along a chain; headers cut short end it without the protocol."""
    first, fixed = (payload + 9, 0) if family == 4 else (payload + 6, payload + 40)

    def walk(octets: bytes) -> bool:
        if first >= len(octets):
            return False
        kind, at = octets[first], fixed or payload + (octets[payload] & 15) * 4
        while kind not in (wanted, _NO_NEXT):
            if not (kind == _AH or (family == 6 and kind in _EXTENSIONS)):
                return False
            if at + 2 > len(octets):
                return False
            size = octets[at + 1]
            kind, at = octets[at], at + ((size + 2) * 4 if kind == _AH else (size + 1) * 8)
        return kind == wanted

    return walk
