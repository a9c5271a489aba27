"""Send a capture again on an interface: at the times of the file, faster, slower, or at a rate."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from portulan.drive.clock import Clock
from portulan.errors import PeerError, UsageError
from portulan.link.contract import Link
from portulan.link.device import Device, device_up
from portulan.link.packet import ETHERNET_HEADER, VLAN_TAG, PacketLink
from portulan.wire.frames import Frames, LinkType

from .capture import Capture

BATCH: Final = 4_096
"""Frames given to the kernel at once when they are due: the transmit ring's slots."""
LOOK_NS: Final = 100_000_000
"""How long a request to stop may go unseen: nothing a person notices."""
BEHIND_MAX_NS: Final = 1_000_000_000
"""How far a replay may fall behind and still catch up: what is missed beyond is not sent as one
burst, the rest is late by that much."""
STUCK_NS: Final = 5_000_000_000
"""How long the interface may take no frame before we say so."""
GAP_MAX_S: Final = 3_600.0
"""The longest silence of a file that is waited out: a clock that was set makes one of years."""
SPEED_MAX: Final = 1e6
LOOPS_MAX: Final = 1_000_000_000
NOT_FITTING: Final = "too long or too short for the interface"
OTHER_LINK: Final = "of another link type"

Index = NDArray[np.int64]


class Pace(Protocol):
    """Says when frames are due."""

    def due(self, time_ns: Index) -> Index:
        """Return when the next frames are due (ns since the start), given their file's times."""
        ...

    def again(self) -> None:
        """Forget the file's last time: it begins anew."""
        ...


class FileTime:
    """Frames are as far apart as in the file, divided by `speed`; at most `gap_max_s`."""

    def __init__(self, speed: float = 1.0, *, gap_max_s: float = GAP_MAX_S) -> None:
        if not 0 < speed <= SPEED_MAX:
            raise UsageError("not a speed", text=str(speed), where="speed",
                             hint="2 is twice as fast, 0.5 half as fast")
        if not 0 < gap_max_s <= GAP_MAX_S:
            raise UsageError("not a time to wait between packets", text=str(gap_max_s),
                             where="max-gap", hint=f"0 to {GAP_MAX_S:g} seconds")
        self._speed, self._gap_max_ns = speed, np.uint64(gap_max_s * 1e9)
        self._latest_ns: int | None = None
        self._due_ns = 0

    def due(self, time_ns: Index) -> Index:
        """Return when the next frames are due; one older than the last leaves with it."""
        if not len(time_ns):
            return time_ns
        before = int(time_ns[0]) if self._latest_ns is None else self._latest_ns
        times = np.maximum.accumulate(np.concatenate([[before], time_ns]))
        # As times never go back, a gap fits into 64 bits even between the ends of their range.
        gaps = np.diff(times.view(np.uint64))
        steps = np.minimum(gaps, self._gap_max_ns).astype(np.float64) / self._speed
        due = self._due_ns + np.cumsum(steps.astype(np.int64))
        self._latest_ns, self._due_ns = int(times[-1]), int(due[-1])
        return due

    def again(self) -> None:
        """Let the first frame follow the last one at once."""
        self._latest_ns = None


class Rate:
    """Frames are evenly apart, `rate_pps` a second; 0 is as fast as the interface takes them."""

    def __init__(self, rate_pps: int) -> None:
        if rate_pps < 0:
            raise UsageError("a rate is 0 (no limit) or more", text=str(rate_pps), where="rate")
        self._rate, self._count = rate_pps, 0

    def due(self, time_ns: Index) -> Index:
        """Return when the next frames are due, whatever the file says."""
        number = self._count + np.arange(len(time_ns), dtype=np.int64)
        self._count += len(time_ns)
        if not self._rate:
            return np.zeros(len(time_ns), np.int64)
        seconds, rest = np.divmod(number, self._rate)
        due: Index = seconds * 1_000_000_000 + rest * 1_000_000_000 // self._rate
        return due

    def again(self) -> None:
        """Do nothing: frames only count."""


