"""`portulan explain`: the packets behind a finding, and how the verdict follows from them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import rich_click as click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portulan.api.explaining import Wanted
    from portulan.render.layout import Line
    from portulan.render.reasoning import Explanation
    from portulan.store import Chart

#: Packets that a command for another reader names one by one.
NAMED_MAX: Final = 12


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
    from portulan.api.explaining import Wanted

    found = open_chart(chart)
    wanted = Wanted.of(found, addr, port)
    told = wanted.explained()
    if as_json:
        _print_json(told)
    else:
        _print(told, found, audit=audit)
        _print_groups(wanted)
    if not all(one.proven for one in told):
        raise SystemExit(3)


# -- printing ----------------------------------------------------------------------------------


def _print(told: list[Explanation], found: Chart, *, audit: bool) -> None:
    from portulan.cli.console import console, has_unicode, width_of
    from portulan.render.ladder import ladder
    from portulan.render.paths import path_rows
    from portulan.render.terminal import styled

    paths = found.paths()
    made = console()
    unicode, width = has_unicode(made), width_of(made)
    for number, one in enumerate(told):
        if number:
            made.print()
        way = path_rows(paths.get(one.addr, []) if one.port is None else [], width=width)
        for line in (*ladder(one, width=width, audit=audit), *_apart(way)):
            made.print(styled(line, unicode=unicode), soft_wrap=True)
    if audit and any(one.seen for one in told):
        made.print()
        for text in _source(found, told):
            made.print(f"  {text}", soft_wrap=True)


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
    if len(numbers) <= NAMED_MAX:
        chosen = " || ".join(f"frame.number=={number}" for number in numbers)
        yield f"see them  tshark -nr {path} -Y {quote(chosen)}"


def _print_groups(wanted: Wanted) -> None:
    """Say which ports stand for many others."""
    for group in wanted.groups() if wanted.grouped else []:
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
