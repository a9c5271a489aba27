"""`portulan stats`: a capture's sums, each a query that `portulan sql` could ask, too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from portulan.cli.stats_queries import QUERIES
from portulan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portulan.render.picture import Picture

SEQUENCE: Final = "sequence"
"""Not a table but a picture: how one connection's numbers grew."""
BAR_CELLS: Final = 24


@click.command("stats")
@click.argument("file")
@click.argument("what", type=click.Choice([*QUERIES, SEQUENCE]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
@click.option("--bars", is_flag=True, help="Draw a bar beside each row (a terminal has them).")
@click.option("--svg", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path),
              help="Draw the table as a picture.")
@click.option("--html", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path),
              help="The same, as a page of its own.")
@click.option("--flow", type=click.IntRange(1), metavar="N", default=None,
              help="With `sequence`: which flow, as `portulan flows` counts them.")
def stats(
    *, file: str, what: str, as_json: bool, bars: bool, svg: Path | None, html: Path | None,
    flow: int | None,
) -> None:
    """Sum a capture up: who, what, when, how long, and what an expert would point at."""
    from portulan.cli.sql import end_with

    if (flow is not None) != (what == SEQUENCE):
        raise UsageError("a flow is drawn by `sequence`, and by nothing else", where="--flow",
                         hint="portulan stats FILE sequence --flow 1 --svg OUT")
    if what == SEQUENCE and not (svg or html):
        raise UsageError("`sequence` is a picture", hint="add --svg OUT or --html OUT")
    damage: list[str] = []
    picture = (_sequence(file, flow or 1, damage) if what == SEQUENCE
               else _table(file, what, damage, as_json=as_json,
                           bars=bars or sys.stdout.isatty(), drawn=bool(svg or html)))
    if picture is not None:
        _write(picture, svg, html)
    end_with(damage)


def _sequence(file: str, flow: int, damage: list[str]) -> Picture:
    from portulan.api.pictures import sequence_picture
    from portulan.drive.capture import Capture

    capture = Capture(file)
    picture = sequence_picture(capture, flow)
    if capture.damage:
        damage.append(capture.damage)
    return picture


def _table(
    file: str, what: str, damage: list[str], *, as_json: bool, bars: bool, drawn: bool
) -> Picture | None:
    from portulan.api.pictures import DRAWN, table_picture
    from portulan.api.tables import sources
    from portulan.cli.sql import print_json, print_rows
    from portulan.store.sql import ask

    answer = ask(QUERIES[what], sources([file], tell=damage.append))
    if answer is None:
        return None
    rows = answer.rows()
    if as_json:
        print_json(answer.columns, rows)
    elif bars and what in DRAWN and what != "expert":  # its sentences fill the line
        print_rows([*answer.columns, ""], _with_bars(what, answer.columns, rows))
    else:
        print_rows(answer.columns, rows)
    return table_picture(what, answer.columns, rows) if drawn else None


def _with_bars(
    what: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    from portulan.api.pictures import DRAWN
    from portulan.render.picture import bar

    at = list(columns).index(DRAWN[what].value)
    most = max((float(row[at]) for row in rows), default=0.0)
    return [(*row, bar(float(row[at]), most, BAR_CELLS)) for row in rows]


def _write(picture: Picture, svg: Path | None, html: Path | None) -> None:
    for path, text in ((svg, picture.svg), (html, picture.html)):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
            click.echo(f"portulan: drawn: {path}", err=True)
