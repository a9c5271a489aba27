"""JSON Lines: every event as it is kept, one object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portulan.record import AnyEvent, encode


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield one line an event, as it comes."""
    for event in events:
        yield line(event) + "\n"


def line(event: AnyEvent) -> str:
    """Return an event as one line of JSON that is also safe to look at."""
    return encode(event).decode()
