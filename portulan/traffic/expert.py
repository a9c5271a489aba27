"""What an expert would point at in a capture: losses, stalls, resets, conflicts, sweeps.

A note is a kind, a frame and, where there is one, its flow. Notes on TCP come from the same
numbers as a flow's counts (`sequence`); each kind has one sentence that a learner can use.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.flows import FlowTable
from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.traffic.rows import Blank, Rows
from portulan.traffic.sequence import ACK, RST, SYN, Mark, Sequence
from portulan.wire.address import Ip4, Ip6
from portulan.wire.arp import ARP
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.locate import Located, locate
from portulan.wire.repair import repair
from portulan.wire.tcp import TCP, TcpOption

Level = Literal["note", "warning", "error"]

SCAN_PORTS: Final = 25
"""Different ports of one host that one client asks by SYN before it is called a sweep: no
application opens so many kinds of connection."""
CLIENTS_MAX: Final = 4_096
"""Pairs of client and host whose ports are remembered; more are counted together."""
BURST_NAMES, BURST_NS = 10, 10_000_000_000
"""So many names that do not exist, for one client within this time, are no typing errors."""
BINDINGS_MAX: Final = 65_536
"""Addresses whose Ethernet address is remembered."""
NXDOMAIN: Final = 3


class Kind(IntEnum):
    """What can be noted."""

    RETRANSMISSION = 0
    FAST_RETRANSMISSION = 1
    SPURIOUS_RETRANSMISSION = 2
    OUT_OF_ORDER = 3
    DUPLICATE_ACK = 4
    LOST_SEGMENT = 5
    ZERO_WINDOW = 6
    WINDOW_FULL = 7
    KEEP_ALIVE = 8
    RESET_AFTER_DATA = 9
    TTL_CHANGE = 10
    CHECKSUM = 11
    PORT_SWEEP = 12
    ARP_CONFLICT = 13
    NAME_BURST = 14
    OFFLOADED_CHECKSUM = 15

    @property
    def text(self) -> str:
        """The kind as people write it: `fast retransmission`."""
        return self.name.lower().replace("_", " ")


_WARNINGS: Final = frozenset({
    Kind.OUT_OF_ORDER, Kind.LOST_SEGMENT, Kind.ZERO_WINDOW, Kind.WINDOW_FULL,
    Kind.RESET_AFTER_DATA, Kind.TTL_CHANGE, Kind.PORT_SWEEP, Kind.NAME_BURST,
})
_ERRORS: Final = frozenset({Kind.CHECKSUM, Kind.ARP_CONFLICT})


def level(kind: Kind) -> Level:
    """Return how much a kind matters."""
    return "error" if kind in _ERRORS else "warning" if kind in _WARNINGS else "note"


SENTENCES: Final[dict[Kind, str]] = {
    Kind.RETRANSMISSION: "octets were sent again: nobody had confirmed them in time",
    Kind.FAST_RETRANSMISSION: "octets were sent again as soon as duplicate ACKs asked for them",
    Kind.SPURIOUS_RETRANSMISSION: "octets were sent again that had been confirmed already",
    Kind.OUT_OF_ORDER: "a segment came after one that was sent later",
    Kind.DUPLICATE_ACK: "the same octets were confirmed again: something before others is missing",
    Kind.LOST_SEGMENT: "octets before this segment were not seen: lost, or not captured",
    Kind.ZERO_WINDOW: "the receiver has no room: the sender must wait",
    Kind.WINDOW_FULL: "the sender has filled the receiver's window",
    Kind.KEEP_ALIVE: "a probe whether the other end is still there",
    Kind.RESET_AFTER_DATA: "a connection on which data had passed was reset",
    Kind.TTL_CHANGE: "the distance to a sender changed within a flow: another way, or another host",
    Kind.CHECKSUM: "a checksum is wrong: the packet was damaged, or made by hand",
    Kind.OFFLOADED_CHECKSUM: "the sender's own capture: its card fills the checksum in later",
    Kind.PORT_SWEEP: f"one client asked {SCAN_PORTS} ports of a host: a port scan",
    Kind.ARP_CONFLICT: "an address is claimed by another Ethernet address than before",
    Kind.NAME_BURST: f"{BURST_NAMES} names that do not exist in {BURST_NS // 10**9} seconds",
}
_MARKED: Final = (
    (Mark.OUT_OF_ORDER, Kind.OUT_OF_ORDER), (Mark.DUPLICATE_ACK, Kind.DUPLICATE_ACK),
    (Mark.BEYOND_GAP, Kind.LOST_SEGMENT), (Mark.ZERO_WINDOW, Kind.ZERO_WINDOW),
    (Mark.KEEP_ALIVE, Kind.KEEP_ALIVE),
)


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes as columns, in the order of frames; `flow` is a row of the table, -1 without one."""

    kind: NDArray[np.uint8]
    frame: Index
    time_ns: Index
    flow: Index
    text: list[str]
    """What a kind's sentence does not say; often empty."""

    def __len__(self) -> int:
        return len(self.kind)


