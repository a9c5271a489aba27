"""Send packets, one or a million, and find the replies: one call for a batch of probes."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.drive.capture import CapturedPacket
from portulan.drive.clock import Clock
from portulan.drive.outgoing import Hop, Outgoing, Prepared, prepare, with_numbers
from portulan.errors import LimitError, PeerError, UsageError
from portulan.link.contract import Link
from portulan.link.interfaces import Interface
from portulan.link.packet import PacketLink
from portulan.link.packet_socket import Program
from portulan.link.raw import RawLink
from portulan.wire.arp import ARP
from portulan.wire.craft import build, refresh
from portulan.wire.ethernet import Ethernet
from portulan.wire.filter import compile_filter
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import Header, Packet
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6, Neighbour, link_address
from portulan.wire.ipv6 import IPv6
from portulan.wire.match import Questions
from portulan.wire.match_filter import replies_text

RATE_PPS: Final = 10_000
"""Probes a second unless asked otherwise: the same cap as for scans."""
BATCH: Final = 4_096
SLICES_PER_SECOND: Final = 100
"""How often a paced stream sends: a slice a hundredth of a second is smooth and cheap."""
NEIGHBOUR_WAIT_NS: Final = 500_000_000
PAIRS_SHOWN: Final = 20
"""Replies that a shell shows of an exchange: what fits on a screen."""
STUCK_NS: Final = 5_000_000_000
"""How long no link may take a frame before we say so."""

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """A probe, its first reply, and the time between them."""

    sent: CapturedPacket
    reply: CapturedPacket
    rtt_ns: int


class Exchange:
    """What was sent and what came back; columns first, packets when asked for."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self.rtt_ns: Index = np.full(prepared.count, -1, np.int64)
        """Time from each probe to its first reply, -1 without one."""
        self.sent_ns: Index = np.zeros(prepared.count, np.int64)
        """When each left (Unix time, of the last try), 0 if it did not."""
        self._replies: list[tuple[Index, Frames]] = []
        self._later: list[tuple[Index, Frames]] = []

    @property
    def unreached(self) -> Mapping[int, str]:
        """Why the probes with these numbers were not sent."""
        return self._prepared.unreached

    @property
    def replies(self) -> list[tuple[Index, Frames]]:
        """First replies as batches, each with the numbers of the probes they answer."""
        return self._replies

    @property
    def sent(self) -> int:
        """How many probes left."""
        return int(np.count_nonzero(self.sent_ns))

    def sent_frames(self) -> Iterator[tuple[str, Frames]]:
        """Yield interfaces and the frames that left there, at their times."""
        for part in self._prepared.parts:
            times = self.sent_ns[part.index]
            left = part.frames.take(times > 0)
            yield part.interface, replace(left, time_ns=times[times > 0])

    def reply_frames(self) -> Iterator[tuple[str, Frames]]:
        """Yield interfaces and the replies that came there."""
        for index, frames in [*self._replies, *self._later]:
            for part in self._prepared.parts:
                if index[0] in part.index:
                    yield part.interface, frames
                    break

    @property
    def later(self) -> list[tuple[Index, Frames]]:
        """Further replies to probes that had one, if `every` reply was asked for."""
        return self._later

    @cached_property
    def answered(self) -> list[Pair]:
        """Probes with their replies, in the order of the probes."""
        return sorted(self._pairs(self._replies), key=lambda pair: pair.sent.number)

    @cached_property
    def further(self) -> list[Pair]:
        """Probes with a further reply, in the order of the replies."""
        return sorted(self._pairs(self._later), key=lambda pair: pair.reply.time_ns)

    def _pairs(self, batches: list[tuple[Index, Frames]]) -> Iterator[Pair]:
        chosen = np.zeros(len(self), np.bool_)
        for index, _ in batches:
            chosen[index] = True
        sent = {packet.number: packet for packet in self._packets(chosen)}
        for index, frames in batches:
            for number, octets, time_ns in zip(
                index.tolist(), frames, frames.time_ns.tolist(), strict=True
            ):
                reply = CapturedPacket(
                    octets, number=number + 1, time_ns=time_ns, length=len(octets),
                    link_type=frames.link_type)
                yield Pair(sent[number + 1], reply, max(time_ns - int(self.sent_ns[number]), 0))

    @cached_property
    def unanswered(self) -> list[CapturedPacket]:
        """Probes that were sent and had no reply, in order."""
        return self._packets(self.rtt_ns < 0)

    def _packets(self, chosen: NDArray[np.bool_]) -> list[CapturedPacket]:
        found: list[CapturedPacket] = []
        for part in self._prepared.parts:
            rows = np.flatnonzero(chosen[part.index])
            frames = part.frames.take(rows)
            for number, octets in zip(part.index[rows].tolist(), frames, strict=True):
                found.append(CapturedPacket(
                    octets, number=number + 1, time_ns=int(self.sent_ns[number]),
                    length=len(octets), link_type=frames.link_type))
        return sorted(found, key=lambda packet: packet.number)

    def __len__(self) -> int:
        return len(self.rtt_ns)

    def __repr__(self) -> str:
        return f"<{np.count_nonzero(self.rtt_ns >= 0)} of {len(self)} answered>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401 - IPython's own
        lines = [repr(self)]
        for pair in self.answered[:PAIRS_SHOWN]:
            lines.append(f"  {pair.reply}, rtt {pair.rtt_ns / 1e6:.3f} ms")
        if len(self.answered) > PAIRS_SHOWN:
            lines.append(f"  … {len(self.answered) - PAIRS_SHOWN:,} more")
        printer.text("\n".join(lines))


