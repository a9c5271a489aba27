"""The progress log of a run: which probes are answered, how far the pass is; for `--resume`.

Binary and append-only: a header with the plan's fingerprint, then batches, each with a checksum.
Reading stops at the first batch that is torn or changed: what follows is asked again, which costs
probes and never results. Keep events in the journal *before* the answers they came from get here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from portulan.errors import DamageError, UsageError

from .disk import DiskError, DiskFile, RawFile, WholeAppender

ANSWER_DTYPE = np.dtype([
    ("index", "<i8"), ("state", "u1"), ("reason", "u1"), ("ttl", "u1"), ("tries", "u1"),
    ("rtt_us", "<u4"),
])
"""One answered probe, 16 bytes: its index in the space, the verdict's numbers, try and time."""

BATCH_LIMIT = 1 << 20
"""Answers in one batch (16 MiB); a larger count in a file is damage, not a wish for memory."""

FINGERPRINT_LIMIT_BYTES = 1024
"""A fingerprint is a digest or a few fields, never the plan itself."""

_MAGIC = b"PORTULAN"
_VERSION = 1
_HEADER = struct.Struct("<8sHHI")
"""magic, version, length of the fingerprint that follows, CRC-32 of the fingerprint."""
_BATCH = struct.Struct("<BxxxII")
"""kind, count, CRC-32 over kind, count and payload."""
_MARK = struct.Struct("<Iqq")


class Kind(IntEnum):
    """What a batch holds."""

    ANSWERS = 1
    MARK = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a run is: all probes of `pass_` before `position` were sent, `sent` in all."""

    pass_: int
    position: int
    sent: int


class ProgressLog:
    """The one writer of a progress log; hold the chart's lock while you have it."""

    def __init__(self, file: RawFile, *, path: Path, size: int = 0) -> None:
        self._log = WholeAppender(file, path=path, size=size)

    @classmethod
    def create(cls, path: Path, fingerprint: bytes) -> Self:
        """Begin a log for the plan that `fingerprint` stands for; raises `DiskError`."""
        if len(fingerprint) > FINGERPRINT_LIMIT_BYTES:
            raise ValueError(f"fingerprint of {len(fingerprint)} bytes: use a digest")
        log = cls(DiskFile(path, new=True), path=path)
        crc = zlib.crc32(fingerprint)
        header = _HEADER.pack(_MAGIC, _VERSION, len(fingerprint), crc)
        log._log.append(header + fingerprint, sync=False)
        return log

    @classmethod
    def reopen(cls, path: Path, fingerprint: bytes) -> Self:
        """Take a log up again, without what cannot be read; errors as `load`."""
        size = max(end for *_, end in _batches(_read(path), fingerprint, path))
        file = DiskFile(path, new=False)
        try:
            file.truncate(size)
        except OSError as error:
            raise DiskError(error, path) from error
        return cls(file, path=path, size=size)

    @staticmethod
    def load(path: Path, fingerprint: bytes) -> tuple[NDArray[np.void], Mark | None]:
        """Return all answers (`ANSWER_DTYPE`, in order of arrival) and the last mark.

        An index may occur more than once: the later answer counts. Raises `UsageError` if the log
        belongs to another plan, `DamageError` if it is no log, `DiskError` if it cannot be read.
        """
        mark = None
        answers = [np.empty(0, ANSWER_DTYPE)]
        for kind, payload, _ in _batches(_read(path), fingerprint, path):
            if kind == Kind.ANSWERS:
                answers.append(np.frombuffer(payload, ANSWER_DTYPE))
            elif kind == Kind.MARK:
                mark = Mark(*_MARK.unpack(payload))
        return np.concatenate(answers), mark

    def answers(self, array: NDArray[np.void]) -> None:
        """Keep answers; raises `DiskError`."""
        rows = np.ascontiguousarray(array, ANSWER_DTYPE)
        for at in range(0, len(rows), BATCH_LIMIT):
            part = rows[at : at + BATCH_LIMIT]
            self._append(Kind.ANSWERS, len(part), part.tobytes())

    def mark(self, pass_: int, position: int, sent: int) -> None:
        """Keep how far the run is; raises `DiskError`."""
        self._append(Kind.MARK, 1, _MARK.pack(pass_, position, sent))

    def flush(self) -> None:
        """Wait until all is on the disk (against power loss; SIGKILL loses nothing anyway)."""
        self._log.sync()

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _append(self, kind: Kind, count: int, payload: bytes) -> None:
        header = _BATCH.pack(kind, count, _crc(kind, count, payload))
        self._log.append(header + payload, sync=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _crc(kind: int, count: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<BI", kind, count)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DiskError(error, path) from error


def _batches(
    data: bytes, fingerprint: bytes, path: Path,
) -> Iterator[tuple[int, memoryview, int]]:
    """Yield (kind, payload, end) of the header (kind 0) and of every sound batch after it."""
    at = _check_header(data, fingerprint, path)
    view = memoryview(data)
    yield 0, view[at:at], at
    while at + _BATCH.size <= len(data):
        kind, count, crc = _BATCH.unpack_from(data, at)
        size = _payload_size(kind, count)
        payload = view[at + _BATCH.size : at + _BATCH.size + size]
        if size < 0 or len(payload) < size or _crc(kind, count, payload) != crc:
            return
        at += _BATCH.size + size
        yield kind, payload, at


def _payload_size(kind: int, count: int) -> int:
    if kind == Kind.ANSWERS and count <= BATCH_LIMIT:
        return count * int(ANSWER_DTYPE.itemsize)
    return _MARK.size if kind == Kind.MARK and count == 1 else -1


def _check_header(data: bytes, fingerprint: bytes, path: Path) -> int:
    """Return where the batches begin."""
    if len(data) < _HEADER.size:
        raise DamageError(f"{path}: too short for a progress log - scan again without --resume")
    magic, version, length, crc = _HEADER.unpack_from(data)
    found = data[_HEADER.size : _HEADER.size + length]
    if magic != _MAGIC or length > FINGERPRINT_LIMIT_BYTES or zlib.crc32(found) != crc:
        raise DamageError(f"{path}: no readable progress log - scan again without --resume")
    if version != _VERSION:
        raise UsageError(
            f"progress log of version {version}", where=str(path),
            hint="resume with the Portulan that began this scan",
        )
    if found != fingerprint:
        raise UsageError(
            "this progress belongs to another plan", where=str(path), hint="begin a new scan",
        )
    end: int = _HEADER.size + length
    return end
