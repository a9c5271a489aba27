"""Edge-triggered readiness of many sockets under one asyncio reader.

asyncio's own watchers are level-triggered: a relay that waits now for the source, now for the sink
would change its registration with every block (two system calls and two handles each). Here a
socket is registered once for its life, in an epoll set of ours whose descriptor asyncio watches.
Who is woken must go on until the kernel says EAGAIN, or ask for another turn with `again`.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final, TypeAlias

Wake: TypeAlias = Callable[[int], None]

#: Events fetched with one system call; what remains is fetched in the loop's next turn, so that
#: timers and other tasks get theirs.
EVENTS_MAX: Final = 256

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
#: The peer's end or an error is already queued: read on until it shows, no further edge will come.
CLOSING: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_EVERYTHING: Final = READ | WRITE | select.EPOLLRDHUP | select.EPOLLET


class Edges:
    """A set of watched descriptors; wakes may come without cause and must be harmless then."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._poll = select.epoll()
        self._wakes: dict[int, Wake] = {}
        self._again: dict[Wake, None] = {}
        loop.add_reader(self._poll.fileno(), self._turn)

    def watch(self, number: int, wake: Wake) -> None:
        """Call `wake(mask)` whenever a descriptor becomes readable, writable, closed or broken.

        A descriptor that is watched already changes hands: its new owner is woken at once as for
        everything, since the edges before went to the old one.
        """
        known = number in self._wakes
        self._wakes[number] = wake
        if known:
            self.again(wake)
        else:
            self._poll.register(number, _EVERYTHING)

    def forget(self, number: int) -> None:
        """Wake nobody for this descriptor any more; call it before closing, which unregisters."""
        self._wakes.pop(number, None)

    def again(self, wake: Wake) -> None:
        """Wake this one in the next turn: it stopped although there was more to do."""
        if not self._again:
            self._loop.call_soon(self._once_more)
        self._again[wake] = None

    def close(self) -> None:
        """Stop watching; the descriptors themselves stay open."""
        if not self._poll.closed:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()
        self._wakes.clear()
        self._again.clear()

    def _turn(self) -> None:
        for number, mask in self._poll.poll(0, EVENTS_MAX):
            wake = self._wakes.get(number)
            if wake is not None:
                wake(mask)
            if self._poll.closed:
                return

    def _once_more(self) -> None:
        waiting, self._again = self._again, {}
        for wake in waiting:
            wake(READ | WRITE | select.EPOLLRDHUP)
