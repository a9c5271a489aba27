"""`portulan proxy`: SOCKS5 and HTTP proxies for those whom lists allow."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import rich_click as click

from portulan.errors import printable

if TYPE_CHECKING:
    from portulan.cli.ledger import Ledger
    from portulan.sockets.acceptor import Note
    from portulan.sockets.proxy_rules import Door, Rules

EXIT_INTERRUPTED: Final = 130


@click.command("proxy")
@click.argument("doors", metavar="socks5://ADDR:PORT|http://ADDR:PORT...", nargs=-1, required=True)
@click.option("--allow", multiple=True, metavar="NET", help="Serve these clients only.")
@click.option("--deny", multiple=True, metavar="NET", help="Don't serve these; wins over --allow.")
@click.option("--allow-target", multiple=True, metavar="NET", help="Lead to these addresses only.")
@click.option("--deny-target", multiple=True, metavar="NET",
              help="Don't lead to these; wins over --allow-target.")
@click.option("--max-conns", type=click.IntRange(0), default=0, metavar="N",
              help="Connections at once; further ones wait. By default as many as can be open.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, metavar="N",
              help="New connections a second by one address; 0: any.")
@click.option("--idle", "idle_s", type=click.FloatRange(0), default=7440.0, show_default=True,
              metavar="S", help="Close what is silent for so long; 0: never.")
@click.option("--timeout", "connect_s", type=click.FloatRange(0.001), default=10.0,
              show_default=True, metavar="S", help="To reach a target.")
@click.option("--json", "as_json", is_flag=True, help="Print each ended connection as JSON.")
@click.option("--keep", is_flag=True, help="Keep the connections in a chart.")
@click.option("-q", "--quiet", is_flag=True, help="No word about single connections.")
def proxy(
    doors: Sequence[str], *, allow: Sequence[str], deny: Sequence[str],
    allow_target: Sequence[str], deny_target: Sequence[str], max_conns: int, rate: float,
    idle_s: float, connect_s: float, as_json: bool, keep: bool, quiet: bool,
) -> None:
    r"""Lead clients to where they want to go: SOCKS5 with UDP, HTTP with CONNECT.

    Without an address it listens on the loopback; `*` is every address. A login is asked for where
    it stands in the address: socks5://USER:PASSWORD@:1080. What listens only on this machine's
    loopback is reached by clients of this machine, by others only with --allow-target.

    \b
        portulan proxy socks5://:1080          curl --socks5-hostname 127.0.0.1:1080 URL
        portulan proxy http://:3128            curl -x http://127.0.0.1:3128 URL
    """
    from portulan.sockets.access import AccessList
    from portulan.sockets.proxy_rules import Door, Rules

    rules = Rules(
        clients=AccessList.of(allow, deny), targets=AccessList.of(allow_target, deny_target),
        max_conns=max_conns, rate=rate, idle_s=idle_s, connect_s=connect_s)
    raise SystemExit(_run([Door.parse(text) for text in doors], rules, as_json=as_json, keep=keep,
                          say=None if quiet else _say))


def _run(doors: list[Door], rules: Rules, *, as_json: bool, keep: bool,
         say: Callable[[str], None] | None) -> int:
    from portulan.cli.ledger import Ledger
    from portulan.drive.clock import Clock

    # The command line of a chart must not keep a password.
    argv = [sys.argv[0], "proxy", *(door.shown for door in doors)]
    with Ledger(verb="proxy", targets=[door.shown for door in doors], argv=argv, keep=keep,
                as_json=as_json, clock=Clock.unix, say=say) as ledger:
        return asyncio.run(_serve(doors, rules, ledger, say))


async def _serve(doors: list[Door], rules: Rules, ledger: Ledger,
                 say: Callable[[str], None] | None) -> int:
    from portulan.drive.clock import Clock
    from portulan.link.pipe import widen
    from portulan.sockets.proxy import Proxy

    loop = asyncio.get_running_loop()
    told: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if not told.done():
            told.set_result(code)

    def note(note: Note) -> None:
        if say is not None:
            say(printable(f"{note.peer}: {note.text}" if note.peer else note.text, 300))

    for number, code in ((signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, 0)):
        loop.add_signal_handler(number, stop, code)
    record = ledger.record if ledger.wanted else None
    async with Proxy(doors, rules, clock=Clock.unix, record=record, note=note, widen=widen) as made:
        for address in made.addresses:
            _say(f"listening on {address}")
        if ledger.folder is not None:
            _say(f"kept in chart {ledger.folder.id}")
        return await told


def _say(line: str) -> None:
    click.echo(line, err=True)
