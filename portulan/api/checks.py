"""The safe checks there are: those that come with Portulan, and those of a user's own folder."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from portulan.errors import UsageError
from portulan.ident.checks import Check, builtin, collect


def checks(folder: str | Path = "") -> tuple[Check, ...]:
    """Return all checks; those of a folder's Python files come last and win by their name.

    Raises `UsageError` for a folder or a file that cannot be read. The files are run as they are:
    name only a folder whose files you trust.
    """
    found = {each.name: each for each in builtin()}
    if folder:
        found |= {each.name: each for path in _files(Path(folder)) for each in _load(path)}
    return tuple(found.values())


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError("no such folder", text=str(folder), where="--checks",
                         hint="a folder with Python files, each with a check")
    files = sorted(folder.glob("*.py"))
    if not files:
        raise UsageError("no Python files in this folder", text=str(folder), where="--checks",
                         hint="put a check there: see docs/howto/write-a-check.md")
    return files


def _load(path: Path) -> list[Check]:
    spec = spec_from_file_location(f"portulan_check_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # noqa: S101 - a .py file has both
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"a check does not load: {type(error).__name__}: {error}",
                         text=str(path), where="--checks") from None
    return list(collect(module))
