"""`portulan read`: show, count, convert and cut what a capture file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import rich_click as click

from portulan.cli.packet_lines import TIMES, binary_out, put, shown
from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.capture import Capture
    from portulan.drive.capture_writer import Portion

EXIT_PARTIAL = 3

PARQUET_FIELDS = (
    "frame.number", "frame.time_ns", "frame.length", "vlan.id", "arp.spa", "arp.tpa", "ip.src",
    "ip.dst", "ip6.src", "ip6.dst", "ip.ttl", "ip.protocol", "tcp.sport", "tcp.dport",
    "tcp.flags", "tcp.seq", "tcp.ack", "udp.sport", "udp.dport", "icmp.type", "icmp.code",
    "dns.qname", "tls.sni", "http.host",
)
"""What --parquet keeps unless --fields says otherwise."""


@click.command("read")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option("-f", "text", metavar="FILTER", help="Only what it accepts: tcpdump's words, fields.")
@click.option("-n", "count_max", type=click.IntRange(min=0), help="Stop after N packets.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a packet.")
@click.option("--fields", metavar="NAME,...", help="Show these fields only, tabs between them.")
@click.option("--count", "only_count", is_flag=True, help="Print how many packets there are.")
@click.option("--hex", "as_hex", is_flag=True, help="Print the packets' bytes as hex digits.")
@click.option("--parquet", metavar="OUT", help="Write columns to a Parquet file.")
@click.option("-w", "out", metavar="OUT", help="Write the packets to a capture file.")
@click.option("--split", metavar="SIZE",
              help="With -w, files of 100MB, 10000packets or 60s each: NAME-00001.pcapng, ...")
@click.option("--sanitise", is_flag=True, help="Replace addresses, keeping common prefixes.")
@click.option("--key", metavar="KEY", help="With --sanitise: the same key, the same addresses.")
@click.option("--fix-checksums", is_flag=True, help="Make checksums right.")
@click.option("-v", "verbose", is_flag=True, help="Show every field of every header.")
@click.option("-x", "dump", is_flag=True, help="Show the octets, too: as hex digits and as text.")
@click.option("--time", "-t", type=click.Choice(TIMES), default=TIMES[0],
              help="When: since the first packet, since the last, by the clock, Unix time.")
def read(
    *, paths: tuple[str, ...], text: str | None, count_max: int | None, as_json: bool,
    fields: str | None, only_count: bool, as_hex: bool, parquet: str | None, out: str | None,
    split: str | None, sanitise: bool, key: str | None, fix_checksums: bool, verbose: bool,
    dump: bool, time: str,
) -> None:
    """Read a capture: pcap or pcapng, plain, gzip or xz; `-` is stdin.

    Several are merged by time.

    One line a packet: its number, seconds since the first packet shown, what it is. A damaged
    file is read as far as it goes; one line on stderr tells where it ends, the exit code is 3.
    """
    from portulan.drive.capture import Capture
    from portulan.drive.capture_writer import parse_portion
    from portulan.wire.columns import check_names

    names = [name.strip() for name in fields.split(",") if name.strip()] if fields else []
    check_names(names)
    _check_ways(count=only_count, json=as_json, parquet=bool(parquet), w=bool(out), v=verbose)
    for name, on in (("-x", dump), ("--time", time != TIMES[0])):
        if on and (only_count or as_json or parquet or out or names or as_hex):
            raise UsageError("is for lines that people read", where=name)
    portion = parse_portion(split, where="--split") if split else None
    if portion and not out:
        raise UsageError("says how to write, but not where", where="--split", hint="-w NAME.pcapng")
    if key is not None and not sanitise:
        raise UsageError("is for --sanitise only", where="--key")
    capture = Capture(paths[0]) if len(paths) == 1 else _merged(paths)
    if text:
        capture = capture.filter(text)
    if count_max is not None:
        capture = capture[:count_max]
    if sanitise:
        capture = capture.sanitise(key)
    if fix_checksums:
        capture = capture.fix_checksums()
    if out or parquet:
        _convert(capture, out, parquet, names, portion=portion)
    elif only_count:
        click.echo(sum(map(len, capture.frames())))
    else:
        put(shown(capture, names, as_json=as_json, as_hex=as_hex, verbose=verbose, time=time,
                  dump=dump))
    if capture.damage:
        files = " ".join(paths)
        click.echo(f"portulan: {printable(files)}: {printable(capture.damage, 300)}", err=True)
        raise SystemExit(EXIT_PARTIAL)


def _merged(paths: tuple[str, ...]) -> Capture:
    from portulan.drive.capture_merge import Merged

    return Merged(paths)


def _check_ways(**given: bool) -> None:
    """Refuse two ways to show at once: one of them would be ignored."""
    chosen = [f"-{name}" if len(name) == 1 else f"--{name}" for name, on in given.items() if on]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be had at once", where="read")


def _convert(
    capture: Capture, out: str | None, parquet: str | None, names: list[str], *,
    portion: Portion | None,
) -> None:
    if out:
        target: str | BinaryIO = binary_out() if out == "-" else out
        written = capture.write(target, split=portion)
        click.echo(f"{written} packets written to {printable(out)}", err=True)
        lost = ", ".join(f"{count} {name}" for name, count in capture.lost.items() if count)
        if lost:
            plain = out.endswith((".pcap", ".cap"))
            why = ", for which pcap has no place: name it .pcapng to keep them" if plain else ""
            click.echo(f"left out: {lost}{why}", err=True)
    elif parquet:
        from portulan.store.packets import write_packets

        chosen = names or list(PARQUET_FIELDS)
        batches = (each.columns(chosen) for each in capture.batches())
        written = write_packets(batches, chosen, parquet)
        click.echo(f"{written} rows written to {printable(parquet)}", err=True)
