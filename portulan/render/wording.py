"""The words of a report, shared by terminal, text, Markdown and HTML: one fact, one phrase."""

from __future__ import annotations

import re
from collections import Counter

from portulan.record import Note, Os, Port, PortState, Run, Service
from portulan.render.gather import Finding, Findings
from portulan.target.ports import service_name

STATE_ORDER: tuple[PortState, ...] = ("open", "open|filtered", "unfiltered", "filtered", "closed")
"""Most telling first."""

COLLAPSE_PORTS = 25
"""More ports of a host than this in one state that is not open are counted, not listed (the
number nmap's users are used to)."""

PREFIXES = {"T": "tcp", "U": "udp", "S": "sctp", "P": "ip"}

METHODS = {
    "syn": "SYN scan",
    "connect": "connect scan",
    "udp": "UDP scan",
    "ack": "ACK scan",
    "null": "NULL scan",
    "fin": "FIN scan",
    "xmas": "Xmas scan",
    "window": "Window scan",
    "maimon": "Maimon scan",
    "sctp": "SCTP INIT scan",
    "protocols": "IP protocol scan",
    "ping": "host discovery",
}


_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?$")


def plural(count: int, one: str, many: str = "") -> str:
    """Return `1 host`, `65,536 hosts`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def rtt(microseconds: int) -> str:
    """Return a round-trip time in milliseconds, as precise as it is short; empty if unknown."""
    if microseconds <= 0:
        return ""
    ms = microseconds / 1000
    digits = 2 if ms < 10 else 1 if ms < 100 else 0
    return f"{ms:.{digits}f} ms"


def duration(seconds: float) -> str:
    """Return `0.52 s`, `2 min 5 s`, `3 h 4 min`."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def remaining(seconds: float) -> str:
    """Return an estimated time without the decimals that it cannot have."""
    return f"{max(1, round(seconds))} s" if seconds < 59.5 else duration(round(seconds))


def ports(run: Run) -> str:
    """Return the ports asked, with their number where that is not seen at a glance."""
    count = sum(number for _, number, _ in port_groups(run.ports))
    text = run.ports.removeprefix("T:") if " " not in run.ports else run.ports
    return f"{count:,}: {text}" if "," in text and count > 10 else text


def port_groups(text: str, protocol: str = "tcp") -> list[tuple[str, int, str]]:
    """Return (protocol, number of ports, ports) for each protocol of `T:22,80-90 U:53`.

    `protocol` is meant before any prefix; an item that is no number or range counts for nothing.
    """
    groups: dict[str, list[str]] = {}
    for item in filter(None, re.split(r"[ ,]", text)):
        prefix, colon, part = item.rpartition(":")
        protocol = PREFIXES.get(prefix.upper(), "tcp") if colon else protocol
        groups.setdefault(protocol, []).append(part)
    return [(name, sum(map(_size, parts)), ",".join(parts)) for name, parts in groups.items()]


def _size(item: str) -> int:
    match = _RANGE.match(item)
    return int(match[2] or match[1]) - int(match[1]) + 1 if match else 0


def guess(port: int, protocol: str) -> str:
    """Return what usually runs on a port, marked as no finding: `http?`; empty if nothing does."""
    name = service_name(port, protocol)
    return f"{name}?" if name else ""


def service(port: Port, found: Service | None) -> str:
    """Return name, product and version of what was found, else the guess."""
    if found is None:
        return guess(port.port, port.protocol)
    name = f"{found.name} (TLS)" if found.tls else found.name
    info = f"({found.info})" if found.info else ""
    return " ".join(part for part in (name, found.product, found.version, info) if part)


def frames(port: Port) -> str:
    """Return the evidence frame numbers: `3,4`."""
    return ",".join(map(str, port.frames))


def system(found: Os) -> str:
    """Return what a host seems to run: `Debian Linux 6.x`."""
    name = found.product or found.family
    if found.vendor and found.vendor not in name:
        name = f"{found.vendor} {name}"
    return f"{name} {found.generation}".rstrip()


def systems(host: Finding) -> list[str]:
    """Return what a host seems to run and how sure that is: `Debian Linux 6.x (90%)`."""
    return [
        f"{system(found)} ({found.confidence:.0%})" if found.confidence else system(found)
        for found in host.systems
    ]


def remark(note: Note) -> str:
    """Return a note with the port and the check it comes from: `80/tcp http-page: title: Hi`."""
    if not note.port:
        return note.text
    return f"{note.port}/{note.protocol} {note.check}: {note.text}"


