"""`portulan capture`: show and keep what passes an interface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import rich_click as click

from portulan.cli.interface_option import interface_missing
from portulan.cli.packet_lines import TIMES, binary_out, put, shown
from portulan.cli.stopping import stopped_by_signals
from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.capture_writer import Portion
    from portulan.drive.live import LiveCapture

EXIT_PARTIAL = 3
RING_MAX = 100_000
"""Files of a ring: their numbers have five digits."""


@click.command("capture")
@click.option("-e", "interfaces", metavar="IFACE", multiple=True,
              help="The interface to listen on; several: give it again, or `any`.")
@click.option("-f", "text", metavar="FILTER", default="",
              help="Only what it accepts: tcpdump's words, fields.")
@click.option("-w", "out", metavar="FILE",
              help="Write pcapng (pcap if named so); `-` is stdout. Shows no lines unless asked.")
@click.option("--ring", metavar="NxSIZE",
              help="Keep the last N files of 100MB, 10000packets or 60s: 10x100MB.")
@click.option("--count", "-c", type=click.IntRange(min=1), help="Stop after so many packets.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Stop after so many seconds.")
@click.option("--snaplen", "-s", default=0, type=click.IntRange(0, 262_144), metavar="BYTES",
              help="Keep only so many bytes of each packet; 0 is all.")
@click.option("-n", "_numeric", is_flag=True,
              help="Show numbers, no names: so it is without this, too.")
@click.option("-p", "quiet_card", is_flag=True, help="Don't listen to what is for others.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a packet.")
@click.option("--fields", metavar="NAME,...", help="Show these fields only, tabs between them.")
@click.option("-v", "verbose", is_flag=True, help="Show every field of every header.")
@click.option("-x", "dump", is_flag=True, help="Show the octets, too: as hex digits and as text.")
@click.option("--time", "-t", type=click.Choice(TIMES), default=TIMES[0],
              help="When: since the first packet, since the last, by the clock, Unix time.")
def capture(
    *, interfaces: tuple[str, ...], text: str, out: str | None, ring: str | None,
    count: int | None, duration: float | None, snaplen: int, _numeric: bool, quiet_card: bool,
    as_json: bool, fields: str | None, verbose: bool, dump: bool, time: str,
) -> None:
    """Capture packets of interfaces: one line a packet, and a file if you like.

    Of several interfaces the lines come by time and name theirs; `any` is all interfaces, with
    Linux cooked headers in place of Ethernet's, as with tcpdump.

    Ctrl-C or SIGTERM end it: the file is whole then, and the last line on stderr says how many
    packets there were and how many the kernel dropped because we were too slow. Exit code 3: it
    ended early, disk full or interface gone; what was written is whole.
    """
    from portulan.drive.live import LiveCapture
    from portulan.link.pcapng_writer import SNAPLEN
    from portulan.wire.columns import check_names

    if not interfaces:
        raise interface_missing()
    names = [name.strip() for name in fields.split(",") if name.strip()] if fields else []
    check_names(names)
    asked = bool(names) or as_json or verbose or dump or time != TIMES[0]
    if (dump or time != TIMES[0]) and (names or as_json):
        raise UsageError("-x and --time are for lines that people read", where="capture")
    if verbose and (names or as_json):
        raise UsageError("-v and another way to show cannot be had at once", where="capture")
    if out == "-" and asked:
        raise UsageError("stdout cannot be both a capture and text", where="-w -")
    files, portion = _ring(ring, out)
    live = LiveCapture(
        interfaces, filter=text, count=count, duration_s=duration, promiscuous=not quiet_card,
        snaplen=snaplen or SNAPLEN)
    with live, stopped_by_signals(live.stop):
        if out:
            live.keep(binary_out() if out == "-" else out, portion=portion, files=files)
        click.echo(f"listening on {', '.join(interfaces)}, {_link(live)}", err=True)
        lines = None if out and not asked else shown(
            live, names, as_json=as_json, as_hex=False, verbose=verbose, time=time, dump=dump)
        fault = _run(live, lines)
        click.echo(_summary(live), err=True)
    if fault:
        click.echo(f"portulan: {printable(fault, 300)}", err=True)
        raise SystemExit(EXIT_PARTIAL)


def _run(live: LiveCapture, lines: Iterator[str | None] | None) -> str | None:
    """Capture until the end and return what made it come early, if something did."""
    try:
        if lines is not None:
            put(lines)
        else:
            for _ in live.batches():
                pass
    except BrokenPipeError:
        raise
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{name}: what was written before is whole"
    return live.damage


def _summary(live: LiveCapture) -> str:
    words = [f"{live.packets:,} packets captured", f"{live.seen:,} received by the filter",
             f"{live.drops:,} dropped by the kernel"]
    return ", ".join(words)


def _link(live: LiveCapture) -> str:
    from portulan.wire.frames import LinkType

    names = dict.fromkeys(LinkType(each).name for each in live.link_types)
    return f"link type {', '.join(names)}"


def _ring(text: str | None, out: str | None) -> tuple[int, Portion | None]:
    """Return how many files `--ring` wants, and how much in each."""
    from portulan.drive.capture_writer import parse_portion

    if text is None:
        return 0, None
    if not out or out == "-":
        raise UsageError("a ring of files needs a name", where="--ring", hint="-w NAME.pcapng")
    found = re.fullmatch(r"(\d{1,6})x(.+)", text)
    if not found or not 0 < int(found[1]) <= RING_MAX:
        raise UsageError("not a ring", text=text, where="--ring", hint="10x100MB, 24x3600s")
    return int(found[1]), parse_portion(found[2], where="--ring")
