"""`portulan identify`: judge saved replies, one JSON object a line in, one out; or a chart's."""

from __future__ import annotations

import base64
import binascii
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import rich_click as click

from portulan.cli.rules import book_of, own
from portulan.errors import printable

if TYPE_CHECKING:
    from portulan.ident.rules import Book
    from portulan.ident.verdict import Verdict

EXIT_PARTIAL = 3
LINE_BYTES_MAX = 64 << 20
"""Bytes of one line; a longer one is no saved reply and would only fill memory."""


class Saved(msgspec.Struct):
    """One line of input."""

    id: str
    reply_b64: str
    transport: Literal["tcp", "udp"] = "tcp"
    port: int | None = None


@click.command("identify", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("chart", required=False, metavar="[CHART]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a reply.")
@click.option("--recog", type=click.Path(path_type=Path), metavar="DIR",
              help="Also use the rules of Recog's XML files in DIR, behind our own.")
@own
def identify(
    *, chart: str | None, as_json: bool, recog: Path | None, paths: tuple[Path, ...]
) -> None:
    """Tell what services sent the replies on stdin: JSON Lines with id, transport, reply_b64.

    Answers come in order, one line each. A line that is none is told on stderr by its number;
    the exit code is then 3.

    With CHART (an id, a part of it, a folder, or `last`) the replies that it keeps are judged
    again, with the rules of today; the chart stays as it is.
    """
    if chart is not None:
        _judge_chart(chart, _book(recog, paths), as_json=as_json)
        return
    bad, book = 0, _book(recog, paths)
    source, number = sys.stdin.buffer, 0
    while line := source.readline(LINE_BYTES_MAX):
        number += 1
        if not line.strip():
            continue
        try:
            told = _judge(line, book)
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            bad += 1
            click.echo(f"portulan: line {number}: {printable(str(error))} - skipped", err=True)
            continue
        sys.stdout.write(msgspec.json.encode(told).decode() if as_json else _text(told))
        sys.stdout.write("\n")
    if bad:
        sys.stdout.flush()
        raise SystemExit(EXIT_PARTIAL)


def _judge_chart(which: str, book: Book | None, *, as_json: bool) -> None:
    """Print a chart's services as today's rules name them, and what changed."""
    from portulan.api import open_chart
    from portulan.cli.banner import line
    from portulan.drive.identifying_events import judge_again
    from portulan.record import encode_lines

    changed = bare = 0
    chart = open_chart(which)
    for old in chart.services:
        new = judge_again(old, book)
        bare += not old.heard
        changed += new != old
        if as_json:
            sys.stdout.write(encode_lines([new]).decode())
        else:
            was = "" if new == old else f"  (was {line(old).partition('  ')[2]})"
            click.echo(line(new) + was)
    sys.stdout.flush()
    kept = f", {bare} without their replies" if bare else ""
    click.echo(f"portulan: {len(chart.services)} services, {changed} judged otherwise{kept}",
               err=True)


def _book(recog: Path | None, paths: tuple[Path, ...]) -> Book | None:
    """Return the user's rules, ours, those of a folder, in this order; None: ours alone."""
    if recog is None:
        return book_of(paths)
    from portulan.ident.recog import load_folder
    from portulan.ident.rules import Book, builtin

    rules, left_out = load_folder(recog)
    click.echo(f"portulan: {recog}: {len(rules)} rules; {left_out} left out, not linear", err=True)
    return Book((*(book_of(paths) or builtin()).rules, *rules))


def _judge(line: bytes, book: Book | None) -> dict[str, str | float]:
    from portulan.ident.judge import judge
    from portulan.ident.reply import Reply

    saved = msgspec.json.decode(line, type=Saved)
    data = base64.b64decode(saved.reply_b64, validate=True)
    return {"id": saved.id} | as_fields(judge(Reply(saved.transport, data, saved.port), book))


def as_fields(verdict: Verdict | None) -> dict[str, str | float]:
    """Return a verdict as the fields of one line; those with nothing to tell are left out."""
    if verdict is None:
        return {"name": "unknown", "confidence": 0, "rule": ""}
    told: dict[str, str | float] = {"name": verdict.name}
    for name in ("vendor", "product", "version", "os", "device", "cpe"):
        value = getattr(verdict, name)
        if value:
            told[name] = value
    return told | {"confidence": verdict.confidence, "rule": verdict.rule}


def _text(told: dict[str, str | float]) -> str:
    words = [str(told.get(name, "")) for name in ("id", "name", "vendor", "product", "version")]
    return printable("  ".join(word for word in words if word), 300)
