"""`portulan trace`: the paths to many hosts at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portulan.drive.tracing import TraceOptions
    from portulan.record import Hop
    from portulan.render.layout import Line


@click.command("trace", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("targets", nargs=-1, metavar="HOST...", required=True)
@click.option("-I", "--icmp", is_flag=True, help="Ask by ICMP echo instead of UDP.")
@click.option("-T", "--tcp", is_flag=True,
              help="Ask by TCP SYN, which firewalls let through to a port in use.")
@click.option("-p", "port", type=click.IntRange(1, 65535), metavar="PORT",
              help="Port of UDP or TCP. A closed UDP port shows that the host is reached. "
                   "[default: 33434; 80 with -T]")
@click.option("-m", "hops_max", type=click.IntRange(1, 255), default=30, show_default=True,
              metavar="HOPS", help="Go no farther.")
@click.option("-q", "queries", type=click.IntRange(1, 10), default=3, show_default=True,
              metavar="N", help="Probes a hop.")
@click.option("-w", "wait_s", type=click.FloatRange(0.05, 60), default=1.0, show_default=True,
              metavar="SECONDS", help="Wait so long for a reply.")
@click.option("-e", "interface", metavar="IFACE", default="", help="Use this interface.")
@click.option("-R", "--names", is_flag=True, help="Ask DNS for the routers' names.")
@click.option("--dns-server", "server", metavar="ADDR[#PORT]", default="",
              help="Ask this server for names; implies -R. [default: the machine's own]")
@click.option("-4", "ip4", is_flag=True, help="IPv4 only.")
@click.option("-6", "ip6", is_flag=True, help="IPv6 only.")
@click.option("--tree", "as_tree", is_flag=True,
              help="All paths as one tree at the end, shared routers once.")
@click.option("--json", "as_json", is_flag=True, help="`hop` events as JSON Lines on stdout.")
def trace(
    targets: tuple[str, ...], *, icmp: bool, tcp: bool, port: int | None, hops_max: int,
    queries: int, wait_s: float, interface: str, names: bool, server: str, ip4: bool, ip6: bool,
    as_tree: bool, as_json: bool,
) -> None:
    """Show which routers lead to hosts, with loss and the fastest time at each hop.

    Needs no right. A hop that does not answer shows as `*`. Hosts of one network share their
    first hops: those are asked once. A terminal shows the paths while they grow.
    """
    from portulan.drive.tracing import UDP_PORT, TraceOptions
    from portulan.errors import UsageError
    from portulan.sockets.names import check_server

    if icmp and (tcp or port):
        raise UsageError("ICMP has no ports", where="-I", hint="leave out -T and -p, or -I")
    if as_tree and as_json:
        raise UsageError("a tree is for eyes", where="--tree", hint="leave it out, or --json")
    if ip4 and ip6:
        raise UsageError("-4 and -6 leave nothing", hint="give one of them")
    check_server(server)
    family = 4 if ip4 else 6 if ip6 else 0
    hosts = list(dict.fromkeys(_zoned(text, _address(text, family), interface) for text in targets))
    options = TraceOptions(
        manner="icmp" if icmp else "tcp" if tcp else "udp",
        port=port or (80 if tcp else UDP_PORT), hops_max=hops_max, queries=queries,
        wait_ns=int(wait_s * 1e9), interface=interface,
    )
    dns = (server,) if names or server else ()
    try:
        if as_json:
            _objects(hosts, options, dns)
        else:
            _shown(hosts, options, dns, as_tree=as_tree)
    except OSError as error:
        raise UsageError(f"no trace: {(error.strerror or str(error)).lower()}",
                         text=" ".join(hosts[:3]), hint="see: portulan info") from None


def _address(text: str, family: int) -> str:
    from portulan.errors import UsageError
    from portulan.sockets.resolve import resolve

    found = [a for a in resolve(text) if not family or (":" in a) == (family == 6)]
    if not found:
        raise UsageError("no address for this host", text=text, hint="check the name")
    return found[0]


def _zoned(text: str, address: str, interface: str) -> str:
    """Return an address as asked for; raises `UsageError` for a link-local one without its link."""
    from ipaddress import ip_address

    from portulan.drive.ways import zone_missing
    from portulan.link.interfaces import interfaces
    from portulan.target.ranges import Range

    if not ip_address(address).is_link_local or ":" not in address:
        return address
    zone = text.strip("[]").partition("%")[2] or interface
    if not zone:
        raise zone_missing(Range(6, int(ip_address(address))), interfaces())
    return f"{address}%{zone}"


def _with_names(paths: Iterable[list[Hop]], dns: tuple[str, ...]) -> Iterable[list[Hop]]:
    from portulan.drive.naming import named_paths

    return named_paths(paths, dns[0]) if dns else paths


def _objects(hosts: list[str], options: TraceOptions, dns: tuple[str, ...]) -> None:
    from portulan.drive.tracing import trace as run
    from portulan.record import encode_lines

    for hops in _with_names(run(hosts, options), dns):
        sys.stdout.buffer.write(encode_lines(hops))
        sys.stdout.buffer.flush()


def _shown(
    hosts: list[str], options: TraceOptions, dns: tuple[str, ...], *, as_tree: bool
) -> None:
    """Print each path when it is known; on a terminal, those under way below."""
    from rich.console import Group
    from rich.live import Live

    from portulan.cli.console import console, has_unicode, width_of
    from portulan.drive.tracing import trace as run
    from portulan.render.paths import path_rows, tree_rows
    from portulan.render.terminal import styled

    made = console()
    unicode, width = has_unicode(made), width_of(made)
    under_way: list[list[Hop]] = []
    known: list[list[Hop]] = []

    def texts(lines: Iterable[Line]) -> Group:
        return Group(*(styled(line, unicode=unicode) for line in lines))

    def rows(paths: list[list[Hop]]) -> Iterable[Line]:
        return (line for hops in paths for line in path_rows(hops, width=width, going=True))

    # rich's own refreshing is a thread, which would read the lines while they change.
    with Live(console=made, auto_refresh=False, transient=True) as live:

        def watch(paths: list[list[Hop]]) -> None:
            under_way[:] = paths
            if made.is_terminal:
                shown = list(rows(paths))[: max(made.height - 2, 4)]
                live.update(texts(shown), refresh=True)

        try:
            for hops in _with_names(run(hosts, options, watch), dns):
                known.append(hops)
                if not as_tree:
                    live.update(Group(), refresh=True)
                    made.print(texts(path_rows(hops, width=width)), soft_wrap=True)
        except KeyboardInterrupt:
            live.update(Group(), refresh=True)
            if not as_tree:
                made.print(texts(rows(under_way)), soft_wrap=True)
            raise
        finally:
            live.update(Group(), refresh=True)
            if as_tree:
                made.print(texts(tree_rows([*known, *under_way], width=width)), soft_wrap=True)