@dataclass
class _Found:
    """Notes of one batch as they are found: (kind, place in the batch, flow, text)."""

    rows: list[tuple[int, int, int, str]] = field(default_factory=list)

    def add(self, kind: Kind, places: Index, flows: Index) -> None:
        self.rows += zip(
            [int(kind)] * len(places), places.tolist(), flows.tolist(), [""] * len(places),
            strict=True)


class Expert:
    """Takes batches of frames in order, with their numbers, and returns what is to be noted."""

    def __init__(self) -> None:
        self._flows = _Flows()
        self.table = FlowTable([self._flows])
        """The flows that notes name by row."""
        self._ports: dict[tuple[int, int], set[int]] = {}
        self._bindings: dict[int, int] = {}
        self._missing: dict[int, deque[int]] = {}

    def add(self, frames: Frames, numbers: Index) -> Notes:
        """Return the notes on a batch."""
        found = self._flows.found = _Found()
        self.table.add(frames)
        at = locate(frames)
        found.rows += self._sweeps(frames, at)
        found.rows += self._conflicts(frames, at)
        found.rows += self._bursts(frames, at)
        wrong = _wrong_sums(frames)
        later = _left_to_the_card(frames, at, wrong)
        for kind, rows in (
            (Kind.CHECKSUM, wrong[~later]), (Kind.OFFLOADED_CHECKSUM, wrong[later])
        ):
            found.add(kind, rows, np.full(len(rows), -1))
        told = sorted(found.rows, key=lambda row: (row[1], row[0]))
        place = np.array([row[1] for row in told], np.int64)
        return Notes(
            np.array([row[0] for row in told], np.uint8), numbers[place],
            frames.time_ns[place].astype(np.int64), np.array([row[2] for row in told], np.int64),
            [row[3] for row in told])

    def _sweeps(self, frames: Frames, at: Located) -> list[tuple[int, int, int, str]]:
        rows = at.of(IpProtocol.TCP)
        rows = rows[at.payload_end[rows] - at.transport_offset[rows] >= TCP.size]
        segment = TCP.gather(frames.buffer, at.transport_offset[rows])
        opening = (segment.flags & (SYN | ACK | RST)) == SYN
        rows, port = rows[opening], segment.dport[opening]
        found = []
        for row, number, pair in zip(
            rows.tolist(), port.tolist(), _pairs(frames, at.take(rows)), strict=True
        ):
            if pair not in self._ports and len(self._ports) >= CLIENTS_MAX:
                continue
            asked = self._ports.setdefault(pair, set())
            if len(asked) < SCAN_PORTS:
                asked.add(number)
                if len(asked) == SCAN_PORTS:
                    text = f"{_address(pair[0])} asks {_address(pair[1])}"
                    found.append((int(Kind.PORT_SWEEP), row, -1, text))
        return found

    def _conflicts(self, frames: Frames, at: Located) -> list[tuple[int, int, int, str]]:
        rows = np.flatnonzero(at.ethertype == EtherType.ARP)
        start = at.network_offset[rows]
        whole = start + ARP.size <= frames.offset[rows] + frames.length[rows]
        rows, start = rows[whole], start[whole]
        message = ARP.gather(frames.buffer, start)
        found = []
        for row, address, mac in zip(
            rows.tolist(), message.spa.tolist(), message.sha.tolist(), strict=True
        ):
            before = self._bindings.get(address)
            if not address or (before is None and len(self._bindings) >= BINDINGS_MAX):
                continue
            self._bindings[address] = mac
            if before is not None and before != mac:
                text = f"{Ip4(address)}: {_mac(before)}, now {_mac(mac)}"
                found.append((int(Kind.ARP_CONFLICT), row, -1, text))
        return found

    def _bursts(self, frames: Frames, at: Located) -> list[tuple[int, int, int, str]]:
        rows = at.of(IpProtocol.UDP)
        rows = rows[at.payload_end[rows] - at.payload_offset[rows] >= 12]
        source = octets_at(frames.buffer, at.transport_offset[rows], 2)
        rows = rows[(source[:, 0] == 0) & (source[:, 1] == 53)]
        head = octets_at(frames.buffer, at.payload_offset[rows], 4)
        rows = rows[(head[:, 2] & 0x80 != 0) & (head[:, 3] & 0x0F == NXDOMAIN)]
        found = []
        for row, (_, client) in zip(rows.tolist(), _pairs(frames, at.take(rows)), strict=True):
            if client not in self._missing and len(self._missing) >= CLIENTS_MAX:
                continue
            times = self._missing.setdefault(client, deque(maxlen=BURST_NAMES))
            times.append(int(frames.time_ns[row]))
            if len(times) == BURST_NAMES and times[-1] - times[0] <= BURST_NS:
                times.clear()
                found.append((int(Kind.NAME_BURST), row, -1, _address(client)))
        return found


