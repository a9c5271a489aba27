"""One filter language for kernel, captures and single packets: tcpdump's, and registry fields.

Filters read as `pcap-filter(7)` says (`gateway`, names that need the DNS, and links of radio and
ATM excepted) and accept the frames that tcpdump accepts, also where octets are missing: reading
behind the captured octets rejects a frame, even under `not`.

>>> from portulan.wire import IPv4, TCP, UDP, Frames
>>> web = compile_filter("tcp port 443 or 80 and ip.ttl < 100", link_type=101)
>>> web.match((IPv4(ttl=64) / TCP(dport=443)).pack())
True
>>> packets = [(IPv4(ttl=64) / each).pack() for each in (TCP(dport=80), UDP(dport=80))]
>>> web.mask(Frames.of(packets, link_type=101)).tolist()
[True, False]
>>> [tuple(each) for each in compile_filter("ip6", link_type=101).program(snaplen=96)]
[(48, 0, 0, 0), (84, 0, 0, 240), (21, 0, 1, 96), (6, 0, 0, 96), (6, 0, 0, 0)]
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.bpf import KEEP_BYTES
from portulan.wire.filter_graph import Target, graph
from portulan.wire.filter_link import NAMES, link_number
from portulan.wire.filter_meaning import Meaning
from portulan.wire.filter_primitives import Services
from portulan.wire.filter_run import Matcher, mask, matcher, program
from portulan.wire.filter_syntax import parse
from portulan.wire.frames import Frames, LinkType

__all__ = ["NAMES", "Filter", "Services", "compile_filter", "link_number"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter compiled for one link type; its three readers agree on every frame."""

    text: str
    link_type: int
    _graph: Target = field(repr=False)
    _match: Matcher = field(repr=False)

    def program(self, snaplen: int = KEEP_BYTES) -> list[tuple[int, int, int, int]]:
        """Return the classic BPF program that keeps `snaplen` octets of accepted frames.

        Raises `UsageError` if BPF cannot express the filter, `LimitError` if it is too long.
        """
        return program(self._graph, snaplen)

    def mask(self, frames: Frames) -> NDArray[np.bool_]:
        """Return which frames are accepted; they must be of the filter's link type."""
        if frames.link_type != self.link_type:
            raise UsageError(f"filter for link type {self.link_type} on frames of "
                             f"{frames.link_type}", hint="compile it for theirs")
        return mask(self._graph, frames)

    def match(self, octets: bytes, wire_length: int | None = None) -> bool:
        """Say whether one frame is accepted."""
        return self._match(octets, len(octets) if wire_length is None else wire_length)


def compile_filter(
    text: str, link_type: int = LinkType.ETHERNET, *, services: Services | None = None,
    saved: bool = False,
) -> Filter:
    """Return the filter of an expression.

    `services` finds ports by name; without it, ports are numbers. Frames that were `saved` may be
    another system's: on BSD's loopback IPv6 has other numbers there. Raises `UsageError` that says
    the place for what cannot be read, and for what no frame of the link type can match.
    """
    tree = parse(text)
    meaning = Meaning(link_type, services, saved=saved)
    root: Target = True if tree is None else graph(meaning.of(tree))
    if root is False:
        raise UsageError("filter, column 1: no packet of this link type can match", text=text)
    return Filter(text, link_type, root, matcher(root))
