"""Hundreds of dialogues at once: who runs behind open ports, within budgets for each host."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from portulan.drive.clock import Clock
from portulan.drive.identifying_wire import Address, Wire
from portulan.ident.dialogue import (
    Close,
    Dialogue,
    Ending,
    Manner,
    Open,
    Outcome,
    Secure,
    Send,
)
from portulan.ident.dialogue_known import Secured
from portulan.ident.judge import judge
from portulan.ident.probes import DATAGRAMS, Probe
from portulan.ident.reply import Reply
from portulan.ident.rules import Book
from portulan.scan.payloads import BY_PORT, PAYLOADS, Payload
from portulan.sockets.connects import descriptor_room

DIALOGUES_MAX: Final = 192
"""Dialogues at once, where descriptors allow."""
SOCKETS_WANTED: Final = 3_000
"""Descriptors asked for: all dialogues with as many connections as they may have."""
WARM_HTTP_S: Final = 0.1
"""HTTP's rules are most of all; a greeting that comes at once need not wait for them."""
LANES_USUAL: Final = 4
"""Connections that a dialogue has open on average; where more are, the kernel makes some wait."""
HOST_DIALOGUES_MAX: Final = 48
"""Dialogues at once with one host, which a small machine still bears."""
SILENT_MAX: Final = 24
"""Ports of one host that say nothing, after which its others get less time: a tarpit."""
HURRIED: Final = replace(
    Manner(), budget_ns=2_500_000_000, usual_greet_ns=1_000_000_000, patience_ns=2_000_000_000,
    answer_ns=1_000_000_000)
"""The manner towards a host of tarpits."""
MUTE_MAX: Final = 300
"""Silent ports of a host where none has answered, after which its others are not asked: something
takes connections on all ports, and nobody is behind them."""
ELSEWHERE: Final = frozenset({"tftp"})
"""What is answered from another port than the one that was asked."""
UDP_LIKELY: Final = (
    "dns", "ntp-v4", "snmp-v3", "sip", "tftp", "radius", "stun", "coap-ping", "openvpn",
    "snmp-v1", "ssdp", "memcached", "portmap", "ike-v2", "quic", "dtls", "lines", "mumble",
    "netbios-ns", "nfs", "l2tp", "kerberos", "cldap", "steam", "quake3", "raknet",
    "minecraft-query", "dht", "ws-discovery", "mdns", "nat-pmp", "xdmcp", "iax2", "openvpn",
    "mssql-browser", "slp", "rip", "ntp-v3", "ipmi",
)
"""What a UDP port is asked of which nothing is known, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A port whose service is to be named; `name` is what the user called the host."""

    addr: str
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str = ""
    scope_id: int = 0

    @property
    def address(self) -> Address:
        """The socket's address."""
        if ":" in self.addr:
            return self.addr.partition("%")[0], self.port, 0, self.scope_id
        return self.addr, self.port

    @property
    def host(self) -> str:
        """The host as a client would write it in a request."""
        host = self.name or (f"[{self.addr}]" if ":" in self.addr else self.addr)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Identified:
    """What became of one port; `elapsed_ns` is from its first connection on."""

    aim: Aim
    outcome: Outcome
    elapsed_ns: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and for how long."""

    host_timeout_s: float = 0.0
    """From a host's first dialogue to the end of its last; 0: none."""
    dialogues: int = DIALOGUES_MAX
    per_host: int = HOST_DIALOGUES_MAX
    manner: Manner = field(default_factory=Manner)
    interface: str = ""
    contact: str = ""
    """Whom to ask about us; HTTP servers are told."""


