"""`portulan connect`: speak to an endpoint; the peer's bytes, and nothing else, on stdout."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from portulan.cli.connect_terminal import LineEditor
    from portulan.sockets.coding import Coder
    from portulan.sockets.converse import Conversation, Sink, Source, Watch
    from portulan.sockets.endpoint import Endpoint
    from portulan.sockets.stream import Stream

UDP_IDLE_S = 2.0
"""UDP has no end: after the input's, answers may take so long."""
CHECKS_AT_ONCE = 64
CHECK_TIMEOUT_S = 3.0
EXIT_NONE_OPEN, EXIT_FAULT, EXIT_IDLE = 1, 2, 3

FLAGS = {
    "ca": "--ca", "cert": "--cert", "key": "--key", "alpn": "--alpn", "sni": "--sni",
    "pin": "--pin", "source": "--source", "interface": "--interface", "timeout": "--timeout",
    "via": "--via",
}


@click.command("connect")
@click.argument("target", metavar="ENDPOINT|HOST")
@click.argument("port", required=False)
@click.option("-u", "--udp", is_flag=True, help="UDP instead of TCP.")
@click.option("-4", "family", flag_value="4", help="Only IPv4 addresses.")
@click.option("-6", "family", flag_value="6", help="Only IPv6 addresses.")
@click.option("-z", "--check", is_flag=True, help="Only tell which ports (80, 20-30,http) answer.")
@click.option("--send", metavar="TEXT", help=r"Send this instead of stdin; \r \n \xHH are read.")
@click.option("--crlf", is_flag=True, help="End the lines we send with CR LF.")
@click.option("--text/--binary", default=None,
              help="Escape control characters of the peer (on a terminal), or not (elsewhere).")
@click.option("--encode", metavar="FORM", help="What we send: hex, base64, shift_jis, euc-kr, ...")
@click.option("--decode", metavar="FORM", help="What the peer sends: as --encode.")
@click.option("--hex", "dump", is_flag=True,
              help="Dump both directions on stderr; on a terminal instead of the bytes themselves.")
@click.option("--no-eof", is_flag=True, help="Do not half-close when stdin ends.")
@click.option("-w", "--timeout", metavar="S", help="Seconds to be connected; 10.")
@click.option("-i", "--idle", metavar="S", help="End after so many seconds of silence.")
@click.option("--via", multiple=True, metavar="URL",
              help="Proxy, nearest first: socks5://, socks4://, socks4a://, http://, https://.")
@click.option("-s", "--source", metavar="ADDR:PORT", help="Come from this address, port, or both.")
@click.option("--interface", metavar="NAME", help="Use this interface.")
@click.option("--tls", is_flag=True, help="TLS, verified; as tls://.")
@click.option("--ca", metavar="FILE", help="Trust these authorities instead of the system's.")
@click.option("--cert", metavar="FILE", help="Our certificate, PEM.")
@click.option("--key", metavar="FILE", help="Its key, PEM.")
@click.option("--alpn", metavar="NAMES", help="Protocols to offer: h2,http/1.1.")
@click.option("--sni", metavar="NAME", help="Ask for and verify this name instead of the host.")
@click.option("--pin", metavar="SHA256", help="Take this one certificate, whoever signed it.")
@click.option("-k", "--insecure", is_flag=True, help="Take any certificate.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr who is connected.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of what TLS negotiated.")
@click.pass_context
def connect(ctx: click.Context, /, target: str, port: str | None, **given: object) -> None:
    """Connect stdin and stdout to an endpoint.

    ENDPOINT is HOST PORT, HOST:PORT, or tcp:// tls:// udp:// unix: unixgram: exec: file: with
    options: "tls://host:443?alpn=h2&ca=ca.pem". The end of stdin half-closes; the peer's end ends
    the command once what stdin still has is sent.

    Exit codes: 0 the peer ended, 1 no port is open (-z), 2 not connected or broken off,
    3 ended by --idle.
    """
    if given["check"]:
        ctx.exit(_run_check(target, port, given))
    from portulan.sockets.endpoint import Endpoint

    text: str | tuple[str, str] = (target, port) if port else target
    end = _shaped(_parse(Endpoint, text, given), given)
    ctx.exit(asyncio.run(_talk(end, given)))


