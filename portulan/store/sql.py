"""SQL over tables that exist only once a query names them; the query reaches nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError, printable

from .disk import DiskError, temporary_beside

if TYPE_CHECKING:
    from typing import TypeAlias

    import duckdb

    Relation: TypeAlias = duckdb.DuckDBPyRelation

Columns = Mapping[str, NDArray[Any]]

ABSENT = -1
"""A number that is not there: NULL in SQL."""
NETS_KEPT = 65_536
"""Answers of `in_net` and `is_private` kept: a capture asks about few addresses, many times."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table that is made when a query needs it, of the columns that the query needs."""

    types: Mapping[str, str]
    """Column -> SQL type; the first is the one that counts rows."""
    make: Callable[[Collection[str]], Columns]
    """Makes the named columns, perhaps others, too: text and octets as objects, numbers as they
    are."""


class Answer:
    """The rows of a query, each value as Python has it."""

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.columns: list[str] = list(relation.columns)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return all rows; raises `UsageError` if the query fails on its way."""
        import duckdb

        try:
            return self.relation.fetchall()
        except duckdb.Error as error:
            raise _wrong(error) from None


def ask(sql: str, tables: Mapping[str, Source], *, parquet: Path | None = None) -> Answer | None:
    """Run a query; with `parquet` its rows go to that file, whole or not at all.

    A query has the functions `in_net(ip, net)` and `is_private(ip)`, both on text. Raises
    `UsageError` with one line if it is wrong, `DiskError` if the file cannot be written.
    """
    import duckdb

    target = None if parquet is None else temporary_beside(parquet)
    connection = _connection(target)
    try:
        _fill(connection, sql, tables)
        connection.execute("SET lock_configuration = true")
        relation = connection.sql(sql)
        if relation is None:
            raise UsageError("the statement gives no rows", where="sql", hint="begin with select")
        if parquet is None or target is None:
            return Answer(relation)
        relation.write_parquet(str(target))
        target.replace(parquet)
    except OSError as error:
        raise DiskError(error, parquet or Path()) from error
    except duckdb.Error as error:
        raise _wrong(error, tables) from None
    finally:
        if target is not None:
            target.unlink(missing_ok=True)
    return None


def _connection(target: Path | None) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(config={
        "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
        "python_enable_replacements": "false", "threads": "1"})
    if target is not None:
        path = str(target).replace("'", "''")
        connection.execute(f"SET allowed_paths = ['{path}']")
    # Looked at in a sample, numbers in text would become numbers until the first that is none.
    connection.execute("SET pandas_analyze_sample = 0")
    connection.execute("SET enable_external_access = false")
    connection.create_function("in_net", in_net, ["VARCHAR", "VARCHAR"], "BOOLEAN")
    connection.create_function("is_private", is_private, ["VARCHAR"], "BOOLEAN")
    return connection


def _fill(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Mapping[str, Source]
) -> None:
    """Make the tables that a query reads, of the columns that it reads."""
    for name, source in tables.items():
        typed = ", ".join(f'"{column}" {kind}' for column, kind in source.types.items())
        connection.execute(f"CREATE TABLE {name} ({typed})")
    for name, needed in _needed(connection, sql, tables).items():
        source = tables[name]
        made = source.make(needed)
        connection.execute(f"DROP TABLE {name}")
        connection.register(f"{name}_columns", {
            each: _hex(made[each]) if source.types[each] == "BLOB" else made[each]
            for each in needed})
        listed = ", ".join(
            _expression(column, kind, made[column] if column in needed else None)
            for column, kind in source.types.items())
        connection.execute(f"CREATE VIEW {name} AS SELECT {listed} FROM {name}_columns")  # noqa: S608


def _needed(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Mapping[str, Source]
) -> dict[str, list[str]]:
    """Return the columns that a query reads of each table; a table it never reads is left out.

    DuckDB plans the query over empty tables; only the step that drops unused columns is on, as
    others would answer from emptiness, or hide a column inside a filter.
    """
    import duckdb

    # Several statements are refused, among them a pivot on whatever values there are; what else
    # it does not like (it knows no columns) the plan judges.
    with suppress(duckdb.BinderException):
        connection.get_table_names(sql)
    steps = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    others = ",".join(name for (name,) in steps if name != "unused_columns")
    connection.execute(f"SET disabled_optimizers = '{others}'")
    plan = connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()[0][1]
    connection.execute("SET disabled_optimizers = ''")
    found: dict[str, set[str]] = {}
    for table, read in _scans(json.loads(plan)):
        found.setdefault(table.rpartition(".")[2], set()).update(read)
    return {
        name: [each for each in source.types if each in found[name]] or list(source.types)[:1]
        for name, source in tables.items() if name in found}


def _scans(steps: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Yield each table that a plan reads, with the columns."""
    for step in steps:
        told = step["extra_info"]
        if "Table" in told:
            read = told.get("Projections", [])
            yield told["Table"], read if isinstance(read, list) else [read]
        yield from _scans(step["children"])


def _expression(column: str, kind: str, values: NDArray[Any] | None) -> str:
    """Return what a column is; its type is said, as it must not change with the values."""
    if values is None:  # never read
        return f'NULL::{kind} AS "{column}"'
    if kind == "BLOB":
        return f'unhex("{column}") AS "{column}"'
    absent = f'NULLIF("{column}", {ABSENT})' if values.dtype.kind == "i" else f'"{column}"'
    return f'{absent}::{kind} AS "{column}"'


def _hex(values: NDArray[Any]) -> NDArray[Any]:
    """Return octets as digits: of Python's bytes DuckDB takes what `repr` says."""
    found = np.empty(len(values), object)
    found[:] = [None if value is None else value.hex() for value in values.tolist()]
    return found


@lru_cache(NETS_KEPT)
def in_net(ip: str, net: str) -> bool:
    """Say whether an address lies in a network; False for text that is no address."""
    network = ip_network(net, strict=False)
    try:
        return ip_address(ip) in network
    except ValueError:
        return False


@lru_cache(NETS_KEPT)
def is_private(ip: str) -> bool:
    """Say whether an address is for private use (RFC 6890); False for text that is none."""
    try:
        return ip_address(ip).is_private
    except ValueError:
        return False


def _wrong(error: Exception, tables: Mapping[str, Source] | None = None) -> UsageError:
    lines = [line for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("ValueError")), lines[0])
    hint = f"tables: {', '.join(tables)}" if tables else ""
    return UsageError(printable(said, 300), where="sql", hint=hint)
