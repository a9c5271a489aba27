"""Show: the events of one run in, text out, one file per format.

Pure: no I/O, no clock, no sockets; may import `record`, `target`, `wire`, `errors`, and `rich` in
`terminal` alone. Whatever came from outside leaves escaped for the format it goes to.
A new format is one module with `render(events) -> Iterator[str]` and one line in `FORMATS`.

>>> from portulan.record import Port
>>> port = Port(addr="10.0.0.1", port=22, protocol="tcp", state="open", reason="syn-ack", ttl=64)
>>> print("".join(renderer(".csv")([port])), end="")
addr,port,protocol,state,reason,service,product,version,ttl,rtt_us,frames,names
10.0.0.1,22,tcp,open,syn-ack,ssh?,,,64,,,
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TypeAlias

from portulan.errors import UsageError
from portulan.record import AnyEvent

Renderer: TypeAlias = Callable[[Iterable[AnyEvent]], Iterator[str]]
"""A format: the events of one run in, chunks of text out."""

FORMATS = {
    ".csv": "comma",
    ".html": "page",
    ".json": "document",
    ".jsonl": "jsonl",
    ".md": "markdown",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".xml": "nmapxml",
}
"""Suffix -> module here; imported when asked for, so that a scan pays for no format it skips."""

BINARY = (".parquet", ".pcapng")
"""Suffixes that other rooms write: named here so that the error lists all that `-o` takes."""


def renderer(suffix: str) -> Renderer:
    """Return the renderer of a file suffix such as `.xml`, in any case; raises `UsageError`."""
    name = FORMATS.get(suffix.lower())
    if name is None:
        known = " ".join(sorted((*FORMATS, *BINARY)))
        raise UsageError("unknown output format", text=suffix, hint=f"known suffixes: {known}")
    render: Renderer = import_module(f"{__name__}.{name}").render
    return render


__all__ = ["BINARY", "FORMATS", "Renderer", "renderer"]
