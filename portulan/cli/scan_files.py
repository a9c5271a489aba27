"""The files a scan reads and writes: targets, exclusions, a scope, results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portulan.errors import UsageError

if TYPE_CHECKING:
    from portulan.api import Scan
    from portulan.drive.request import Word
    from portulan.record import AnyEvent

#: nmap's letters behind -o, and what says the same here.
NMAP_FORMATS: Final = {
    "X": "write -o FILE.xml", "N": "write -o FILE.txt", "G": "write -o FILE.csv, or use --json",
    "A": "write -o FILE.xml -o FILE.txt; the chart is kept anyway", "S": "write -o FILE.txt",
}


# -- reading ---------------------------------------------------------------------------------


def _text_of(name: str, option: str) -> str:
    if not name:
        return ""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", text=name, where=option,
                         hint="check the path") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 at byte {error.start}", text=name, where=option,
                         hint="convert it, or name another file") from None


def read_scope(name: str) -> str:
    """Return a scope file's text; raises `UsageError` for one without a line."""
    text = _text_of(name, "--scope")
    if name and not text.strip():
        raise UsageError("an empty scope allows nothing", text=name, where="--scope",
                         hint="write lines as: allow 192.0.2.0/24")
    return text


def read_words(name: str, option: str) -> list[Word]:
    """Return the targets a file (`-`: stdin) names, and where; raises `UsageError` for none."""
    from portulan.target.targets import read_lines

    words = read_lines(_text_of(name, option), "stdin" if name == "-" else name)
    if not words:
        raise UsageError("the file names no target", text=name, where=option,
                         hint="one a line; # begins a comment")
    return [(word.text, word.where) for word in words]


# -- writing ---------------------------------------------------------------------------------


def check_output(name: str, *, kept: bool) -> None:
    """Raise `UsageError` for a file that could not be written when the scan is done."""
    from portulan.render import BINARY, renderer

    path = Path(name)
    if name in NMAP_FORMATS:
        raise UsageError("the file's suffix says the format", text=f"-o{name}", where="-o",
                         hint=NMAP_FORMATS[name])
    if path.suffix not in BINARY:
        renderer(path.suffix)
    elif path.suffix == ".pcapng" and not kept:
        raise UsageError("evidence is kept in the chart", text=name, where="-o",
                         hint="leave --no-keep out")
    if not path.absolute().parent.is_dir():
        raise UsageError("no such folder", text=str(path.parent), where="-o",
                         hint="make it first")


def write_output(name: str, scan: Scan, events: Sequence[AnyEvent]) -> None:
    """Write events in the format that the name's suffix says."""
    from portulan.render import renderer
    from portulan.store.disk import write_atomic

    path = Path(name)
    if path.suffix == ".parquet":
        from portulan.store.findings import Findings
        from portulan.store.tables import write_parquet

        write_parquet(Findings.of(events), {"ports": path})
    elif path.suffix == ".pcapng":
        if scan.folder is None or not scan.folder.evidence.exists():
            raise UsageError("there is no evidence to copy", text=name, where="-o",
                             hint="only packet scans that find something keep frames")
        write_atomic(path, _chunks(scan.folder.evidence))
    else:
        write_atomic(path, renderer(path.suffix)(events))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            yield data
