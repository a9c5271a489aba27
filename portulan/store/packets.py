"""Columns of packets as a Parquet file, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from portulan.wire.columns import Masked, dtype_of, texts
from portulan.wire.header import fields

from .disk import DiskError, temporary_beside
from .tables import connect

if TYPE_CHECKING:
    import duckdb

_SQL = {"u1": "UTINYINT", "u2": "USMALLINT", "u4": "UINTEGER", "u8": "UBIGINT", "i8": "BIGINT"}


def write_packets(
    batches: Iterable[Mapping[str, Masked]], names: Sequence[str], path: str | Path
) -> int:
    """Write columns to a Parquet file, whole or not at all; return how many rows.

    Addresses and lists are text, missing values NULL. Raises `DiskError`.
    """
    import duckdb

    path = Path(path)
    temporary = temporary_beside(path)
    rows = 0
    try:
        with connect() as connection:
            declared = ", ".join(f'"{name}" {_sql_type(name)}' for name in names)
            connection.execute(f"CREATE TABLE packets ({declared})")
            for batch in batches:
                _insert(connection, batch, names)
                rows += len(batch[names[0]])
            quoted = str(temporary).replace("'", "''")
            connection.execute(f"COPY packets TO '{quoted}' (FORMAT parquet)")
        temporary.replace(path)
    except OSError as error:
        raise DiskError(error, path) from error
    except duckdb.Error as error:
        raise DiskError(OSError(0, str(error).partition("\n")[0]), path) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return rows


def _insert(
    connection: duckdb.DuckDBPyConnection, batch: Mapping[str, Masked], names: Sequence[str]
) -> None:
    """Append a batch; a mask is a column of its own, as DuckDB knows none."""
    source: dict[str, Any] = {}
    chosen: list[str] = []
    for index, name in enumerate(names):
        if _is_text(name):
            values = np.empty(len(batch[name]), object)
            values[:] = [_joined(each) for each in texts(name, batch[name])]
            source[f"v{index}"] = values
            chosen.append(f"v{index}")
        else:
            source[f"v{index}"] = batch[name].data
            source[f"m{index}"] = np.ma.getmaskarray(batch[name])
            chosen.append(f"CASE WHEN m{index} THEN NULL ELSE v{index} END")
    connection.register("batch", source)
    connection.execute(f"INSERT INTO packets SELECT {', '.join(chosen)} FROM batch")  # noqa: S608
    connection.unregister("batch")


def _joined(value: Any) -> str | None:  # noqa: ANN401 - a field's value
    if isinstance(value, list):
        return ",".join(map(str, value))
    return None if value is None else str(value)


def _is_text(name: str) -> bool:
    found = fields().get(name)
    address = found is not None and found.wire.decode is not None and found.bits >= 32
    return address or dtype_of(name).hasobject


def _sql_type(name: str) -> str:
    return "VARCHAR" if _is_text(name) else _SQL[dtype_of(name).str[1:]]
