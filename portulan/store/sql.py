"""SQL over tables that exist only once a query names them; the query reaches nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from portulan.errors import UsageError, printable

from .disk import DiskError, temporary_beside

if TYPE_CHECKING:
    import duckdb

Source = Callable[[], Mapping[str, NDArray[Any]]]
"""Makes a table's columns when it is needed: text as objects, numbers as they are."""
ABSENT = -1
"""A number that is not there: NULL in SQL."""
NETS_KEPT = 65_536
"""Answers of `in_net` and `is_private` kept: a capture asks about few addresses, many times."""


class Answer:
    """The rows of a query, each value as Python has it."""

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation
        self.columns: list[str] = list(relation.columns)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return all rows; raises `UsageError` if the query fails on its way."""
        import duckdb

        try:
            return self._relation.fetchall()
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
        for name in sorted(connection.get_table_names(sql) & set(tables)):
            _load(connection, name, tables[name]())
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


def _load(
    connection: duckdb.DuckDBPyConnection, name: str, made: Mapping[str, NDArray[Any]]
) -> None:
    connection.register(f"{name}_columns", dict(made))
    typed = ", ".join(_expression(column, values) for column, values in made.items())
    connection.execute(f"CREATE VIEW {name} AS SELECT {typed} FROM {name}_columns")  # noqa: S608


def _expression(column: str, values: NDArray[Any]) -> str:
    if values.dtype == object:  # the type is said, not guessed: it must not change with the values
        return f'"{column}"::VARCHAR AS "{column}"'
    if values.dtype.kind == "i":
        return f'NULLIF("{column}", {ABSENT}) AS "{column}"'
    return f'"{column}"'


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
