"""`portulan flows`: who talks to whom in captures, how much each way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

from portulan.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portulan.traffic.flows import Flow, FlowTable

EXIT_PARTIAL = 3


@click.command("flows")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-f", "text", metavar="FILTER", help="Only packets it accepts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a flow.")
@click.option("--top", type=click.IntRange(min=1), help="Only the N greatest, greatest first.")
@click.option("--by", type=click.Choice(["bytes", "packets", "duration"]), default="bytes",
              help="What --top ranks by.")
def flows(
    *, files: tuple[str, ...], text: str | None, as_json: bool, top: int | None, by: str
) -> None:
    """List the flows of captures: both directions, packets and bytes on the wire each way.

    Forward is who sent the flow's first packet; flows come in order of that packet. A damaged
    file is read as far as it goes; one line on stderr tells where it ends, the exit code is 3.
    """
    from portulan.traffic.flows import FlowTable

    table = FlowTable()
    damaged = [file for file in files if _read(file, text, table)]
    rows = None if top is None else table.top(top, by).tolist()
    lines = _objects(table.flows(rows)) if as_json else _lines(table.flows(rows))
    for line in lines:
        sys.stdout.write(line + "\n")
    if damaged:
        raise SystemExit(EXIT_PARTIAL)


def _read(file: str, text: str | None, table: FlowTable) -> bool:
    """Count a file's packets; return whether it is damaged."""
    from portulan.drive.capture import Capture

    capture = Capture(file)
    if text:
        capture = capture.filter(text)
    for frames in capture.frames():
        table.add(frames)
    if capture.damage:
        click.echo(f"portulan: {printable(file)}: {printable(capture.damage, 300)}", err=True)
    return bool(capture.damage)


def _objects(found: Iterator[Flow]) -> Iterator[str]:
    import msgspec

    encode = msgspec.json.Encoder().encode
    return (encode(flow.told()).decode() for flow in found)


def _lines(found: Iterator[Flow]) -> Iterator[str]:
    yield f"{'proto':<6} {'from':<22} {'to':<22} {'packets':>11} {'bytes':>15}"
    for flow in found:
        packets = f"{flow.packets_fwd}/{flow.packets_rev}"
        octets = f"{flow.bytes_fwd}/{flow.bytes_rev}"
        yield (f"{flow.protocol!s:<6} {_end(flow.src, flow.sport):<22} "
               f"{_end(flow.dst, flow.dport):<22} {packets:>11} {octets:>15}")


def _end(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
