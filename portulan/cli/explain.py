"""`portulan explain`: the packets behind a finding, and how the verdict follows from them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import rich_click as click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from portulan.record import Host, Port
    from portulan.render.exchange import Rung
    from portulan.render.layout import Line
    from portulan.render.reasoning import Explanation
    from portulan.store import Chart

#: Ports of a host that are explained one by one; of more, those alike share one explanation.
EACH_MAX: Final = 12


@click.command("explain", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("chart", metavar="CHART")
@click.argument("addr", required=False, metavar="[ADDR]")
@click.argument("port", required=False, metavar="[PORT]")
@click.option("-v", "--audit", is_flag=True,
              help="For an auditor: times, raw numbers and octets of each packet, the file's "
                   "SHA-256, and the command that shows the packets.")
@click.option("--json", "as_json", is_flag=True,
              help="An object a finding, as JSON Lines on stdout.")
def explain(chart: str, addr: str | None, port: str | None, *, audit: bool, as_json: bool) -> None:
    """Draw the exchange that proves a finding, check it again, and say why the state follows.

    CHART is a chart's id, a unique part of it, a folder, or `last`. PORT is a number, or U:53,
    T:80 where both are there. Without PORT the host is explained, and its ports that are listed.
    A state or a reason alone, as `explain filtered` or `explain no-response`, is told in words.
    """
    if addr is None:
        _print_words(chart, as_json=as_json)
        return
    from portulan.api import open_chart

    found = open_chart(chart)
    hosts, ports = _wanted(found, addr, port)
    told = list(_explained(found, hosts, ports))
    if as_json:
        _print_json(told)
    else:
        _print(told, found, audit=audit)
        _print_groups(ports)
    if not all(one.proven for one in told):
        raise SystemExit(3)


def _wanted(found: Chart, addr: str, text: str | None) -> tuple[list[Host], list[Port]]:
    """Return what is to be explained: a host and its ports, or one number's ports."""
    from portulan.errors import UsageError

    protocol, number = _port(text) if text else ("", -1)
    same = _address(addr)
    ports = [each for each in found.ports if each.addr == same and number in (-1, each.port)
             and protocol in ("", each.protocol)]
    hosts = [each for each in found.hosts if each.addr == same and not text]
    if not ports and not hosts:
        what = addr if text is None else f"{addr} port {text}"
        raise UsageError("the chart lists no such " + ("port" if text else "host"), text=what,
                         hint=f"see: portulan charts show {found.id}; scan --all lists every port")
    return hosts, ports


def _address(text: str) -> str:
    """Return an address as charts write it; what is none stays as it is."""
    from ipaddress import ip_address

    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return text


def _port(text: str) -> tuple[str, int]:
    from portulan.errors import UsageError
    from portulan.render.wording import PREFIXES

    prefix, colon, number = text.rpartition(":")
    number, slash, name = number.partition("/")
    protocol = PREFIXES.get(prefix.upper(), "") if colon else name.lower() if slash else ""
    known = protocol in PREFIXES.values() or not (colon or slash)
    if not number.isdecimal() or int(number) > 65_535 or not known or (colon and slash):
        raise UsageError("no port", text=text, hint="a number up to 65535, or as 53/udp or U:53")
    return protocol, int(number)


# -- packets -----------------------------------------------------------------------------------


def _explained(found: Chart, hosts: list[Host], ports: list[Port]) -> Iterator[Explanation]:
    from portulan.render.reasoning import explain_host, explain_port

    shown = [group[0] for group in _groups(ports)] if len(ports) > EACH_MAX else ports
    rungs = _rungs(found.evidence, [*(h.frames for h in hosts), *(p.frames for p in shown)])
    method = found.run.method if found.run else ""
    addr = (hosts or ports)[0].addr
    notes = [note.text for note in found.notes if note.addr == addr]
    for host in hosts:
        systems = [each for each in found.systems if each.addr == host.addr]
        yield explain_host(
            host, [rungs[n] for n in host.frames if n in rungs], notes=notes, systems=systems)
    services = {(each.addr, each.port, each.protocol): each for each in found.services}
    for port in shown:
        yield explain_port(
            port, [rungs[n] for n in port.frames if n in rungs], method=method,
            notes=[] if hosts else notes,
            service=services.get((port.addr, port.port, port.protocol)))


