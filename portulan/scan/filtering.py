"""Whether a filter before a host knows connections: what stray ACKs say after a SYN scan.

A host resets an ACK that belongs to no connection, whether its port is open or closed (RFC 9293
section 3.10.7). So ports that are silent to SYNs and reset ACKs stand behind a filter that looks
at each packet alone; and open ports that do not reset ACKs stand behind one that knows which
connections there are. Where ACKs to silent ports are silent too, nothing follows: either kind of
filter may drop a port altogether.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from portulan.scan.between import Grade, Verdict

#: Stray ACKs for one host: to silent ports and to open ones.
SILENT_ASKED: Final = 4
OPEN_ASKED: Final = 2
#: Frames that are named.
FRAMES_TOLD: Final = 8


@dataclass(frozen=True, slots=True)
class Stray:
    """A port that was asked by a stray ACK: what it was to a SYN, and whether it was reset."""

    port: int
    is_open: bool
    reset: bool
    frames: tuple[int, ...] = ()
    """Probe and reply in the evidence."""


def choose(ports: Sequence[int], most: int) -> list[int]:
    """Return at most so many of some ports, spread over all of them."""
    if len(ports) <= most:
        return list(ports)
    return [ports[at * (len(ports) - 1) // (most - 1)] for at in range(most)]


def judge_filter(host: int, silent: int, strays: Sequence[Stray]) -> Verdict | None:
    """Return what a host's answers to stray ACKs say; `silent` ports were silent to SYNs."""
    passed = [each for each in strays if not each.is_open and each.reset]
    opened = [each for each in strays if each.is_open]
    unanswered = f"SYNs to {silent:,} ports stay unanswered"
    if passed:
        asked = sum(not each.is_open for each in strays)
        grade = Grade.LIKELY if len(passed) > 1 else Grade.SUSPECTED
        return Verdict(host, grade, "a stateless filter, which looks at each packet alone", (
            unanswered,
            f"stray ACKs to {len(passed)} of {asked} of them are reset ({_ports(passed)})",
            *_frames(passed),
        ))
    if silent and opened and not any(each.reset for each in opened):
        grade = Grade.LIKELY if len(opened) > 1 else Grade.SUSPECTED
        return Verdict(host, grade, "a stateful filter, which knows connections", (
            unanswered,
            f"stray ACKs to open ports are not reset, as hosts do by themselves ({_ports(opened)})",
        ))
    return None


def _ports(strays: Sequence[Stray]) -> str:
    return f"port{'s' * (len(strays) > 1)} {', '.join(str(each.port) for each in strays)}"


def _frames(strays: Sequence[Stray]) -> list[str]:
    numbers = [number for each in strays for number in each.frames]
    shown = ", ".join(map(str, numbers[:FRAMES_TOLD]))
    return [f"frames {shown}"] if shown else []
