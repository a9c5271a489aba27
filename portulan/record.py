"""Every event we produce: its fields, types, units, and one sentence each.

An event is one JSON object a line, told apart by `type`. Readers ignore fields they don't know;
`SCHEMA` is bumped when a reader would break. Producers and renderers meet only here.

>>> line = encode(Port(addr="10.0.0.1", port=80, protocol="tcp", state="open", reason="syn-ack"))
>>> decode(line).port
80
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

SCHEMA = 1

HostState: TypeAlias = Literal["up", "down", "unknown"]
PortState: TypeAlias = Literal["open", "closed", "filtered", "unfiltered", "open|filtered"]
Protocol: TypeAlias = Literal["tcp", "udp", "sctp", "ip"]
OpenGrade: TypeAlias = Literal["", "handshake", "data"]
"""What an open port showed: handshake (a SYN-ACK, an INIT ACK, an accepted connection), which a SYN
proxy shows too; data (it answered what was asked). Above both is a `service` event: its protocol
was identified."""
Level: TypeAlias = Literal["info", "warning"]
EndReason: TypeAlias = Literal["done", "interrupted", "error"]
ClosedReason: TypeAlias = Literal[
    "end", "client-reset", "target-reset", "idle", "timeout", "denied", "refused", "unreachable",
    "tls", "header", "crowded", "stopped", "error",
]
"""end: both sides ended in order; timeout: not ready in time (handshake, header, connect); denied:
the access list; refused, unreachable: the target; tls, header: its handshake or PROXY header was
wrong; crowded: given up to make room; stopped: we were told to end; error: see `error`."""


class Event(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True, gc=False):
    """The root of all events."""


class Run(Event, tag="run", frozen=True):
    """A run began: what was asked, how it is done and why."""

    schema: int
    """The version of this format: `SCHEMA`."""
    id: str
    """The chart's id; "none" if nothing is kept."""
    version: str
    """Portulan's own version."""
    argv: list[str]
    """The words of the command, or of the call."""
    started: str
    """RFC 3339, UTC."""
    seed: int
    """Gives the order of probing."""
    targets: list[str]
    """As typed."""
    probes: int
    """Probes that a first pass sends."""
    method: str
    """syn, connect, ping, ..."""
    why: str
    """One sentence: why this method."""
    hosts: int = 0
    """Addresses among the targets."""
    ports: str = ""
    """The ports asked, in nmap's notation."""
    shard: str = ""
    """I/N if this run does one part of several."""
    resumes: int = 0
    """How often this run was taken up again."""


class Host(Event, tag="host", frozen=True):
    """A host's state, and how many of its ports are not listed one by one."""

    addr: str
    """IPv4 or IPv6, in the canonical form of RFC 5952."""
    state: HostState
    """Unknown: not asked, and nothing was heard of it."""
    reason: str
    """arp-response, echo-reply, syn-ack, no-response, user-set, ..."""
    names: list[str] = []
    """What the user called it."""
    mac: str = ""
    """Ethernet address, where it is on a link of ours."""
    vendor: str = ""
    """Who made its network card, by the address."""
    hops: int = 0
    """Routers on the way; 0 if not measured."""
    rtt_us: int = 0
    """Round trip in microseconds; 0 if not measured."""
    rest: dict[str, dict[str, int]] = {}
    """{"tcp": {"closed": 998}}: ports that have no `port` event of their own."""
    timed_out: bool = False
    """Given up for `--host-timeout`: ports that nothing is said of were not asked to the end."""
    frames: list[int] = []
    """Packet numbers in evidence.pcapng, from 1: the question, then the answer; none where a
    port's frames prove it."""