def _groups(ports: list[Port]) -> list[list[Port]]:
    """Return ports that are alike, together; open ones each alone."""
    groups: dict[tuple[str, ...], list[Port]] = {}
    for port in ports:
        alone = str(port.port) if port.state == "open" else ""
        groups.setdefault((port.state, port.reason, port.protocol, alone), []).append(port)
    return list(groups.values())


def _rungs(path: Path, frames: Iterable[list[int]]) -> dict[int, Rung]:
    """Return the packets of these numbers."""
    from portulan.link.captures import open_capture
    from portulan.render.exchange import Rung

    wanted = {number for numbers in frames for number in numbers}
    rungs: dict[int, Rung] = {}
    if not wanted or not path.exists():
        return rungs
    first = 1
    with open_capture(path) as capture:
        for batch in capture.frames():
            for number in wanted & set(range(first, first + len(batch))):
                row = number - first
                at = int(batch.offset[row])
                octets = batch.buffer[at : at + int(batch.length[row])].tobytes()
                rungs[number] = Rung(number, int(batch.time_ns[row]), octets, batch.link_type)
            first += len(batch)
            if first > max(wanted):
                break
    return rungs


# -- printing ----------------------------------------------------------------------------------


def _print(told: list[Explanation], found: Chart, *, audit: bool) -> None:
    from rich.console import Console

    from portulan.render.ladder import ladder
    from portulan.render.paths import path_rows
    from portulan.render.terminal import styled

    paths = found.paths()
    console = Console(highlight=False, emoji=False)
    unicode = (console.encoding or "").lower().startswith("utf")
    width = min(console.width, 100) if console.is_terminal else 80
    for number, one in enumerate(told):
        if number:
            console.print()
        way = path_rows(paths.get(one.addr, []) if one.port is None else [], width=width)
        for line in (*ladder(one, width=width, audit=audit), *_apart(way)):
            console.print(styled(line, unicode=unicode), soft_wrap=True)
    if audit and any(one.seen for one in told):
        console.print()
        for text in _source(found, told):
            console.print(f"  {text}", soft_wrap=True, markup=False)


def _apart(way: Iterable[Line]) -> Iterator[Line]:
    """Yield the way to a host below an empty line, its title in words."""
    for number, line in enumerate(way):
        yield from ([], [("  The way there:", "")]) if not number else [line]


def _source(found: Chart, told: list[Explanation]) -> Iterator[str]:
    """Yield where the packets are, their file's digest, and how to see them without us."""
    import hashlib
    from shlex import quote

    from portulan.errors import printable

    with found.evidence.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path = quote(printable(str(found.evidence), 1000))
    numbers = sorted(one.rung.number for each in told for one in each.seen)
    yield f"evidence  {path}"
    yield f"sha256    {digest}"
    if len(numbers) <= EACH_MAX:
        chosen = " || ".join(f"frame.number=={number}" for number in numbers)
        yield f"see them  tshark -nr {path} -Y {quote(chosen)}"


def _print_groups(ports: list[Port]) -> None:
    """Say which ports stand for many others."""
    for group in _groups(ports) if len(ports) > EACH_MAX else []:
        if len(group) > 1:
            first = group[0]
            numbers = _ranges(sorted(port.port for port in group))
            click.echo(f"\n{first.state} ({first.reason}), {len(group):,} {first.protocol} ports "
                       f"as {first.port}: {numbers}")


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers as `1-3,80`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{low}-{high}" if high > low else f"{low}" for low, high in runs)


def _print_json(told: list[Explanation]) -> None:
    import json

    from portulan.render.ladder import as_object

    for one in told:
        sys.stdout.write(json.dumps(as_object(one)) + "\n")


def _print_words(word: str, *, as_json: bool) -> None:
    """Say what a state or a reason means, whatever was scanned."""
    import json

    from portulan.errors import UsageError
    from portulan.render.ladder import meaning
    from portulan.render.reasons import STATES, WHY, words_about
    from portulan.render.text import plain

    found = words_about(word.lower())
    if not found:
        words = ", ".join(dict.fromkeys([*STATES, *(reason for _, reason in WHY)]))
        raise UsageError("no such state or reason, and no address to explain", text=word,
                         hint=f"give CHART ADDR, or one of {words}")
    for entry, methods in found.items():
        if as_json:
            click.echo(json.dumps({
                "type": "meaning", "word": word.lower(), "of": methods, "text": entry.text,
                "rule": entry.rule, "doubt": entry.doubt}))
        else:
            alone = len(found) == 1
            click.echo("\n".join(plain(line) for line in meaning([] if alone else methods, entry)))