class Identification:
    """Names the services behind `aims`: iterate `found()`; `stop()` ends with what is known."""

    def __init__(
        self, aims: Iterable[Aim], *, limits: Limits | None = None, book: Book | None = None,
    ) -> None:
        self._aims = list(aims)
        self._limits, self._book = limits or Limits(), book
        self._news: queue.Queue[Identified | BaseException | None] = queue.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crew: _Crew | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End soon, with what is known; may be called from another thread."""
        self._stopped.set()
        loop, crew = self._loop, self._crew
        if loop is not None and crew is not None and not loop.is_closed():
            loop.call_soon_threadsafe(crew.stop)

    def found(self) -> Iterator[Identified]:
        """Yield each port as soon as it is named, or is not going to be."""
        if not self._aims:
            return
        thread = threading.Thread(target=self._work, name="portulan-identify", daemon=True)
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
            asyncio.run(self._main())
        except BaseException as error:  # handed to the caller's thread, whatever it is
            self._news.put(error)
        else:
            self._news.put(None)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._crew = _Crew(self._aims, self._limits, self._book, self._news.put)
        if self._stopped.is_set():
            self._crew.stop()
        await self._crew.done


class _Host:
    """One host's share: its aims that wait, and how it has behaved."""

    def __init__(self) -> None:
        self.waiting: deque[Aim] = deque()
        self.talking: set[_Talk] = set()
        self.silent = 0
        self.answered = 0
        self.over = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def tarpit(self) -> bool:
        """Whether it wastes time: much silence and hardly an answer."""
        return self.silent >= SILENT_MAX and self.silent > 4 * self.answered

    @property
    def hollow(self) -> bool:
        """Whether asking it on is in vain."""
        return self.silent >= MUTE_MAX and not self.answered


