"""What fits a reply: the next question to a service that has said what it speaks, or hinted it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .facts import Facts
from .http2 import begins_http2
from .probe_bodies import dns_query, http_get, mongo_query, mqtt_subscribe, smb_challenge
from .probes import BY_NAME, HTTP, Probe
from .reply import Reply
from .verdict import Verdict

PAGE_LOOKED_AT_MAX: Final = 16 << 10
"""Bytes of a page in which names of applications are looked for."""
PAGES_MAX: Final = 3
"""Pages asked of one server beside its first."""


@dataclass(frozen=True, slots=True)
class Follow:
    """One more question; `same` asks it on the connection that answered, while that is open."""

    probe: Probe
    same: bool = True


def _ask(name: str, body: bytes, *, same: bool = True) -> Follow:
    return Follow(Probe(name, body), same)


FOLLOW: Final[dict[str, tuple[Follow, ...]]] = {
    "redis": (_ask("redis-info", b"INFO server\r\n", same=False),),
    "memcached": (_ask("memcached-version", b"version\r\n", same=False),),
    "beanstalk": (_ask("beanstalk-stats", b"stats\r\n", same=False),),
    "gearman": (_ask("gearman-version", b"version\r\n", same=False),),
    "mqtt": (_ask("mqtt-version", mqtt_subscribe()),),
    "mongodb": (_ask("mongodb-query", mongo_query(), same=False),),
    "postgresql": (_ask("postgresql-version", bytes.fromhex("0000000800ff0000"), same=False),),
    "smtp": (_ask("smtp-help", b"HELP\r\n"),),
    "ftp": (_ask("ftp-syst", b"SYST\r\n"), _ask("ftp-help", b"HELP\r\n")),
    "imap": (_ask("imap-id", b'a1 ID NIL\r\n'),),
    "pop3": (_ask("pop3-capa", b"CAPA\r\n"),),
    "nntp": (_ask("nntp-capabilities", b"CAPABILITIES\r\n"),),
    "svn": (),
    "gpsd": (_ask("gpsd-version", b"?VERSION;\r\n"),),
    "mpd": (),
    "munin": (_ask("munin-version", b"version\n"),),
    "dict": (_ask("dict-server", b"SHOW SERVER\r\n"),),
    "irc": (
        Follow(BY_NAME["irc"], same=True), _ask("irc-version", b"VERSION\r\n"),
    ),
    "xmpp": (Follow(BY_NAME["xmpp"], same=False),),
    "nut": (_ask("nut-version", b"VER\n", same=False),),
    "zookeeper": (_ask("zookeeper-srvr", b"srvr\n", same=False),),
    "ldap": (Follow(BY_NAME["ldap"], same=False),),
    "vnc": (_ask("vnc-version", b"RFB 003.008\n"),),
    # By a name of its own: the same question may be on its way on another connection.
    "amqp": (_ask("amqp-start", BY_NAME["amqp"].body, same=False),),
    "clamd": (_ask("clamd-version", b"VERSION\n", same=False),),
    "lcdproc": (_ask("lcdproc-hello", b"hello\n", same=False),),
    "smb": (_ask("smb-challenge", smb_challenge(), same=False),),
    # xrdp ends what is no X.224 in its own words; Windows closes.
    "rdp": (_ask("rdp-no-x224", bytes.fromhex("0000000804d2162f"), same=False),),
    "rsync": (_ask("rsync-list", b"@RSYNCD: 31.0\n\n"),),
}
"""What tells more, by protocol, where product or version is still missing."""
DNS_VERSION: Final = Follow(
    Probe("dns-version", dns_query("version.bind", 16, 3), transport="udp"), same=False)
HINTS: Final[tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...]] = (
    (re.compile(rb"ERROR\r?\n"), ("version", "stomp")),
    (re.compile(rb"ERR UNKNOWN_COMMAND|ERR unknown_command", re.I), ("version",)),
    (re.compile(rb"UNKNOWN_COMMAND\r?\n|BAD_FORMAT"), ("stats",)),
    (re.compile(rb"-ERR|-NOAUTH|\*1\r\n"), ("redis-ping",)),
    (re.compile(rb":?\S+ (?:4[25]1|NOTICE|ERROR)\b|ERROR :"), ("irc",)),
    (re.compile(rb"\x15\x03[\0-\x04]\0\x02"), ("tls",)),
    (re.compile(rb"(?i)HTTP request to an HTTPS|plain HTTP request|SSL-enabled"), ("tls",)),
    (re.compile(rb"<\?xml|<stream:|stream:error"), ("xmpp",)),
    (re.compile(rb"ERR (?:UNKNOWN-COMMAND|INVALID)"), ("nut",)),
    (re.compile(rb"\x03\0\0"), ("rdp", "s7")),
    (re.compile(rb"E\0\0\0.[SM]|[SN]$", re.S), ("postgresql-ssl",)),
    (re.compile(rb"[0-9a-f]{4}ERR"), ("git",)),
    (re.compile(rb"SIP/2\.0"), ("sip",)),
    (re.compile(rb"RTSP/1\.0"), ("rtsp",)),
    (re.compile(rb"\0\0..\x04\0\0\0\0\0", re.S), ("h2",)),
)
"""What an answer that nobody reads hints at."""

_PAGES: Final[tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...]] = (
    (re.compile(rb"(?i)node[_ ]exporter|prometheus"), ("/metrics", "/api/v1/status/buildinfo")),
    (re.compile(rb'"cluster_name"|"couchdb"'), ()),
    (re.compile(rb"(?i)grafana"), ("/api/health",)),
    (re.compile(rb"(?i)consul"), ("/v1/agent/self",)),
    (re.compile(rb"(?i)rabbitmq"), ("/api/overview",)),
    (re.compile(rb"(?i)X-Influxdb"), ("/ping",)),
    (re.compile(rb"(?i)kubernetes|\"kind\":\s*\"Status\"|/healthz"), ("/version",)),
    (re.compile(rb"(?i)jupyter"), ("/api",)),
    (re.compile(rb"(?i)sonarqube"), ("/api/server/version",)),
    (re.compile(rb"(?i)neo4j"), ("/db/data/",)),
    (re.compile(rb"(?i)solr"), ("/solr/admin/info/system?wt=json",)),
    (re.compile(rb"(?i)transmission"), ("/transmission/rpc",)),
    (re.compile(rb"(?i)haproxy|Statistics Report"), ()),
    # What Go's and other toolkits' servers say of a page that is not there, without a name.
    (re.compile(rb"404 page not found|\"page not found\"|X-Content-Type-Options: nosniff"),
     ("/version", "/metrics")),
)
"""Pages that tell a version, by what the first page holds."""


_LOCATION: Final = re.compile(
    rb"(?is)HTTP/1\.[01] 30[12378] .{0,4000}?\r\nlocation:[ \t]*([\x21-\x7e]{1,200})[ \t]*\r\n")


def follow_ups(facts: Facts, verdict: Verdict | None, reply: Reply, *, host: str = ""
               ) -> Iterator[Follow]:
    """Yield what to ask a service whose protocol is known, while product or version is missing.

    `host` is the server as we call it: a page that it sends us on to is asked for if it is there.
    """
    if verdict is not None and verdict.product and verdict.version:
        return
    if begins_http2(reply.data):
        yield Follow(BY_NAME["h2"], same=False)
    elif facts.name == "http":
        yield from _pages(verdict, reply, host)
    elif facts.name == "domain":
        # Once more where it was asked already: a server that has just begun refuses at first.
        tcp = Follow(BY_NAME["dns-version"], same=False)
        yield DNS_VERSION if reply.transport == "udp" else tcp
    else:
        yield from FOLLOW.get(facts.name, ())


def _pages(verdict: Verdict | None, reply: Reply, host: str) -> Iterator[Follow]:
    head = reply.data[:PAGE_LOOKED_AT_MAX]
    paths: list[str] = []
    for pattern, found in _PAGES:
        if pattern.search(head):
            paths += [path for path in found if path not in paths]
    if reply.port in (2375, 2376):
        paths.insert(0, "/version")
    # One hop, from the first page alone: a server may send us on for ever.
    if reply.probe == HTTP.name and (elsewhere := _sent_on(head, host)):
        paths.insert(0, elsewhere)
    for path in paths[:PAGES_MAX]:
        yield _ask(f"http-get {path}", http_get(path), same=False)
    if not paths and (verdict is None or not verdict.product):
        yield _ask("http-get-nothing", http_get("/portulan-asks-only"), same=False)


def _sent_on(head: bytes, host: str) -> str:
    """Return the path that a redirection leads to on the same server; empty: none, or elsewhere."""
    found = _LOCATION.match(head)
    if not found:
        return ""
    place = found[1].decode("ascii")
    for scheme, usual in (("http://", ":80"), ("https://", ":443")):
        if host and place.startswith(f"{scheme}{host}"):
            place = place.removeprefix(f"{scheme}{host}")
        elif host.endswith(usual):
            place = place.removeprefix(f"{scheme}{host.removesuffix(usual)}")
    fits = place.startswith("/") and not place.startswith("//") and place != "/"
    return place.partition("#")[0] if fits else ""


def hints(data: bytes) -> list[Probe]:
    """Return the probes that an answer hints at, though nobody can read it."""
    found: list[Probe] = []
    for pattern, names in HINTS:
        if pattern.match(data) or (names == ("tls",) and pattern.search(data[:4096])):
            found += [BY_NAME[name] for name in names]
    return found
