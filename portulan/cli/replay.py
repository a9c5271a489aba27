"""`portulan replay`: send the packets of a capture file on an interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from portulan.cli.interface_option import interface_missing
from portulan.cli.stopping import stopped_by_signals
from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.replaying import Pace, Replayed

EXIT_PARTIAL = 3
EXIT_INTERRUPTED = 130


@click.command("replay")
@click.argument("path", metavar="FILE")
@click.option("-e", "interface", metavar="IFACE", help="The interface to send on.")
@click.option("--rate", type=click.IntRange(0), metavar="PPS",
              help="Packets a second, evenly; 0 is as fast as it goes.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), metavar="X",
              help="The file's times, X times as fast: 2, 0.5.")
@click.option("--max-gap", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Wait at most so long between two packets (default: an hour).")
@click.option("--loop", "loops", default=1, type=click.IntRange(1), metavar="N",
              help="Send the file N times, one after the other.")
@click.option("-f", "text", metavar="FILTER", help="Only what it accepts: tcpdump's words, fields.")
@click.option("-n", "count_max", type=click.IntRange(min=1), help="Only the first N packets.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def replay(
    *, path: str, interface: str | None, rate: int | None, speed: float | None,
    max_gap: float | None, loops: int, text: str | None, count_max: int | None, as_json: bool,
) -> None:
    """Send the packets of a capture on an interface, as far apart as they were.

    Frames leave as they are in the file, addresses and all: whoever they are for must be behind
    IFACE. What the interface cannot carry is counted as failed. `-` is stdin. Needs CAP_NET_RAW.

    Exit code 3: packets failed, the file is damaged or the interface went away; 130: stopped by
    Ctrl-C or SIGTERM.
    """
    from portulan.drive.capture import Capture
    from portulan.drive.replaying import Replay

    if interface is None:
        raise interface_missing()
    capture = Capture(path)
    if text:
        capture = capture.filter(text)
    if count_max is not None:
        capture = capture[:count_max]
    under_way = Replay(capture, interface, pace=_pace(rate, speed, max_gap), loops=loops)
    with stopped_by_signals(under_way.stop):
        click.echo(f"replaying {printable(path)} on {printable(interface)}", err=True)
        done = under_way.run()
    _say(done, as_json=as_json)
    if done.reason == "interrupted":
        raise SystemExit(EXIT_INTERRUPTED)
    if done.damage or done.failed:
        raise SystemExit(EXIT_PARTIAL)


def _pace(rate: int | None, speed: float | None, max_gap: float | None) -> Pace:
    from portulan.drive.replaying import GAP_MAX_S, FileTime, Rate

    if rate is None:
        return FileTime(1.0 if speed is None else speed,
                        gap_max_s=GAP_MAX_S if max_gap is None else max_gap)
    if speed is not None or max_gap is not None:
        raise UsageError("a rate does not look at the file's times", where="--rate",
                         hint="leave out --speed and --max-gap, or --rate")
    return Rate(rate)


def _say(done: Replayed, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(summary(done)).decode())
    click.echo(_line(done), err=True)
    if done.damage:
        click.echo(f"portulan: {printable(done.damage, 300)}", err=True)


def summary(done: Replayed) -> dict[str, object]:
    """Return what was done as JSON has it."""
    return {
        "type": "replay", "reason": done.reason, "packets": done.packets, "sent": done.sent,
        "sent_bytes": done.sent_bytes, "failed": sum(done.failed.values()),
        "failures": dict(done.failed), "cut": done.cut, "loops": done.loops,
        "elapsed_s": round(done.elapsed_ns / 1e9, 6), "rate_pps": round(done.rate_pps, 1),
        "late_max_ms": round(done.late_max_ns / 1e6, 3),
    }


def _line(done: Replayed) -> str:
    words = [f"{done.sent:,} sent, {done.sent_bytes:,} bytes in {done.elapsed_ns / 1e9:.3f} s"]
    words += [f"{count:,} {reason}" for reason, count in done.failed.items()]
    if done.cut:
        words.append(f"{done.cut:,} of them cut when they were captured")
    if done.late_max_ns:
        words.append(f"at most {done.late_max_ns / 1e6:.1f} ms late")
    if done.reason == "interrupted":
        words.append("stopped")
    return ", ".join(words)
