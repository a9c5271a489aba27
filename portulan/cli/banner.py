"""`portulan banner`: what runs behind given ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from portulan.cli.rules import book_of, own
from portulan.errors import UsageError

if TYPE_CHECKING:
    from portulan.record import Port, Service

EXIT_PARTIAL = 3


@click.command("banner", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("places", nargs=-1, metavar="HOST:PORT...")
@click.option("-iL", "lists", multiple=True, metavar="FILE|-", help="Read places from a file.")
@click.option("--json", "as_json", is_flag=True, help="`service` events as JSON Lines on stdout.")
@click.option("--host-timeout", "host_timeout_s", type=click.FloatRange(min=0.0), default=0.0,
              metavar="SECONDS", help="End with what is known of a host after so long.")
@click.option("-e", "interface", metavar="IFACE", default="", help="Use this interface.")
@own
def banner(
    places: tuple[str, ...], *, lists: tuple[str, ...], as_json: bool, host_timeout_s: float,
    interface: str, paths: tuple[Path, ...],
) -> None:
    """Tell what runs behind ports: listen, ask what fits the port, then what fits the reply.

    Ports as in `scan -p`: `10.0.0.1:22,80,U:53`, `[::1]:443`. Nothing is logged into, nothing is
    written. A line a port, as soon as it is known; exit code 3 if a port was closed or did not
    answer.
    """
    from portulan.api.identifying import aims_of, identify_events
    from portulan.cli.scan_files import read_words
    from portulan.drive.identifying import Limits
    from portulan.record import Service, encode_lines

    asked = [*places, *(word for name in lists for word, _ in read_words(name, "-iL"))]
    if not asked:
        raise UsageError("no port to ask", hint="write HOST:PORT, as 10.0.0.1:22,80")
    mute = False
    limits = Limits(host_timeout_s=host_timeout_s, interface=interface)
    for event in identify_events(aims_of(asked), limits=limits, book=book_of(paths)):
        if as_json:
            sys.stdout.buffer.write(encode_lines([event]))
            sys.stdout.buffer.flush()
        else:
            click.echo(line(event))
        mute = mute or not isinstance(event, Service) or event.name == "unknown"
    if mute:
        raise SystemExit(EXIT_PARTIAL)


def line(event: Port | Service) -> str:
    """Return one port as a line for people."""
    from portulan.errors import printable
    from portulan.record import Port

    host = f"[{event.addr}]" if ":" in event.addr else event.addr
    place = f"{host}:{event.port}/{event.protocol}"
    if isinstance(event, Port):
        return f"{place}  {event.state} ({event.reason})"
    name = f"{event.name} (TLS)" if event.tls else event.name
    words = [name, event.product, event.version, f"({event.info})" if event.info else ""]
    told = " ".join(word for word in words if word)
    if not event.product and event.banner:
        told += f"  {event.banner.strip()!r}"
    return printable(f"{place}  {told}{_sealed(event)}", 240)


def _sealed(event: Service) -> str:
    """Return TLS and whom the certificate names: `  TLSv1.3 shop.example until 2027-01-31`."""
    tls = event.handshake
    if tls is None:
        return ""
    words = [f"STARTTLS {tls.version}" if tls.starttls else tls.version]
    if tls.certificates:
        from datetime import UTC, datetime

        from portulan.ident.certificates import read

        found = read(tls.certificates[0])
        if found is not None:
            until = datetime.fromtimestamp(found.not_after_s, UTC)
            words += [found.subject, f"until {until:%Y-%m-%d}"]
            words += ["self-signed"] if found.self_signed else []
    return "  " + " ".join(word for word in words if word)
