"""`portulan discover`: who is there."""

from __future__ import annotations

import sys

import rich_click as click


@click.command("discover", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("targets", nargs=-1, metavar="NET...", required=True)
@click.option("-e", "interface", metavar="IFACE", default="", help="Use this interface.")
@click.option("-n", "no_names", is_flag=True, help="Don't ask DNS for names.")
@click.option("--dns-server", "server", metavar="ADDR[#PORT]", default="",
              help="Ask this server for names. [default: the machine's own]")
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
    targets: tuple[str, ...], *, interface: str, no_names: bool, server: str, ip4: bool, ip6: bool,
    exclude: tuple[str, ...], max_rate: float | None, every_state: bool, as_json: bool,
    outputs: tuple[str, ...], no_keep: bool, yes: bool,
) -> None:
    """Find out who is there, with Ethernet addresses, makers, round trips and names.

    On the link by ARP and ND, beyond it by ICMP and TCP; without rights by connecting.
    """
    from portulan import api
    from portulan.api.running import Scan
    from portulan.cli.scan import Stop
    from portulan.cli.scan_files import write_output
    from portulan.cli.scan_options import Options
    from portulan.drive.discovering import Discovering
    from portulan.errors import UsageError
    from portulan.render.hosts import host_lines
    from portulan.sockets.names import check_server

    if no_names and server:
        raise UsageError("-n asks no server", where="--dns-server", hint="give one of them")
    check_server(server)
    options = Options(
        targets=targets, kind=("n",), interface=interface, ip4=ip4, ip6=ip6, exclude=exclude,
        max_rate=max_rate, every_state=every_state, as_json=as_json, outputs=outputs,
        no_keep=no_keep, yes=yes,
    )
    options.check()
    plan = api.plan(options.request())
    scan = Scan.begin(
        plan, keep=not no_keep, around=None if no_names else lambda job: Discovering(job, server))
    with Stop(scan) as stop:
        for line in (plan.why, *plan.notes):
            click.echo(f"portulan: {line}", err=True)
        for shown in scan.shown():
            if as_json and shown.lines:
                sys.stdout.buffer.write(shown.lines)
                sys.stdout.buffer.flush()
        for name in outputs:
            write_output(name, scan, scan.events)
    if not as_json:
        click.echo("\n".join(host_lines(scan.events)))
    if stop.signal:
        raise SystemExit(128 + stop.signal)