def _parse(kind: type[Endpoint], text: str | tuple[str, str], given: dict[str, object]) -> Endpoint:
    from portulan.errors import UsageError

    if given["udp"] and given["tls"]:
        raise UsageError("UDP and TLS exclude each other", where="--tls",
                         hint="leave --udp or --tls out")
    if isinstance(text, tuple) and "/" in text[0]:
        raise UsageError("a URL and a port", text=text[1], where="connect",
                         hint="write the port into the URL")
    return kind.parse(text, where="connect", scheme="udp" if given["udp"] else "tcp")


def _shaped(end: Endpoint, given: dict[str, object]) -> Endpoint:
    """Return the endpoint with what the flags say of it."""
    from dataclasses import replace

    if given["tls"] and end.scheme == "tcp":
        end = replace(end, scheme="tls")
    for name, flag in FLAGS.items():
        value = given[name]
        for text in value if isinstance(value, tuple) else [value] if value else []:
            end = end.with_option(name, str(text), where=flag)
    if given["family"]:
        end = end.with_option("family", str(given["family"]), where=f"-{given['family']}")
    return end.with_option("verify", "no", where="--insecure") if given["insecure"] else end


def _seconds(given: dict[str, object], name: str, default: float) -> float:
    from portulan.errors import UsageError
    from portulan.sockets.options import read_seconds

    if given[name] is None:
        return default
    try:
        return read_seconds(str(given[name]))
    except ValueError as error:
        raise UsageError(f"it {error}", text=str(given[name]), where=f"--{name}") from None


async def _talk(end: Endpoint, given: dict[str, object]) -> int:
    from portulan.cli.connect_terminal import terminal

    with terminal(wanted=given["send"] is None) as editor:
        how = _conversation(given, editor, _seconds(given, "idle", 0.0))
        if end.is_datagram:
            return await _exchange(end, how)
        return await _hold(end, how, given)


async def _hold(end: Endpoint, how: Conversation, given: dict[str, object]) -> int:
    from portulan.errors import PeerError, printable
    from portulan.sockets.converse import SinkGone
    from portulan.sockets.dial import dial
    from portulan.sockets.faults import words

    try:
        stream = await dial(end)
    except PeerError as error:
        return _fault(str(error))
    _announce(stream, given)
    try:
        heard = await how.hold(stream)
        await stream.close()
    except SinkGone:
        return _reader_gone(stream)
    except OSError as error:
        return _fault(f"{printable(end.place)}: {words(error)}")
    except PeerError as error:
        return _fault(f"{printable(end.place)}: {error}")
    finally:
        stream.abort()
    if not heard:
        return _fault(f"{printable(end.place)}: silent for {how.idle:g} s", code=EXIT_IDLE)
    if getattr(stream, "truncated", False):
        click.echo("portulan: the peer ended without TLS's close_notify: its answer may be cut off",
                   err=True)
    return 0


async def _exchange(end: Endpoint, how: Conversation) -> int:
    from portulan.errors import PeerError, printable
    from portulan.sockets.converse import SinkGone
    from portulan.sockets.dial import dial_datagrams
    from portulan.sockets.faults import words

    how.idle = how.idle or UDP_IDLE_S
    try:
        peer = await dial_datagrams(end)
        try:
            await how.exchange(peer)
        finally:
            peer.close()
    except SinkGone:
        return 0
    except OSError as error:
        return _fault(f"{printable(end.place)}: {words(error)}")
    except PeerError as error:
        return _fault(str(error))
    return 0


def _fault(line: str, code: int = EXIT_FAULT) -> int:
    click.echo(f"portulan: {line}", err=True)
    return code


def _reader_gone(stream: Stream) -> int:
    """Whoever read our output has enough of it: `| head` is no error."""
    stream.abort()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _conversation(given: dict[str, object], editor: LineEditor | None, idle: float
                  ) -> Conversation:
    from portulan.cli.connect_terminal import BesideEditor
    from portulan.sockets.coding import chain, unescape
    from portulan.sockets.converse import Conversation, Text
    from portulan.sockets.pipes import PipeReader, PipeWriter

    to_person = sys.stdout.isatty()
    source: Source = editor or PipeReader(0, own=False)
    if given["send"] is not None:
        source = Text(unescape(str(given["send"])))
    dump = bool(given["dump"])
    hidden = dump and to_person
    sink: Sink = _Nothing() if hidden else PipeWriter(1, own=False)
    return Conversation(
        source, BesideEditor(sink, editor) if editor else sink,
        outgoing=chain(_outgoing(given)), incoming=chain(_incoming(given, to_person=to_person)),
        idle=idle, half_close=not given["no_eof"],
        interactive=editor is not None,
        **({"watch": _dumping()} if dump else {}),
    )


