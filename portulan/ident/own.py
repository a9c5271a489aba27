"""A user's own rules: TOML files in the form of ours, tried before them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from portulan.errors import UsageError

from .rules import Book, Rule, builtin

FILE_BYTES_MAX: Final = 16 << 20
"""Bytes of one file; ours, all together, are a twentieth of it."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rule: list[Rule]


def load(paths: Iterable[Path]) -> list[Rule]:
    """Return the rules of files, and of the `*.toml` in folders, in their order.

    A file that is no rules, or a rule whose pattern RE2 does not take, is a UsageError that names
    the file and the rule.
    """
    return [rule for path in paths for each in _files(path) for rule in _read(each)]


def book(paths: Iterable[Path]) -> Book:
    """Return the user's rules with ours behind them: the user's decide first."""
    return Book((*load(paths), *builtin().rules))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.toml"))
    if path.is_file():
        return [path]
    raise UsageError("no such file or folder of rules", text=str(path), hint="see docs/howto")


def _read(path: Path) -> list[Rule]:
    import re2

    if path.stat().st_size > FILE_BYTES_MAX:
        raise UsageError("too large for rules", where=str(path), hint="16 MiB at most")
    try:
        rules = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).rule
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise UsageError("no file of rules", where=str(path), text=str(error),
                         hint="each rule needs [[rule]], id, field, pattern") from error
    for rule in rules:
        try:
            rule.compiled  # noqa: B018
        except re2.error as error:
            raise UsageError("pattern is not RE2", where=f"{path}: {rule.id}", text=rule.pattern,
                             hint="no look-around, no back-references") from error
    return rules