def tally(counts: Counter[tuple[str, str]]) -> str:
    """Return `998 closed/tcp, 1 filtered/udp`, most first."""
    return ", ".join(f"{n:,} {state}/{proto}" for (proto, state), n in counts.most_common() if n)


def rest(host: Finding) -> Counter[tuple[str, str]]:
    """Return how many ports a host has in each (protocol, state) that are not listed."""
    return Counter({
        (proto, state): n for proto, states in host.rest.items() for state, n in states.items()
    })


def facts(host: Finding) -> str:
    """Return why a host is in its state, and how far it is: `arp-response, 0.42 ms, 1 hop`."""
    hops = plural(host.hops, "hop") if host.hops else ""
    return ", ".join(filter(None, (host.reason, rtt(host.rtt_us), hops)))


def path(host: Finding) -> str:
    """Return the routers on the way: `10.0.0.1, *, 10.2.0.1`; empty if there are none."""
    hops = [hop for _, hop in sorted(host.path.items()) if hop.state != "reached"]
    while hops and not hops[-1].addr:
        hops.pop()
    return ", ".join(hop.addr or "*" for hop in hops)


def best_rtt_us(host: Finding) -> int:
    """Return the host's round-trip time, else its fastest open port's; 0 if unknown."""
    times = (port.rtt_us for port in host.ports.values() if port.rtt_us)
    return host.rtt_us or min(times, default=0)


def not_open(host: Finding) -> Counter[tuple[str, str]]:
    """Return how many ports of a host are in each (protocol, state) but open."""
    listed = Counter((p.protocol, p.state) for p in host.ports.values() if p.state != "open")
    return rest(host) + Counter[tuple[str, str]](listed)


def collapse(host: Finding) -> tuple[Counter[tuple[str, str]], list[Port]]:
    """Return what is only counted, by (protocol, state), and the ports that are listed."""
    counts = Counter((port.protocol, port.state) for port in host.ports.values())
    many = {key: n for key, n in counts.items() if key[1] != "open" and n > COLLAPSE_PORTS}
    ports = [p for p in host.sorted_ports() if (p.protocol, p.state) not in many]
    return rest(host) + Counter(many), ports


def outcome(found: Findings) -> str:
    """Return how the run ended: one clause, `complete` if nothing is to be said."""
    if found.end is None:
        return "incomplete: no end was recorded (killed, or still running)"
    if found.end.reason == "error":
        return f"incomplete: stopped by an error: {found.end.error}".rstrip(": ")
    return "complete" if found.complete else "incomplete: interrupted"


def method(found: Findings) -> str:
    """Return how it was done, and why so."""
    if found.run is None:
        return "unknown"
    names = [METHODS.get(part, part) for part in found.run.method.split("+")]
    name = " and ".join(names)
    if found.run.why.lower().startswith(names[0].lower()):
        return found.run.why[0].upper() + found.run.why[1:]
    return f"{name} - {found.run.why}" if found.run.why else name


def packets(found: Findings) -> str:
    """Return what was sent, came back and was lost in this machine; empty before the end."""
    end = found.end
    if end is None:
        return ""
    return f"{end.sent:,} sent, {end.received:,} received, {end.drops:,} dropped by the kernel"


def missed(found: Findings) -> str:
    """Return the estimate of open ports not found; empty if there is none."""
    lost = found.end.missed if found.end else None
    if lost is None:
        return ""
    return f"about {lost.estimate:.1f} ({lost.low:.1f} to {lost.high:.1f})"


def shorten_list(items: list[str], most: int) -> str:
    """Return items in one line, no more than `most` of them."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more:,} more" if more > 0 else "")


def summary(found: Findings) -> list[tuple[str, str]]:
    """Return the report's head as (label, text); texts are not escaped yet."""
    run, end = found.run, found.end
    when = found.started
    rows = [
        ("Targets", shorten_list(run.targets, 8) if run else ""),
        ("Ports", ports(run) if run else ""),
        ("Shard", run.shard if run else ""),
        ("Started", when.strftime("%Y-%m-%d %H:%M:%S %Z") if when else ""),
        ("Method", method(found)),
        *(("Note", text) for text in dict.fromkeys(note.text for note in found.notes)),
        ("Hosts", f"{found.hosts_up:,} up of {found.hosts_asked:,}"),
        ("Open", plural(found.open, "port")),
        ("Packets", packets(found)),
        ("Missed", missed(found)),
        ("Elapsed", duration(end.elapsed_s) if end else ""),
        ("Resumed", plural(run.resumes, "time") if run and run.resumes else ""),
        ("Outcome", outcome(found)),
    ]
    return [(label, text) for label, text in rows if text]
