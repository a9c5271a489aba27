"""Keep what was sent and what came back as a capture file, in the order of time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from portulan.errors import UsageError

from .capture_batch import Batch
from .capture_writer import BatchWriter
from .live import Part, by_time
from .sending import Exchange


class ExchangeFile:
    """A capture that exchanges are added to; interfaces are told apart by their names.

    Raises `UsageError` at once if the file cannot be written: before anything is sent.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        try:
            Path(target).open("wb").close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"cannot be written: {reason}", where=os.fspath(target)) from None
        self._writer = BatchWriter(target, None)
        self._names: list[str] = []
        self._packets = 0

    def add(self, done: Exchange) -> None:
        """Append an exchange: probes that left, and their first replies."""
        for frames, interface in by_time(list(self._parts(done))):
            first = self._packets + 1
            self._packets += len(frames)
            numbers = np.arange(first, first + len(frames), dtype=np.int64)
            self._writer.write(Batch(frames, numbers, interface, tuple(self._names)))

    def _parts(self, done: Exchange) -> Iterator[Part]:
        for interface, frames in [*done.sent_frames(), *done.reply_frames()]:
            if interface not in self._names:
                self._names.append(interface)
            yield self._names.index(interface), frames

    def close(self) -> None:
        """Close the file; without packets it is a capture, too."""
        self._writer.finish()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
