r"""nmap XML: the document that the world's readers of scans accept.

It follows nmap's DTD but for `scanner="portulan"`: tools that ask who scanned get the truth.
Characters that XML 1.0 cannot hold are written visibly (`\x1b`), and so are all others that a
terminal would act on. The document is closed whatever happened: a run without its end says
`exit="error"`. Frame numbers are left out: `ndiff` would call each new number a change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from html import escape
from shlex import join

from portulan.record import AnyEvent, Note, Os, Port, Run, Service
from portulan.render.escape import visible
from portulan.render.gather import Finding, Findings, gather
from portulan.render.wording import outcome, plural, port_groups, system
from portulan.target.ports import service_name

CHUNK_HOSTS = 256
"""Hosts in one chunk of text: few enough to stream, many enough that writing costs nothing."""

XML_VERSION = "1.05"
"""The revision of nmap's XML that this follows."""

SCAN_TYPES = frozenset({
    "syn", "ack", "connect", "null", "xmas", "window", "maimon", "fin", "udp", "sctp", "protocols",
})
"""Methods that nmap's DTD knows; other runs (host discovery) have no `scaninfo`, as in nmap."""

SCAN_TYPES_BY_PROTOCOL = {"udp": "udp", "sctp": "sctpinit", "ip": "ipproto"}

CLOSED_REASON = {"tcp": "reset", "udp": "port-unreach", "sctp": "abort", "ip": "proto-unreach"}
"""What makes an unlisted port closed."""

REASONS = {
    "accept-reset": "syn-ack",
    "local-denied": "perm-denied",
    "no-neighbour": "host-unreach",
}
"""Our reasons that nmap has no word for, in its nearest one."""

UNLISTED_REASON = {"unfiltered": "reset", "open|filtered": "no-response"}

_CPE_PART = re.compile(r"(?:^|(?<=:))((?:\\.|[^:\\])*)(?=:|$)", re.DOTALL)
_CPE_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield one whole XML document, to be written as UTF-8."""
    found = gather(events)
    start = found.started
    yield _head(found.run, start)
    if scripts := _scripts(found.notes):
        yield f"<prescript>{scripts}</prescript>\n"
    for at in range(0, len(found.hosts), CHUNK_HOSTS):
        yield "".join(_host(host, found) for host in found.hosts[at : at + CHUNK_HOSTS])
    yield _tail(found, start)


def _q(text: str) -> str:
    return '"' + escape(visible(text)) + '"'


def _reason(reason: str) -> str:
    return _q(REASONS.get(reason, reason))


def _attrs(**pairs: str | int) -> str:
    return "".join(f" {name}={_q(str(value))}" for name, value in pairs.items() if value != "")


def _epoch(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0


def _head(run: Run | None, start: datetime | None) -> str:
    attrs = _attrs(
        scanner="portulan",
        args=join(run.argv) if run else "",
        start=_epoch(start),
        startstr=start.ctime() if start else "",
    )
    version = _q(run.version if run else "")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE nmaprun>\n'
        f'<nmaprun{attrs} version={version} xmloutputversion="{XML_VERSION}">\n'
        f'{_scaninfo(run) if run else ""}<verbose level="0"/>\n<debugging level="0"/>\n'
    )


def _scaninfo(run: Run) -> str:
    of_tcp = run.method.partition("+")[0]
    if of_tcp not in SCAN_TYPES:
        return ""
    asked = port_groups(run.ports, "udp" if run.method == "udp" else "tcp")
    return "".join(
        f'<scaninfo type="{SCAN_TYPES_BY_PROTOCOL.get(protocol, of_tcp)}"'
        f' protocol="{protocol}" numservices="{count}" services={_q(ports)}/>\n'
        for protocol, count, ports in asked
    )


def _host(host: Finding, found: Findings) -> str:
    addrtype = "ipv6" if ":" in host.addr else "ipv4"
    mac = _attrs(addr=host.mac, addrtype="mac", vendor=host.vendor) if host.mac else ""
    return (
        f"<host{_times(found)}{_attrs(timedout='true') if host.timed_out else ''}>"
        f'<status state="{host.state}" reason={_reason(host.reason)} reason_ttl="0"/>\n'
        f'<address addr={_q(host.addr)} addrtype="{addrtype}"/>\n'
        + (f"<address{mac}/>\n" if mac else "")
        + _hostnames(host, found)
        + _ports(host, found.run.method if found.run else "")
        + _systems(host.systems)
        + _distance(host)
        + _trace(host)
        + _notes(host)
        + "</host>\n"
    )


def _distance(host: Finding) -> str:
    """Return nmap's distance, which counts the host itself, by the path if it is known."""
    goal = [ttl for ttl, hop in host.path.items() if hop.state == "reached"]
    value = goal[0] if goal else host.hops
    return f'<distance value="{value}"/>\n' if value else ""


def _trace(host: Finding) -> str:
    hops = "".join(
        f"<hop{_attrs(ttl=hop.ttl, ipaddr=hop.addr, rtt=f'{hop.rtt_us / 1000:.2f}')}"
        + (_attrs(host=hop.name) if hop.name else "") + "/>\n"
        for _, hop in sorted(host.path.items()) if hop.addr
    )
    return f"<trace>\n{hops}</trace>\n" if hops else ""


def _times(found: Findings) -> str:
    start, end = found.started, found.end
    if start is None:
        return ""
    stop = start + timedelta(seconds=end.elapsed_s) if end else None
    return _attrs(starttime=_epoch(start), endtime=_epoch(stop) if stop else "")


