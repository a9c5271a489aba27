"""A scenario: the hosts, links, services and rules of a lab, read from TOML and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from portulan.errors import UsageError
from portulan.lab.ports import Ranges, parse_ports
from portulan.lab.routes import Route

T = TypeVar("T")

Address: TypeAlias = str
Kind: TypeAlias = Literal[
    "http", "https", "echo", "banner", "dns", "accept", "reset", "tcp-sink", "command"
]
Transport: TypeAlias = Literal["tcp", "udp"]
Action: TypeAlias = Literal["drop", "reject", "limit", "forward", "synproxy"]
Answer: TypeAlias = Literal["tcp-reset", "port-unreachable", "host-unreachable", "admin-prohibited"]

NAME_MAX = 13
"""Bytes of a host's or link's name: it becomes an interface name, where Linux takes 15."""
HOSTS_MAX = 250
"""Hosts of one scenario: each costs a namespace; thousands of addresses are `anyip`'s job."""

_TARGET = re.compile(r"([0-9]{1,3}(\.[0-9]{1,3}){3})?:[0-9]{1,5}")
BUNDLED = Path(__file__).parent / "scenarios"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root of a scenario's tables: an unknown key is an error, never ignored."""


class Service(Part, frozen=True):
    """Something that listens on a port of a host, on all of its addresses."""

    kind: Kind
    port: int
    protocol: Transport = "tcp"
    text: str = ""
    """What a `banner` says first, what `http` and `https` show."""
    command: str = ""
    """The program of a `command` service; it must stay in the foreground."""


class Rule(Part, frozen=True):
    """What a host's firewall does to packets that come in or pass through; the first match wins."""

    action: Action
    ports: str = "1-65535"
    except_: str = msgspec.field(name="except", default="")
    protocol: Literal["tcp", "udp", "both"] = "both"
    answer: Answer = "port-unreachable"
    """How `reject` answers; `tcp-reset` rejects TCP only."""
    rate: str = ""
    """`limit` lets this much pass, as `20/second`, and drops the rest."""
    burst: int = 5
    to: str = ""
    """Where `forward` sends TCP: `10.0.0.2:80`, or `:80` for a port of this host itself."""

    @property
    def ranges(self) -> Ranges:
        """The ports that the rule matches, as inclusive ranges."""
        return parse_ports(self.ports, but=self.except_)

    @property
    def transports(self) -> tuple[Transport, ...]:
        """The protocols that the rule matches."""
        resets = self.answer == "tcp-reset" and self.action == "reject"
        if resets or self.action in ("forward", "synproxy"):
            return ("tcp",)
        return ("tcp", "udp") if self.protocol == "both" else (self.protocol,)


class Link(Part, frozen=True):
    """A wire between two hosts, or a switch where there are more."""

    static_neighbours: bool = False
    """Everyone knows everyone's MAC address from the start: no ARP."""
    mtu: int = 1500


class Host(Part, frozen=True):
    """A machine: a network namespace of its own."""

    about: str = ""
    links: dict[str, list[str]] = {}
    """Link name -> the addresses on it, with prefix length."""
    anyip: list[str] = []
    """Whole networks that this host answers for (Linux calls it AnyIP)."""
    routes: list[str] = []
    sysctls: dict[str, int | str] = {}
    services: list[Service] = []
    rules: list[Rule] = []
    loss: float = 0.0
    """Share of packets lost, 0..1, of those that come in and of those that go out."""
    ping: bool = True
    router: bool = False
    behind: list[str] = []
    """Routers whose rules stand between the scanner and this host: the truth needs to know."""
    down: bool = False
    """There is no such machine: its addresses are listed and silent."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The host's own addresses without prefix lengths."""
        return tuple(str(ip_interface(a).ip) for each in self.links.values() for a in each)


class Scenario(Part, frozen=True):
    """A small internet, as written in a TOML file."""

    about: str
    hosts: dict[str, Host]
    targets: list[str]
    """What the scanner is meant to scan: addresses and networks."""
    ports: str
    """Which ports: `22,80,8000-8100`."""
    links: dict[str, Link] = {}
    scanner: str = "scanner"
    name: str = ""
    """Filled from the file's name."""

    def attached(self) -> dict[str, list[str]]:
        """Return the hosts that are up on each link, in order."""
        on: dict[str, list[str]] = {}
        for name, host in self.hosts.items():
            for link in () if host.down else host.links:
                on.setdefault(link, []).append(name)
        return on

    @property
    def has_rules(self) -> bool:
        """Whether anything here needs a packet filter."""
        return any(h.rules or h.loss or not h.ping for h in self.hosts.values())


