"""`portulan discover`: who is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import rich_click as click


@click.command("discover", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("targets", nargs=-1, metavar="NET...")
@click.option("-L", "--link", "links", multiple=True, metavar="IFACE",
              help="Everybody on this link: its own IPv4 nets, IPv6 by multicast to all nodes.")
@click.option("-e", "interface", metavar="IFACE", default="", help="Use this interface.")
@click.option("-R", "--names", is_flag=True,
              help="Ask DNS for the names of hosts that are up; those on the link, themselves too.")
@click.option("-n", "no_names", is_flag=True, help="Don't: the default, for nmap's users.")
@click.option("--dns-server", "server", metavar="ADDR[#PORT]", default="",
              help="Ask this server for names; implies -R. [default: the machine's own]")
@click.option("-4", "ip4", is_flag=True, help="IPv4 only.")
@click.option("-6", "ip6", is_flag=True, help="IPv6 only.")
@click.option("--exclude", multiple=True, metavar="TARGET", help="Leave these out; always wins.")
@click.option("--max-rate", type=float, metavar="PPS", default=None,
              help="Packets a second, 0 for no cap. [default: 10000; 1000 if a target is public]")
@click.option("--all", "every_state", is_flag=True, help="Also list addresses without answer.")
@click.option("--json", "as_json", is_flag=True, help="`host` events as JSON Lines on stdout.")
@click.option("-o", "outputs", multiple=True, metavar="FILE",
              help="Also write a file; the suffix says how, as for scan.")
@click.option("--no-keep", is_flag=True, help="Keep no chart.")
@click.option("-y", "--yes", is_flag=True, help="Yes, more than 65,536 public addresses.")
def discover(
    targets: tuple[str, ...], *, links: tuple[str, ...], interface: str, names: bool,
    no_names: bool, server: str, ip4: bool, ip6: bool, exclude: tuple[str, ...],
    max_rate: float | None, every_state: bool, as_json: bool, outputs: tuple[str, ...],
    no_keep: bool, yes: bool,
) -> None:
    """Find out who is there, with Ethernet addresses, makers, round trips and names.

    On the link by ARP and ND, beyond it by ICMP, TCP and UDP; without rights by connecting, and by
    ICMP echo where the kernel lets the group.
    """
    from portulan import api
    from portulan.api.running import Scan
    from portulan.cli.scan import Stop
    from portulan.cli.scan_files import write_output
    from portulan.cli.scan_options import Options
    from portulan.cli.scan_show import Show
    from portulan.drive.discovering import Discovering
    from portulan.errors import UsageError
    from portulan.render.hosts import host_lines
    from portulan.sockets.names import check_server

    if no_names and (server or names):
        raise UsageError("-n asks no server", where="--dns-server" if server else "-R",
                         hint="give one of them")
    check_server(server)
    if not targets and not links:
        raise UsageError("nobody to ask", hint="give a net, as 192.168.1.0/24, or --link IFACE")
    options = Options(
        targets=targets, kind=("n",), interface=interface, ip4=ip4, ip6=ip6, exclude=exclude,
        max_rate=max_rate, every_state=every_state, as_json=as_json, outputs=outputs,
        no_keep=no_keep, yes=yes,
    )
    options.check()
    options = replace(options, targets=(*targets, *_on_links(links, 4 if ip4 else 6 if ip6 else 0)))
    plan = api.plan(options.request())
    scan = Scan.begin(plan, keep=not no_keep, around=(
        (lambda job: Discovering(job, server)) if names or server else None))
    with Stop(scan) as stop:
        for line in (plan.why, *plan.notes):
            click.echo(f"portulan: {line}", err=True)
        Show(options, scan).run()
        for name in outputs:
            write_output(name, scan, scan.events)
    if not as_json:
        click.echo("\n".join(host_lines(scan.events)))
    if stop.signal:
        raise SystemExit(128 + stop.signal)


def _on_links(links: tuple[str, ...], family: int) -> Iterator[str]:
    """Yield everybody on links as targets; what is known only by asking is asked now."""
    from portulan.drive.multicast import link_targets
    from portulan.link.rights import rights

    for name in links:
        targets, notes = link_targets(name, family, rights())
        for note in notes:
            click.echo(f"portulan: {note}", err=True)
        yield from targets
