"""One interface that is listened to: its link, its filter, and what a file says of it.

The kernel filters where classic BPF can say it. It takes VLAN tags out of frames before a filter
sees them, so frames with a tag pass there and are judged here, tag restored: a filter accepts live
what it accepts of the file written at the same time.
"""

from __future__ import annotations

import os
import socket
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.errors import LimitError, UsageError
from portulan.link.cooked import CookedLink, interface_numbers
from portulan.link.cooked import kernel_program as cooked_program
from portulan.link.device import ARPHRD_LOOPBACK, device_up
from portulan.link.interfaces import interface as interface_named
from portulan.link.packet import PacketLink
from portulan.link.packet_socket import BPF_MAXINSNS, Program
from portulan.link.pcapng_blocks import Interface, Statistics
from portulan.link.pcapng_writer import SNAPLEN
from portulan.link.ring_rx import BLOCKS
from portulan.wire.filter import Filter, compile_filter
from portulan.wire.frames import Frames, LinkType

from .capture import service_port
from .clock import Clock

ANY: Final = "any"
"""What tcpdump calls all interfaces at once."""
RING_BLOCKS: Final = 2 * BLOCKS
"""64 MiB of kernel memory: two thirds of a second of small frames at line rate, while we print or
the disk makes us wait."""

# linux/filter.h: SKF_AD_OFF (-0x1000) + SKF_AD_VLAN_TAG_PRESENT, loaded as a word
LOAD_TAG_PRESENT: Final = (0x20, 0, 0, 0xFFFFF000 + 48)
SKIP_ONE_IF_ZERO: Final = (0x15, 1, 0, 0)
ACCEPT: Final = (0x06, 0, 0, SNAPLEN)
TAG_TYPES: Final = (0x8100, 0x88A8, 0x9100)


class Listener:
    """Listens on one interface, or on all of them as `any`, from the moment it is made.

    Raises `UsageError` for an interface that is missing or down and for a wrong filter,
    `PrivilegeError` without CAP_NET_RAW.
    """

    def __init__(
        self, name: str, *, filter: str = "", promiscuous: bool = True, snaplen: int = SNAPLEN,
    ) -> None:
        self.name, self._snaplen = name, snaplen
        device = None if name == ANY else device_up(name)
        self.link_type = LinkType.LINUX_SLL2 if device is None else device.link_type
        self._filter = (
            compile_filter(filter, self.link_type, services=service_port) if filter else None)
        program = kernel_program(self._filter, snaplen)
        if program is not None and device is None:
            program = cooked_program(program)
        self._in_kernel = program is not None
        if program is None and not filter and snaplen < SNAPLEN:
            program = [(*ACCEPT[:3], snaplen)]
        self._link: PacketLink | CookedLink
        mac: bytes | None = None
        if device is None:
            self._link = CookedLink(filter=program, rx_blocks=RING_BLOCKS)
        else:
            loopback = device.hardware == ARPHRD_LOOPBACK
            mac = None if loopback else interface_named(name).mac
            self._link = PacketLink(
                name, filter=program, tx=False, promiscuous=promiscuous,
                # What is sent on lo comes in there as well: it would be seen twice.
                outgoing=not loopback, rx_blocks=RING_BLOCKS)
        self._names = {} if device else dict(socket.if_nameindex())
        self.packets = 0
        """Packets given so far."""
        system = os.uname()
        self.description = Interface(
            self.link_type, snaplen, name, filter=filter, mac=mac or b"",
            os=f"{system.sysname} {system.release}")
        """What a pcapng says of the interface."""

    @property
    def seen(self) -> int:
        """How many packets the kernel had for us so far, dropped ones included."""
        return self._link.seen()

    @property
    def drops(self) -> int:
        """How many packets the kernel threw away because we were too slow."""
        return self._link.counters().drops

    def statistics(self, number: int) -> Statistics:
        """Return what was counted so far, for the end of a file that knows it by a number."""
        return Statistics(
            number, Clock.unix(), self.seen, self.drops, filter_accepted=self.packets,
            delivered=self.packets)

    def receive(self, wait_ns: int) -> Frames:
        """Return what came and the filter accepts, waiting at most so long for the first."""
        frames = self._link.receive(wait_ns)
        if self._filter is not None:
            frames = accepted(frames, self._filter, exact=self._in_kernel)
        return cut(frames, self._snaplen)

    def names_of(self, frames: Frames) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return where each frame passed: an index into names of interfaces."""
        if self.name != ANY:
            return np.zeros(len(frames), np.int64), (self.name,)
        numbers, which = np.unique(interface_numbers(frames), return_inverse=True)
        return which.astype(np.int64), tuple(self._name(number) for number in numbers.tolist())

    def _name(self, number: int) -> str:
        if number not in self._names:
            try:
                self._names[number] = socket.if_indextoname(number)
            except OSError:  # gone already
                self._names[number] = f"interface {number}"
        return self._names[number]

    def fileno(self) -> int:
        """Return the descriptor that polls readable when packets are there."""
        return self._link.fileno()

    def close(self) -> None:
        """Free the ring; may be called again."""
        self._link.close()


def kernel_program(compiled: Filter | None, snaplen: int = SNAPLEN) -> Program | None:
    """Return the program that lets tagged frames pass and judges the others; None if BPF cannot."""
    if compiled is None:
        return None
    try:
        program = compiled.program(snaplen)
    except (UsageError, LimitError):
        return None
    if compiled.link_type != LinkType.ETHERNET:
        return program
    whole = [LOAD_TAG_PRESENT, SKIP_ONE_IF_ZERO, ACCEPT, *program]
    return whole if len(whole) <= BPF_MAXINSNS else None


def accepted(frames: Frames, compiled: Filter, *, exact: bool) -> Frames:
    """Return the frames that a filter accepts; with `exact` only tagged ones are in question."""
    if not exact:
        return frames.take(compiled.mask(frames))
    if not len(frames) or frames.link_type != LinkType.ETHERNET:
        return frames
    tagged = np.flatnonzero(_tagged(frames))
    if not len(tagged):
        return frames
    wanted = np.ones(len(frames), np.bool_)
    wanted[tagged] = compiled.mask(frames.take(tagged))
    return frames.take(wanted)


def cut(frames: Frames, snaplen: int) -> Frames:
    """Return the first `snaplen` bytes of each frame; how long it was stays known."""
    if not len(frames) or int(frames.length.max()) <= snaplen:
        return frames
    return Frames(frames.buffer, frames.offset, np.minimum(frames.length, snaplen),
                  frames.wire_length, frames.time_ns, frames.link_type)


def _tagged(frames: Frames) -> NDArray[np.bool_]:
    """Return which frames have a VLAN tag; one that is cut before its type has none."""
    at = np.minimum(frames.offset + 12, len(frames.buffer) - 2)
    kind = frames.buffer[at].astype(np.int64) << 8 | frames.buffer[at + 1]
    return np.isin(kind, TAG_TYPES) & (frames.length >= 14)
