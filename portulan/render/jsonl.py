"""JSON Lines: every event as it is kept, one object a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from portulan.record import AnyEvent, Event, encode
from portulan.render.escape import visible

_UNSEEN = re.compile(
    r"[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]"
)
"""What a terminal acts on or an eye cannot see: DEL, C1, soft hyphen, zero width, bidi, BOM."""


def render(events: Iterable[AnyEvent]) -> Iterator[str]:
    """Yield one line an event, as it comes."""
    for event in events:
        yield line(event) + "\n"


def line(event: AnyEvent) -> str:
    r"""Return an event as one line of JSON that is also safe to look at.

    Bidi and C1 characters become `\u` escapes: a reader gets the same string, a terminal does
    not act on them. A lone surrogate has no UTF-8 form, so it becomes visible text.
    """
    try:
        text = encode(event).decode()
    except UnicodeEncodeError:
        text = encode(_restore(event)).decode()
    return text if text.isascii() and "\x7f" not in text else _UNSEEN.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _restore(event: AnyEvent) -> Event:
    return msgspec.convert(_clean(msgspec.to_builtins(event)), type(event))


def _clean(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): _clean(item) for key, item in value.items()}
    return value
