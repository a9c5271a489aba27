"""`portulan capture`: show and keep what passes an interface."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import rich_click as click

from portulan.cli.packet_lines import put, shown
from portulan.cli.stopping import stopped_by_signals
from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.capture_writer import Portion
    from portulan.drive.live import LiveCapture

EXIT_PARTIAL = 3
RING_MAX = 100_000
"""Files of a ring: their numbers have five digits."""


@click.command("capture")
@click.option("-e", "interface", metavar="IFACE", required=True, help="The interface to listen on.")
@click.option("-f", "text", metavar="FILTER", default="",
              help="Only what it accepts: tcpdump's words, fields.")
@click.option("-w", "out", metavar="FILE",
              help="Write pcapng (pcap if named so); `-` is stdout. Shows no lines unless asked.")
@click.option("--ring", metavar="NxSIZE",
              help="Keep the last N files of 100MB, 10000packets or 60s: 10x100MB.")
@click.option("--count", "-c", type=click.IntRange(min=1), help="Stop after so many packets.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Stop after so many seconds.")
@click.option("-n", "_numeric", is_flag=True,
              help="Show numbers, no names: so it is without this, too.")
@click.option("-p", "quiet_card", is_flag=True, help="Don't listen to what is for others.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a packet.")
@click.option("--fields", metavar="NAME,...", help="Show these fields only, tabs between them.")
@click.option("-v", "verbose", is_flag=True, help="Show every field of every header.")
def capture(
    *, interface: str, text: str, out: str | None, ring: str | None, count: int | None,
    duration: float | None, _numeric: bool, quiet_card: bool, as_json: bool, fields: str | None,
    verbose: bool,
) -> None:
    """Capture packets of an interface: one line a packet, and a file if you like.

    Ctrl-C or SIGTERM end it: the file is whole then, and the last line on stderr says how many
    packets there were and how many the kernel dropped because we were too slow. Exit code 3: it
    ended early, disk full or interface gone; what was written is whole.
    """
    from portulan.drive.live import LiveCapture
    from portulan.wire.columns import check_names

    names = [name.strip() for name in fields.split(",") if name.strip()] if fields else []
    check_names(names)
    asked = bool(names) or as_json or verbose
    if verbose and (names or as_json):
        raise UsageError("-v and another way to show cannot be had at once", where="capture")
    if out == "-" and asked:
        raise UsageError("stdout cannot be both a capture and text", where="-w -")
    files, portion = _ring(ring, out)
    live = LiveCapture(
        interface, filter=text, count=count, duration_s=duration, promiscuous=not quiet_card)
    with live, stopped_by_signals(live.stop):
        if out:
            live.keep(sys.stdout.buffer if out == "-" else out, portion=portion, files=files)
        click.echo(f"listening on {interface}, {_link(live)}", err=True)
        fault = _run(live, names, as_json=as_json, verbose=verbose, silent=bool(out) and not asked)
        click.echo(_summary(live), err=True)
    if fault:
        click.echo(f"portulan: {printable(fault, 300)}", err=True)
        raise SystemExit(EXIT_PARTIAL)


def _run(
    live: LiveCapture, names: list[str], *, as_json: bool, verbose: bool, silent: bool
) -> str | None:
    """Capture until the end and return what made it come early, if something did."""
    try:
        if silent:
            for _ in live.batches():
                pass
        else:
            put(shown(live, names, as_json=as_json, as_hex=False, verbose=verbose))
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

    return f"link type {LinkType(live.link_type or 0).name}"


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
