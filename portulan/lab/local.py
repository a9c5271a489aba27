"""A lab without rights: the same services on 127.0.0.0/8, without firewalls, loss or routers."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from pathlib import Path

import msgspec

from portulan.errors import UsageError
from portulan.lab.ports import expand, parse_ports
from portulan.lab.scenario import Host, Scenario, Service

SHIFT = 8000
"""Added to a port that this user may not bind: 80 becomes 8080, 443 becomes 8443."""

CAP_NET_BIND_SERVICE = 10


def localize(scenario: Scenario, *, first_port: int = 1024) -> Scenario:
    """Return a scenario's services as they can run on loopback by anybody.

    10.77.0.12 becomes 127.77.0.12; ports below `first_port` are shifted by 8,000; hosts that are
    down stay, as addresses where nothing listens. Raises `UsageError` when nothing is left.

    >>> from portulan.lab.scenario import load
    >>> localize(load("harbour")).hosts["web"].addresses
    ('127.77.0.10',)
    """
    hosts = {
        name: _host(host, first_port)
        for name, host in scenario.hosts.items()
        if _four(host) and not host.anyip and not host.down and name != scenario.scanner
    }
    hosts = {name: host for name, host in hosts.items() if host.services}
    if not hosts:
        raise UsageError(
            "this scenario needs network namespaces", text=scenario.name,
            hint="run it as root, or allow user namespaces (see docs/howto/lab.md)",
        )
    ports = sorted({port if port >= first_port else port + SHIFT
                    for port in expand(parse_ports(scenario.ports))})
    return msgspec.structs.replace(
        scenario, hosts=hosts | {scenario.scanner: Host()}, links={},
        targets=[address for host in hosts.values() for address in host.addresses],
        ports=_text([port for port in ports if port < 65536]),
    )


def first_unprivileged_port() -> int:
    """Return the lowest port that this process may bind."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    if effective >> CAP_NET_BIND_SERVICE & 1:
        return 1
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


def _four(host: Host) -> list[str]:
    return [address for address in host.addresses if ip_address(address).version == 4]


def _host(host: Host, first_port: int) -> Host:
    address = ip_interface(_four(host)[0]).ip
    mine = f"127.{str(address).split('.', 1)[1]}/8"
    services = [_service(service, first_port) for service in host.services]
    return Host(
        about=host.about, links={"lo": [mine]}, services=[s for s in services if not s.command]
    )


def _service(service: Service, first_port: int) -> Service:
    port = service.port if service.port >= first_port else service.port + SHIFT
    return msgspec.structs.replace(service, port=port)


def _text(ports: list[int]) -> str:
    ranges = parse_ports(",".join(map(str, ports)))
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
