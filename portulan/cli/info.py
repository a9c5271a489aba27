"""`portulan info`: this machine as a scan sees it; what an address or a port means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from portulan.cli.info_facts import Address, Machine, Ports


@click.command("info")
@click.argument("words", nargs=-1, metavar="[ADDRESS|PORT]...")
@click.option("--resolve", is_flag=True, help="Look up an address's names too (may ask DNS).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def info(words: tuple[str, ...], *, resolve: bool, as_json: bool) -> None:
    """Show this machine's network and rights, or explain addresses and ports.

    Without words: interfaces, routes, neighbours, capabilities, the scan methods they allow here,
    and what grants more. With words, as in `10.1.2.3`, `fe80::1%eth0`, `443`, `53/udp`, `https`:
    what each is for, and the way to it from here. Sends nothing, unless --resolve asks.
    """
    import msgspec

    from portulan.cli.info_facts import machine, subject
    from portulan.errors import UsageError

    if resolve and not words:
        raise UsageError("nothing to resolve", where="--resolve", hint="name an address")
    found: list[Address | Ports | Machine] = [subject(word, resolve=resolve) for word in words]
    found = found or [machine()]
    if as_json:
        for facts in found:
            click.echo(msgspec.json.encode(facts))
        return
    _show(found)


def _show(found: Sequence[Address | Ports | Machine]) -> None:
    from rich.console import Console

    from portulan.cli.info_text import lines
    from portulan.render.terminal import styled

    console = Console(highlight=False)
    unicode = console.encoding.lower().startswith("utf")
    for at, facts in enumerate(found):
        if at:
            console.print()
        for line in lines(facts, console.width):
            console.print(styled(line, unicode=unicode), soft_wrap=True)