def bundled() -> list[str]:
    """Return the names of the scenarios that come with Portulan."""
    return sorted(path.stem for path in BUNDLED.glob("*.toml"))


def load(name: str) -> Scenario:
    """Return the scenario of a bundled name or of a path to a `.toml` file.

    Raises `UsageError` that names the file and the key.
    """
    path = Path(name) if name.endswith(".toml") else BUNDLED / f"{name}.toml"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        known = "a bundled one (" + ", ".join(bundled()) + ") or a path to a .toml file"
        raise UsageError("no such scenario", text=name, hint=f"name {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"scenario cannot be read: {error}", text=name) from None
    return parse(text, where=str(path) if name.endswith(".toml") else name)


def parse(text: str, *, where: str) -> Scenario:
    """Return the checked scenario that TOML text describes; `where` stands in error lines."""
    try:
        tree = tomllib.loads(text)
        scenario = msgspec.convert(tree | {"name": Path(where).stem}, Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(str(error), where=where, hint="see docs/howto/lab.md") from None
    check(scenario, where)
    return scenario


def check(scenario: Scenario, where: str) -> None:
    """Raise `UsageError` at the first thing in a scenario that cannot be built."""
    if scenario.scanner not in scenario.hosts:
        raise UsageError("no host of the scanner's name", text=scenario.scanner, where=where)
    if len(scenario.hosts) > HOSTS_MAX:
        raise UsageError(f"more than {HOSTS_MAX} hosts", where=where, hint="use anyip")
    _guard(f"{where}: ports", parse_ports, scenario.ports)
    for target in scenario.targets:
        _guard(f"{where}: targets", ip_network, target)
    for name in [*scenario.hosts, *scenario.attached()]:
        if not 0 < len(name.encode()) <= NAME_MAX or not name.replace("-", "").isalnum():
            raise UsageError(
                f"a name has letters, digits and '-', at most {NAME_MAX}", text=name, where=where
            )
    for name, host in scenario.hosts.items():
        _check_host(host, f"{where}: hosts.{name}")
        for router in host.behind:
            if router not in scenario.hosts:
                raise UsageError("unknown host", text=router, where=f"{where}: hosts.{name}.behind")
    for link, hosts in scenario.attached().items():
        if len(hosts) < 2:
            raise UsageError("a link needs two hosts", text=link, where=f"{where}: links")
    for link in scenario.links:
        if link not in scenario.attached():
            raise UsageError("no host is on this link", text=link, where=f"{where}: links")


def _check_host(host: Host, where: str) -> None:
    for addresses in host.links.values():
        for address in addresses:
            _guard(f"{where}.links", ip_interface, address)
    for network in host.anyip:
        _guard(f"{where}.anyip", ip_network, network)
    for route in host.routes:
        _guard(f"{where}.routes", Route.parse, route)
    if not 0 <= host.loss < 1:
        raise UsageError("loss is a share from 0 to 1", text=str(host.loss), where=where)
    seen: set[tuple[int, str]] = set()
    for service in host.services:
        _check_service(service, where)
        if (service.port, service.protocol) in seen:
            raise UsageError("two services on one port", text=str(service.port), where=where)
        seen.add((service.port, service.protocol))
    for rule in host.rules:
        _guard(f"{where}.rules", _ranges, rule)
        if (rule.action == "limit") != bool(rule.rate):
            raise UsageError("`limit` and only `limit` has a rate", where=f"{where}.rules",
                             hint='as {action = "limit", rate = "20/second"}')
        if (rule.action == "forward") != bool(_TARGET.fullmatch(rule.to)):
            raise UsageError("`forward` and only `forward` has a target", text=rule.to,
                             where=f"{where}.rules", hint="as to = \"10.0.0.2:80\", or \":80\"")
        if rule.rate and not _is_rate(rule.rate):
            raise UsageError("not a rate", text=rule.rate, where=f"{where}.rules",
                             hint="as 20/second")


def _check_service(service: Service, where: str) -> None:
    if not 0 < service.port < 65536:
        raise UsageError("a port is 1 to 65535", text=str(service.port), where=where)
    if (service.kind == "command") != bool(service.command):
        raise UsageError("`command` and only `command` has a command", where=where)
    if service.protocol == "udp" and service.kind not in ("echo", "dns", "accept", "command"):
        raise UsageError("not a UDP service", text=service.kind, where=where)


def _is_rate(text: str) -> bool:
    count, _, unit = text.partition("/")
    return count.isdigit() and unit in ("second", "minute", "hour")


def _ranges(rule: Rule) -> Ranges:
    return rule.ranges


def _guard(where: str, read: Callable[[T], object], value: T) -> None:
    try:
        read(value)
    except ValueError as error:
        raise UsageError(str(error), where=where) from None
