"""`portulan listen`: wait for clients; talk with them, echo, chat, pass on, run a program."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from portulan.cli.connect_terminal import LineEditor
    from portulan.cli.ledger import Ledger
    from portulan.sockets.acceptor import Acceptor, Handler, Note
    from portulan.sockets.access import AccessList
    from portulan.sockets.endpoint import Endpoint
    from portulan.sockets.room import Room
    from portulan.sockets.services import Crowd
    from portulan.sockets.stream import Stream

EXIT_FAULT, EXIT_IDLE = 2, 3
NOTES_PER_S = 10
"""Lines about refused clients in a second: a flood of them must not become one of ours."""
LAST_WORDS_S = 5.0
"""For the last client's data to be taken."""
INPUT_SIZE = 65_536
SCREEN_LINES = 1_000
"""Lines of a chat that wait for a slow terminal."""
SERVICES = ("echo", "chat", "broker", "exec")
FLAGS = {"cert": "--cert", "key": "--key", "ca": "--ca", "alpn": "--alpn", "join": "--join",
         "interface": "--interface"}


@click.command("listen")
@click.argument("endpoint", metavar="[ADDR:]PORT|ENDPOINT")
@click.argument("port", required=False)
@click.option("-u", "--udp", is_flag=True, help="UDP: what we say goes to all who have sent.")
@click.option("-k", "--keep-open", is_flag=True,
              help="Many clients: their bytes on stdout, stdin to all of them.")
@click.option("--echo", is_flag=True, help="Send back what comes.")
@click.option("--chat", is_flag=True, help="Clients talk in lines, with names.")
@click.option("--broker", is_flag=True, help="What one client says goes to all others.")
@click.option("-e", "--exec", metavar="CMD",
              help="Run CMD for each client; PORTULAN_PEER_ADDR and others tell who calls.")
@click.option("--once", is_flag=True, help="Serve one client (of UDP: one datagram), then end.")
@click.option("--allow", multiple=True, metavar="NETS", help="Only these may connect; as in scans.")
@click.option("--deny", multiple=True, metavar="NETS", help="These may not; wins over --allow.")
@click.option("-m", "--max-conns", type=click.IntRange(1), default=None, metavar="N",
              help="At most so many at once; more wait in the kernel.")
@click.option("--rate", type=click.FloatRange(0.001), default=None, metavar="N",
              help="New connections (of UDP: datagrams) a second by one address, at most.")
@click.option("-i", "--idle", metavar="S", help="Drop a client after so many seconds of silence.")
@click.option("--crlf", is_flag=True, help="End the lines we send with CR LF.")
@click.option("--text/--binary", default=None,
              help="Escape clients' control characters (on a terminal), or not (elsewhere).")
@click.option("--encode", metavar="FORM", help="What we send: hex, base64, shift_jis, euc-kr, ...")
@click.option("--decode", metavar="FORM", help="What clients send: as --encode.")
@click.option("--hex", "dump", is_flag=True, help="Dump both directions of one client on stderr.")
@click.option("--tls", is_flag=True, help="TLS; without --cert with a throw-away certificate.")
@click.option("--cert", metavar="FILE", help="Our certificate, PEM.")
@click.option("--key", metavar="FILE", help="Its key, PEM.")
@click.option("--ca", metavar="FILE", help="Ask clients for certificates of these authorities.")
@click.option("--alpn", metavar="NAMES", help="Protocols to take, the preferred first.")
@click.option("--join", metavar="GROUPS", help="Multicast groups to join (UDP).")
@click.option("--interface", metavar="NAME", help="Only this interface.")
@click.option("--keep", is_flag=True, help="Keep the connections in a chart.")
@click.option("--json", "as_json", is_flag=True,
              help="Print each ended connection as JSON (with --echo, --broker, --exec).")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr who comes and goes.")
@click.pass_context
def listen(ctx: click.Context, /, endpoint: str, port: str | None, **given: object) -> None:
    """Wait for clients at an endpoint.

    A bare PORT is on the loopback; 0.0.0.0:PORT is every IPv4 address, *:PORT every address; port
    0 takes a free one. "listening on ADDR:PORT" on stderr says when clients may come. Without
    --keep-open the first client is talked with as by connect, and its end is ours. --echo, --chat,
    --broker and --exec serve many, --once makes it one.

    Exit codes: 0 the client ended, 2 it cannot be listened there or a client broke off, 3 ended
    by --idle.
    """
    from portulan.cli.ledger import Ledger
    from portulan.drive.clock import Clock
    from portulan.sockets.acceptor import raise_file_limit

    plan = _plan(endpoint, port, given)
    raise_file_limit()
    with Ledger(verb="listen", targets=[str(plan.end)], argv=sys.argv, keep=bool(given["keep"]),
                as_json=bool(given["as_json"]), clock=Clock.unix, say=None) as ledger:
        code = asyncio.run(_until_signal(replace(plan, ledger=ledger)))
    ctx.exit(code)


