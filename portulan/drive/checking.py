"""Run safe checks at places: many at once, each held to its budget."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from portulan.drive.clock import Clock
from portulan.drive.identifying_wire import Address, Wire
from portulan.ident.checks import Check, Place, Say, Told
from portulan.ident.dialogue import Ending
from portulan.ident.dialogue_known import Secured

AT_ONCE: Final = 64
"""Places at work together; the checks of one place follow each other."""
HOST_AT_ONCE: Final = 8
"""Places of one host at work together."""
QUIET_S: Final = 2.0
"""Silence after which an answer counts as ended."""
TOLD_MAX: Final = 32
"""Sentences taken of one check at one place."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one check told of one place; `ended` says why it was cut off, if it was."""

    place: Place
    check: Check
    told: Sequence[Told]
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A place, how it is reached, and what is to be checked there."""

    place: Place
    address: Address
    checks: Sequence[Check]
    name: str = ""
    interface: str = ""


class Checking:
    """Runs the checks of each visit: iterate `found()`; `stop()` ends soon."""

    def __init__(self, visits: Iterable[Visit]) -> None:
        self._visits = list(visits)
        self._news: queue.Queue[Found | BaseException | None] = queue.Queue()
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """End soon; what was found is told already."""
        self._stopped.set()
        loop, main = self._loop, self._main
        if loop is not None and main is not None and not loop.is_closed():
            loop.call_soon_threadsafe(main.cancel)

    def found(self) -> Iterator[Found]:
        """Yield what each check found, as soon as it has."""
        thread = threading.Thread(target=self._work, name="portulan-checks", daemon=True)
        thread.start()
        try:
            while (item := self._news.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.stop()
            thread.join()

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._news.put(None)
        except BaseException as error:  # handed to the caller's thread, whatever it is
            self._news.put(error)
        else:
            self._news.put(None)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        if self._stopped.is_set():
            return
        room = asyncio.Semaphore(AT_ONCE)
        hosts: dict[str, asyncio.Semaphore] = {}
        async with asyncio.TaskGroup() as group:
            for visit in self._visits:
                host = hosts.setdefault(
                    visit.place.service.addr, asyncio.Semaphore(HOST_AT_ONCE))
                group.create_task(self._visit(visit, room, host))

    async def _visit(
        self, visit: Visit, room: asyncio.Semaphore, host: asyncio.Semaphore
    ) -> None:
        async with host, room:
            for check in visit.checks:
                self._news.put(await _perform(visit, check))


async def _perform(visit: Visit, check: Check) -> Found:
    """Return what a check finds at a place, within its budget."""
    talk = _Talk(visit, check)
    told: Sequence[Told] = ()
    ended = ""
    script = check.script(visit.place)
    try:
        async with asyncio.timeout(check.seconds):
            try:
                say = next(script)
                while True:
                    say = script.send(await talk.say(say))
            except StopIteration as end:
                told = list(end.value or ())[:TOLD_MAX]
    except TimeoutError:
        ended = f"{check.seconds:g} seconds were not enough"
    except _OverError as over:
        ended = str(over)
    except Exception as error:  # a check may be a user's own: it must not end the scan
        ended = f"{type(error).__name__}: {error}"
    finally:
        talk.close()
        with contextlib.suppress(RuntimeError):
            script.close()
    return Found(visit.place, check, told, ended)


class _OverError(Exception):
    """A check asks for more than its budget."""


class _Talk:
    """The connections of one check, one after the other."""

    def __init__(self, visit: Visit, check: Check) -> None:
        self._visit, self._check = visit, check
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._number = self._octets = 0
        self._plain = False
        self._ready: asyncio.Future[bool] = self._loop.create_future()
        self._news = asyncio.Event()
        self._data = bytearray()

    async def say(self, what: Say) -> bytes:
        """Say something and return the answer; empty if nothing came."""
        if what.fresh or self._wire is None or self._plain != what.plain:
            await self._open(plain=what.plain)
        if self._wire is None:
            return b""
        if what.data:
            self._wire.send(what.data)
        return await self._answer(what)

    async def _answer(self, what: Say) -> bytes:
        quiet_at = Clock.now() + int(QUIET_S * 1e9)
        size = 0
        while self._wire is not None:
            if what.enough is not None and self._data and what.enough(bytes(self._data)):
                break
            if len(self._data) > size:
                size, quiet_at = len(self._data), Clock.now() + int(QUIET_S * 1e9)
            left = (quiet_at - Clock.now()) / 1e9
            if left <= 0:
                break
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
            if self._octets > self._check.octets:
                raise _OverError(f"more than {self._check.octets} bytes came")
        answer = bytes(self._data)
        self._data.clear()
        return answer

    async def _open(self, *, plain: bool) -> None:
        self.close()
        if self._number >= self._check.connections:
            raise _OverError(f"more than {self._check.connections} connections wanted")
        self._number += 1
        self._plain = plain
        self._data.clear()
        self._ready = self._loop.create_future()
        service = self._visit.place.service
        self._wire = Wire(
            self._number, self._visit.address, service.protocol, told=self, name=self._visit.name,
            interface=self._visit.interface)
        self._wire.open()
        if not await self._ready:
            self.close()

    def close(self) -> None:
        """Drop the connection."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # -- news of the wire ------------------------------------------------------------------

    def _is_ready(self, ready: bool) -> None:
        if not self._ready.done():
            self._ready.set_result(ready)

    def opened(self, number: int, rtt_ns: int) -> None:
        """Go on to TLS where the service is inside it."""
        if self._visit.place.secure and not self._plain and self._wire is not None:
            self._loop.call_soon(self._wire.secure)
        else:
            self._is_ready(True)

    def secured(self, number: int, secured: Secured) -> None:
        """Take TLS for ready."""
        self._is_ready(True)

    def heard(self, number: int, data: bytes) -> None:
        """Keep what came, within the budget."""
        self._octets += len(data)
        if self._octets <= self._check.octets:
            self._data += data
        self._news.set()

    def ended(self, number: int, why: Ending) -> None:
        """Remember that there is no connection any more."""
        if number == self._number:
            self._wire = None
            self._is_ready(False)
            self._news.set()