def exchange(
    packet: Packet | Header, *, interface: str = "", rate_pps: int = RATE_PPS,
    timeout_ns: int = 2_000_000_000, retries: int = 0, turn: int = 0, hear: bool = True,
    every: bool = False,
) -> Exchange:
    """Send all frames of a packet and wait for their replies, unless nobody is to `hear` them.

    The first reply to each counts; with `every` the whole time is waited, and all are kept. Each
    unanswered probe is sent up to `retries` times more, `timeout_ns` after the last of a try.
    """
    whole = with_numbers(packet if isinstance(packet, Packet) else Packet((packet,)), turn)
    prepared = prepare(whole, interface, resolve=resolve)
    with ExitStack() as stack:
        run = _Run(prepared, stack, rate_pps=rate_pps, hear=hear, every=every)
        return run.run(timeout_ns if hear else 0, retries if hear else 0)


def exchanges(
    make: Callable[[int], Exchange], count: int, *, interval_ns: int = 0
) -> Iterator[Exchange]:
    """Yield the exchanges that `make` makes of turns 0, 1, ..., begun at least so far apart."""
    due = Clock.now()
    for turn in range(count):
        if (wait := due - Clock.now()) > 0:
            time.sleep(wait / 1e9)
        due = Clock.now() + interval_ns
        yield make(turn)


def emit(
    packet: Packet | Header, *, interface: str = "", rate_pps: int = RATE_PPS, turn: int = 0,
) -> int:
    """Send all frames of a packet; return how many left."""
    return exchange(packet, interface=interface, rate_pps=rate_pps, turn=turn, hear=False).sent


def resolve(device: Interface, hops: list[Hop]) -> dict[Hop, bytes]:
    """Ask on a link for the Ethernet addresses of some hosts, by ARP or neighbour discovery."""
    found: dict[Hop, bytes] = {}
    for family in {hop[2] for hop in hops}:
        asked = [hop for hop in hops if hop[2] == family]
        own = [each for each in device.addresses if each.family == family]
        if own:
            frames = _who_has(device, [hop[1] for hop in asked], family, own[0].address)
            part = Outgoing(device.name, 0, frames, np.arange(len(asked)))
            with ExitStack() as stack:
                done = _Run(Prepared(len(asked), [part]), stack, rate_pps=RATE_PPS, hear=True)
                heard = done.run(NEIGHBOUR_WAIT_NS, 1)
            for index, replies in heard.replies:
                for number, octets in zip(index.tolist(), replies, strict=True):
                    found[asked[number]] = octets[6:12]
    return found


def _who_has(device: Interface, asked: list[int], family: int, source: int) -> Frames:
    targets: Any = asked  # a set of values, which fields take besides one
    mac = int.from_bytes(device.mac or b"", "big")
    if family == 4:
        return build(Ethernet(src=mac) / ARP(sha=mac, spa=source, tpa=targets))
    packet = (Ethernet(src=mac) / IPv6(src=source, hop_limit=255)
              / ICMPv6(type=Icmp6Type.NEIGHBOUR_SOLICITATION) / Neighbour(target=targets)
              / link_address(1, mac))
    frames = build(packet)
    rows = frames.buffer.reshape(len(frames), -1)
    low = np.array([target & 0xFF_FFFF for target in asked], np.uint64)
    ip = IPv6.view(rows, Ethernet.size)
    ip.dst_hi[:] = 0xFF02 << 48
    ip.dst_lo[:] = np.uint64(0x1_FF00_0000) | low
    Ethernet.view(rows).dst[:] = np.uint64(0x3333_FF00_0000) | low
    refresh(rows, packet)
    return Frames.uniform(rows)


