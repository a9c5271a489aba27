"""Tables for Python: columns made when asked for, SQL, data frames, and a look in a notebook."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError, printable
from portulan.store.sql import ABSENT, Source, ask

if TYPE_CHECKING:
    from portulan.store.sql import Relation

HTML_ROWS: Final = 50
"""Rows that a notebook shows; scrolling more is no way to read them."""
CELL_MAX_CHARS: Final = 80

Column = NDArray[Any]


class Table:
    """Columns of one length; each is made when it is first asked for, `names` without reading.

    Texts are object arrays, None where there is none; numbers are masked arrays.
    """

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.names: tuple[str, ...] = tuple(source.types)
        self._source = source
        self._made: dict[str, Column] = {}

    def columns(self, *names: str) -> dict[str, Column]:
        """Return the columns named, all without a name; raises `UsageError` for no such name."""
        wanted = names or self.names
        for name in wanted:
            if name not in self.names:
                raise UsageError("no such column", text=name, where=self.name,
                                 hint=", ".join(self.names))
        missing = [name for name in wanted if name not in self._made]
        if missing:
            made = self._source.make(missing)
            self._made |= {name: made[name] for name in missing}
        return {name: _masked(self._made[name]) for name in wanted}

    def __getitem__(self, name: str) -> Column:
        """Return a column."""
        return self.columns(name)[name]

    def __len__(self) -> int:
        return len(self.columns(next(iter(self._made), self.names[0])).popitem()[1])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield rows, None for what is not there."""
        columns = [column.tolist() for column in self.columns().values()]
        for row in zip(*columns, strict=True):
            yield dict(zip(self.names, row, strict=True))

    def sql(self, query: str) -> Relation:
        """Run SQL over the table by its name; take rows with `.fetchall()` or `.fetchnumpy()`.

        Raises `UsageError` if the query is wrong.
        """
        return relation(query, {self.name: Source(self._source.types, self._plain)})

    def _plain(self, names: Collection[str]) -> Mapping[str, Column]:
        self.columns(*names)
        return self._made

    def df(self) -> Any:  # noqa: ANN401 - of a library that may not be there
        """Return a pandas DataFrame; raises `UsageError` without pandas."""
        return _library("pandas").DataFrame(self._filled())

    def pl(self) -> Any:  # noqa: ANN401
        """Return a polars DataFrame; raises `UsageError` without polars."""
        return _library("polars").DataFrame(self._filled())

    def arrow(self) -> Any:  # noqa: ANN401
        """Return a pyarrow Table; raises `UsageError` without pyarrow."""
        return _library("pyarrow").table(self._filled())

    def _filled(self) -> dict[str, Any]:
        """Return columns as these libraries take them: what is not there is None."""
        return {
            name: column.tolist() if column.dtype == object or np.ma.getmaskarray(column).any()
            else np.asarray(column) for name, column in self.columns().items()}

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self):,} rows; {', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.names)
        columns = [column[:HTML_ROWS].tolist() for column in self.columns().values()]
        rows = "".join(
            f"<tr>{''.join(map(_cell, row))}</tr>" for row in zip(*columns, strict=True))
        more = len(self) - HTML_ROWS
        foot = f"<p>and {more:,} more rows</p>" if more > 0 else ""
        return f"<table><tr>{head}</tr>{rows}</table>{foot}"


def relation(
    query: str, tables: Mapping[str, Source]
) -> Relation:
    """Run SQL over tables; raises `UsageError` if the query is wrong."""
    answer = ask(query, tables)
    if answer is None:
        raise UsageError("the statement gives no rows", where="sql")
    return answer.relation


def _masked(column: Column) -> Column:
    if column.dtype.kind != "i":
        return column
    absent = column == ABSENT
    found: Column = np.ma.masked_array(column, absent)
    return found


def _cell(value: object) -> str:
    shown = "" if value is None else printable(str(value), CELL_MAX_CHARS)
    return f"<td>{escape(shown)}</td>"


def _library(name: str) -> Any:  # noqa: ANN401
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(f"{name} is not installed", hint=f"pip install {name}") from None
