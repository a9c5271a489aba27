"""HTML: one file that loads nothing, runs nothing but its own filter, and prints well.

The policy in its head allows one style sheet and one script, each by its hash, and nothing else:
no image, font, frame, form or request. So even an escaping mistake could not run a stranger's
words. Without the script all is shown; it only hides hosts that the filter's words miss.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from math import cos, pi, sin

from portulan.record import AnyEvent, Port
from portulan.render import wording
from portulan.render.escape import visible
from portulan.render.gather import Finding, Findings, gather
from portulan.render.page_assets import SCRIPT, STYLE

CARDS = 400
"""Up to so many hosts have a card each; more share one table, which browsers lay out faster."""

OPEN_CARDS = 60
"""Up to so many cards are unfolded: about what one scrolls through."""

CHUNK_HOSTS = 256

TOP_PORTS = 12
"""Bars of open ports."""


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield one whole HTML document, to be written as UTF-8."""
    found = gather(events)
    yield _head(found)
    yield _banner(found)
    yield _facts(found)
    yield f'<div class="charts">{_states(found)}{_top_ports(found)}</div>\n'
    yield from _hosts(found)
    yield _foot(found)


def _h(text: str) -> str:
    return escape(visible(text))


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def policy() -> str:
    """Return the page's content security policy."""
    return (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _title(found: Findings) -> str:
    return _h(wording.shorten_list(found.run.targets, 3)) if found.run else "unnamed run"


def _head(found: Findings) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Portulan chart of {_title(found)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
    )


def _rhumbs() -> str:
    """Return the web of rhumb lines that a portulan chart is drawn on."""
    angles = (pi * (i + 0.5) / 16 for i in range(32))
    ends = ((600 + 700 * cos(angle), 80 + 700 * sin(angle)) for angle in angles)
    lines = "".join(f'<line x1="600" y1="80" x2="{x:.0f}" y2="{y:.0f}"/>' for x, y in ends)
    return (
        '<svg class="rhumbs" viewBox="0 0 800 160" preserveAspectRatio="xMaxYMid slice"'
        f' aria-hidden="true"><circle cx="600" cy="80" r="36"/><circle cx="600" cy="80" r="6"/>'
        f"{lines}</svg>"
    )


def _banner(found: Findings) -> str:
    run, when = found.run, found.started
    kind = "good" if found.complete else "bad"
    asked = [f"ports {wording.ports(run)}" if run and run.ports else "",
             f"shard {run.shard}" if run and run.shard else "",
             when.strftime("%Y-%m-%d %H:%M:%S %Z") if when else ""]
    return (
        f"<header>{_rhumbs()}<p class=kicker>Portulan chart</p>\n<h1>{_title(found)}</h1>\n"
        f"<p>{_h(' · '.join(filter(None, asked)))}</p>\n<p>{_h(wording.method(found))}</p>\n"
        + "".join(f'<p class="note {n.level}">{_h(n.text)}</p>\n' for n in found.notes)
        + f'<p><span class="badge {kind}">{_h(wording.outcome(found))}</span></p></header>\n'
        "<main>\n"
    )


def _facts(found: Findings) -> str:
    end = found.end
    up = f"{found.hosts_up:,} <small>of {found.hosts_asked:,}</small>"
    cells = [("hosts up", up), ("open ports", f"{found.open:,}")]
    if end:
        cells += [("sent", f"{end.sent:,}"), ("received", f"{end.received:,}"),
                  ("kernel drops", f"{end.drops:,}"),
                  ("elapsed", wording.duration(end.elapsed_s))]
    if end and end.missed:
        cells.append(("probably missed", f"{end.missed.estimate:.1f} <small>"
                      f"{end.missed.low:.1f} to {end.missed.high:.1f}</small>"))
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells)
    return f'<dl class="facts">{items}</dl>\n'


def _css(state: str) -> str:
    """Return a state as a class name."""
    return "s-" + state.replace("|", "-")


def _states(found: Findings) -> str:
    """Return one bar of all port states; a state that is there is never thinner than a line."""
    counts = found.counts()
    states = [state for state in wording.STATE_ORDER if counts[state]]
    if not states:
        return ""
    floor, total = 0.6, counts.total()
    shares = [max(floor, 100 * counts[state] / total) for state in states]
    scale, at, rects, keys = 100 / sum(shares), 0.0, "", ""
    for state, share in zip(states, shares, strict=True):
        rects += (f'<rect class="{_css(state)}" x="{at:.2f}%" width="{share * scale:.2f}%"'
                  ' y="0" height="100%"/>')
        keys += f'<li><i class="dot {_css(state)}"></i>{state} <b>{counts[state]:,}</b></li>'
        at += share * scale
    return (
        '<section><h2>What the ports said</h2><svg class="bar" width="100%" height="18" role="img"'
        f' aria-label="share of each state">{rects}</svg><ul class="keys">{keys}</ul></section>'
    )


