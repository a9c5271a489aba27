"""`portulan flows`: who talks to whom in captures, how much each way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portulan.drive.capture import Capture
    from portulan.traffic.flows import Flow, Idle
    from portulan.wire.frames import Frames

EXIT_PARTIAL = 3
IDLE_MAX_S = 1e9
"""Longer than any capture."""


def _idle(context: click.Context, parameter: click.Parameter, value: str | None) -> Idle | None:
    """Read a number of seconds, or `zeek`."""
    from portulan.traffic.flows import Idle

    if value is None:
        return None
    if value == "zeek":
        return Idle()
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= IDLE_MAX_S:
        raise UsageError("no such time", text=value, where="--idle", hint="seconds, or zeek")
    return Idle.after(seconds)


@click.command("flows")
@click.argument("files", metavar="FILE...", nargs=-1)
@click.option("-e", "interfaces", metavar="IFACE", multiple=True,
              help="Watch an interface instead of reading files: a table that updates.")
@click.option("-c", "--count", type=click.IntRange(min=1), default=None,
              help="With -e: end after so many packets.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), default=None,
              metavar="SECONDS", help="With -e: end after this time; Ctrl-C ends it, too.")
@click.option("-w", "out", metavar="FILE", default=None, help="With -e: keep the packets.")
@click.option("-f", "text", metavar="FILTER", help="Only packets it accepts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a flow.")
@click.option("-l", "--long", "long", is_flag=True,
              help="Also state, history, round trips, losses of each flow.")
@click.option("--top", type=click.IntRange(min=1), help="Only the N greatest, greatest first.")
@click.option("--by", type=click.Choice(["bytes", "packets", "duration"]), default="bytes",
              help="What --top ranks by.")
@click.option("--idle", metavar="SECONDS|zeek", callback=_idle,
              help="End a flow after so much silence, print it then; memory stays bounded.")
def flows(
    *, files: tuple[str, ...], interfaces: tuple[str, ...], count: int | None,
    duration: float | None, out: str | None, text: str | None, as_json: bool, long: bool,
    top: int | None, by: str, idle: Idle | None,
) -> None:
    """List the flows of captures: both directions, packets and bytes on the wire each way.

    Forward is who sent the flow's first packet; flows come in order of that packet, with --idle in
    order of their ends. A damaged file is read as far as it goes; one line on stderr tells where
    it ends, the exit code is 3.
    """
    from portulan.drive.capture import Capture
    from portulan.traffic.flows import FlowTable
    from portulan.traffic.names import Names
    from portulan.traffic.quality import Quality

    if idle is not None and top is not None:
        raise UsageError("--top needs all flows at once", where="--idle", hint="leave one out")
    if bool(files) == bool(interfaces):
        raise UsageError("name captures, or interfaces with -e", where="flows",
                         hint="portulan flows FILE..., or portulan flows -e IFACE")
    if not interfaces and (count or duration or out):
        raise UsageError("files are read to their end", where="flows",
                         hint="--count, --duration and -w are for -e")
    table = FlowTable([Names(), Quality()] if long else [Names()], idle=idle)
    show = Objects(long=long) if as_json else Lines(long=long)
    if interfaces:
        from portulan.cli.flows_live import Limits, watch

        limits = Limits(count, duration, text or "", out)
        watch(interfaces, limits, table, None if as_json else Lines(long=long), by=by,
              ended=show if idle is not None else None)
    damaged: list[str] = []
    for file, capture in [(file, Capture(file)) for file in files]:
        for frames in _read(file, capture.filter(text) if text else capture, damaged):
            table.add(frames)
            show(table.take_ended())
    if idle is not None:
        show(table.take_ended(final=True))
    else:
        show(table.flows(None if top is None else table.top(top, by).tolist()))
    if damaged:
        raise SystemExit(EXIT_PARTIAL)


def _read(file: str, capture: Capture, damaged: list[str]) -> Iterator[Frames]:
    """Yield a file's packets; say what is damaged."""
    from portulan.drive.flowing import gathered

    yield from gathered(capture.frames())
    if capture.damage:
        click.echo(f"portulan: {printable(file)}: {printable(capture.damage, 300)}", err=True)
        damaged.append(file)


class Objects:
    """Prints one JSON object a flow."""

    def __init__(self, *, long: bool) -> None:
        import msgspec

        self._encode = msgspec.json.Encoder().encode
        self._long = long

    def __call__(self, found: Iterable[Flow]) -> None:
        """Print these flows."""
        for flow in found:
            told = flow.told()
            if not self._long:
                told.pop("alpn", None)
            sys.stdout.write(self._encode(told).decode() + "\n")


class Lines:
    """Prints one line a flow, below a heading."""

    def __init__(self, *, long: bool) -> None:
        self._long = long
        self._headed = False

    def heading(self) -> str:
        """Return the line above the flows."""
        more = f" {'state':<6} {'history':<12} {'rtt ms':>8} {'again':>7}" if self._long else ""
        return (f"{'proto':<6} {'from':<22} {'to':<22} {'packets':>11} {'bytes':>15}{more}"
                "  about")

    def line(self, flow: Flow) -> str:
        """Return the line of one flow."""
        packets = f"{flow.packets_fwd}/{flow.packets_rev}"
        octets = f"{flow.bytes_fwd}/{flow.bytes_rev}"
        about = " ".join(filter(None, (flow.application, flow.sni)))
        line = (f"{flow.protocol!s:<6} {_end(flow.src, flow.sport):<22} "
                f"{_end(flow.dst, flow.dport):<22} {packets:>11} {octets:>15}"
                f"{_quality(flow) if self._long else ''}  {printable(about, 80)}")
        return line.rstrip()

    def __call__(self, found: Iterable[Flow]) -> None:
        """Print these flows, the heading before the first."""
        if not self._headed:
            sys.stdout.write(self.heading() + "\n")
            self._headed = True
        for flow in found:
            sys.stdout.write(self.line(flow) + "\n")


def _quality(flow: Flow) -> str:
    rtt = "" if flow.rtt_ns is None else f"{flow.rtt_ns / 1e6:.3f}"
    again = ("" if flow.retransmissions_fwd is None
             else f"{flow.retransmissions_fwd}/{flow.retransmissions_rev}")
    return f" {flow.state or '':<6} {flow.history or '':<12} {rtt:>8} {again:>7}"


def _end(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
