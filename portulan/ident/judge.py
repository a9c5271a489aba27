"""Judge a reply: which protocol, which product, which version, by which rule."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from . import binary, grammar, greeting, http, shapes
from .facts import Facts
from .reply import Reply
from .rules import Book, builtin
from .verdict import Verdict

LOOKED_AT_MAX: Final = 64 << 10
"""Bytes of a reply that are looked at; what tells a product stands long before."""
GRAMMAR_STRENGTH: Final = 0.6
"""How much a name without a rule of its own is believed."""
_FIRST: Final = (
    "ssh.software", "ssh.banner", "http.build", "http.own", "http.www_authenticate", "http.cookie",
    "http.body", "http.title", "http.generator", "http.server", "http.powered_by", "http.reason",
    "http.order",
)
"""Fields that name a product, the likelier the sooner: an application's page says more than the
server in front of it. Fields that are not listed come behind, in the order of their parser."""
SOLE: Final = {
    "adb": ("Google", "Android Debug Bridge"), "asterisk-ami": ("Asterisk", "PBX"),
    "beanstalk": ("beanstalkd", "beanstalkd"), "bitcoin": ("Bitcoin", "Bitcoin Core"),
    "clamd": ("ClamAV", "ClamAV"), "clickhouse": ("ClickHouse", "ClickHouse"),
    "distccd": ("distcc", "distcc"), "epmd": ("Ericsson", "Erlang Port Mapper"),
    "firebird": ("Firebird", "Firebird"), "freeswitch-event": ("FreeSWITCH", "FreeSWITCH"),
    "ganglia": ("Ganglia", "Ganglia"), "gearman": ("Gearman", "Gearman"),
    "gpsd": ("gpsd", "gpsd"), "hddtemp": ("hddtemp", "hddtemp"), "iperf3": ("ESnet", "iperf3"),
    "lcdproc": ("LCDproc", "LCDproc"), "tarantool": ("Tarantool", "Tarantool"),
    "jetdirect": ("HP", "JetDirect"), "memcached": ("Memcached", "Memcached"),
    "minecraft": ("Mojang", "Minecraft"), "mongodb": ("MongoDB", "MongoDB"),
    "mpd": ("MPD", "Music Player Daemon"), "ms-sql-s": ("Microsoft", "SQL Server"),
    "mumble": ("Mumble", "Murmur"), "munin": ("Munin", "Munin"), "nats": ("NATS", "NATS Server"),
    "nrpe": ("Nagios", "NRPE"), "nut": ("Network UPS Tools", "NUT"),
    "openvpn": ("OpenVPN", "OpenVPN"), "oracle-tns": ("Oracle", "Oracle Database"),
    "perforce": ("Perforce", "Helix Core"), "redis": ("Redis", "Redis"),
    "rsync": ("Samba", "rsync"), "spice": ("Red Hat", "SPICE"), "svn": ("Apache", "Subversion"),
    "teamspeak-query": ("TeamSpeak", "TeamSpeak"), "teamviewer": ("TeamViewer", "TeamViewer"),
    "wireguard": ("WireGuard", "WireGuard"), "zabbix-agent": ("Zabbix", "Zabbix Agent"),
    "zookeeper": ("Apache", "ZooKeeper"),
}
"""Protocols that one product speaks: what is known of others that speak them stands in rules."""
SOLE_STRENGTH: Final = 0.75
"""How much a product is believed that only its protocol tells."""
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9A-Za-z]+)*(?:-(?:alpha|beta|rc)[.-]?[0-9]*)?")
"""A version at the start of a field that holds more, as ZooKeeper's with its revision and date."""


def parse(reply: Reply) -> Facts | None:
    """Return the protocol and the fields of a reply, or None where nothing is recognised."""
    data = reply.data[:LOOKED_AT_MAX]
    if not data:
        return None
    # Erlang's port mapper begins by its own port, and says no more while it knows of no node.
    if reply.port and data == reply.port.to_bytes(4, "big"):
        return Facts("epmd", {}, 0.9)
    return (
        http.parse(data) or shapes.parse(data, reply.transport) or binary.parse(data)
        or greeting.parse(data)
    )


