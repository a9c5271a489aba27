"""Append whole blocks to a file so that a failed write leaves no torn block behind."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from portulan.link.contract import Closing

Target: TypeAlias = str | os.PathLike[str] | BinaryIO


class CaptureSink:
    """A file that grows by whole blocks.

    Nothing is buffered here: what `append` took is with the kernel and survives our own death.
    A short write, ENOSPC or EIO takes back what it had written and raises the `OSError`; a pipe
    cannot take back, so it refuses everything after a torn block.
    """

    def __init__(self, target: Target, *, append_at: int | None = None) -> None:
        self._owned = isinstance(target, str | os.PathLike)
        self._file = _opened(target, append_at)
        self._seekable = self._file.seekable()
        self._start = self._file.tell() if self._seekable else 0
        self._torn = False
        self.size = 0
        """Bytes appended so far."""

    def append(self, data: bytes | memoryview) -> None:
        """Write all of `data`, or nothing of it and raise `OSError`."""
        if self._torn:
            raise OSError(errno.EIO, "the capture ends in a torn block: nothing can follow it")
        view = memoryview(data).cast("B")
        with self._taken_back():
            done = 0
            while done < len(view):
                done += self._file.write(view[done:]) or _stuck()
        self.size += len(view)

    def flush(self) -> None:
        """Hand what a wrapped file object may hold back to the operating system."""
        self._file.flush()

    def sync(self) -> None:
        """Wait until the bytes are on the disk; a pipe or a file in memory has none."""
        self.flush()
        try:
            os.fsync(self._file.fileno())
        except io.UnsupportedOperation:
            return
        except OSError as error:
            # fsync(2): EINVAL and EROFS say that the descriptor knows no synchronisation.
            if error.errno not in (errno.EINVAL, errno.EROFS):
                raise

    def close(self) -> None:
        """Close the file if it was opened here; may be called again."""
        if self._owned:
            self._file.close()
        elif not self._file.closed:
            self._file.flush()

    @contextlib.contextmanager
    def _taken_back(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # also KeyboardInterrupt: a torn block helps nobody
            self._torn = not self._cut()
            raise

    def _cut(self) -> bool:
        if not self._seekable:
            return False
        try:
            self._file.seek(self._start + self.size)
            self._file.truncate()
        except (OSError, ValueError):
            return False
        return True


class SinkWriter(Closing):
    """What every writer of captures does with its file."""

    _sink: CaptureSink

    @property
    def size_bytes(self) -> int:
        """Bytes of the file written so far."""
        return self._sink.size

    def flush(self) -> None:
        """Hand everything to the operating system: nothing is lost if only we die."""
        self._sink.flush()

    def sync(self) -> None:
        """Wait until the file is on the disk: nothing is lost if the machine dies."""
        self._sink.sync()

    def close(self) -> None:
        """Close the file if it was given by its path; may be called again."""
        self._sink.close()


def _opened(target: Target, append_at: int | None) -> BinaryIO:
    if isinstance(target, str | os.PathLike):
        mode: Literal["wb", "r+b"] = "wb" if append_at is None else "r+b"
        file = Path(target).open(mode, buffering=0)  # noqa: SIM115 - the sink closes it
        if append_at is not None:
            file.seek(append_at)
            file.truncate()
        return file
    target.flush()
    # A buffered file would keep bytes back and fail later, where nobody can tell which block.
    raw = getattr(target, "raw", None)
    return raw if isinstance(raw, io.RawIOBase) else target  # type: ignore[return-value]


def _stuck() -> int:
    raise OSError(errno.EIO, "the file takes no more bytes")
