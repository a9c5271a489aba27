"""Keep: chart folders, the journal, the progress log, Parquet and SQL.

Law: touches files and DuckDB, nothing else; knows no link, no scan, no socket, no clock (times are
arguments). Importing the room costs nothing: each name, and DuckDB or NumPy behind it, is loaded
when first used.

>>> import tempfile, pathlib
>>> from portulan.record import Port
>>> from portulan.store import Journal, read_events
>>> with tempfile.TemporaryDirectory() as folder:
...     path = pathlib.Path(folder) / "events.jsonl"
...     with Journal.create(path) as journal:
...         shown = journal.append(
...             [Port(addr="::1", port=22, protocol="tcp", state="open", reason="syn-ack")])
...     events, damage = read_events(path)
>>> events[0].port, damage
(22, [])
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .chart import Chart
    from .charts import ChartFolder, Charts, charts_folder
    from .disk import DiskError, write_atomic
    from .findings import Findings
    from .journal import Damage, Journal, read_events
    from .lock import Busy, Lock
    from .progress import ANSWER_DTYPE, Mark, ProgressLog
    from .summary import Summary, summarize
    from .tables import parquet_files, write_parquet

_HOMES = {
    "chart": ("Chart",),
    "charts": ("ChartFolder", "Charts", "charts_folder"),
    "disk": ("DiskError", "write_atomic"),
    "findings": ("Findings",),
    "journal": ("Damage", "Journal", "read_events"),
    "lock": ("Busy", "Lock"),
    "progress": ("ANSWER_DTYPE", "Mark", "ProgressLog"),
    "summary": ("Summary", "summarize"),
    "tables": ("parquet_files", "write_parquet"),
}

__all__ = [
    "ANSWER_DTYPE", "Busy", "Chart", "ChartFolder", "Charts", "Damage", "DiskError", "Findings",
    "Journal", "Lock", "Mark", "ProgressLog", "Summary", "charts_folder", "parquet_files",
    "read_events", "summarize", "write_atomic", "write_parquet",
]


def __getattr__(name: str) -> object:
    """Load a public name from its file on first use (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(f".{home}", __name__), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
