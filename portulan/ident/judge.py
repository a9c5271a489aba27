"""Judge a reply: which protocol, which product, which version, by which rule."""

from __future__ import annotations

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
_PRODUCTS: Final = (
    "ssh.software", "ssh.banner", "ftp.greeting", "smtp.greeting", "pop3.greeting",
    "imap.greeting", "nntp.greeting", "mysql.version", "http.www_authenticate", "http.cookie",
    "http.title", "http.server", "http.powered_by", "sip.server", "sip.user_agent", "rtsp.server",
    "ssdp.server", "stun.software", "telnet.text", "irc.text", "dns.version", "dict.greeting",
)
"""Fields that name a product, the likelier the sooner: an application's page says more than the
server in front of it."""
_VERSIONED: Final = {
    "memcached.version": "Memcached", "zookeeper.version": "ZooKeeper",
    "zabbix.version": "Zabbix Agent", "beanstalk.version": "beanstalkd",
    "mongodb.version": "MongoDB", "redis.version": "Redis", "nrpe.version": "NRPE",
    "asterisk-ami.version": "Asterisk Call Manager", "minecraft.version": "Minecraft",
    "bitcoin.version": "Bitcoin Core", "oracle-tns.version": "Oracle Database",
    "ms-sql-s.version": "SQL Server",
}
"""Fields whose protocol has one product and which hold its version."""


def parse(reply: Reply) -> Facts | None:
    """Return the protocol and the fields of a reply, or None where nothing is recognised."""
    data = reply.data[:LOOKED_AT_MAX]
    if not data:
        return None
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
    """Return rule and texts of the first field that names a product, a rule before a grammar."""
    for field in _PRODUCTS:
        text = facts.fields.get(field)
        for rule in book.matching(field, text) if text else ():
            told = rule.read(text or "")
            if told:
                return rule.id, _with_os(told, facts) | {"strength": str(rule.strength)}
    for field in _PRODUCTS:
        told = grammar.told(field, facts.fields.get(field, ""))
        if told:
            return f"grammar:{field}", _with_os(told, facts) | {"strength": str(GRAMMAR_STRENGTH)}
    if product := facts.fields.get(f"{facts.name}.product"):
        version = facts.fields.get(f"{facts.name}.version", "")
        return f"grammar:{facts.name}.product", {"product": product, "version": version}
    for field, product in _VERSIONED.items():
        if facts.fields.get(field):
            version = facts.fields[field].split(",")[0].strip()
            return f"grammar:{field}", {"product": product, "version": version}
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