@dataclass(frozen=True)
class _Plan:
    end: Endpoint
    service: str
    """One of SERVICES, or empty: our pipes are the other end."""
    once: bool
    idle: float
    access: AccessList
    given: dict[str, object]
    ledger: Ledger | None = None


def _plan(endpoint: str, port: str | None, given: dict[str, object]) -> _Plan:
    from portulan.cli.connect import _seconds
    from portulan.errors import UsageError
    from portulan.sockets.access import AccessList
    from portulan.sockets.pipes import command_words

    services = [name for name in SERVICES if given[name]]
    if len(services) > 1:
        raise UsageError("only one of --echo, --chat, --broker, --exec", where=f"--{services[1]}",
                         hint=f"leave it or --{services[0]} out")
    service = services[0] if services else ""
    end = _endpoint(endpoint, port, given)
    if end.is_datagram and service in {"exec", "chat"}:
        raise UsageError(f"datagrams know no --{service}", where=f"--{service}",
                         hint="use TCP, or --echo, --broker")
    if given["exec"]:
        command_words(str(given["exec"]), where="--exec")
    _check_forms(end, service, given)
    _check_ledger(end, service, given)
    many = bool(given["keep_open"]) or bool(service)
    if given["dump"] and (many or end.is_datagram):
        raise UsageError("a dump shows one client", where="--hex", hint="use it without "
                         f"{f'--{service}' if service else '--keep-open'}")
    allow, deny = _words(given["allow"]), _words(given["deny"])
    once = bool(given["once"]) or not (many or end.is_datagram)
    return _Plan(end, service, once,
                 _seconds(given, "idle", 0.0), AccessList.of(allow, deny), given)


def _check_forms(end: Endpoint, service: str, given: dict[str, object]) -> None:
    """Refuse what would be ignored, and forms that do not exist, before anyone comes."""
    from portulan.cli.connect import _incoming, _outgoing
    from portulan.errors import UsageError

    _incoming(given, to_person=False)
    _outgoing(given)
    shaping = [name for name in ("crlf", "encode", "decode", "text") if given[name]]
    if service and shaping:
        raise UsageError(f"it is for our stdin and stdout, not for --{service}",
                         where=f"--{shaping[0]}", hint=f"leave it or --{service} out")
    if end.is_datagram and given["max_conns"]:
        raise UsageError("datagrams make no connections", where="--max-conns",
                         hint="--rate limits datagrams")


def _check_ledger(end: Endpoint, service: str, given: dict[str, object]) -> None:
    from portulan.errors import UsageError

    flag = "--keep" if given["keep"] else "--json" if given["as_json"] else ""
    if flag and end.is_datagram:
        raise UsageError("datagrams make no connections", where=flag,
                         hint="portulan relay notes flows of UDP")
    if given["as_json"] and service not in {"echo", "broker", "exec"}:
        raise UsageError("stdout is for what clients say", where="--json",
                         hint="--keep, then portulan charts show last --json")


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, tuple) else []


def _endpoint(text: str, port: str | None, given: dict[str, object]) -> Endpoint:
    from portulan.errors import UsageError
    from portulan.sockets.endpoint import Endpoint

    if given["udp"] and given["tls"]:
        raise UsageError("UDP and TLS exclude each other", where="--tls",
                         hint="leave --udp or --tls out")
    words: str | tuple[str, str] = (text, port) if port else text
    end = Endpoint.parse(words, where="listen", scheme="udp" if given["udp"] else "tcp",
                         listening=True)
    if given["tls"] and end.scheme == "tcp":
        end = replace(end, scheme="tls")
    for name, flag in FLAGS.items():
        if given[name]:
            end = end.with_option(name, str(given[name]), where=flag)
    return end


async def _until_signal(plan: _Plan) -> int:
    """Run until it ends by itself, or a signal asks for a tidy end."""
    loop, work = asyncio.get_running_loop(), asyncio.create_task(_run(plan))
    came: list[int] = []

    def stop(number: int) -> None:
        came.append(number)
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await work
    except asyncio.CancelledError:
        return 128 + came[0]


async def _run(plan: _Plan) -> int:
    from portulan.cli.connect_terminal import terminal

    with terminal(wanted=plan.service in {"", "chat"}) as editor:
        if plan.end.is_datagram:
            return await _datagrams(plan, editor)
        if plan.once and not plan.service:
            return await _one(plan, editor)
        return await _many(plan, editor)


