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
Level: TypeAlias = Literal["info", "warning"]
EndReason: TypeAlias = Literal["done", "interrupted", "error"]


class Event(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True, gc=False):
    """The root of all events."""


class Run(Event, tag="run", frozen=True):
    """A run began: what was asked, how it is done and why."""

    schema: int
    id: str
    version: str
    argv: list[str]
    started: str
    """RFC 3339, UTC."""
    seed: int
    targets: list[str]
    probes: int
    """Probes that a first pass sends."""
    method: str
    """syn, connect, ping, ..."""
    why: str
    """One sentence: why this method."""
    hosts: int = 0
    ports: str = ""
    shard: str = ""
    resumes: int = 0
    """How often this run was taken up again."""


class Host(Event, tag="host", frozen=True):
    """A host's state, and how many of its ports are not listed one by one."""

    addr: str
    state: HostState
    reason: str
    names: list[str] = []
    mac: str = ""
    vendor: str = ""
    hops: int = 0
    rtt_us: int = 0
    rest: dict[str, dict[str, int]] = {}
    """{"tcp": {"closed": 998}}: ports that have no `port` event of their own."""


class Port(Event, tag="port", frozen=True):
    """A port's state, the reason, and the frames that prove it."""

    addr: str
    port: int
    protocol: Protocol
    state: PortState
    reason: str
    """syn-ack, reset, no-response, port-unreach, conn-refused, ..."""
    ttl: int = 0
    rtt_us: int = 0
    tries: int = 0
    """Probes sent until the answer came."""
    frames: list[int] = []
    """Packet numbers in evidence.pcapng, from 1: the probe, then the reply."""


class Service(Event, tag="service", frozen=True):
    """What runs behind a port."""

    addr: str
    port: int
    protocol: Protocol
    name: str
    vendor: str = ""
    product: str = ""
    version: str = ""
    info: str = ""
    tls: bool = False
    cpe: str = ""
    confidence: float = 0.0
    rule: str = ""
    banner: str = ""


class Os(Event, tag="os", frozen=True):
    """What system a host seems to run."""

    addr: str
    family: str
    vendor: str = ""
    product: str = ""
    generation: str = ""
    confidence: float = 0.0
    evidence: list[str] = []


class Note(Event, tag="note", frozen=True):
    """What a check or a verdict about the path says."""

    addr: str
    text: str
    level: Level = "info"


class Progress(Event, tag="progress", frozen=True):
    """How far the run is."""

    done: float
    """0..1"""
    sent: int
    received: int
    rate_pps: float
    eta_s: float


class Missed(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """An estimate of the ports not found, with its interval."""

    estimate: float
    low: float
    high: float


class End(Event, tag="end", frozen=True):
    """The run is over: what it found and what it cost."""

    reason: EndReason
    hosts_up: int
    open: int
    sent: int
    received: int
    drops: int
    elapsed_s: float
    missed: Missed | None = None
    error: str = ""


AnyEvent: TypeAlias = Run | Host | Port | Service | Os | Note | Progress | End

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
