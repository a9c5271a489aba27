"""Which headers each frame of a batch has, as `dissect` names them, but at a batch's pace.

Of plain TCP and UDP only the payload's first octets are looked at one by one, to see who claims
them; frames that somebody claims, and all others, are dissected.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.wire.dissect import dissect
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import BY_LINK, octets_at, on_ports
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import Located, Part, locate

Index = NDArray[np.int64]

_HEADS = {4: ("ip", 20), 6: ("ip6", 40)}
"""Names and sizes of network headers without options or extensions."""
_CARRIERS = ((IpProtocol.TCP, "tcp"), (IpProtocol.UDP, "udp"))


def protocols(frames: Frames) -> NDArray[Any]:
    """Return the names of each frame's headers, outermost first: `ethernet:ip:udp:dns`."""
    found = np.full(len(frames), None, object)
    at = locate(frames)
    for link, rows in _links(frames, at):
        for family, (network, size) in _HEADS.items():
            bare = rows[(at.family[rows] == family) & (at.fragment[rows] == Part.WHOLE)]
            bare = bare[at.transport_offset[bare] - at.network_offset[bare] == size]
            for number, carrier in _CARRIERS:
                chosen = bare[(at.protocol[bare] == number) & (at.defect[bare] == 0)]
                found[chosen] = ":".join([*link, network, carrier])
                found[_claimed(frames, at.take(chosen), chosen, int(number))] = None
    for row in np.flatnonzero(found == None).tolist():  # noqa: E711 - each of them
        found[row] = dissect(frames[row], frames.link_type).protocols
    return found


def _links(frames: Frames, at: Located) -> list[tuple[list[str], Index]]:
    """Return names of link headers and the rows that have them; rows with others are left out."""
    every = np.arange(len(frames))
    if frames.link_type == LinkType.RAW:
        return [([], every)]
    if frames.link_type != LinkType.ETHERNET or not len(frames.buffer):
        return []
    name = BY_LINK[LinkType.ETHERNET].layer
    tag = every[at.network_offset - frames.offset == 18]
    kind = np.ascontiguousarray(octets_at(frames.buffer, frames.offset[tag] + 12, 2)).view(">u2")
    tagged = tag[kind[:, 0] == EtherType.VLAN] if len(tag) else tag
    return [([name], every[at.network_offset - frames.offset == 14]), ([name, "vlan"], tagged)]


def _claimed(frames: Frames, at: Located, rows: Index, protocol: int) -> Index:
    """Return the rows whose payload some header claims."""
    loaded = np.flatnonzero(at.payload_offset < at.payload_end)
    if not len(loaded):
        return rows[:0]
    octets = frames.buffer.tobytes()
    head = octets_at(frames.buffer, at.transport_offset[loaded], 4)
    ports = np.ascontiguousarray(head).view(">u2").astype(np.int64)
    bounds = zip(ports[:, 0].tolist(), ports[:, 1].tolist(), at.payload_offset[loaded].tolist(),
                 at.payload_end[loaded].tolist(), strict=True)
    claimed = [on_ports(protocol, (sport, dport), octets, start, end) is not None
               for sport, dport, start, end in bounds]
    return rows[loaded[np.array(claimed, np.bool_)]]
