"""`portulan sql`: ask captures and charts."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Rows: TypeAlias = Sequence[Sequence[Any]]

EXIT_PARTIAL = 3
CELL_MAX_CHARS = 60
"""Longer values are cut in the table for people; the other forms have them whole."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.command("sql")
@click.argument("query")
@click.argument("sources", metavar="[FILE|CHART...]", nargs=-1)
@click.option("--json", "form", flag_value="json", help="Print one JSON object a row.")
@click.option("--csv", "form", flag_value="csv", help="Print comma-separated values.")
@click.option("--parquet", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the rows to this Parquet file.")
@click.option("--index", is_flag=True,
              help="Keep the captures' tables beside them (FILE.pidx): later looks are fast.")
def sql(
    *, query: str, sources: tuple[str, ...], form: str | None, parquet: Path | None, index: bool
) -> None:
    """Ask captures and charts with SQL; they can be joined.

    Tables of captures: packets, flows, streams, dns, http, tls, arp, icmp, dhcp, expert; of charts:
    hosts, ports, services. Only what the query reads is made. Functions: in_net(ip, net),
    is_private(ip). Without a source the newest chart is asked. A query reaches no file and no
    network.
    """
    from portulan.api.tables import keep_index
    from portulan.api.tables import sources as tables_of
    from portulan.store.sql import ask

    if form and parquet:
        raise UsageError("one form only", where="--parquet", hint=f"leave out --{form}")
    if index:
        keep_index(sources)
    damage: list[str] = []
    answer = ask(query, tables_of(sources, tell=damage.append), parquet=parquet)
    if answer is not None:
        show = {"json": print_json, "csv": _csv}.get(form or "", print_rows)
        show(answer.columns, answer.rows())
    end_with(damage)


def end_with(damage: list[str]) -> None:
    """Say what was damaged, if anything was, and leave with the code for a part."""
    for line in dict.fromkeys(damage):
        click.echo(f"portulan: {printable(line, 300)}", err=True)
    if damage:
        raise SystemExit(EXIT_PARTIAL)


def print_json(columns: Sequence[str], rows: Rows) -> None:
    """Print one JSON object a row."""
    import msgspec

    encode = msgspec.json.Encoder(enc_hook=str).encode
    for row in rows:
        line = encode(dict(zip(columns, row, strict=True))).decode()
        sys.stdout.write(line + "\n")


def _csv(columns: Sequence[str], rows: Rows) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    for row in rows:
        writer.writerow(map(_cell, row))


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever a query gives
    """Return a value that no spreadsheet runs as a formula (CWE-1236)."""
    if value is None or isinstance(value, int | float):
        return value
    shown = printable(str(value), 1 << 16)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def print_rows(columns: Sequence[str], rows: Rows) -> None:
    """Print aligned columns for people."""
    shown = [[_shown(value) for value in row] for row in rows]
    names = [printable(name, CELL_MAX_CHARS) for name in columns]
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    for line in (names, *shown):
        sys.stdout.write(_line(line, widths) + "\n")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever a query gives
    return "" if value is None else printable(str(value), CELL_MAX_CHARS)
