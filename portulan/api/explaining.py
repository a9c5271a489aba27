"""Why findings of a chart hold: their packets out of the evidence, checked again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from portulan.errors import UsageError
from portulan.record import Host, Port
from portulan.render.exchange import Rung
from portulan.render.reasoning import Explanation, explain_host, explain_port
from portulan.render.wording import PREFIXES
from portulan.store.chart import Chart

#: Ports of a host that are explained one by one; of more, those alike share one explanation.
EACH_MAX: Final = 12


def explain(
    chart: Chart | str | Path, addr: str, port: int | str | None = None
) -> list[Explanation]:
    """Return why a port is in its state, or a host and each of its listed ports.

    `chart` is a chart, its id, or "last"; `port` a number, or "53/udp" where both protocols are
    there. Raises `UsageError` if the chart lists no such host or port.

    >>> import portulan
    >>> chart = portulan.scan("127.0.0.1", ports="1", method="connect", keep=False,
    ...                       every_state=True)
    >>> [found] = portulan.explain(chart, "127.0.0.1", 1)
    >>> found.state, found.proven
    ('closed', True)
    """
    held = chart if isinstance(chart, Chart) else Chart.open(chart)
    return Wanted.of(held, addr, None if port is None else str(port)).explained(each=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be explained of a chart: a host and its ports, or the ports of one number."""

    chart: Chart
    hosts: list[Host]
    ports: list[Port]

    @classmethod
    def of(cls, chart: Chart, addr: str, text: str | None) -> Wanted:
        """Find it; raises `UsageError` if there is no such thing."""
        protocol, number = parse_port(text) if text is not None else ("", -1)
        same = _address(addr)
        ports = [each for each in chart.ports if each.addr == same and number in (-1, each.port)
                 and protocol in ("", each.protocol)]
        hosts = [each for each in chart.hosts if each.addr == same and text is None]
        if not ports and not hosts:
            what = addr if text is None else f"{addr} port {text}"
            raise UsageError(
                "the chart lists no such " + ("port" if text else "host"), text=what,
                hint=f"see: portulan charts show {chart.id}; scan --all lists every port")
        return cls(chart, hosts, ports)

    def groups(self) -> list[list[Port]]:
        """Return ports that are alike, together; open ones each alone."""
        groups: dict[tuple[str, ...], list[Port]] = {}
        for port in self.ports:
            alone = str(port.port) if port.state == "open" else ""
            groups.setdefault((port.state, port.reason, port.protocol, alone), []).append(port)
        return list(groups.values())

    @property
    def grouped(self) -> bool:
        """Whether there are too many ports to explain each."""
        return len(self.ports) > EACH_MAX

    def explained(self, *, each: bool = False) -> list[Explanation]:
        """Return the explanations; where ports are `grouped`, one of each group unless `each`."""
        chart = self.chart
        shown = [group[0] for group in self.groups()] if self.grouped and not each else self.ports
        rungs = rungs_of(chart.evidence, [*(h.frames for h in self.hosts),
                                          *(p.frames for p in shown)])
        addr = (self.hosts or self.ports)[0].addr
        notes = [note.text for note in chart.notes if note.addr == addr]
        services = {(one.addr, one.port, one.protocol): one for one in chart.services}
        found = [
            explain_host(host, _of(rungs, host.frames), notes=notes,
                         systems=[one for one in chart.systems if one.addr == host.addr])
            for host in self.hosts
        ]
        method = chart.run.method if chart.run else ""
        found += [
            explain_port(port, _of(rungs, port.frames), method=method,
                         notes=[] if self.hosts else notes,
                         service=services.get((port.addr, port.port, port.protocol)))
            for port in shown
        ]
        return found


def _of(rungs: dict[int, Rung], frames: Sequence[int]) -> list[Rung]:
    return [rungs[number] for number in frames if number in rungs]


def _address(text: str) -> str:
    """Return an address as charts write it; what is none stays as it is."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return text


def parse_port(text: str) -> tuple[str, int]:
    """Return protocol (empty: any) and number of `53`, `U:53` or `53/udp`; raises `UsageError`."""
    prefix, colon, number = text.rpartition(":")
    number, slash, name = number.partition("/")
    protocol = PREFIXES.get(prefix.upper(), "") if colon else name.lower() if slash else ""
    known = protocol in PREFIXES.values() or not (colon or slash)
    if not number.isdecimal() or int(number) > 65_535 or not known or (colon and slash):
        raise UsageError("no port", text=text, hint="a number up to 65535, or as 53/udp or U:53")
    return protocol, int(number)


def rungs_of(path: Path, frames: Iterable[Sequence[int]]) -> dict[int, Rung]:
    """Return the packets of these numbers out of a chart's evidence; those it lacks are left out.

    Raises `UsageError` if the file is no capture.
    """
    from portulan.link.captures import open_capture

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