class _Nothing:
    async def write(self, data: bytes) -> None:
        pass


def _outgoing(given: dict[str, object]) -> list[Coder]:
    from portulan.sockets.coding import Crlf, encoder

    coders: list[Coder] = [Crlf()] if given["crlf"] else []
    return [*coders, encoder(str(given["encode"]))] if given["encode"] else coders


def _incoming(given: dict[str, object], *, to_person: bool) -> list[Coder]:
    from portulan.sockets.coding import SafeText, decoder

    coders: list[Coder] = [decoder(str(given["decode"]))] if given["decode"] else []
    as_text = to_person if given["text"] is None else bool(given["text"])
    return [*coders, SafeText()] if as_text else coders


def _dumping() -> Watch:
    from portulan.sockets.coding import Dump

    dumps = {True: Dump(">"), False: Dump("<")}

    def watch(data: bytes, *, sent: bool) -> None:
        sys.stderr.write(dumps[sent](data))
        sys.stderr.flush()

    return watch


def _announce(stream: Stream, given: dict[str, object]) -> None:
    from portulan.errors import printable

    if given["verbose"]:
        via = "".join(f" via {hop}" for hop in stream.facts.via)
        click.echo(f"connected to {printable(stream.peer)} from {stream.local}{via}", err=True)
    if stream.facts.tls and not given["quiet"]:
        click.echo(describe_tls(stream), err=True)


def describe_tls(stream: Stream) -> str:
    """Return what TLS negotiated as one line."""
    from portulan.errors import printable

    facts = stream.facts
    parts = [f"{facts.tls} {facts.cipher}"]
    if facts.alpn:
        parts.append(f"ALPN {printable(facts.alpn)}")
    if facts.fingerprint:
        whose = f" of {printable(facts.subject)}" if facts.subject else ""
        verified = "verified" if facts.verified else "NOT verified"
        parts.append(f"certificate{whose} {verified}, sha256 {facts.fingerprint}")
    return ", ".join(parts)


def _run_check(target: str, port: str | None, given: dict[str, object]) -> int:
    """Tell which ports answer: the open ones on stdout; 0 if any is open."""
    from portulan.errors import UsageError
    from portulan.sockets.acceptor import raise_file_limit
    from portulan.sockets.endpoint import Endpoint, split_address
    from portulan.target import parse_ports

    if given["udp"]:
        raise UsageError("silence of a UDP port says nothing", where="-z",
                         hint="portulan scan -sU asks it properly")
    if port is None and "/" not in target:
        target, port = split_address(target, where="connect")
    text: str | tuple[str, str] = (target, "1") if port is not None else target
    end = _shaped(_parse(Endpoint, text, given), given)
    if given["timeout"] is None:
        end = end.using(timeout=CHECK_TIMEOUT_S)
    ports = parse_ports(port, where="connect -z").tcp if port is not None else (end.port,)
    if not ports:
        raise UsageError("no TCP port", text=port or "", where="connect -z", hint="as in 20-30,80")
    raise_file_limit()
    return asyncio.run(_check(end, ports))


async def _check(end: Endpoint, ports: tuple[int, ...]) -> int:
    from dataclasses import replace

    from portulan.errors import PeerError
    from portulan.sockets.dial import dial

    turns = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def ask(port: int) -> str:
        one = end if end.is_local else replace(end, port=port)
        async with turns:
            try:
                (await dial(one)).abort()
            except PeerError as error:
                # Accepted and reset at once is open all the same: closed ports refuse.
                return "" if getattr(error, "kind", "") == "reset" else str(error)
        return ""

    found = 0
    for group in range(0, len(ports), 1024):
        some = ports[group : group + 1024]
        answers = await asyncio.gather(*map(ask, some))
        for port, fault in zip(some, answers, strict=True):
            place = end.place if end.is_local else replace(end, port=port).place
            if not fault:
                found += 1
                click.echo(f"{place} open")
            elif len(ports) == 1:
                click.echo(f"portulan: {fault}", err=True)
    if not found and len(ports) > 1:
        click.echo(f"portulan: none of {len(ports)} ports is open", err=True)
    return 0 if found else EXIT_NONE_OPEN
