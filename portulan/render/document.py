"""JSON: the same events as one array, an event a line, for readers that take whole documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portulan.record import AnyEvent
from portulan.render.jsonl import line


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield a JSON array, one element a line; it is closed even if the run was not."""
    mark = "[\n"
    for event in events:
        yield mark + line(event)
        mark = ",\n"
    yield "\n]\n" if mark == ",\n" else "[]\n"
