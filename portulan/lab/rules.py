"""A host's firewall and loss, as an nftables script, and what it makes of a port's state."""

from __future__ import annotations

import os
import shutil

from portulan.errors import PrivilegeError
from portulan.lab.ports import Ranges, contains
from portulan.lab.scenario import Host, Rule, Transport
from portulan.record import PortState

PRIORITY = -300
"""Before connection tracking and routing, so that one chain sees what is for this host and what
passes through; netfilter.org calls this place `raw`."""

ANSWERS = {
    "tcp-reset": "reject with tcp reset",
    "port-unreachable": "reject with icmpx type port-unreachable",
    "host-unreachable": "reject with icmpx type host-unreachable",
    "admin-prohibited": "reject with icmpx type admin-prohibited",
}
PING = "icmp type echo-request drop\nicmpv6 type echo-request drop"


def script(host: Host) -> str:
    """Return the nftables script of a host, empty if it needs none.

    Loss is drawn once for a packet that comes in, once for one that goes out; not on loopback.
    """
    incoming = [_loss(host.loss)] if host.loss else []
    incoming += [] if host.ping else [PING]
    incoming += [_line(rule, transport) for rule in host.rules for transport in rule.transports
                 if rule.action not in ("forward", "synproxy")]
    incoming += [f"{_match(rule, 'tcp')} tcp flags syn notrack"
                 for rule in host.rules if rule.action == "synproxy"]
    if not incoming and not host.rules:
        return ""
    outgoing = _loss(host.loss) if host.loss else ""
    return (
        "table inet lab {\n"
        + _chain("in", "prerouting", 'iifname "lo" accept\n' + "\n".join(incoming))
        + _chain("out", "postrouting", 'oifname "lo" accept\n' + outgoing)
        + _tracked(host.rules)
        + "}\n"
    )


def _tracked(rules: list[Rule]) -> str:
    """Return the chains that need connection tracking: it begins only where one of them is."""
    forwards = [f"{_match(rule, 'tcp')} {_onward(rule.to)}"
                for rule in rules if rule.action == "forward"]
    proxied = [f"{_match(rule, 'tcp')} ct state invalid,untracked "
               "synproxy mss 1460 wscale 7 timestamp sack-perm"
               for rule in rules if rule.action == "synproxy"]
    text = ""
    if forwards:
        text += _chain("nat", "prerouting", "\n".join(forwards), kind="nat", priority="dstnat")
    for hook in ("input", "forward") if proxied else ():
        body = "\n".join([*proxied, "ct state invalid drop"])
        text += _chain(f"proxied-{hook}", hook, body, priority="filter")
    return text


def _onward(target: str) -> str:
    return f"redirect to {target}" if target.startswith(":") else f"dnat ip to {target}"


def verdict(rules: list[Rule], port: int, protocol: Transport) -> PortState | None:
    """Return the state that rules force upon a port, or None where they let packets through."""
    for rule in rules:
        if rule.action == "limit":
            continue  # what stays below the rate goes on to the next rule
        if protocol in rule.transports and contains(rule.ranges, port):
            return _state(rule, protocol)
    return None


def _state(rule: Rule, protocol: Transport) -> PortState:
    if rule.action in ("forward", "synproxy"):
        return "open"
    if rule.action == "drop":
        return "filtered" if protocol == "tcp" else "open|filtered"
    # As every scanner since nmap reads it: a reset, or port-unreachable to UDP, says closed;
    # any other ICMP error comes from a filter.
    closed = rule.answer == ("tcp-reset" if protocol == "tcp" else "port-unreachable")
    return "closed" if closed else "filtered"


def nft() -> str:
    """Return the path of nft; Debian keeps it where an ordinary user's PATH does not look."""
    found = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise PrivilegeError("this scenario has firewall rules or loss", right="nftables",
                             grant="apt-get install nftables")
    return found


def _chain(
    name: str, hook: str, body: str, *, kind: str = "filter", priority: str | int = PRIORITY,
) -> str:
    head = f"type {kind} hook {hook} priority {priority}; policy accept;"
    return f"chain {name} {{\n{head}\n{body}\n}}\n"


def _loss(share: float) -> str:
    return f"numgen random mod 100000 < {round(share * 100_000)} drop"


def _match(rule: Rule, transport: Transport) -> str:
    return f"meta l4proto {transport} {transport} dport {_ports(rule.ranges)}"


def _line(rule: Rule, transport: Transport) -> str:
    match = _match(rule, transport)
    if rule.action == "limit":
        return f"{match} limit rate over {rule.rate} burst {rule.burst} packets drop"
    return f"{match} {'drop' if rule.action == 'drop' else ANSWERS[rule.answer]}"


def _ports(ranges: Ranges) -> str:
    spans = (str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return "{ " + ", ".join(spans) + " }"