async def _open(plan: _Plan, handler: Handler, max_conns: int = 0) -> Acceptor:
    from portulan.drive.clock import Clock
    from portulan.errors import printable
    from portulan.sockets.acceptor import listen as open_listener

    limit, rate = plan.given["max_conns"], plan.given["rate"]
    ledger = plan.ledger
    acceptor = await open_listener(
        plan.end, handler, access=plan.access, note=_Notes(),
        max_conns=max_conns or (limit if isinstance(limit, int) else 0),
        rate=rate if isinstance(rate, float) else 0.0,
        record=ledger.record if ledger and ledger.wanted else None, clock=Clock.unix,
    )
    for address in acceptor.addresses:
        _say(f"listening on {printable(address)}")
    if acceptor.fingerprint:
        _say(f"certificate sha256 {acceptor.fingerprint}")
    if ledger and ledger.folder:
        _say(f"kept in chart {ledger.folder.id}")
    return acceptor


def _say(line: str) -> None:
    click.echo(line, err=True)


class _Notes:
    """Lines about clients that were not served, a few a second."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._second, self._count = 0, 0

    def __call__(self, note: Note) -> None:
        second = int(self._clock())
        if second != self._second:
            if self._count > NOTES_PER_S:
                _say(f"portulan: and {self._count - NOTES_PER_S} more")
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= NOTES_PER_S:
            _say(f"portulan: {note.peer}: {note.text}" if note.peer else f"portulan: {note.text}")


async def _one(plan: _Plan, editor: LineEditor | None) -> int:
    """Talk with the first client; once it is there, new ones are refused."""
    from portulan.sockets.acceptor import Closed

    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def talk(stream: Stream) -> None:
        if done.done():
            return
        acceptor.stop_listening()
        _came(plan, stream)
        try:
            code = await _converse(plan, editor, stream)
        finally:
            _left(plan, stream)
        done.set_result(code)
        if code:
            raise Closed("idle" if code == EXIT_IDLE else "client-reset")

    async with await _open(plan, talk, max_conns=1) as acceptor:
        return await done


async def _converse(plan: _Plan, editor: LineEditor | None, stream: Stream) -> int:
    from portulan.cli.connect import _conversation, _reader_gone
    from portulan.errors import PeerError
    from portulan.sockets.converse import SinkGone
    from portulan.sockets.faults import words

    how = _conversation({"send": None, "no_eof": False, **plan.given}, editor, plan.idle)
    try:
        if await how.hold(stream):
            return 0
    except SinkGone:
        return _reader_gone(stream)
    except (OSError, PeerError) as error:
        _say(f"portulan: {stream.peer}: {words(error)}")
        return EXIT_FAULT
    _say(f"portulan: {stream.peer}: silent for {plan.idle:g} s")
    stream.abort()
    return EXIT_IDLE


async def _many(plan: _Plan, editor: LineEditor | None) -> int:
    """Serve clients, each by the service that was chosen."""
    from portulan.sockets.idle import IdleStream

    done = asyncio.Event()
    handler, side_work = _service(plan, editor)

    async def serve(stream: Stream) -> None:
        if plan.once:
            acceptor.stop_listening()
        _came(plan, stream)
        try:
            await handler(IdleStream(stream, plan.idle) if plan.idle else stream)
        finally:
            _left(plan, stream)
            if plan.once:
                done.set()

    async with await _open(plan, serve, max_conns=1 if plan.once else 0) as acceptor:
        try:
            await done.wait()
        finally:
            if side_work:
                side_work.cancel()
        await acceptor.close(grace=LAST_WORDS_S)
    return 0


def _service(plan: _Plan, editor: LineEditor | None) -> tuple[Handler, asyncio.Task[None] | None]:
    from portulan.sockets.room import Broker, Chat
    from portulan.sockets.services import echo, run_program

    if plan.service == "echo":
        return echo, None
    if plan.service == "broker":
        return Broker().serve, None
    if plan.service == "exec":
        command = str(plan.given["exec"])
        return lambda stream: run_program(stream, command), None
    if plan.service == "chat":
        screen = _Screen()
        chat = Chat(screen.show)
        return chat.serve, asyncio.create_task(_beside(screen, _speak(chat, editor, chat.speak)))
    return _gather(plan, editor)


class _Screen:
    """Lines for our stdout; whoever does not read them loses the oldest, and holds up no one."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=SCREEN_LINES)
        self._filled = asyncio.Event()

    def show(self, line: str) -> None:
        """Queue a line."""
        self._lines.append(line)
        self._filled.set()

    async def write(self) -> None:
        """Write what is queued, for ever."""
        from portulan.sockets.pipes import PipeWriter

        sink = PipeWriter(1, own=False)
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._lines:
                await sink.write(f"{self._lines.popleft()}\n".encode())


