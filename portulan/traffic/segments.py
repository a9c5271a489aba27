"""One conversation's segments out of batches of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import numpy as np

from portulan.errors import UsageError
from portulan.traffic.keys import Index, Keys, keys
from portulan.traffic.streams import Segment
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import Located, locate

_VLAN_BITS = np.uint64(0xFFF << 32)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port."""

    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `10.0.0.1:80` or `[fd00::1]:80`; raises `UsageError`."""
        host, _, port = text.rpartition(":")
        plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            address = ip_address(plain)
            good = port.isascii() and port.isdigit() and int(port) < 1 << 16
            if not good or (address.version == 6) != (plain != host):
                raise ValueError
        except ValueError:
            raise UsageError("no endpoint", text=text, hint="10.0.0.1:80 or [fd00::1]:80") from None
        return cls(str(address), int(port))

    @property
    def words(self) -> tuple[int, int, int]:
        """The address as two words, as keys have it, and the port."""
        number = int(ip_address(self.address))
        return number >> 64, number & (1 << 64) - 1, self.port


@dataclass(frozen=True, slots=True)
class Conversation:
    """A key, VLAN left open or not, and which of its ends is side 0."""

    words: tuple[int, ...]
    swapped: bool
    any_vlan: bool = False

    @classmethod
    def tcp(cls, one: Endpoint, two: Endpoint) -> Conversation:
        """Return the TCP conversation of two endpoints, the first of them side 0, on any VLAN."""
        family = ip_address(one.address).version
        if ip_address(two.address).version != family:
            raise UsageError("both endpoints need one IP version",
                             text=f"{one.address} and {two.address}")
        swapped = one.words > two.words
        low, high = (two.words, one.words) if swapped else (one.words, two.words)
        what = int(IpProtocol.TCP) << 48 | family << 44 | low[2] << 16 | high[2]
        return cls((what, *low[:2], *high[:2]), swapped, any_vlan=True)

    @property
    def protocol(self) -> int:
        """The IP protocol's number."""
        return self.words[0] >> 48 & 0xFF

    def rows(self, found: Keys) -> Index:
        """Return which of the keys' packets belong to it."""
        words = found.words
        if self.any_vlan:
            words = words.copy()
            words[:, 0] &= ~_VLAN_BITS
        return np.flatnonzero((words == np.array(self.words, np.uint64)).all(axis=1))

    def segments(self, frames: Frames, numbers: Index) -> Iterator[Segment]:
        """Yield a batch's packets of the conversation; of UDP `seq` means nothing."""
        found = keys(frames)
        chosen = self.rows(found)
        side = found.swapped[chosen] != self.swapped
        rows = found.rows[chosen]
        some = frames.take(rows)
        at = locate(some)
        whole = at.of(self.protocol)
        some, at = some.take(whole), at.take(whole)
        yield from segments_of(some, at, side[whole].astype(np.int64), numbers[rows[whole]])


def segments_of(some: Frames, at: Located, side: Index, numbers: Index) -> Iterator[Segment]:
    """Yield each packet as a segment; all are of one protocol, TCP or UDP."""
    if not len(at):
        return
    tcp = bool(at.protocol[0] == IpProtocol.TCP)
    head = octets_at(some.buffer, at.transport_offset, 14 if tcp else 8)
    seq = np.ascontiguousarray(head[:, 4:8]).view(">u4")[:, 0].tolist()
    ack = np.ascontiguousarray(head[:, -6:-2]).view(">u4")[:, 0].tolist()
    flags = (head[:, -1] if tcp else np.zeros(len(at), np.uint8)).tolist()
    bounds = zip(at.payload_offset.tolist(), at.payload_end.tolist(), strict=True)
    sizes = _sizes(some, at).tolist()
    for row, (start, end) in enumerate(bounds):
        yield Segment(int(side[row]), seq[row], some.buffer[start:end].tobytes(), sizes[row],
                      flags[row], ack[row], int(numbers[row]))


def _sizes(some: Frames, at: Located) -> Index:
    """Return the payloads' sizes on the wire: a capture may hold only the beginnings."""
    new = at.family == 6
    place = at.network_offset + np.where(new, 4, 2)
    total = np.ascontiguousarray(octets_at(some.buffer, place, 2)).view(">u2")[:, 0]
    # A sender's own capture shows 0 for segments that its card will cut: all there is, then.
    said = total.astype(np.int64) + np.where(new, 40, 0) + at.network_offset
    said = np.where(total == 0, at.payload_end, said)
    size: Index = np.maximum(said, at.payload_end) - at.payload_offset
    return size
