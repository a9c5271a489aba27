"""`portulan explain`: the packets behind a finding, and how the verdict follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from pathlib import Path

    from portulan.record import Port
    from portulan.render.ladder import Rung


@click.command("explain", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("chart", metavar="CHART")
@click.argument("addr", metavar="ADDR")
@click.argument("port", required=False, type=click.IntRange(0, 65535), metavar="[PORT]")
def explain(chart: str, addr: str, port: int | None) -> None:
    """Draw the exchange that proves a port's state, and say why the state follows.

    CHART is a chart's id, a unique part of it, a folder, or `last`. Without PORT, all ports of
    the host that have an event are explained.
    """
    from portulan.api import open_chart
    from portulan.errors import UsageError
    from portulan.render.ladder import ladder

    found = open_chart(chart)
    ports = [each for each in found.ports
             if each.addr == addr and port in (None, each.port)]
    if not ports:
        what = addr if port is None else f"{addr} port {port}"
        raise UsageError("the chart lists no such port", text=what,
                         hint=f"see: portulan charts show {found.id}; scan --all lists every port")
    rungs = _rungs(found.evidence, ports)
    blocks = ["\n".join(ladder(each, [rungs[n] for n in each.frames if n in rungs]))
              for each in ports]
    click.echo("\n\n".join(blocks))


def _rungs(path: Path, ports: list[Port]) -> dict[int, Rung]:
    """Return the packets that these ports point at, by number."""
    from portulan.link.captures import open_capture
    from portulan.render.ladder import Rung

    wanted = {number for port in ports for number in port.frames}
    rungs: dict[int, Rung] = {}
    if not wanted or not path.exists():
        return rungs
    first = 1
    with open_capture(path) as capture:
        for batch in capture.frames():
            for number in wanted & set(range(first, first + len(batch))):
                row = number - first
                at = int(batch.offset[row])
                octets = batch.buffer[at : at + int(batch.length[row])].tobytes()
                rungs[number] = Rung(number, int(batch.time_ns[row]), octets, batch.link_type)
            first += len(batch)
    return rungs