class _Crew:
    """Starts dialogues host by host in turn, and ends a host whose time is up."""

    def __init__(
        self, aims: list[Aim], limits: Limits, book: Book | None,
        tell: Callable[[Identified], None],
    ) -> None:
        self._limits, self._book, self._tell = limits, book, tell
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._hosts: dict[str, _Host] = {}
        for aim in aims:
            self._hosts.setdefault(aim.addr, _Host()).waiting.append(aim)
        self._turn = deque(self._hosts.values())
        self._left, self._talking = len(aims), 0
        self._room = max(1, min(limits.dialogues, descriptor_room(SOCKETS_WANTED) // LANES_USUAL))
        self._loop.call_soon(self._fill)
        # Behind the first connects: while they are under way there is time to load the rules.
        self._loop.call_soon(self._loop.call_soon, warm, book)

    def stop(self) -> None:
        """End all dialogues with what they know."""
        for host in self._hosts.values():
            self._end_host(host)

    def _fill(self) -> None:
        """Start what there is room for, one port of each host in turn."""
        idle = 0
        while self._talking < self._room and idle < len(self._turn):
            host = self._turn[0]
            self._turn.rotate(-1)
            if host.waiting and len(host.talking) < self._limits.per_host:
                idle = 0
                self._start(host, host.waiting.popleft())
            else:
                idle += 1
        self._turn = deque(h for h in self._turn if h.waiting)
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def _start(self, host: _Host, aim: Aim) -> None:
        timeout_s = self._limits.host_timeout_s
        if timeout_s and host.timer is None:
            host.timer = self._loop.call_later(timeout_s, self._end_host, host)
        manner = HURRIED if host.tarpit else self._limits.manner
        talk = _Talk(aim, manner, self._book, self._limits,
                     lambda talk: self._ended(host, talk))
        host.talking.add(talk)
        self._talking += 1
        talk.pump()

    def _ended(self, host: _Host, talk: _Talk) -> None:
        host.talking.discard(talk)
        self._talking -= 1
        self._left -= 1
        outcome = talk.dialogue.outcome()
        if outcome.replies:
            host.answered += 1
        elif outcome.state == "silent":
            host.silent += 1
        self._tell(Identified(talk.aim, outcome, talk.elapsed_ns))
        if host.hollow:
            self._end_host(host)
        if not self._left and host.timer is not None:
            host.timer.cancel()
        self._loop.call_soon(self._fill)

    def _end_host(self, host: _Host) -> None:
        """Report all that is left of a host: ended dialogues as they stand, others as not asked."""
        waiting, host.waiting = list(host.waiting), deque()
        for talk in list(host.talking):
            talk.stop()
        for aim in waiting:
            self._left -= 1
            self._tell(Identified(aim, Outcome("stopped", None, None, (), (), 0), 0))
        self._loop.call_soon(self._fill)


class _Talk:
    """Runs one dialogue on sockets and the clock."""

    def __init__(
        self, aim: Aim, manner: Manner, book: Book | None, limits: Limits,
        ended: Callable[[_Talk], None],
    ) -> None:
        self.aim = aim
        self._interface, self._ended = limits.interface, ended
        self._loop = asyncio.get_running_loop()
        self._began = Clock.now()
        self.elapsed_ns = 0
        probes = udp_probes(aim.port) if aim.protocol == "udp" else None
        self.dialogue = Dialogue(
            aim.port, aim.protocol, now=self._began, host=aim.host,
            contact=limits.contact, manner=manner, book=book, probes=probes)
        self._wires: dict[int, Wire] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def stop(self) -> None:
        """End with what is known."""
        self.dialogue.stop()
        self.pump()

    def pump(self) -> None:
        """Do what the dialogue wants, and call again when it will want more."""
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for action in self.dialogue.emit(Clock.now()):
            match action:
                case Open(lane, elsewhere):
                    self._wires[lane] = wire = Wire(
                        lane, self.aim.address, self.aim.protocol, told=self, name=self.aim.name,
                        interface=self._interface, elsewhere=elsewhere)
                    wire.open()
                case Send(lane, data) if lane in self._wires:
                    self._wires[lane].send(data)
                case Secure(lane) if lane in self._wires:
                    self._loop.call_soon(self._secure, lane)
                case Close(lane) if lane in self._wires:
                    self._wires.pop(lane).close()
                case _:
                    pass  # news crossed: the wire has ended meanwhile
        if self.dialogue.done:
            self._finish()
        elif (due := self.dialogue.deadline()) is not None:
            wait_s = max(due - Clock.now(), 0) / 1e9
            self._timer = self._loop.call_later(wait_s, self.pump)

    def _secure(self, lane: int) -> None:
        if lane in self._wires:
            self._wires[lane].secure()

    def _finish(self) -> None:
        self._over = True
        self.elapsed_ns = Clock.now() - self._began
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()
        self._ended(self)

    # -- news of wires -----------------------------------------------------------------------

    def opened(self, number: int, rtt_ns: int) -> None:
        """Tell the dialogue."""
        self.dialogue.opened(number, Clock.now(), rtt_ns)
        self.pump()

    def heard(self, number: int, data: bytes) -> None:
        """Tell the dialogue."""
        self.dialogue.heard(number, data, Clock.now())
        self.pump()

    def secured(self, number: int, secured: Secured) -> None:
        """Tell the dialogue."""
        self.dialogue.secured(number, secured, Clock.now())
        self.pump()

    def ended(self, number: int, why: Ending) -> None:
        """Tell the dialogue."""
        self._wires.pop(number, None)
        self.dialogue.ended(number, why, Clock.now())
        self.pump()


def warm(book: Book | None = None) -> None:
    """Load what judges replies before the first one comes: what all need, then what HTTP needs."""
    judge(Reply("tcp", b"SSH-2.0-x_1\r\n"), book)
    http = Reply("tcp", b"HTTP/1.1 200 OK\r\nServer: nginx/1\r\n\r\n")
    asyncio.get_running_loop().call_later(WARM_HTTP_S, judge, http, book)


def udp_probes(port: int) -> list[Probe]:
    """Return the payloads for a UDP port: those of its usual services, then the likeliest."""
    payloads = {
        p.name: Probe(p.name, _with_id(p), p.ports, p.source, "udp", elsewhere=p.name in ELSEWHERE)
        for p in PAYLOADS
    }
    known = payloads | {probe.name: probe for probe in DATAGRAMS}
    usual = [PAYLOADS[number].name for number in BY_PORT.get(port, ())]
    usual += [probe.name for probe in DATAGRAMS if port in probe.ports]
    return [known[name] for name in dict.fromkeys([*usual, *UDP_LIKELY])]


def _with_id(payload: Payload) -> bytes:
    """Return a payload with an id in its place: OpenVPN answers no session that is zero."""
    mark = payload.mark
    if mark is None:
        return payload.body
    number = (b"3170" if mark.hexadecimal else b"portulan") * (mark.width // 4 + 1)
    return payload.body[: mark.at] + number[: mark.width] + payload.body[mark.at + mark.width :]