def _top_ports(found: Findings) -> str:
    top = found.top_open(TOP_PORTS)
    if not top:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{port}/{protocol}</th><td>{_h(wording.guess(port, protocol))}</td>"
        '<td class="grow"><svg class="bar" width="100%" height="10" aria-hidden="true"><rect'
        f' class="s-open" width="{max(0.6, 100 * count / top[0][2]):.2f}%" height="100%"/></svg>'
        f"</td><td class=num>{count:,}</td></tr>"
        for protocol, port, count in top
    )
    return f'<section><h2>Open ports by hosts</h2><table class="plain">{rows}</table></section>'


def _hosts(found: Findings) -> Iterator[str]:
    hosts = [host for host in found.hosts if host.state == "up" or host.ports or host.notes]
    yield (
        '<section class="hosts"><h2>Hosts</h2><p class="filter" hidden><label>Show hosts with '
        '<input id="filter" type="search" placeholder="443 nginx" autocomplete="off"></label> '
        f'<output id="shown">{len(hosts):,}</output></p>\n'
    )
    if len(hosts) > CARDS:
        yield from _host_tables(hosts)
    else:
        unfold = " open" if len(hosts) <= OPEN_CARDS else ""
        for host in hosts:
            yield _card(host, unfold)
    yield "</section>\n"


def _host_tables(hosts: list[Finding]) -> Iterator[str]:
    """Yield many hosts as tables under one head: a browser skips those that are out of sight."""
    yield ('<div class="scroll"><table class="ports many"><thead><tr><th>Host</th><th>Names</th>'
           "<th>Open</th><th>Other</th><th class=num>RTT</th><th>Frames</th></tr></thead>"
           "</table>\n")
    for at in range(0, len(hosts), CHUNK_HOSTS):
        rows = "".join(map(_host_row, hosts[at : at + CHUNK_HOSTS]))
        yield f'<div class="chunk"><table class="ports many"><tbody>{rows}</tbody></table></div>\n'
    yield "</div>"


def _card(host: Finding, unfold: str) -> str:
    counted, ports = wording.collapse(host)
    rows = "".join(_port_row(host, port) for port in ports)
    table = (
        '<div class="scroll"><table class="ports fixed"><thead><tr><th>Port</th><th>State</th>'
        "<th>Service</th><th>Reason</th><th class=num>TTL</th><th class=num>RTT</th>"
        f"<th>Frames</th></tr></thead><tbody>{rows}</tbody></table></div>"
    ) if rows else ""
    rest = f'<p class="dim">Not shown: {_h(wording.tally(counted))}</p>' if counted else ""
    systems = "".join(f"<p>System: {_h(system)}</p>" for system in wording.systems(host))
    notes = "".join(f'<p class="note {n.level}">{_h(wording.remark(n))}</p>' for n in host.notes)
    opened = sum(port.state == "open" for port in ports)
    return (
        f'<details class="host" data-host{unfold}><summary><b class="addr">{_h(host.addr)}</b>'
        f"<span>{_h(', '.join(host.names))}</span>"
        f'<span class="dim">{host.state} ({_h(wording.facts(host))})</span>'
        f'<span class="dim">{_h(" ".join(filter(None, (host.mac, host.vendor))))}</span>'
        f'<span class="count{"" if opened else " none"}">{opened} open</span></summary>'
        f"{table}{rest}{systems}{notes}</details>\n"
    )


def _port_row(host: Finding, port: Port) -> str:
    found = host.service(port)
    service = _h(wording.service(port, found))
    if found is None:
        service = f'<span class="dim">{service}</span>'
    return (
        f'<tr><td class="mono">{port.port}/{port.protocol}</td>'
        f'<td><span class="state {_css(port.state)}">{port.state}</span></td>'
        f"<td>{service}</td><td>{_h(port.reason)}</td><td class=num>{port.ttl or ''}</td>"
        f'<td class=num>{wording.rtt(port.rtt_us)}</td><td class="mono">{wording.frames(port)}</td>'
        "</tr>"
    )


def _host_row(host: Finding) -> str:
    opened = host.open_ports()
    ports = ", ".join(f"{port.port}/{port.protocol}" for port in opened)
    return (
        f'<tr data-host><td class="mono">{_h(host.addr)}</td><td>{_h(", ".join(host.names))}</td>'
        f'<td class="mono">{ports}</td><td class="dim">{_h(wording.tally(wording.not_open(host)))}'
        f"</td><td class=num>{wording.rtt(wording.best_rtt_us(host))}</td>"
        f'<td class="mono">{" ".join(filter(None, map(wording.frames, opened)))}</td></tr>'
    )


def _foot(found: Findings) -> str:
    run = found.run
    made = ""
    if run:
        command = " ".join(run.argv)
        made = f"Run <b>{_h(run.id)}</b>, Portulan {_h(run.version)}: <code>{_h(command)}</code>. "
    return (
        f"</main>\n<footer><p>{made}Frames are packet numbers in the chart's evidence.pcapng. "
        "A service with a question mark is what usually runs there, not a finding.</p></footer>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
