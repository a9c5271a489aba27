"""Plain text: the report of the terminal without colours, every host listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portulan.record import AnyEvent
from portulan.render.gather import gather
from portulan.render.layout import Line, layout

WIDTH_CELLS = 100
"""A file is read in an editor: wider than a terminal's 80, narrower than a page's limit."""

_ASCII = str.maketrans({"…": "~", "·": "|", "█": "#", "━": "=", "─": "-"})
"""One cell for one cell, so that tables keep their columns."""


def render(
    events: Iterable[AnyEvent], *, width: int = WIDTH_CELLS, unicode: bool = True, limit: int = 0,
) -> Iterator[str]:
    """Yield the report line by line; `unicode=False` is for encodings that lack our signs."""
    for line in layout(gather(events), width=width, limit=limit):
        yield plain(line, unicode=unicode) + "\n"


def plain(line: Line, *, unicode: bool = True) -> str:
    """Return a line's words without their styles."""
    text = "".join(part for part, _ in line).rstrip()
    return text if unicode else ascii_only(text)


def ascii_only(text: str) -> str:
    r"""Return text in ASCII: our signs by lookalikes of one cell, others as `\xNN`, `\uNNNN`."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode()
