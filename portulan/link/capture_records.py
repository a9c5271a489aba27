"""Lay frames out as records of a capture file: whole columns at once, no loop over packets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from portulan.wire.frames import Frames


def equal_lengths(length: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each length and the rows that have it: a batch of ragged frames in few uniform ones."""
    order = np.argsort(length, kind="stable")
    ranked = length[order]
    bounds = np.flatnonzero(ranked[1:] != ranked[:-1]) + 1
    for rows in np.split(order, bounds):
        if len(rows):
            yield int(length[rows[0]]), rows


def gather(frames: Frames, rows: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Return the bytes of `rows`, all `size` long, as an array of (rows, size)."""
    if not size:
        return np.empty((len(rows), 0), np.uint8)
    return records_at(frames.buffer, frames.offset[rows], size).view(np.uint8).reshape(-1, size)


def records_at(
    data: NDArray[np.uint8], start: NDArray[np.int64], size: int
) -> NDArray[np.void]:
    """Return `size` bytes from each `start` on, wherever it lies; IndexError outside `data`."""
    return _windows(data, size)[start]


def scatter(out: NDArray[np.uint8], start: NDArray[np.int64], records: NDArray[np.uint8]) -> None:
    """Copy record `i`, a row of `records`, to `out[start[i]:]`."""
    size = records.shape[1]
    _windows(out, size)[start] = np.ascontiguousarray(records).view(f"V{size}").reshape(-1)


def _windows(data: NDArray[np.uint8], size: int) -> NDArray[np.void]:
    """Return every run of `size` bytes as one item: an index then copies with one memcpy a row."""
    data = np.ascontiguousarray(data)
    count = len(data) - size + 1
    if count <= 0:
        return np.empty(0, f"V{size}")
    return np.ndarray((count,), f"V{size}", buffer=data, strides=(1,))
