"""What a perfect scanner finds in a lab: the answer sheet, as rows and as text."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

from portulan.errors import LimitError
from portulan.lab.ports import expand, parse_ports
from portulan.lab.rules import verdict
from portulan.lab.scenario import Host, Rule, Scenario, Transport
from portulan.record import PortState

ROWS_MAX = 4_000_000
"""Rows of one answer sheet, about 1 GB of them as objects: more is a mistake in the ports."""


class Expected(msgspec.Struct, frozen=True, order=True):
    """The state in which a port must be found."""

    addr: str
    port: int
    protocol: Transport
    state: PortState


def truth(scenario: Scenario, ports: str = "") -> Iterator[Expected]:
    """Yield what is true of every target address that is up, by default for the scenario's ports.

    TCP is told for every port; UDP for ports with a UDP service. Loss and rate limits change no
    truth: they make it harder to find.
    """
    wanted = list(expand(parse_ports(ports or scenario.ports)))
    nets = [ip_network(target) for target in scenario.targets]
    sheets = [
        (address, sheet)
        for host in scenario.hosts.values()
        if not host.down and (sheet := _sheet(scenario, host, wanted))
        for address in _addresses(host, nets, sheet)
    ]
    if sum(len(sheet) for _, sheet in sheets) > ROWS_MAX:
        raise LimitError(f"an answer sheet of more than {ROWS_MAX:,} rows - name fewer ports")
    for address, sheet in sheets:
        for port, protocol, state in sheet:
            yield Expected(address, port, protocol, state)


def alive(scenario: Scenario) -> dict[str, bool]:
    """Return for each target address that a host has whether the host is up."""
    nets = [ip_network(target) for target in scenario.targets]
    return {
        address: not host.down
        for name, host in scenario.hosts.items()
        if name != scenario.scanner
        for address in _addresses(host, nets, [])
    }


Row = tuple[int, Transport, PortState]


def _sheet(scenario: Scenario, host: Host, ports: list[int]) -> list[Row]:
    if host is scenario.hosts[scenario.scanner]:
        return []
    walls = [scenario.hosts[router].rules for router in host.behind] + [host.rules]
    tcp = {service.port for service in host.services if service.protocol == "tcp"}
    udp = {s.port: s.kind for s in host.services if s.protocol == "udp" or s.kind == "dns"}
    rows: list[Row] = [
        (port, "tcp", _through(walls, port, "tcp") or ("open" if port in tcp else "closed"))
        for port in ports
    ]
    rows += [
        (port, "udp", _through(walls, port, "udp") or _answering(udp[port]))
        for port in ports if port in udp
    ]
    return rows


def _answering(kind: str) -> PortState:
    return "open|filtered" if kind == "accept" else "open"


def _through(walls: list[list[Rule]], port: int, protocol: Transport) -> PortState | None:
    for rules in walls:
        if state := verdict(rules, port, protocol):
            return state
    return None


def _addresses(
    host: Host, nets: list[IPv4Network | IPv6Network], sheet: list[Row]
) -> Iterator[str]:
    """Yield the host's addresses that are among the targets; each once."""
    own = [a for a in map(ip_address, host.addresses) if any(a in net for net in nets)]
    yield from map(str, own)
    for network in map(ip_network, host.anyip):
        if network.num_addresses * max(1, len(sheet)) > ROWS_MAX:
            raise LimitError(f"{network} has too many addresses to list")
        for address in network:
            if address not in own and any(address in net for net in nets):
                yield str(address)


def describe(scenario: Scenario) -> str:
    """Return a scenario as a map in text: hosts, addresses, services, rules."""
    lines = [f"{scenario.name}: {scenario.about}",
             f"scan {' '.join(scenario.targets)} ports {scenario.ports} "
             f"from {scenario.scanner}", ""]
    for name, host in scenario.hosts.items():
        lines += _describe_host(name, host)
    return "\n".join(lines)


def _describe_host(name: str, host: Host) -> Iterator[str]:
    places = [f"{link} {' '.join(addresses)}" for link, addresses in host.links.items()]
    yield f"{name:<12} {', '.join(places)}{'  (down)' if host.down else ''}"
    if host.about:
        yield f"  {host.about}"
    for network in host.anyip:
        yield f"  every address of {network}"
    for service in host.services:
        what = service.command or service.kind
        text = f" {service.text.strip()!r}" if service.text else ""
        transport = "tcp+udp" if service.kind == "dns" else service.protocol
        yield f"  {f'{service.port}/{transport}':<9} {what}{text}"
    for rule in host.rules:
        how = {"drop": "", "reject": f" with {rule.answer}", "limit": f" to {rule.rate}",
               "forward": f" to {rule.to}", "synproxy": ""}
        but = f" except {rule.except_}" if rule.except_ else ""
        transports = "+".join(rule.transports)
        yield f"  {rule.action} {transports} {rule.ports}{but}{how[rule.action]}"
    if not host.ping:
        yield "  drop ICMP echo requests"
    if host.loss:
        yield f"  lose {host.loss:.1%} of packets, in and out"
    yield from (f"  route {route}" for route in host.routes)
    yield from (f"  {key} = {value}" for key, value in host.sysctls.items())