class Port(Event, tag="port", frozen=True):
    """A port's state, the reason, and the frames that prove it."""

    addr: str
    """As in `host`."""
    port: int
    """0..65535."""
    protocol: Protocol
    """What the number is a port of."""
    state: PortState
    """As nmap uses the words."""
    reason: str
    """syn-ack, reset, no-response, port-unreach, conn-refused, ..."""
    ttl: int = 0
    """Time to live, or hop limit, of the reply."""
    rtt_us: int = 0
    """Round trip of the answered try in microseconds; 0 if not measured."""
    tries: int = 0
    """Probes sent until the answer came."""
    grade: OpenGrade = ""
    """How far open was shown: handshake < data < a `service` event for the port."""
    likelihood: float = 0.0
    """0..1: how likely an open|filtered port is open; 0 if not estimated."""
    frames: list[int] = []
    """Packet numbers in evidence.pcapng, from 1: the probe, then the reply."""


class Heard(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """An answer of a service, as it came."""

    data: bytes
    """Its bytes; base64 in JSON."""
    probe: str = ""
    """What it was asked; empty: it spoke first."""
    tls: bool = False
    """Whether it was said inside TLS."""


class Tls(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """A TLS handshake with a service."""

    version: str
    """TLSv1.2, TLSv1.3, ..."""
    cipher: str = ""
    """As OpenSSL calls it."""
    alpn: str = ""
    """The protocol agreed on inside, if any."""
    starttls: bool = False
    """Whether a plain service went on to TLS when it was asked to."""
    certificates: list[bytes] = []
    """DER, the service's own first; base64 in JSON."""


class Service(Event, tag="service", frozen=True):
    """What runs behind a port."""

    addr: str
    """As in `port`, like the two after it."""
    port: int
    """0..65535."""
    protocol: Protocol
    """What the number is a port of."""
    name: str
    """The service's registered name: http, ssh, ..."""
    vendor: str = ""
    """Who makes the product."""
    product: str = ""
    """The software."""
    version: str = ""
    """The software's version, as it says itself."""
    info: str = ""
    """What else it told."""
    os: str = ""
    """The system it says to run on."""
    device: str = ""
    """What kind of machine it says to be."""
    tls: bool = False
    """Whether it speaks inside TLS."""
    cpe: str = ""
    """Name in the Common Platform Enumeration."""
    confidence: float = 0.0
    """0..1"""
    rule: str = ""
    """Which rule said so."""
    banner: str = ""
    """What it said first; any text may be in it."""
    handshake: Tls | None = None
    """What TLS agreed on, where there is TLS."""
    heard: list[Heard] = []
    """The answers that it can be judged by again, the one that decided first."""
    took_ms: float = 0.0
    """Milliseconds from the first connection to the verdict."""


class Os(Event, tag="os", frozen=True):
    """What system a host seems to run."""

    addr: str
    """As in `host`."""
    family: str
    """Linux, Windows, ..."""
    vendor: str = ""
    """Who makes it."""
    product: str = ""
    """The system."""
    generation: str = ""
    """Its version, as far as it shows."""
    confidence: float = 0.0
    """0..1"""
    evidence: list[str] = []
    """What it was told by."""
    frames: list[int] = []
    """Packet numbers of the answers in evidence.pcapng, from 1."""


class Note(Event, tag="note", frozen=True):
    """What a check or a verdict about the path says."""

    addr: str
    """Whom it is about; empty: the whole run."""
    text: str
    """One sentence."""
    level: Level = "info"
    """How much it matters."""
    port: int = 0
    """The port it is about; 0: the host as a whole."""
    protocol: str = ""
    """What the number is a port of."""
    check: str = ""
    """The check that says it."""


class Hop(Event, tag="hop", frozen=True):
    """One step of the path to a host."""

    target: str
    """The host that was traced."""
    ttl: int
    """Distance: the time to live that expired here."""
    addr: str
    """The router, or the target; empty if nobody answered."""
    state: Literal["expired", "reached", "unreachable", "silent"]
    """Expired: a router on the way; reached: the target itself; unreachable: the path ends here."""
    rtt_us: int = 0
    """The fastest round trip in microseconds."""
    loss: float = 0.0
    """Share of the probes without a reply, 0..1."""
    others: list[str] = []
    """Further addresses that answered at this distance."""
    mark: str = ""
    """Why it is unreachable, as traceroute says it: !H !N !P !X."""
    name: str = ""
    """By reverse DNS; whoever runs that zone wrote it."""


class Connection(Event, tag="connection", frozen=True):
    """A connection that a listener, a relay or a proxy had, and why it ended.

    Addresses are `HOST:PORT`, `[V6]:PORT`, or `unix:PATH` (`unix:` alone for a client without one).
    """

    client: str
    """Who called; the one whom a trusted PROXY header names, if there was one."""
    local: str
    """The address of ours that was called."""
    protocol: Literal["tcp", "udp", "unix"]
    """How the client came; of UDP, a flow."""
    started: str
    """RFC 3339, UTC."""
    elapsed_s: float
    """From its accept to its end."""
    received: int
    """Bytes of content that came from the client."""
    sent: int
    """Bytes of content that went to the client."""
    closed: ClosedReason
    """Why it ended."""
    target: str = ""
    """Where a relay or proxy connected to; empty if it did not get so far."""
    via: str = ""
    """The proxy that announced the client."""
    rtt_us: int = 0
    """The kernel's smoothed round trip to the client at the end."""
    target_rtt_us: int = 0
    """As above, to the target."""
    tls: str = ""
    """What was agreed with the client, as `TLSv1.3 TLS_AES_256_GCM_SHA384 alpn=h2`."""
    target_tls: str = ""
    """The same, with the target."""
    error: str = ""
    """One line, where `closed` alone does not tell all."""


class Progress(Event, tag="progress", frozen=True):
    """How far the run is."""

    done: float
    """0..1"""
    sent: int
    """Packets, or connections begun."""
    received: int
    """Replies that reached us."""
    rate_pps: float
    """Packets a second over the last second."""
    eta_s: float
    """Seconds left, as far as one can tell."""


class Missed(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """An estimate of the ports not found, with its interval."""

    estimate: float
    """Ports."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""


class End(Event, tag="end", frozen=True):
    """The run is over: what it found and what it cost."""

    reason: EndReason
    """How it ended."""
    hosts_up: int
    """Hosts known to be up."""
    open: int
    """Open ports."""
    sent: int
    """Packets, or connections begun."""
    received: int
    """Replies that reached us."""
    drops: int
    """Replies the kernel threw away because we read too slowly."""
    elapsed_s: float
    """Seconds."""
    missed: Missed | None = None
    """What is not found for loss of packets, if it was estimated."""
    timed_out: int = 0
    """Hosts given up for `--host-timeout`."""
    error: str = ""
    """What went wrong."""


AnyEvent: TypeAlias = Run | Host | Port | Service | Os | Note | Hop | Connection | Progress | End

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)

_UNSEEN = re.compile(
    r"[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]"
)
"""What a terminal acts on or an eye cannot see: DEL, C1, soft hyphen, zero width, bidi, BOM."""


def encode(event: Event) -> bytes:
    """Return the event as one JSON line without its newline."""
    return encode_lines([event])[:-1]


def encode_lines(events: Sequence[Event]) -> bytes:
    r"""Return events as JSON Lines, each ended by a newline, safe to look at.

    Bidi and C1 characters become `\u` escapes: a reader gets the same string, a terminal does not
    act on them. A lone surrogate (an argument that is no UTF-8) has no JSON form, so it becomes
    visible text.
    """
    try:
        lines = _encoder.encode_lines(events)
    except UnicodeEncodeError:
        lines = _encoder.encode_lines([_without_surrogates(event) for event in events])
    if lines.isascii() and b"\x7f" not in lines:
        return lines
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", lines.decode()).encode()


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - any part of an event
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, Event):
        return _without_surrogates(msgspec.to_builtins(value))
    return value


def decode(line: bytes | str) -> AnyEvent:
    """Return the event of one JSON line; raises `msgspec.ValidationError` or `DecodeError`."""
    event: AnyEvent = _decoder.decode(line)
    return event
