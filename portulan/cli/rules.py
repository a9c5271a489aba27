"""`portulan rules`: list, show and test the rules that name products; read a reply's fields."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import msgspec
import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.ident.rules import Book

REPLY_BYTES_MAX = 16 << 20
"""Bytes of a saved reply that are read."""
TEXT_SHOWN_MAX = 300

own = click.option("--rules", "paths", type=click.Path(path_type=Path), multiple=True,
                   metavar="FILE|DIR", help="Rules of your own, tried before ours. Repeatable.")
"""The option that all verbs which name services share."""


def book_of(paths: tuple[Path, ...]) -> Book | None:
    """Return the user's rules before ours; None where there are none of the user's."""
    if not paths:
        return None
    from portulan.ident.own import book

    return book(paths)


@click.group("rules", context_settings={"help_option_names": ["-h", "--help"]})
def rules() -> None:
    """List, show and test the rules that name products."""


@rules.command("list")
@click.argument("words", nargs=-1)
@own
def list_rules(*, words: tuple[str, ...], paths: tuple[Path, ...]) -> None:
    """Print a line for each rule: its name, the field it looks at, the product.

    With WORDS only the lines that hold all of them, in upper or lower case.
    """
    for rule in _all(paths).rules:
        columns = (rule.id, rule.field, rule.product or rule.vendor or rule.os)
        if all(word.lower() in " ".join(columns).lower() for word in words):
            _row(*columns)


@rules.command("show")
@click.argument("name")
@own
def show(name: str, *, paths: tuple[Path, ...]) -> None:
    """Print one rule as JSON; of what is no rule but stands as one in a verdict, a sentence."""
    if sentence := _no_rule(name):
        click.echo(sentence)
        return
    known = _all(paths).rules
    for rule in known:
        if rule.id == name:
            told = msgspec.json.encode({k: getattr(rule, k) for k in rule.__dataclass_fields__})
            click.echo(msgspec.json.format(told).decode())
            return
    near = [rule.id for rule in known if name.lower() in rule.id]
    hint = f"did you mean {near[0]}?" if near else "see: portulan rules list WORD"
    raise UsageError("no such rule", text=name, hint=hint)


@rules.command("test")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def test(files: tuple[Path, ...]) -> None:
    """Try every rule on its examples; exit code 1 where one fails.

    With FILES (or folders) yours are tried, also against ours: a rule that takes an example of
    another's is told.
    """
    from portulan.ident.own import load
    from portulan.ident.rules import builtin, faults

    mine = load(files)
    found = faults((*mine, *builtin().rules))
    for fault in found:
        click.echo(printable(fault, TEXT_SHOWN_MAX))
    count = len(mine) if files else len(builtin().rules)
    click.echo(f"{count} rules, {len(found)} faults", err=True)
    if found:
        raise SystemExit(1)


@rules.command("read")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--udp", is_flag=True, help="The reply came in a datagram.")
@own
def read(file: IO[bytes], *, udp: bool, paths: tuple[Path, ...]) -> None:
    """Print what a saved reply says: its protocol, the fields that rules look at, the verdict.

    FILE holds the octets that the service sent; `-`, or nothing, reads them on stdin.
    """
    from portulan.ident.judge import judge, parse
    from portulan.ident.reply import Reply

    transport: Literal["tcp", "udp"] = "udp" if udp else "tcp"
    reply = Reply(transport, file.read(REPLY_BYTES_MAX))
    facts = parse(reply)
    if facts is None:
        _row("protocol", "unknown")
        return
    _row("protocol", facts.name)
    for name, text in facts.fields.items():
        _row(name, text)
    verdict = judge(reply, book_of(paths))
    for name in ("vendor", "product", "version", "os", "device", "cpe", "rule"):
        if verdict and getattr(verdict, name):
            _row(f"= {name}", getattr(verdict, name))


def _no_rule(name: str) -> str:
    """Return what a verdict without a rule of its own rests on, or an empty text."""
    from portulan.ident.judge import SOLE

    kind, colon, rest = name.partition(":")
    if kind == "protocol" and rest in SOLE:
        return f"{name}: {' '.join(dict.fromkeys(SOLE[rest]))} is what speaks {rest}"
    if kind == "grammar" and colon:
        return f"{name}: no rule names this product; {printable(rest, 60)} itself tells its name"
    return ""


def _row(*columns: str) -> None:
    click.echo("\t".join(printable(column, TEXT_SHOWN_MAX) for column in columns))


def _all(paths: tuple[Path, ...]) -> Book:
    from portulan.ident.rules import builtin

    return book_of(paths) or builtin()
