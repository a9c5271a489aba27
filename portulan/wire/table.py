r"""Columns as lines of text: one packet a line, tabs between fields, nothing for a missing one.

>>> import numpy as np
>>> ports = np.ma.masked_array(np.array([80, 0], np.uint16), [False, True])
>>> Table(["tcp.dport", "frame.number"]).lines([ports, np.ma.masked_array([1, 2])])
['80\t1', '\t2']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from portulan.wire.columns import Masked, decoder, dtype_of, plain

WRITTEN_MAX: Final = 65_536
"""Texts of one column kept between batches: every port, and some 8 MiB of addresses."""


class Table:
    """Writes batches of the same columns; what was written once is not written again."""

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = [_Column(name) for name in names]

    def lines(self, columns: Sequence[Masked]) -> list[str]:
        """Return one line a row of the columns, which come in the order of the names."""
        cells = (own.cells(column) for own, column in zip(self._columns, columns, strict=True))
        return list(map("\t".join, zip(*cells, strict=True)))


class _Column:
    def __init__(self, name: str) -> None:
        decode = decoder(name)
        self._written = _Written(_text if decode is None else lambda value: _text(decode(value)))
        kind = dtype_of(name)
        # Counters and times hardly ever come twice: looking them up costs more than it saves.
        self._plain = decode is None and kind.kind in "iu" and kind.itemsize > 2

    def cells(self, column: Masked) -> list[str]:
        mask = np.ma.getmaskarray(column)
        whole = not mask.any()
        there = (column.data if whole else column.data[~mask]).tolist()
        if self._plain:
            found = list(map(str, there))
        else:
            self._written.trim()
            try:
                found = list(map(self._written.__getitem__, there))
            except TypeError:  # lists are in no dictionary
                found = list(map(_text, there))
        if whole:
            return found
        cells = np.full(len(mask), "", object)
        cells[~mask] = found
        return list(cells.tolist())


class _Written(dict[Any, str]):
    """Texts by value, made when first asked for."""

    def __init__(self, write: Callable[[Any], str]) -> None:
        self._write = write

    def __missing__(self, value: object) -> str:
        made = self[value] = self._write(value)
        return made

    def trim(self) -> None:
        """Forget all when there are too many: new ones come in any order."""
        if len(self) > WRITTEN_MAX:
            self.clear()


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    shown = plain(value)
    return ",".join(map(str, shown)) if isinstance(shown, list) else str(shown)