async def _beside(screen: _Screen, speaking: Coroutine[None, None, None]) -> None:
    """Write to the screen while we speak, and afterwards."""
    await asyncio.gather(speaking, screen.write())


def _gather(plan: _Plan, editor: LineEditor | None) -> tuple[Handler, asyncio.Task[None]]:
    """Many clients at our pipes: stdin to all, what they say on stdout."""
    from portulan.cli.connect import _incoming, _outgoing
    from portulan.sockets.coding import chain
    from portulan.sockets.pipes import PipeWriter
    from portulan.sockets.room import Member, Room

    room, sink, turn = Room(), PipeWriter(1, own=False), asyncio.Lock()
    to_person = sys.stdout.isatty()

    async def serve(stream: Stream) -> None:
        code = chain(_incoming(plan.given, to_person=to_person))

        async def put(member: Member | None, data: bytes) -> None:
            async with turn:  # what one client sent at once stays together
                await sink.write(code(data, final=member is None))

        await room.host(stream, put)
        await put(None, b"")

    outgoing = chain(_outgoing(plan.given))
    return serve, asyncio.create_task(_speak(room, editor, lambda data: room.say(outgoing(data))))


async def _speak(room: Room, editor: LineEditor | None, say: Callable[[bytes], None]) -> None:
    """Say what stdin holds while someone is there to hear it; its end ends nothing."""
    from portulan.sockets.pipes import PipeReader

    source = editor or PipeReader(0, own=False)
    await room.arrival.wait()
    while data := await source.read(INPUT_SIZE):
        await room.arrival.wait()
        say(data)
        await room.drained()


def _came(plan: _Plan, stream: Stream) -> None:
    from portulan.cli.connect import describe_tls

    if plan.given["verbose"]:
        tls = f", {describe_tls(stream)}" if stream.facts.tls else ""
        _say(f"{stream.peer} is here{tls}")


def _left(plan: _Plan, stream: Stream) -> None:
    if plan.given["verbose"]:
        _say(f"{stream.peer} has left: {stream.received} bytes received, {stream.sent} sent")


async def _datagrams(plan: _Plan, editor: LineEditor | None) -> int:
    """Receive datagrams; what we say goes to all who have sent."""
    from portulan.cli.connect import _outgoing
    from portulan.sockets.acceptor import bind_datagrams
    from portulan.sockets.coding import chain
    from portulan.sockets.pipes import PipeReader
    from portulan.sockets.services import Crowd

    rate = plan.given["rate"]
    sock = await bind_datagrams(plan.end)
    crowd = Crowd(sock, access=plan.access, rate=rate if isinstance(rate, float) else 0.0)
    _say(f"listening on {sock.local}")
    side_work: list[asyncio.Task[None]] = []
    if not plan.service:
        source = editor or PipeReader(0, own=False)
        side_work.append(asyncio.create_task(crowd.speak(source, chain(_outgoing(plan.given)))))
    try:
        async with asyncio.timeout(plan.idle or None) as patience:
            await _hear(plan, crowd, patience)
    except TimeoutError:
        _say(f"portulan: silent for {plan.idle:g} s")
        return EXIT_IDLE
    except BrokenPipeError:
        return 0  # whoever read our output has enough
    finally:
        for task in side_work:
            task.cancel()
        await asyncio.gather(*side_work, return_exceptions=True)
        sock.close()
    return 0


async def _hear(plan: _Plan, crowd: Crowd, patience: asyncio.Timeout) -> None:
    from portulan.cli.connect import _incoming
    from portulan.sockets.coding import chain
    from portulan.sockets.pipes import PipeWriter
    from portulan.sockets.stream import address_name

    sink, loop = PipeWriter(1, own=False), asyncio.get_running_loop()
    code = chain(_incoming(plan.given, to_person=sys.stdout.isatty()))
    while True:
        data, sender = await crowd.receive()
        if plan.idle:
            patience.reschedule(loop.time() + plan.idle)
        if plan.given["verbose"]:
            _say(f"{address_name(sender)}: {len(data)} bytes")
        if plan.service == "echo":
            await crowd.answer(data, sender)
        elif plan.service == "broker":
            await crowd.say(data, besides=sender)
        else:
            await sink.write(code(data))
        if plan.once:
            return