@dataclass(slots=True)
class Replayed:
    """What a replay did; it grows while the replay runs."""

    packets: int = 0
    """Packets that were to be sent so far."""
    sent: int = 0
    sent_bytes: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Packets that were not sent, by reason."""
    cut: int = 0
    """Packets among those sent of which the capture holds only the beginning."""
    loops: int = 0
    """How often the file was sent to its end."""
    late_max_ns: int = 0
    """How late the latest packet was."""
    start_ns: int = 0
    """When it began (Unix ns)."""
    elapsed_ns: int = 0
    reason: str = "done"
    """`done`, `interrupted` or `error`."""
    damage: str | None = None
    """What ended it early: the interface gone, or the file damaged."""

    @property
    def rate_pps(self) -> float:
        """Packets sent a second, first to last."""
        return self.sent * 1e9 / self.elapsed_ns if self.elapsed_ns else 0.0


class Replay:
    """Sends the packets of a capture on an interface, each when it is due.

    Raises `UsageError` for an interface that is missing or down and a capture of another link
    type, `PrivilegeError` without CAP_NET_RAW. Nothing is sent before `run`.
    """

    def __init__(
        self, capture: Capture, interface: str, *, pace: Pace | None = None, loops: int = 1,
    ) -> None:
        if not 1 <= loops <= LOOPS_MAX:
            raise UsageError("how often is a number from 1 on", text=str(loops), where="loop")
        if loops > 1 and not capture.rereadable:
            raise UsageError("a stream can be sent only once", where="loop",
                             hint="save it to a file first")
        self._capture, self._pace, self._loops = capture, pace or FileTime(), loops
        self._device = device_up(interface)
        self._check_link(capture.link_type)
        self._link: Link = PacketLink(interface, rx=False)
        self._stopped = False
        self._start_ns = 0
        self.done = Replayed()

    def stop(self) -> None:
        """End the replay soon; for signal handlers and other threads."""
        self._stopped = True

    def run(self) -> Replayed:
        """Send until the end; what went wrong on the way is in what is returned."""
        done = self.done
        done.start_ns, self._start_ns = Clock.unix(), Clock.now()
        try:
            with self._link:
                for _ in range(self._loops):
                    self._once()
                    if self._stopped:
                        break
                    done.loops += 1
                    self._pace.again()
        except PeerError as error:
            done.reason, done.damage = "error", str(error)
        if self._stopped and done.reason == "done":
            done.reason = "interrupted"
        return done

    def _once(self) -> None:
        for frames in self._capture.frames():
            self._send(self._sendable(frames))
            if self._stopped:
                return
        self.done.damage = self._capture.damage

    def _check_link(self, link_type: int | None) -> None:
        if link_type is not None and link_type != self._device.link_type:
            raise UsageError(
                f"packets of link type {_name(link_type)} cannot be sent on {self._device.name}, "
                f"which carries {_name(self._device.link_type)}", where="replay")

    def _sendable(self, frames: Frames) -> Frames:
        """Return the frames that the interface can carry, and count the others."""
        self.done.packets += len(frames)
        if frames.link_type != self._device.link_type:
            self.done.failed[OTHER_LINK] += len(frames)
            return frames.take(slice(0))
        fits = fitting(frames, self._device)
        if not fits.all():
            self.done.failed[NOT_FITTING] += int((~fits).sum())
            frames = frames.take(fits)
        return frames

    def _send(self, frames: Frames) -> None:
        due = self._pace.due(frames.time_ns)
        done, stuck_since = 0, Clock.now()
        while done < len(frames) and not self._stopped:
            now = self._since_start(int(due[done]))
            if (wait := int(due[done]) - now) > 0:
                time.sleep(min(wait, LOOK_NS) / 1e9)
                stuck_since = Clock.now()
                continue
            until = min(int(np.searchsorted(due, now, side="right")), done + BATCH)
            taken = self._link.send(frames.take(slice(done, until)))
            self._note(frames.take(slice(done, done + taken)), due[done : done + taken])
            done += taken
            if taken:
                stuck_since = Clock.now()
            elif Clock.now() - stuck_since > STUCK_NS:
                raise PeerError(f"{self._device.name} takes no frames any more")

    def _since_start(self, due_ns: int) -> int:
        """Return the time since the start, which moves when the next frame is far behind."""
        now = Clock.now() - self._start_ns
        behind = now - due_ns - BEHIND_MAX_NS
        if due_ns and behind > 0:
            self._start_ns += behind
            now -= behind
        return now

    def _note(self, frames: Frames, due: Index) -> None:
        if not len(frames):
            return
        done, now = self.done, Clock.now() - self._start_ns
        done.sent += len(frames)
        done.sent_bytes += int(frames.length.sum())
        done.cut += int((frames.length < frames.wire_length).sum())
        done.elapsed_ns = Clock.unix() - done.start_ns
        if due[-1]:  # without a rate nothing is due at any time
            done.late_max_ns = max(done.late_max_ns, now - int(due[0]))


def fitting(frames: Frames, device: Device) -> NDArray[np.bool_]:
    """Return which frames the kernel takes on a device.

    An Ethernet frame has a whole header, and a tag of 802.1Q does not count (packet_snd in Linux).
    """
    length = frames.length
    if device.link_type != LinkType.ETHERNET:
        return (length > 0) & (length <= device.mtu)
    fits = length >= ETHERNET_HEADER
    at = frames.offset[fits] + 12
    tag = (frames.buffer[at] == 0x81) & (frames.buffer[at + 1] == 0)
    fits[fits] = length[fits] <= device.mtu + ETHERNET_HEADER + VLAN_TAG * tag
    return fits


def _name(link_type: int) -> str:
    known = link_type in set(LinkType)
    return LinkType(link_type).name if known else str(link_type)
