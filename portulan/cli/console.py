"""The terminal that verbs print styled lines on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

#: Lines are read, not measured: beyond, a wide terminal stays empty at the right.
WIDTH_MAX = 100


def console() -> Console:
    """Return stdout as rich prints on it: words literally, and `| head` is no failure."""
    from rich.console import Console

    made = Console(highlight=False, emoji=False, markup=False)
    # Rich would leave with code 1 when `| head` has enough; `main` knows better.
    made.on_broken_pipe = _broken_pipe  # type: ignore[method-assign]
    return made


def width_of(made: Console) -> int:
    """Return the cells of a line: the terminal's, 80 where there is none."""
    return min(made.width, WIDTH_MAX) if made.is_terminal else 80


def has_unicode(made: Console) -> bool:
    """Tell whether our signs can be shown."""
    return (made.encoding or "").lower().startswith("utf")


def _broken_pipe() -> NoReturn:
    raise BrokenPipeError
