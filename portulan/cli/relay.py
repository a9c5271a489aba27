"""`portulan relay`: connect whoever connects here to somewhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import rich_click as click

from portulan.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from portulan.cli.ledger import Ledger
    from portulan.sockets.relay import Relay
    from portulan.sockets.relay_rules import ProxyProtocol, Rules
    from portulan.sockets.relay_udp import DatagramRelay
    from portulan.sockets.tee import Tee
    from portulan.wire.frames import Frames

REDRAW_S: Final = 0.5
"""How often the live table is drawn: what the eye can follow, and under 1 % of a processor."""
EXIT_INTERRUPTED: Final = 130


@click.command("relay")
@click.argument("listen")
@click.argument("target")
@click.option("--idle", "idle_s", type=float, metavar="S",
              help="Close what is silent for so long; 0: never. By default 2 h 4 min, UDP 2 min.")
@click.option("--handshake", "handshake_s", type=float, default=10.0, show_default=True,
              metavar="S", help="For a client's TLS handshake and PROXY header.")
@click.option("--max-conns", type=click.IntRange(0), default=0, metavar="N",
              help="Connections at once; further ones wait. By default as many as can be open.")
@click.option("--allow", multiple=True, metavar="NET", help="Serve these addresses only.")
@click.option("--deny", multiple=True, metavar="NET", help="Don't serve these; wins over --allow.")
@click.option("--proxy-protocol", "proxy", multiple=True,
              type=click.Choice(["in", "out", "out-v2"]),
              help="Expect a PROXY header of clients; send one to the target (v1, or v2).")
@click.option("--trust", multiple=True, metavar="NET",
              help="Who may send PROXY headers; by default this machine.")
@click.option("--tee", metavar="FILE.pcapng", help="Write what passes as a capture, in the clear.")
@click.option("--json", "as_json", is_flag=True, help="Print each ended connection as JSON.")
@click.option("--keep", is_flag=True, help="Keep the connections in a chart.")
@click.option("-q", "--quiet", is_flag=True, help="No table, no word about single connections.")
def relay(
    listen: str, target: str, *, idle_s: float | None, handshake_s: float, max_conns: int,
    allow: Sequence[str], deny: Sequence[str], proxy: Sequence[ProxyProtocol],
    trust: Sequence[str], tee: str | None, as_json: bool, keep: bool, quiet: bool,
) -> None:
    """Connect whoever connects to LISTEN to TARGET, each direction to its own end.

    Both are endpoints, as in `8080` (this machine only), `*:8080`, `10.0.0.1:80`,
    `tls://127.0.0.1:9443?cert=c.pem&key=k.pem`, `tls://host:443?ca=ca.pem`, `udp://:53`,
    `unix:/run/x.sock`. A TLS listener without a certificate makes one; its fingerprint is shown.
    """
    from portulan.sockets.access import AccessList
    from portulan.sockets.relay_rules import TRUSTED, Rules, proxy_rules

    proxy_in, proxy_out = proxy_rules(proxy)
    if trust and not proxy_in:
        raise UsageError("nobody is asked for PROXY headers", where="--trust",
                         hint="add --proxy-protocol in")
    rules = Rules(
        idle_s=idle_s, handshake_s=handshake_s, max_conns=max_conns,
        access=AccessList.of(allow, deny), proxy_in=proxy_in,
        trusted=AccessList.of(trust or TRUSTED), proxy_out=proxy_out,
    )
    raise SystemExit(_run(listen, target, rules, tee=tee, as_json=as_json, keep=keep, quiet=quiet))


def _run(listen: str, target: str, rules: Rules, *, tee: str | None, as_json: bool, keep: bool,
         quiet: bool) -> int:
    import asyncio
    from contextlib import ExitStack

    from portulan.cli.ledger import Ledger
    from portulan.drive.clock import Clock

    screen = None if quiet or as_json or not sys.stderr.isatty() else _Screen()
    say: Callable[[str], None] | None = None if quiet else (screen.say if screen else _say)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(
            verb="relay", targets=[target], argv=sys.argv, keep=keep, as_json=as_json,
            clock=Clock.unix, say=say))
        copy = _tee(tee, stack, say or _say) if tee else None
        return asyncio.run(_serve(listen, target, rules, ledger=ledger, tee=copy, screen=screen))


async def _serve(listen: str, target: str, rules: Rules, *, ledger: Ledger, tee: Tee | None,
                 screen: _Screen | None) -> int:
    import asyncio
    import signal

    from portulan.drive.clock import Clock
    from portulan.link.pipe import widen
    from portulan.sockets.relay import make_relay

    made = make_relay(listen, target, rules, clock=Clock.unix, tee=tee, widen=widen,
                      record=ledger.record if ledger.wanted else None)
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    codes: list[int] = []

    def stop(code: int) -> None:
        codes.append(code)
        told.set()

    for number, code in ((signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, 0)):
        loop.add_signal_handler(number, stop, code)
    async with made:
        _say_where(made, ledger)
        if screen is None:
            await told.wait()
        else:
            await screen.show(made, told)
    return codes[0]


def _say_where(made: Relay | DatagramRelay, ledger: Ledger) -> None:
    for address in made.addresses:
        _say(f"listening on {address}")
    if made.fingerprint and not made.endpoint.options.cert:
        _say(f"throw-away certificate: clients can pin it with pin={made.fingerprint}")
    if ledger.folder is not None:
        _say(f"kept in chart {ledger.folder.id}")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _tee(path: str, stack: ExitStack, say: Callable[[str], None]) -> Tee:
    """Return a tee into a new capture file."""
    from portulan.drive.clock import Clock
    from portulan.link.pcapng_writer import PcapngWriter
    from portulan.sockets.tee import Tee
    from portulan.wire.frames import LinkType

    try:
        writer = stack.enter_context(
            PcapngWriter(path, link_type=LinkType.RAW, interface="relay"))
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", text=path, where="--tee") from None
    broken: list[OSError] = []

    def write(frames: Frames, comment: str) -> None:
        if broken:
            return
        try:
            writer.write(frames, comments={0: comment} if comment else None)
        except OSError as error:  # the capture ends, the relay goes on
            broken.append(error)
            say(f"{path}: {error.strerror}: the capture ends here")

    return Tee(write, Clock.unix)


class _Screen:
    """The live table on stderr."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, emoji=False)

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, markup=False, soft_wrap=True)

    async def show(self, made: Relay | DatagramRelay, told: asyncio.Event) -> None:
        """Draw the table until told to stop."""
        import asyncio

        from rich.live import Live

        from portulan.cli.relay_table import table

        now = asyncio.get_running_loop().time
        # rich's own refreshing is a thread, which would read the lines while they change.
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not told.is_set():
                live.update(table(made.lines, made.total, now()), refresh=True)
                try:
                    await asyncio.wait_for(told.wait(), REDRAW_S)
                except TimeoutError:
                    continue
