"""Columns of text that repeat: each word is made once, rows hold its number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.wire.columns import Masked, text

Codes = NDArray[np.int32]


class Words:
    """A column of text that grows batch by batch; code 0 is what a packet has not."""

    def __init__(self) -> None:
        self._code: dict[Any, int] = {None: 0}
        self._known: dict[str, dict[Any, int]] = {}
        """By field: the code of each value that came before."""
        self._parts = [np.empty(0, np.int32)]

    def add(self, fields: Mapping[str, Masked]) -> None:
        """Append a batch: of several fields the first that is there."""
        found: Codes | None = None
        for name, values in fields.items():
            codes = self._codes(name, values)
            found = codes if found is None else np.where(found == 0, codes, found)
        if found is not None:
            self._parts.append(found)

    def _codes(self, name: str, values: Masked) -> Codes:
        rows = np.flatnonzero(~np.ma.getmaskarray(values))
        codes = np.zeros(len(values), np.int32)
        if not len(rows):
            return codes
        there = values.data[rows]
        if there.dtype == object:
            codes[rows] = self._looked_up(name, list(map(joined, there.tolist())))
        else:
            distinct, places = np.unique(there, return_inverse=True)
            codes[rows] = self._looked_up(name, distinct.tolist())[places]
        return codes

    def _looked_up(self, name: str, values: list[Any]) -> Codes:
        known = self._known.setdefault(name, {})
        for value in dict.fromkeys(values):
            if value in known:
                continue
            shown = value if isinstance(value, str) else str(text(name, value))
            known[value] = self._code.setdefault(shown, len(self._code))
        return np.fromiter(map(known.__getitem__, values), np.int32, len(values))

    @property
    def codes(self) -> Codes:
        """The column as numbers of `words`."""
        return np.concatenate(self._parts)

    @property
    def words(self) -> list[str | None]:
        """What the codes mean; the first is None."""
        return list(self._code)

    def array(self) -> NDArray[Any]:
        """Return the column; equal values are one object."""
        return self.plain(self.words)[self.codes]

    @staticmethod
    def plain(values: Iterable[Any]) -> NDArray[Any]:
        """Return values as an array of objects, lists as text."""
        made = list(map(joined, values))
        found = np.empty(len(made), object)
        found[:] = made
        return found


def joined(value: Any) -> Any:  # noqa: ANN401 - whatever a table holds
    """Return a list as text, for SQL to search in; other values as they are."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
