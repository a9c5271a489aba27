"""`portulan rules`: list, show and test the rules that name products."""

from __future__ import annotations

import msgspec
import rich_click as click

from portulan.errors import UsageError, printable


@click.group("rules")
def rules() -> None:
    """List, show and test the rules that name products."""


@rules.command("list")
def list_rules() -> None:
    """Print a line for each rule: its name, the field it looks at, the product."""
    from portulan.ident.rules import builtin

    for rule in builtin().rules:
        click.echo(f"{rule.id}\t{rule.field}\t{rule.product}")


@rules.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print one rule as JSON."""
    from portulan.ident.rules import builtin

    for rule in builtin().rules:
        if rule.id == name:
            told = msgspec.json.encode({k: getattr(rule, k) for k in rule.__dataclass_fields__})
            click.echo(msgspec.json.format(told).decode())
            return
    raise UsageError("no such rule", text=name, hint="see: portulan rules list")


@rules.command("checks")
@click.option("--checks", "folder", metavar="FOLDER", default="", help="Also those of a folder.")
def list_checks(folder: str) -> None:
    """Print a line for each safe check of `scan -sC`: name, for whom, budget, what it does."""
    from portulan.api.checks import checks

    for each in checks(folder):
        whom = "TLS" if each.secure_only else ",".join(each.services)
        budget = f"{each.connections} conn, {each.octets >> 10} KiB, {each.seconds:g} s"
        row = (each.name, whom, budget, each.about)
        click.echo("\t".join(printable(cell, 300) for cell in row))


@rules.command("test")
def test() -> None:
    """Try every rule on its examples; exit code 1 where one fails."""
    from portulan.ident.rules import builtin, faults

    book = builtin()
    found = faults(book.rules)
    for fault in found:
        click.echo(printable(fault, 300))
    click.echo(f"{len(book.rules)} rules, {len(found)} faults", err=True)
    if found:
        raise SystemExit(1)
