"""`portulan charts`: list, show and remove what earlier runs kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from rich.table import Table

    from portulan.record import Connection
    from portulan.store import Chart, ChartFolder, Summary

ID_HELP = "An id may be cut short as long as it stays unique; `last` is the newest chart."

TARGETS_WIDTH = 13
"""What is left of 80 columns when the other columns hold their widest usual values."""

CONNECTIONS_SHOWN = 1_000
"""Of a ledger: more than anyone scrolls through; rich takes a second for 5,000 rows."""

NUMBERS = {"LASTED", "IN", "OUT", "RTT"}

STATE_STYLES = {"done": "green", "interrupted": "yellow", "running": "cyan", "damaged": "red"}


@click.group("charts")
def charts() -> None:
    """List, show and remove the charts that runs have kept."""


@charts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a chart.")
def list_charts(as_json: bool) -> None:
    """List all charts, newest first.

    The state is `done`, `interrupted` (resume it with `portulan scan --resume ID`), `running`, or
    `damaged` (still readable around the damage).
    """
    from portulan.store import Charts, summarize

    kept = Charts()
    lines = [summarize(folder) for folder in kept.list()]
    if as_json:
        _print_json_lines(lines)
    elif lines:
        _print(_list_table(lines))
    else:
        click.echo(f"No charts in {kept.folder} yet.", err=True)


@charts.command("show", epilog=ID_HELP)
@click.argument("id_", metavar="ID", default="last")
@click.option("--json", "as_json", is_flag=True, help="Print the chart's events as JSON Lines.")
def show(id_: str, as_json: bool) -> None:
    """Show a chart's hosts and ports, and where the packets are that prove them.

    Of a chart of listen, relay or proxy: its connections, with the UTC time of their begin.
    """
    from portulan.store import Chart

    chart = Chart.open(id_)
    for damage in chart.damage:
        click.echo(f"damaged: {printable(str(damage), 300)}", err=True)
    if as_json:
        from portulan.record import encode_lines

        click.echo(encode_lines(chart.events()), nl=False)
    else:
        _show_text(chart)


@charts.command("rm", epilog=ID_HELP)
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Remove every chart.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(ids: tuple[str, ...], every: bool, yes: bool) -> None:
    """Remove charts with their evidence, for good. A chart that a scan writes is refused."""
    from portulan.store import Charts

    kept = Charts()
    if bool(ids) == every:
        raise UsageError("name the charts to remove, or give --all", where="charts rm")
    # All are found before one is removed: a wrong id removes nothing.
    chosen = kept.list() if every else list(dict.fromkeys(kept.find(text) for text in ids))
    if chosen and not yes:
        _confirm(chosen)
    for folder in chosen:
        kept.remove(folder)
        click.echo(f"removed {folder.id}", err=True)


def _confirm(chosen: list[ChartFolder]) -> None:
    size = _size_text(sum(folder.size_bytes() for folder in chosen))
    what = f"chart {chosen[0].id}" if len(chosen) == 1 else f"{len(chosen)} charts"
    try:
        click.confirm(f"Remove {what} ({size})?", abort=True, err=True)
    except click.Abort:
        raise UsageError("nothing removed", hint="answer y, or give -y") from None


def _print_json_lines(lines: list[Summary]) -> None:
    import msgspec

    click.echo(msgspec.json.Encoder().encode_lines(lines), nl=False)


def _list_table(lines: list[Summary]) -> Table:
    from portulan.store.summary import LEDGERS

    table = _table(gap=1)
    for name in ("ID", "BEGUN", "TARGETS"):
        table.add_column(name, no_wrap=True)
    for name in ("UP", "OPEN"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("SIZE", justify="right", no_wrap=True)
    for line in lines:
        # A ledger has no hosts: its verb and how many connections it holds stand there.
        counts = ((line.verb, str(line.connections)) if line.verb in LEDGERS
                  else (str(line.hosts_up), str(line.open)))
        table.add_row(
            line.id, _local_time(line.started), _plain(" ".join(line.targets), TARGETS_WIDTH),
            *counts,
            f"[{STATE_STYLES[line.state]}]{line.state}[/]", _size_text(line.size_bytes),
        )
    return table


def _show_text(chart: Chart) -> None:
    from portulan.store import summarize
    from portulan.store.summary import LEDGERS

    summary = summarize(chart.folder)
    run = chart.run
    click.echo(f"Chart {chart.id}, {summary.state}")
    if run:
        click.echo(f"Targets {printable(' '.join(run.targets), 300)}")
        click.echo(f"Begun {printable(run.started)}, {printable(run.why, 300)}")
    if summary.verb in LEDGERS:
        _show_connections(chart)
    else:
        _show_findings(chart)
    if chart.evidence.exists():
        click.echo(f"Evidence {chart.evidence}")
    if summary.state == "interrupted" and summary.verb not in LEDGERS:
        click.echo(f"Resume it: portulan scan --resume {chart.id}")


def _show_findings(chart: Chart) -> None:
    if len(chart):
        _print(_port_table(chart))
    ports = len(chart.open_ports())
    click.echo(f"{_count(chart.findings.hosts_up(), 'host')} up, {_count(ports, 'port')} open")
    _print_quiet_hosts(chart)


def _show_connections(chart: Chart) -> None:
    """Print who was connected, when, how much passed, and why it ended; the newest at the end."""
    kept = chart.connections
    if len(kept) > CONNECTIONS_SHOWN:
        click.echo(f"The last {CONNECTIONS_SHOWN} connections; --json prints all")
    if kept:
        _print(_connection_table(kept[-CONNECTIONS_SHOWN:]))
    received, sent = sum(each.received for each in kept), sum(each.sent for each in kept)
    click.echo(f"{_count(len(kept), 'connection')}, {_size_text(received)} from clients, "
               f"{_size_text(sent)} to them")


def _connection_table(kept: list[Connection]) -> Table:
    wanted = {"TARGET": any(each.target for each in kept), "RTT": any(each.rtt_us for each in kept)}
    columns = ("CLIENT", "TARGET", "BEGUN", "LASTED", "IN", "OUT", "RTT", "ENDED")
    shown = [name for name in columns if wanted.get(name, True)]
    table = _table(gap=1)
    for name in shown:
        table.add_column(name, no_wrap=name in NUMBERS, overflow="fold",
                         justify="right" if name in NUMBERS else "left")
    for each in kept:
        cells = _connection_cells(each)
        table.add_row(*(cells[name] for name in shown))
    return table


def _connection_cells(each: Connection) -> dict[str, str]:
    target_tls = f"target {each.target_tls}" if each.target_tls else ""
    ended = f"{each.closed}: {each.error}" if each.error else each.closed
    return {
        "CLIENT": _plain(each.client), "TARGET": _plain(each.target),
        "BEGUN": _plain(each.started[11:19]), "LASTED": f"{each.elapsed_s:.3g} s",
        "IN": _size_text(each.received), "OUT": _size_text(each.sent),
        "RTT": f"{each.rtt_us} us" if each.rtt_us else "",
        "ENDED": _plain(", ".join(filter(None, (ended, each.tls, target_tls)))),
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _port_table(chart: Chart) -> Table:
    table = _table()
    for name in ("ADDRESS", "PORT", "STATE", "REASON"):
        table.add_column(name, no_wrap=True)
    table.add_column("SERVICE", overflow="fold", ratio=1)
    table.add_column("FRAMES", justify="right")
    services = chart.findings.services
    for port in chart.ports:
        service = services.get((port.addr, port.port, port.protocol))
        words = (service.name, service.product, service.version) if service else ()
        table.add_row(
            _plain(port.addr), f"{port.port}/{port.protocol}", port.state, _plain(port.reason),
            _plain(" ".join(filter(None, words))), ", ".join(map(str, port.frames)),
        )
    return table


def _print_quiet_hosts(chart: Chart) -> None:
    """Say which hosts are up although none of their ports is listed."""
    loud = {port.addr for port in chart.findings.ports.values()}
    quiet = [host.addr for host in chart.hosts if host.state == "up" and host.addr not in loud]
    if quiet:
        more = f" and {len(quiet) - 20} more" if len(quiet) > 20 else ""
        click.echo(f"Up without listed ports: {printable(', '.join(quiet[:20]), 1000)}{more}")


def _table(*, gap: int = 2) -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")


def _print(table: Table) -> None:
    from rich.console import Console

    Console(highlight=False, emoji=False).print(table)


def _plain(text: str, limit: int = 200) -> str:
    """Return outside text for a cell: no control bytes, no rich markup."""
    from rich.markup import escape

    return escape(printable(text, limit))


def _local_time(started: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(started).astimezone().strftime("%b %d %H:%M")
    except (ValueError, OverflowError):
        return "?"


def _size_text(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"
