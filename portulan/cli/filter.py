"""`portulan filter`: check a filter, and print the BPF program it becomes."""

from __future__ import annotations

import rich_click as click

SNAPLEN_MAX = 0xFFFF_FFFF
"""What a BPF `ret` can say."""


@click.command("filter")
@click.argument("words", nargs=-1, metavar="EXPR...")
@click.option("--linktype", default="EN10MB", show_default=True, metavar="NAME",
              help="What frames begin with, by libpcap's names: EN10MB, RAW, LINUX_SLL, ...")
@click.option("--snaplen", type=click.IntRange(1, SNAPLEN_MAX), default=262_144, show_default=True,
              metavar="BYTES", help="How much of a frame the program keeps.")
@click.option("--bpf", is_flag=True,
              help="Print the program as tcpdump -ddd does: its length, then its instructions.")
def filter(words: tuple[str, ...], *, linktype: str, snaplen: int, bpf: bool) -> None:
    """Check a filter, and say where it can run.

    Filters are those of tcpdump (pcap-filter(7)), and comparisons of any field that packets are
    read into: `tcp port 80 or 443 and not net 10/8`, `tcp.dport == 443 and ip.ttl < 10`,
    `dns.qname contains "example"`. What cannot be read, or can match nothing: exit code 2.
    """
    from portulan.errors import UsageError
    from portulan.wire.filter import compile_filter, link_number

    try:
        link_type = link_number(linktype)
    except UsageError as error:
        hint = error.hint
        raise UsageError(error.reason, text=error.text, where="--linktype", hint=hint) from None
    compiled = compile_filter(" ".join(words), link_type, services=service_port)
    if bpf:
        program = compiled.program(snaplen)
        click.echo("\n".join([str(len(program)), *(" ".join(map(str, each)) for each in program)]))
        return
    try:
        where = f"kernel and captures: {len(compiled.program(snaplen))} BPF instructions"
    except UsageError as error:
        where = f"captures only: {error}"
    click.echo(f"{linktype.upper()}: good for {where}")


def service_port(name: str, protocol: str) -> int | None:
    """Return a service's port by this machine's names, then by our own."""
    import socket

    from portulan.errors import UsageError
    from portulan.target.ports import parse_ports

    try:
        return socket.getservbyname(name, protocol)
    except OSError:
        pass
    try:
        found = list(getattr(parse_ports(name, protocols=(protocol,)), protocol))
    except UsageError:
        return None
    return int(found[0]) if len(found) == 1 else None