def _hostnames(host: Finding, found: Findings) -> str:
    asked = found.run.targets if found.run else []
    names = "".join(
        f'<hostname name={_q(name)} type="{"user" if name in asked else "PTR"}"/>\n'
        for name in host.names
    )
    return f"<hostnames>\n{names}</hostnames>\n"


def _ports(host: Finding, method: str) -> str:
    if not host.ports and not host.rest:
        return ""
    lines = "".join(_port(port, host.service(port), host.notes) for port in host.sorted_ports())
    return f"<ports>{_extraports(host, method)}{lines}</ports>\n"


def _extraports(host: Finding, method: str) -> str:
    states: dict[str, list[tuple[str, int]]] = {}
    for protocol, counts in host.rest.items():
        for state, count in counts.items():
            states.setdefault(state, []).append((protocol, count))
    return "".join(
        f"<extraports state={_q(state)} count=\"{sum(count for _, count in parts)}\">\n"
        + "".join(_extrareasons(state, protocol, count, method) for protocol, count in parts)
        + "</extraports>\n"
        for state, parts in states.items()
    )


def _extrareasons(state: str, protocol: str, count: int, method: str) -> str:
    """Return why unlisted ports are in a state, where the state leaves only one reason.

    Filtered ports have several (silence, prohibited, unreachable): the record doesn't split them.
    """
    if state == "closed":
        refused = method == "connect" and protocol == "tcp"
        reason = "conn-refused" if refused else CLOSED_REASON.get(protocol, "unknown-response")
    elif state in UNLISTED_REASON:
        reason = UNLISTED_REASON[state]
    else:
        return ""
    return f'<extrareasons reason="{reason}" count="{count}" proto={_q(protocol)}/>\n'


def _port(port: Port, service: Service | None, notes: list[Note]) -> str:
    about = (port.port, port.protocol)
    scripts = "".join(
        f"<script id={_q(note.check or note.level)} output={_q(note.text)}/>"
        for note in notes if (note.port, note.protocol) == about)
    return (
        f'<port protocol="{port.protocol}" portid="{port.port}">'
        f'<state state="{port.state}" reason={_reason(port.reason)} reason_ttl="{port.ttl}"/>'
        f"{_service(port, service)}{scripts}</port>\n"
    )


def _service(port: Port, service: Service | None) -> str:
    if service is None:
        name = service_name(port.port, port.protocol)
        return f'<service name={_q(name)} method="table" conf="3"/>' if name else ""
    attrs = _attrs(
        product=service.product, version=service.version, extrainfo=service.info,
        ostype=service.os, devicetype=service.device,
        tunnel="ssl" if service.tls else "", method="probed",
        conf=min(10, max(0, round(service.confidence * 10))),
    )
    cpe = f"<cpe>{escape(visible(_cpe_uri(service.cpe)))}</cpe>" if service.cpe else ""
    banner = f'<script id="banner" output={_q(service.banner)}/>' if service.banner else ""
    return f"<service name={_q(service.name)}{attrs}>{cpe}</service>{banner}"


def _cpe_uri(cpe: str) -> str:
    """Return a CPE 2.3 formatted string as the URI (NISTIR 7695, 6.1) that readers of nmap expect.

    Escaped characters keep their backslash form as percent codes; unset parts are left out.
    """
    if not cpe.startswith("cpe:2.3:"):
        return cpe
    parts = _CPE_PART.findall(cpe[len("cpe:2.3:") :])[:7]
    uri = ":".join("" if p == "*" else _CPE_ESCAPE.sub(_percent, p) for p in parts)
    return f"cpe:/{uri.rstrip(':')}"


def _percent(match: re.Match[str]) -> str:
    char = match[1]
    return char if char in "-._" else f"%{ord(char):02x}"


def _systems(systems: list[Os]) -> str:
    matches = "".join(
        f'<osmatch name={_q(system(found))} accuracy="{found.confidence * 100:.0f}" line="0">'
        f"<osclass vendor={_q(found.vendor)} osfamily={_q(found.family)}"
        f'{_attrs(osgen=found.generation)} accuracy="{found.confidence * 100:.0f}"/></osmatch>\n'
        for found in systems
    )
    return f"<os>{matches}</os>\n" if matches else ""


def _notes(host: Finding) -> str:
    scripts = _scripts(note for note in host.notes if not note.port)
    return f"<hostscript>{scripts}</hostscript>" if scripts else ""


def _scripts(notes: Iterable[Note]) -> str:
    return "".join(
        f'<script id="portulan-{note.level}" output={_q(note.text)}/>' for note in notes)


def _tail(found: Findings, start: datetime | None) -> str:
    elapsed = found.end.elapsed_s if found.end else 0.0
    stop = start + timedelta(seconds=elapsed) if start else None
    when = f" at {stop.ctime()}" if stop else ""
    asked, up = found.hosts_asked, found.hosts_up
    words = (
        f"Portulan done{when}; {plural(asked, 'IP address', 'IP addresses')}"
        f" ({plural(up, 'host')} up) scanned in {elapsed:.2f} seconds"
    )
    attrs = _attrs(
        time=_epoch(stop), timestr=stop.ctime() if stop else "", summary=words,
        elapsed=f"{elapsed:.2f}", exit="success" if found.complete else "error",
        errormsg="" if found.complete else outcome(found),
    )
    return (
        f"<runstats><finished{attrs}/>"
        f'<hosts up="{up}" down="{max(0, asked - up)}" total="{asked}"/>\n</runstats>\n</nmaprun>\n'
    )
