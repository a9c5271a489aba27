"""Findings as typed columns, as Parquet files, and as tables that SQL can ask."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError, printable

from .charts import ChartFolder
from .disk import DiskError, temporary_beside
from .findings import Findings, TableName, address_key

if TYPE_CHECKING:
    import duckdb

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name (the event's field), its SQL type, and its values' NumPy type."""

    name: str
    sql: str
    dtype: type = object


def _text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "VARCHAR") for name in names)


ROWS_LOOKED_AT = 2_000_000_000
"""Values that DuckDB looks at to type a column: all of them, 0.7 us each."""
ROWS_ALIKE = 1_000
"""Rows whose values tell the types of columns that hold one kind of value; DuckDB's own number."""

# Numbers are wider than their protocols need: a journal may come from anywhere, and a port of
# 70000 in it must be seen in the table, not stop it.
_WHERE = (
    *_text("addr"),
    Column("addr_hi", "UBIGINT", np.uint64), Column("addr_lo", "UBIGINT", np.uint64),
)
_PORT = (*_WHERE, Column("port", "INTEGER", np.int32), *_text("protocol"))

TABLES: Mapping[TableName, tuple[Column, ...]] = {
    "hosts": (
        *_WHERE, *_text("state", "reason"), Column("names", "VARCHAR[]"), *_text("mac", "vendor"),
        Column("hops", "INTEGER", np.int32), Column("rtt_us", "BIGINT", np.int64),
        Column("rest", "MAP(VARCHAR, MAP(VARCHAR, BIGINT))"), Column("frames", "BIGINT[]"),
        Column("timed_out", "BOOLEAN", np.bool_),
    ),
    "ports": (
        *_PORT, *_text("state", "reason"), Column("ttl", "INTEGER", np.int32),
        Column("rtt_us", "BIGINT", np.int64), Column("tries", "INTEGER", np.int32),
        Column("frames", "BIGINT[]"), *_text("grade"),
        Column("likelihood", "DOUBLE", np.float64),
    ),
    # Without `heard`, `handshake`: the journal has the bytes, a table has what they say.
    "services": (
        *_PORT, *_text("name", "vendor", "product", "version", "info", "os", "device"),
        Column("tls", "BOOLEAN", np.bool_), *_text("cpe"),
        Column("confidence", "DOUBLE", np.float64), *_text("rule", "banner"),
        Column("took_ms", "DOUBLE", np.float64),
    ),
    "systems": (
        *_WHERE, *_text("family", "vendor", "product", "generation"),
        Column("confidence", "DOUBLE", np.float64), Column("evidence", "VARCHAR[]"),
        Column("frames", "BIGINT[]"),
    ),
    "notes": (*_PORT, *_text("text", "level", "check")),
    "hops": (
        *_text("target"), Column("ttl", "INTEGER", np.int32), *_WHERE, *_text("state"),
        Column("rtt_us", "BIGINT", np.int64), Column("loss", "DOUBLE", np.float64),
        Column("others", "VARCHAR[]"), *_text("mark", "name"),
    ),
}
"""Every table's columns.

`addr_hi, addr_lo` are the two halves of the address as 128 bits (IPv4 mapped into IPv6, RFC 4291
section 2.5.5.2), because text puts 10.0.0.10 before 10.0.0.9.
"""

def columns(findings: Findings, table: TableName) -> Columns:
    """Return a table as NumPy columns of one length, sorted by address and port.

    Text and lists are `object` arrays. Raises `UsageError` if there is no such table.
    """
    if table not in TABLES:
        raise UsageError("no such table", text=table, hint=f"there are {', '.join(TABLES)}")
    source = getattr(findings, table)
    records = source if isinstance(source, list) else list(source.values())
    found: Columns = {}
    found["addr_hi"], found["addr_lo"] = address_halves([record.addr for record in records])
    for column in TABLES[table]:
        if column.name not in found:
            found[column.name] = _array(list(map(attrgetter(column.name), records)), column.dtype)
    order = np.lexsort(_keys(records, found))
    return {column.name: found[column.name][order] for column in TABLES[table]}


def _keys(records: list[Any], found: Columns) -> list[NDArray[Any]]:
    """Return what a table is sorted by, the least important first."""
    if "ttl" in found and "target" in found:
        high, low = address_halves([record.target for record in records])
        return [found["ttl"], low, high]
    return [found[name] for name in ("port", "protocol", "addr_lo", "addr_hi") if name in found]


def all_columns(findings: Findings) -> dict[TableName, Columns | Path]:
    """Return every table as `columns`."""
    return {table: columns(findings, table) for table in TABLES}


def parquet_files(folder: ChartFolder) -> dict[TableName, Path]:
    """Return where a chart's tables are once its run has ended."""
    return {table: folder.path / f"{table}.parquet" for table in TABLES}


def kept_parquet(folder: ChartFolder) -> dict[TableName, Columns | Path] | None:
    """Return a chart's Parquet files if all are there and none is older than its journal."""
    files = parquet_files(folder)
    try:
        journal_ns = folder.journal.stat().st_mtime_ns
        fresh = all(path.stat().st_mtime_ns >= journal_ns for path in files.values())
    except OSError:
        return None
    return {**files} if fresh else None


