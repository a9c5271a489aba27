"""A capture's tables kept beside it, so that the next look need not read the packets.

`office.pcapng.pidx` is written only if asked for, used if it still belongs to its capture (size,
time of change, a hash of head and tail, this version of its tables), and safe to delete at any
time. Whatever is wrong with it, the capture is read instead.

The file: a magic line, the header's length and checksum, the header as JSON, then arrays, each with
a checksum: small whole numbers, and of text the number of each row's word.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .disk import write_atomic

MAGIC: Final = b"portulan index 1\n"
SUFFIX: Final = ".pidx"
EDGE_BYTES: Final = 64 << 10
"""How much of the capture's head and tail is hashed."""
HEADER_MAX_BYTES: Final = 1 << 20
"""A header tells some 100 arrays: 20 kB."""
_PREFIX = len(MAGIC) + 8

Columns = Mapping[str, NDArray[Any]]


def sidecar_path(capture: str | Path) -> Path:
    """Return where a capture's index is."""
    capture = Path(capture)
    return capture.with_name(capture.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """An index that belongs to its capture; its arrays are read when asked for."""

    path: Path
    damage: str | None
    """What ended the capture's packets before the file did."""
    _tables: Mapping[str, Mapping[str, Any]]
    _start: int

    @classmethod
    def open(cls, capture: str | Path, version: str) -> Sidecar | None:
        """Return a capture's index; None if there is none that can be trusted."""
        path = sidecar_path(capture)
        try:
            with path.open("rb") as file:
                prefix = file.read(_PREFIX)
                size, crc = (int.from_bytes(part) for part in (prefix[-8:-4], prefix[-4:]))
                if not prefix.startswith(MAGIC) or not 0 < size <= HEADER_MAX_BYTES:
                    return None
                text = file.read(size)
            if zlib.crc32(text) != crc:
                return None
            header = json.loads(text)
            if header["version"] != version or header["key"] != _key(Path(capture)):
                return None
            return cls(path, header["damage"], header["tables"], _PREFIX + size)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def columns(self, table: str, names: Collection[str]) -> dict[str, NDArray[Any]] | None:
        """Return columns of a table; None if they are not there or damaged."""
        try:
            told = self._tables[table]
            with self.path.open("rb") as file:
                return {name: self._column(file.fileno(), told[name]) for name in names}
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def _column(self, file: int, told: Mapping[str, Any]) -> NDArray[Any]:
        numbers = np.frombuffer(self._blob(file, told["array"]), np.dtype(told["dtype"]))
        if "words" not in told:
            return numbers
        listed = json.loads(self._blob(file, told["words"]))
        words = np.empty(len(listed), object)
        words[:] = listed
        found: NDArray[Any] = words[numbers]
        return found

    def _blob(self, file: int, told: list[int]) -> bytes:
        at, size, crc = told
        octets = os.pread(file, size, self._start + at)
        if len(octets) != size or zlib.crc32(octets) != crc:
            raise ValueError("damaged")
        return octets


def write_sidecar(
    capture: str | Path, tables: Mapping[str, Columns], *, version: str, damage: str | None
) -> Path:
    """Write a capture's index, whole or not at all; return where.

    `version` names what the tables mean: an index of another one is not used. Raises `DiskError`.
    """
    key = _key(Path(capture))  # a capture that changes meanwhile leaves an index that is stale
    blobs: list[bytes] = []
    told = {name: {column: _told(values, blobs) for column, values in columns.items()}
            for name, columns in tables.items()}
    header = {"key": key, "version": version, "damage": damage, "tables": told}
    text = json.dumps(header).encode()
    prefix = MAGIC + len(text).to_bytes(4) + zlib.crc32(text).to_bytes(4)
    path = sidecar_path(capture)
    write_atomic(path, [prefix, text, *blobs])
    return path


def _told(values: NDArray[Any], blobs: list[bytes]) -> dict[str, Any]:
    """Append a column's arrays; return what the header tells of them."""
    if values.dtype == object:
        codes: dict[Any, int] = {}
        numbers = np.fromiter(
            (codes.setdefault(value, len(codes)) for value in values.tolist()), np.int64,
            len(values))
        words = json.dumps(list(codes)).encode()
        return {**_told(numbers, blobs), "words": _append(words, blobs)}
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    kinds = (np.int8, np.int16, np.int32, np.int64)
    small = next(kind for kind in kinds
                 if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max)
    numbers = values.astype(small)
    return {"dtype": numbers.dtype.str, "array": _append(numbers.tobytes(), blobs)}


def _append(octets: bytes, blobs: list[bytes]) -> list[int]:
    at = sum(map(len, blobs))
    blobs.append(octets)
    return [at, len(octets), zlib.crc32(octets)]


def _key(capture: Path) -> list[int | str]:
    """Return what tells a capture from what it was: size, time of change, head and tail."""
    with capture.open("rb") as file:
        status = os.fstat(file.fileno())
        digest = hashlib.sha256(b"".join(_edges(file.fileno(), status.st_size)))
    return [status.st_size, status.st_mtime_ns, digest.hexdigest()]


def _edges(file: int, size: int) -> Iterator[bytes]:
    yield os.pread(file, EDGE_BYTES, 0)
    yield os.pread(file, EDGE_BYTES, max(0, size - EDGE_BYTES))
