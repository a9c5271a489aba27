"""Read a capture file's bytes in order, plain or compressed, through a window of bounded size."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import sys
import zlib
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError

Origin: TypeAlias = str | os.PathLike[str] | BinaryIO

WINDOW_BYTES = 4 << 20
"""What is read at a time: some 40,000 packets, enough to make NumPy's cost per batch vanish."""
MAGIC_BYTES = 6
"""The longest magic among the compressions: xz's."""
GZIP, XZ, ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


class _Readable(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...
    def close(self) -> None: ...


class Window:
    """The bytes of a file from `position` on that are in memory: `buffer[start:end]`.

    A buffer is never written again where a reader has seen it, so batches may keep views of it.
    `fault` says why the bytes end before the file does (a disk error, a damaged gzip), if so.
    """

    def __init__(self, origin: Origin) -> None:
        self.name = _name(origin)
        self.fault = ""
        self.start = self.end = self.position = 0
        self.buffer: NDArray[np.uint8] = np.empty(WINDOW_BYTES, np.uint8)
        self._owned = not hasattr(origin, "read")
        self._plain = _open(origin, self.name)
        try:
            self._file, self._loop = self._decompressed()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def view(self) -> NDArray[np.uint8]:
        """The bytes that are here."""
        return self.buffer[self.start : self.end]

    def more(self) -> bool:
        """Read on, once if the file is live; False at its end, for good or by a `fault`."""
        if len(self.buffer) - self.end < WINDOW_BYTES // 2:
            self._move()
        before = self.end
        while self.end < len(self.buffer):
            count = self._read(self.buffer.data[self.end :])
            self.end += count
            if not count or not self._loop:
                break
        return self.end > before

    def reach(self, count: int) -> bool:
        """Read until `count` bytes are here; False if the file ends before."""
        while len(self) < count:
            if not self.more():
                return False
        return True

    def skip(self, count: int) -> None:
        """Let go of the first `count` bytes."""
        self.start += count
        self.position += count

    def close(self) -> None:
        """Close the file if it was opened here; may be called again."""
        if self._owned:
            self._plain.close()

    def _move(self) -> None:
        kept = self.view
        self.buffer = np.empty(len(kept) + WINDOW_BYTES, np.uint8)
        self.buffer[: len(kept)] = kept
        self.start, self.end = 0, len(kept)

    def _read(self, room: memoryview) -> int:
        if self.fault:  # asked again, a decompressor would tell another story
            return 0
        try:
            return self._file.readinto(room) or 0
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            self.fault = str(error) or type(error).__name__
            return 0

    def _decompressed(self) -> tuple[_Readable, bool]:
        head = b""
        while len(head) < MAGIC_BYTES and (piece := _read_once(self._plain, self.name)):
            head += piece
        whole = _Replay(head, self._plain)
        if head.startswith(GZIP):
            return _OneByOne(gzip.GzipFile(fileobj=_buffered(whole))), True
        if head.startswith(XZ):
            return _OneByOne(cast(BinaryIO, lzma.LZMAFile(_buffered(whole)))), True
        if head.startswith(ZSTD):
            return _zstd(whole, self.name), True
        return whole, False


class _Replay(io.RawIOBase):
    """A file whose first bytes were read already; it need not be seekable."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = _direct(rest)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if not self._head:
            return self._rest.readinto(buffer)
        piece, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


class _OneByOne:
    """A decompressor read a step at a time: a longer read would lose what precedes an error."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = cast(io.BufferedIOBase, file)

    def readinto(self, buffer: memoryview, /) -> int:
        return self._file.readinto1(buffer)

    def close(self) -> None:
        self._file.close()


class _FromRead:
    """A file object that has nothing but `read`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._file.read(min(len(buffer), io.DEFAULT_BUFFER_SIZE))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()


def _name(origin: Origin) -> str:
    if isinstance(origin, str | os.PathLike):
        return os.fspath(origin)
    name = getattr(origin, "name", "")
    return name if isinstance(name, str) and name else "capture"


def _open(origin: Origin, name: str) -> BinaryIO:
    if not isinstance(origin, str | os.PathLike):
        return origin
    try:
        return Path(origin).open("rb", buffering=0)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot be read: {reason}", where=name) from None


def _read_once(file: BinaryIO, name: str) -> bytes:
    try:
        return file.read(MAGIC_BYTES) or b""
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=name) from None


def _direct(file: BinaryIO) -> _Readable:
    """Return the reader that hands over what a pipe has instead of waiting for a full buffer."""
    if hasattr(file, "readinto1"):
        return _OneByOne(file)
    return cast(_Readable, file) if hasattr(file, "readinto") else _FromRead(file)


def _buffered(file: io.RawIOBase) -> BinaryIO:
    return io.BufferedReader(file, 1 << 16)


def _zstd(whole: _Replay, name: str) -> _Readable:
    # Python has it from 3.14 on, if it was built with it; before, the same module comes as a
    # package of its own.
    where = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        zstd = import_module(where)
    except ImportError:
        raise UsageError(
            "compressed with zstd, for which a module is missing", where=name,
            hint="pip install 'portulan[zstd]', or unpack it first: zstd -d FILE",
        ) from None
    return _Zstd(zstd.ZstdFile(_buffered(whole)), zstd.ZstdError)


class _Zstd(_OneByOne):
    """A zstd decompressor, whose errors are no `OSError`s."""

    def __init__(self, file: BinaryIO, fault: type[Exception]) -> None:
        super().__init__(file)
        self._fault = fault

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return super().readinto(buffer)
        except self._fault as error:
            raise OSError(str(error)) from None