def address_halves(addrs: list[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the upper and lower 64 bits of addresses, see `TABLES`; nonsense sorts last."""
    text = " ".join([*addrs, ""])
    # What is left without digits tells whether all are dotted quads, at a tenth of one by one.
    if text.isascii() and text.encode().translate(None, b"0123456789") == b"... " * len(addrs):
        octets = np.fromstring(text.replace(".", " "), np.uint64, sep=" ")
        octets = octets.reshape(-1, 4) if len(octets) == 4 * len(addrs) else np.full((1, 4), 256)
        if octets.max(initial=0) <= 255:
            number = octets @ np.array([1 << 24, 1 << 16, 1 << 8, 1], np.uint64)
            return np.zeros(len(addrs), np.uint64), number | np.uint64(0xFFFF << 32)
    packed = np.frombuffer(b"".join(map(address_key, addrs)), ">u8").reshape(-1, 2)
    return packed[:, 0].astype(np.uint64), packed[:, 1].astype(np.uint64)


def write_parquet(findings: Findings, files: Mapping[TableName, Path]) -> None:
    """Write tables as Parquet, sorted by address; each file whole or not at all.

    Raises `DiskError`.
    """
    import duckdb

    with connect() as connection:
        for table, path in files.items():
            temporary = temporary_beside(path)
            try:
                made = columns(findings, table)
                looked = ROWS_LOOKED_AT if _some_empty(table, made) else ROWS_ALIKE
                connection.execute(f"SET pandas_analyze_sample = {looked}")
                _load(connection, table, made)
                connection.execute(
                    f"COPY {table} TO {_quoted(temporary)} (FORMAT parquet)"
                )
                temporary.replace(path)
            except (OSError, duckdb.Error) as error:
                raise DiskError(_as_oserror(error), path) from error
            finally:
                with suppress(OSError):
                    temporary.unlink()


def _some_empty(table: TableName, made: Columns) -> bool:
    """Tell whether a sample might not see all: lists of which some are empty, maps of any keys."""
    for column in TABLES[table]:
        if column.dtype is object and column.sql != "VARCHAR":
            filled = sum(map(bool, made[column.name].tolist()))
            all_alike = len(made[column.name]) if column.sql.endswith("[]") else 0
            if filled not in (0, all_alike):
                return True
    return False


def query(
    sql: str, *, tables: Mapping[TableName, Columns | Path],
) -> duckdb.DuckDBPyRelation | None:
    """Run SQL over tables given as columns or as Parquet files; None if it yields no rows.

    Raises `UsageError` with DuckDB's first line if the query is wrong.
    """
    import duckdb

    connection = connect()
    for table, source in tables.items():
        _load(connection, table, source)
    try:
        return connection.sql(sql)
    except duckdb.Error as error:
        line = printable(str(error).partition("\n")[0], 300)
        raise UsageError(line, where="sql", hint=f"tables: {', '.join(tables)}") from error


def warm() -> None:
    """Load DuckDB now, so that the end of a run need not wait for it (0.1 s)."""
    connect().close()


def connect() -> duckdb.DuckDBPyConnection:
    """Return a connection that never goes to the network nor reads the caller's variables."""
    import duckdb

    return duckdb.connect(config={
        # Both would make a query download code: no surprise on the wire.
        "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        # On a table of 65,536 rows a second thread costs more CPU than it saves time.
        "threads": "1",
        # A column's type comes from its values: from a sample, a list in the rows between would
        # be called NULL and refused.
        "pandas_analyze_sample": str(ROWS_LOOKED_AT),
    })


def _load(
    connection: duckdb.DuckDBPyConnection, table: TableName, source: Columns | Path,
) -> None:
    if isinstance(source, Path):
        connection.execute(f"CREATE VIEW {table} AS FROM read_parquet({_quoted(source)})")
        return
    connection.register(f"{table}_columns", source)
    typed = ", ".join(
        f'{_expression(c, source[c.name])}::{c.sql} AS "{c.name}"' for c in TABLES[table]
    )
    connection.execute(f"CREATE VIEW {table} AS SELECT {typed} FROM {table}_columns")  # noqa: S608


def _expression(column: Column, values: NDArray[Any]) -> str:
    # DuckDB looks at every Python object, 30 ms for 65,536 empty dicts: empty columns are said
    # once. The type is always said: guessed from values it would change with them.
    if column.dtype is not object or any(values.tolist()):
        return f'"{column.name}"'
    if column.sql.startswith("MAP"):
        return "MAP {}"
    return "[]" if column.sql.endswith("[]") else "''"


def _array(values: list[Any], dtype: type) -> NDArray[Any]:
    if dtype is object:
        array = np.empty(len(values), object)  # np.array() makes a matrix of equally long lists
        array[:] = values
        return array
    try:
        return np.array(values, dtype)
    except OverflowError:
        bounds = np.iinfo(dtype)
        return np.array([min(max(v, bounds.min), bounds.max) for v in values], dtype)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _as_oserror(error: Exception) -> OSError:
    if isinstance(error, OSError):
        return error
    # DuckDB tells the errno only in words.
    text = str(error)
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.ENOENT, errno.EROFS)
    code = next((code for code in codes if os.strerror(code) in text), errno.EIO)
    return OSError(code, text.partition("\n")[0])