class _Run:
    """Frames out, paced; replies in, matched as they come."""

    def __init__(
        self, prepared: Prepared, stack: ExitStack, *, rate_pps: int, hear: bool,
        every: bool = False,
    ) -> None:
        self._parts, self._rate, self._hear = prepared.parts, rate_pps, hear
        self._every = every
        self._done = Exchange(prepared)
        self._poll = select.poll()
        self._links: list[Link] = []
        for part in self._parts:
            link: Link = stack.enter_context(_open(part, hear=hear))
            self._links.append(link)
            if hear:
                self._poll.register(link.fileno(), select.POLLIN)
        self._questions = [Questions(part.frames) if hear else None for part in self._parts]

    def run(self, timeout_ns: int, retries: int) -> Exchange:
        """Send every try, hear in between."""
        for _ in range(1 + retries):
            self._send_all()
            until = Clock.now() + timeout_ns
            while self._hear and (wait := until - Clock.now()) > 0:
                if not (self._every or self._left()):
                    break
                self._listen(wait)
            if not self._left():
                break
        return self._done

    def _left(self) -> bool:
        return any((self._done.rtt_ns[part.index] < 0).any() for part in self._parts)

    def _send_all(self) -> None:
        slice_size = BATCH
        if self._rate:
            slice_size = min(BATCH, max(1, self._rate // SLICES_PER_SECOND))
        due = Clock.now()
        for number, part in enumerate(self._parts):
            rows = np.flatnonzero(self._done.rtt_ns[part.index] < 0)
            for start in range(0, len(rows), slice_size):
                chosen = rows[start : start + slice_size]
                while (wait := due - Clock.now()) > 0:
                    self._listen(wait)
                self._send(number, chosen)
                if self._rate:
                    due = max(due, Clock.now() - 1_000_000_000) + (
                        len(chosen) * 1_000_000_000 // self._rate)
                self._listen(0)

    def _send(self, number: int, rows: Index) -> None:
        part, link = self._parts[number], self._links[number]
        done, stuck_since = 0, Clock.now()
        while done < len(rows):
            start = Clock.unix()
            some = rows[done:]
            whole = len(some) == len(part.frames)
            taken = link.send(part.frames if whole else part.frames.take(some))
            # Frames of a batch leave one after the other: each gets its share of the time.
            times = np.linspace(start, Clock.unix(), taken, endpoint=False).astype(np.int64)
            self._done.sent_ns[part.index[some[:taken]]] = times
            done += taken
            if taken:
                stuck_since = Clock.now()
            elif Clock.now() - stuck_since > STUCK_NS:
                raise PeerError(f"{part.interface} takes no frames any more")
            else:
                self._listen(1_000_000)

    def _listen(self, wait_ns: int) -> None:
        """Wait for replies at most this long, and match what there is."""
        if wait_ns > 0 or self._hear:
            self._poll.poll(max(wait_ns, 0) / 1e6)
        for number in range(len(self._links) if self._hear else 0):
            frames = self._links[number].receive(0)
            while len(frames):
                self._match(number, frames)
                frames = self._links[number].receive(0)

    def _match(self, number: int, frames: Frames) -> None:
        questions, part = self._questions[number], self._parts[number]
        if questions is None:
            return
        row, by = questions.match(frames, every=self._every)
        index = part.index[row]
        left = self._done.sent_ns[index] > 0  # only a probe that has left already is answered
        index, by = index[left], by[left]
        _, first = np.unique(index, return_index=True)
        fresh = np.zeros(len(index), np.bool_)
        fresh[first] = self._done.rtt_ns[index[first]] < 0
        if fresh.any():
            chosen, replies = index[fresh], frames.take(by[fresh]).compact()
            self._done.rtt_ns[chosen] = np.maximum(
                replies.time_ns - self._done.sent_ns[chosen], 0)
            self._done.replies.append((chosen, replies))
        if self._every and not fresh.all():
            self._done.later.append((index[~fresh], frames.take(by[~fresh]).compact()))


def _open(part: Outgoing, *, hear: bool) -> Link:
    program = replies_program(part.frames) if hear else None
    if part.frames.link_type == LinkType.RAW:
        return RawLink(part.interface, family=part.family, filter=program, rx=hear)
    return PacketLink(part.interface, filter=program, rx=hear)


def replies_program(probes: Frames) -> Program | None:
    """Return the BPF program that keeps all but replies out of the ring; None if there is none."""
    text = replies_text(probes)
    try:
        return None if text is None else compile_filter(text, probes.link_type).program()
    except (UsageError, LimitError):  # a link type, or a length, that BPF does not know
        return None