class _Flows:
    """The part of a flow table that judges connections."""

    def __init__(self) -> None:
        self._sequence = Sequence()
        self._rows = Rows(
            data=Blank(np.bool_), ttl=Blank(np.int16, 2, fill=-1),
            scale=Blank(np.int8, 2), reach=Blank(np.int64, 2, fill=-1),
            ack=Blank(np.int64, 2, fill=-1), window=Blank(np.int64, 2, fill=-1))
        self.found = _Found()

    def make(self, rows: Index) -> None:
        """Begin rows."""
        self._sequence.rows.make(rows)
        self._rows.make(rows)

    def columns(self, rows: Index) -> dict[str, NDArray[np.generic]]:
        """Return nothing: notes are told as they are found."""
        return {}

    def see(self, parcel: Parcel) -> None:
        """Take packets in."""
        marks = self._sequence.marks(parcel)
        again = marks & Mark.RETRANSMISSION != 0
        spurious, fast = marks & Mark.SPURIOUS != 0, marks & Mark.FAST != 0
        self._note(parcel, Kind.SPURIOUS_RETRANSMISSION, spurious)
        self._note(parcel, Kind.FAST_RETRANSMISSION, fast & ~spurious)
        self._note(parcel, Kind.RETRANSMISSION, again & ~fast & ~spurious)
        for mark, kind in _MARKED:
            self._note(parcel, kind, marks & mark != 0)
        tcp = parcel.sound & (parcel.at.protocol == IpProtocol.TCP)
        self._resets(parcel, tcp)
        self._ttls(parcel)
        self._windows(parcel, np.flatnonzero(tcp))

    def _note(self, parcel: Parcel, kind: Kind, where: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(where)
        self.found.add(kind, parcel.place[rows], parcel.flow[rows])

    def _resets(self, parcel: Parcel, tcp: NDArray[np.bool_]) -> None:
        data = tcp & (parcel.size > 0)
        total = np.cumsum(data)
        lengths = np.diff([*parcel.starts, len(parcel)])
        opening: Index = np.repeat((total - data)[parcel.starts], lengths)
        passed = (total > opening) | self._rows["data"][parcel.flow]
        self._note(parcel, Kind.RESET_AFTER_DATA, tcp & passed & (parcel.tcp_flags & RST != 0))
        self._rows["data"][parcel.flow[data]] = True

    def _ttls(self, parcel: Parcel) -> None:
        at, buffer = parcel.at, parcel.frames.buffer
        rows = np.flatnonzero(parcel.sound & ((at.family == 4) | (at.family == 6)))
        if not len(rows):
            return
        place = at.network_offset[rows] + np.where(at.family[rows] == 4, 8, 7)
        ttl = buffer[place].astype(np.int16)
        key = parcel.flow[rows] * 2 + parcel.rev[rows]
        order = np.argsort(key, kind="stable")
        sorted_key, sorted_ttl = key[order], ttl[order]
        first = np.concatenate([[True], sorted_key[1:] != sorted_key[:-1]])
        earlier = np.concatenate([[0], sorted_ttl[:-1]]).astype(np.int16)
        known = self._rows["ttl"][sorted_key >> 1, sorted_key & 1]
        ttl_before = np.where(first, known, earlier).astype(np.int16)
        changed = (ttl_before >= 0) & (ttl_before != sorted_ttl)
        where = np.sort(rows[order[changed]])
        self.found.add(Kind.TTL_CHANGE, parcel.place[where], parcel.flow[where])
        last = np.concatenate([first[1:], [True]])
        self._rows["ttl"][sorted_key[last] >> 1, sorted_key[last] & 1] = sorted_ttl[last]

    def _windows(self, parcel: Parcel, rows: Index) -> None:
        """Note segments that reach the very end of what the receiver has offered."""
        if not len(rows):
            return
        self._scales(parcel, rows)
        head = octets_at(parcel.frames.buffer, parcel.at.transport_offset[rows] + 4, 12)
        words = np.ascontiguousarray(head[:, :8]).view(">u4").astype(np.int64)
        window = np.ascontiguousarray(head[:, 10:12]).view(">u2")[:, 0].astype(np.int64)
        flags, size = parcel.tcp_flags[rows], parcel.size[rows]
        flow, rev = parcel.flow[rows], parcel.rev[rows]
        scale = np.where(flags & SYN != 0, 0, self._rows["scale"][flow, rev])
        # A reset offers nothing: its window says no word about room.
        offers = (flags & ACK != 0) & (flags & RST == 0)
        edge = np.where(offers, (words[:, 1] + (window << scale)) & 0xFFFF_FFFF, -1)
        begins = np.concatenate([[True], flow[1:] != flow[:-1]])
        index = np.arange(len(rows))
        floor = np.maximum.accumulate(np.where(begins, index, 0))
        offered = np.full(len(rows), -1, np.int64)
        for side in (0, 1):
            last = np.maximum.accumulate(np.where(offers & (rev == side), index, -1))
            mine = rev != side
            here = last[mine] >= floor[mine]
            offered[mine] = np.where(here, edge[last[mine]], self._rows["window"][flow[mine], side])
            newest = np.flatnonzero(offers & (rev == side))
            if len(newest):
                ends = newest[np.concatenate([flow[newest][1:] != flow[newest][:-1], [True]])]
                self._rows["window"][flow[ends], side] = edge[ends]
        end = (words[:, 0] + size) & 0xFFFF_FFFF
        full = (size > 0) & (offered >= 0) & (end == offered)
        self.found.add(Kind.WINDOW_FULL, parcel.place[rows[full]], flow[full])

    def _scales(self, parcel: Parcel, rows: Index) -> None:
        """Remember the window scales of handshakes; both sides must offer one (RFC 7323)."""
        opening = rows[parcel.tcp_flags[rows] & SYN != 0]
        for row in opening.tolist():
            start = int(parcel.at.transport_offset[row])
            header = TCP.parse(parcel.frames.buffer[start : start + 20].tobytes())
            end = min(start + header.data_offset * 4, int(parcel.at.payload_end[row]))
            area = parcel.frames.buffer[start:end].tobytes()
            shift = next((each.data[0] for each in header.options(area)
                          if each.kind == TcpOption.WSCALE and len(each.data) == 1), 0)
            self._rows["scale"][parcel.flow[row], parcel.rev[row]] = min(shift, 14)


def _wrong_sums(frames: Frames) -> Index:
    """Return which frames have a checksum that is not that of their octets."""
    fixed = repair(frames)
    if not fixed.changed:
        return np.empty(0, np.int64)
    differs = np.concatenate([[0], np.cumsum(fixed.frames.buffer != frames.buffer)])
    start = frames.offset
    return np.flatnonzero(differs[start + frames.length] > differs[start])


def _left_to_the_card(frames: Frames, at: Located, rows: Index) -> NDArray[np.bool_]:
    """Tell which wrong checksums hold the sum of the pseudo-header, as senders prepare them."""
    found = np.zeros(len(rows), np.bool_)
    for number, place in ((int(IpProtocol.TCP), 16), (int(IpProtocol.UDP), 6)):
        for family, source, size in ((4, 12, 4), (6, 8, 16)):
            some = np.flatnonzero((at.protocol[rows] == number) & (at.family[rows] == family))
            here = rows[some]
            if not len(here):
                continue
            octets = octets_at(frames.buffer, at.network_offset[here] + source, 2 * size)
            words = np.ascontiguousarray(octets).view(">u2").astype(np.int64)
            total = words.sum(axis=1) + number
            total += at.payload_end[here] - at.transport_offset[here]
            total = (total & 0xFFFF) + (total >> 16)
            total = (total & 0xFFFF) + (total >> 16)
            start = np.minimum(at.transport_offset[here] + place, len(frames.buffer) - 2)
            told = octets_at(frames.buffer, start, 2)
            found[some] = np.ascontiguousarray(told).view(">u2")[:, 0] == total
    return found


def _pairs(frames: Frames, at: Located) -> list[tuple[int, int]]:
    """Return source and destination of each packet, IPv6 above 2**32."""
    found = []
    for family, start in zip(at.family.tolist(), at.network_offset.tolist(), strict=True):
        kind = IPv4 if family == 4 else IPv6
        header = kind.parse(frames.buffer[start : start + kind.size].tobytes())
        found.append((int(header.src), int(header.dst)))
    return found


def _address(number: int) -> str:
    return str(Ip6(number) if number >> 32 else Ip4(number))


def _mac(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")