def judge(reply: Reply, book: Book | None = None) -> Verdict | None:
    """Return what `reply` says about its service, or None where it says nothing."""
    facts = parse(reply)
    if facts is None:
        return None
    rule, told = _told(facts, book or builtin())
    data = reply.data[:LOOKED_AT_MAX]
    return Verdict(
        name=facts.name, rule=rule or facts.name, probe=reply.probe, evidence=data,
        span=(0, len(data)), disclosed="product" in told,
        confidence=round(float(told.pop("strength", facts.sure)), 2),
        **{name: told.get(name, "") for name in _TEXTS},
    )


_TEXTS: Final = ("vendor", "product", "version", "info", "os", "device", "cpe")


def _told(facts: Facts, book: Book) -> tuple[str, dict[str, str]]:
    """Return rule and texts of what names a product: a rule, a grammar, or the protocol itself."""
    names: list[str] = [name for name in _FIRST if name in facts.fields]
    names += [name for name in facts.fields if name not in _FIRST]
    rule, told = _by_rules(facts, book, names)
    if "product" in told:
        version = _NUMBER.match(facts.fields.get(f"{facts.name}.version", ""))
        return rule, _with_os({"version": version[0]} | told if version else told, facts)
    for name in names:
        by_grammar = grammar.told(name, facts.fields[name])
        if by_grammar:
            texts = _with_os(by_grammar, facts) | {"strength": str(GRAMMAR_STRENGTH)}
            return f"grammar:{name}", texts
    if rule:
        return rule, _with_os(told, facts)
    return _by_protocol(facts)


def _by_rules(facts: Facts, book: Book, names: list[str]) -> tuple[str, dict[str, str]]:
    """Return the first rule that names a product, with the version another field tells of it."""
    best, known = "", dict[str, str]()
    for name in names:
        text = facts.fields[name]
        rule, told = _first(book, name, text)
        if not told:
            continue
        if "product" in known:
            if told.get("product") == known["product"] and "version" in told:
                return best, known | told
        elif "product" in told or not known:
            best, known = rule, told
            if "product" in told and "version" in told:
                break
    return best, known


def _first(book: Book, field: str, text: str) -> tuple[str, dict[str, str]]:
    """Return the first rule's texts; a later one of the same product may add the version."""
    best, known = "", dict[str, str]()
    for rule in book.matching(field, text) if text else ():
        told = rule.read(text)
        if told and not known:
            best, known = rule.id, told | {"strength": str(rule.strength)}
        elif told and "version" in told and told.get("product") == known.get("product"):
            return rule.id, known | told
        if "version" in known:
            break
    return best, known


def _by_protocol(facts: Facts) -> tuple[str, dict[str, str]]:
    """Return the product that the protocol's own fields name, or that alone speaks it."""
    version = _NUMBER.match(facts.fields.get(f"{facts.name}.version", ""))
    told = {"version": version[0]} if version else {}
    if product := facts.fields.get(f"{facts.name}.product"):
        return f"grammar:{facts.name}.product", {"product": product} | told
    if facts.name in SOLE:
        vendor, product = SOLE[facts.name]
        told |= {"vendor": vendor, "product": product}
        strength = facts.sure if version else min(facts.sure, SOLE_STRENGTH)
        return f"protocol:{facts.name}", told | {"strength": str(strength)}
    return "", _with_os({}, facts)


def _with_os(told: dict[str, str], facts: Facts) -> dict[str, str]:
    if "os" not in told:
        words = " ".join(facts.fields.get(name, "") for name in ("ssh.comment", "http.server"))
        system = grammar.os_of(words)
        if system:
            told["os"] = system
    return told


def judge_many(replies: Iterable[Reply], book: Book | None = None) -> Verdict | None:
    """Return the verdict that says most; fields of different replies are never mixed."""
    verdicts = [found for reply in replies if (found := judge(reply, book))]
    return max(verdicts, key=_weight, default=None)


def _weight(verdict: Verdict) -> tuple[bool, bool, float]:
    return bool(verdict.product), bool(verdict.version), verdict.confidence
