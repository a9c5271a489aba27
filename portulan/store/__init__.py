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
    from .charts import ChartFolder, Charts, charts_folder
    from .disk import DiskError, write_atomic
    from .journal import Damage, Journal, read_events
    from .lock import Busy, Lock
    from .progress import ANSWER_DTYPE, Mark, ProgressLog

_HOMES = {
    "charts": ("ChartFolder", "Charts", "charts_folder"),
    "disk": ("DiskError", "write_atomic"),
    "journal": ("Damage", "Journal", "read_events"),
    "lock": ("Busy", "Lock"),
    "progress": ("ANSWER_DTYPE", "Mark", "ProgressLog"),
}

__all__ = [
    "ANSWER_DTYPE", "Busy", "ChartFolder", "Charts", "Damage", "DiskError", "Journal", "Lock",
    "Mark", "ProgressLog", "charts_folder", "read_events", "write_atomic",
]


def __getattr__(name: str) -> object:
    """Load a public name from its file on first use (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(f".{home}", __name__), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
