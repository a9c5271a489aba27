"""Namespaces and what is in them: links, addresses, routes, sysctls, rules, by netlink.

A namespace here has no name in /run/netns. It lives as long as something holds it: the keeper's
open file, a socket, a process inside. When the keeper ends, however it ends, the kernel takes
namespaces, interfaces, addresses and rules away by itself: nothing can be left half-made, and
nothing of a lab is ever in the namespace of the machine.

pyroute2 speaks netlink from one process that moves from namespace to namespace: a lab of eight
hosts takes 30 ms, where `ip` would start some sixty processes, and needs iproute2.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from ipaddress import ip_interface
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError, netns

from portulan.errors import UsageError
from portulan.lab.routes import Route
from portulan.lab.rules import nft, script
from portulan.lab.scenario import Host, Link, Scenario

LOOPBACK = 1
"""The index of `lo`, the first interface of every namespace."""

NO_DAD = 0x02
"""IFA_F_NODAD: an address is there at once, without a second of asking who else has it."""

PERMANENT = 0x80
"""NUD_PERMANENT: a neighbour that is never asked for again."""

TABLE_LOCAL = 255

SCOPE_HOST = 254
"""IPv4 refuses a local route of any other scope; IPv6 looks at none."""

SWITCH = "switch "
"""Before a link's name: the namespace of its bridge. No host's name holds a blank."""


def namespaces(count: int) -> list[int]:
    """Return open files of fresh network namespaces.

    `os.unshare` came with Python 3.12; util-linux' program does the same everywhere.
    """
    makers = [
        subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; read -r _"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    return [_take(maker) for maker in makers]


def _take(maker: subprocess.Popen[bytes]) -> int:
    with maker:
        assert maker.stdout  # noqa: S101 - for the type checker
        if not maker.stdout.readline():
            raise OSError("unshare made no namespace")
        return os.open(f"/proc/{maker.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(namespace: int) -> None:
    """Move this thread into a namespace, given as an open file."""
    netns.setns(namespace)


def build(scenario: Scenario) -> dict[str, int]:
    """Make a scenario's namespaces, links, addresses, routes and rules.

    Returns an open file per host, and leaves the caller inside one of the namespaces.
    """
    on = scenario.attached()
    alive = [name for name, host in scenario.hosts.items() if not host.down]
    switches = [SWITCH + link for link, hosts in on.items() if len(hosts) > 2]
    spaces = dict(zip([*alive, *switches], namespaces(len(alive) + len(switches)), strict=True))
    macs = _macs(scenario)
    for link, hosts in on.items():
        if len(hosts) > 2:
            _switch(link, hosts, spaces, macs)
        else:
            _wire(link, hosts, spaces, macs)
    for name in alive:
        enter(spaces[name])
        try:
            _furnish(name, scenario, macs)
        except NetlinkError as error:
            raise UsageError(f"the kernel refuses: {error}", where=f"hosts.{name}") from None
    return {name: spaces[name] for name in [*alive, *switches]}


def _macs(scenario: Scenario) -> dict[tuple[str, str], str]:
    """Return (host, link) -> MAC: locally administered, the same at every start."""
    return {
        (host, link): f"02:70:74:6c:{number:02x}:{port:02x}"
        for number, (host, spec) in enumerate(scenario.hosts.items(), 1)
        for port, link in enumerate(spec.links)
    }


def _wire(
    link: str, hosts: Sequence[str], spaces: dict[str, int], macs: dict[tuple[str, str], str]
) -> None:
    one, two = hosts
    peer = {"ifname": link, "address": macs[two, link], "net_ns_fd": spaces[two]}
    enter(spaces[one])
    with IPRoute() as netlink:
        netlink.link("add", ifname=link, kind="veth", address=macs[one, link], peer=peer)


def _switch(
    link: str, hosts: Sequence[str], spaces: dict[str, int], macs: dict[tuple[str, str], str]
) -> None:
    enter(spaces[SWITCH + link])
    with IPRoute() as netlink:
        netlink.link("add", ifname="bridge", kind="bridge")
        bridge = netlink.link_lookup(ifname="bridge")[0]
        netlink.link("set", index=bridge, state="up")
        for host in hosts:
            peer = {"ifname": link, "address": macs[host, link], "net_ns_fd": spaces[host]}
            netlink.link("add", ifname=host, kind="veth", peer=peer)
            port = netlink.link_lookup(ifname=host)[0]
            netlink.link("set", index=port, master=bridge, state="up")


def _furnish(name: str, scenario: Scenario, macs: dict[tuple[str, str], str]) -> None:
    host = scenario.hosts[name]
    for key, value in _sysctls(host).items():
        _set_sysctl(name, key, value)
    with IPRoute() as netlink:
        netlink.link("set", index=LOOPBACK, state="up")
        for link, addresses in host.links.items():
            index = netlink.link_lookup(ifname=link)[0]
            wire = scenario.links.get(link, Link())
            _trust_addresses(link)
            netlink.link("set", index=index, mtu=wire.mtu, state="up")
            for address in map(ip_interface, addresses):
                netlink.addr(
                    "add", index=index, address=str(address.ip),
                    prefixlen=address.network.prefixlen,
                    flags=NO_DAD if address.version == 6 else 0,
                )
            if wire.static_neighbours:
                _introduce(netlink, index, (name, link), scenario, macs)
        for network in host.anyip:
            netlink.route(
                "add", dst=network, type="local", table=TABLE_LOCAL, oif=LOOPBACK,
                scope=SCOPE_HOST, family=_family(6 if ":" in network else 4),
            )
        for route in map(Route.parse, host.routes):
            _add_route(netlink, name, route)
    _filter(name, host)


def _trust_addresses(link: str) -> None:
    """Let a link's own link-local address work at once.

    While it is checked for duplicates, for up to two seconds, a host asks for no neighbour: the
    first packets through a fresh lab would wait or be lost. MACs here are unique by construction.
    """
    path = Path("/proc/sys/net/ipv6/conf", link, "accept_dad")
    if path.exists():
        path.write_text("0\n")


def _introduce(
    netlink: IPRoute, index: int, here: tuple[str, str], scenario: Scenario,
    macs: dict[tuple[str, str], str],
) -> None:
    me, link = here
    for other in scenario.attached()[link]:
        for address in scenario.hosts[other].links[link] if other != me else ():
            netlink.neigh(
                "add", ifindex=index, dst=str(ip_interface(address).ip),
                lladdr=macs[other, link], state=PERMANENT,
            )


def _add_route(netlink: IPRoute, host: str, route: Route) -> None:
    words: dict[str, object] = {"dst": route.network, "family": _family(route.version)}
    if route.via:
        words["gateway"] = route.via
    if route.dev:
        found = netlink.link_lookup(ifname=route.dev)
        if not found:
            raise UsageError("no such link", text=route.dev, where=f"hosts.{host}.routes")
        words["oif"] = found[0]
    if route.metric:
        words["priority"] = route.metric
    netlink.route("add", **words)


def _family(version: int) -> int:
    return {4: 2, 6: 10}[version]  # AF_INET, AF_INET6 of Linux


def _sysctls(host: Host) -> dict[str, int | str]:
    forwarding = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
    return (forwarding if host.router else {}) | host.sysctls


def _set_sysctl(host: str, key: str, value: int | str) -> None:
    path = Path("/proc/sys", *key.split("."))
    try:
        path.write_text(f"{value}\n")
    except OSError as error:
        where = f"hosts.{host}.sysctls"
        raise UsageError(f"{error.strerror}: {key} = {value}", where=where) from None


def _filter(name: str, host: Host) -> None:
    text = script(host)
    if not text:
        return
    done = subprocess.run(
        [nft(), "-f", "-"], input=text, text=True, capture_output=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[0] if done.stderr.strip() else "failed"
        raise UsageError(f"nft: {reason}", where=f"hosts.{name}.rules")
