"""Files as the room writes them: appended whole or not at all, replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from portulan.errors import UsageError

PRIVATE_FILE = 0o600
"""Results name hosts and their holes: nobody else on the machine reads them."""

_REASONS = {
    errno.ENOSPC: ("disk full", "free some space, or choose another folder"),
    errno.EDQUOT: ("disk quota reached", "free some space, or choose another folder"),
    errno.EFBIG: ("file too large for this limit", "raise `ulimit -f`"),
    errno.EIO: ("the disk reports an input/output error", "look at `dmesg`; use another disk"),
    errno.EACCES: ("no right to write here", "choose another place, or change its rights"),
    errno.EPERM: ("no right to write here", "choose another place, or change its rights"),
    errno.EROFS: ("read-only file system", "choose another place"),
    errno.ENOENT: ("no such file or folder", "make the folder first, or correct the path"),
    errno.ENOTDIR: ("a part of the path is no folder", "correct the path"),
    errno.EISDIR: ("this is a folder", "name a file in it"),
    errno.ENAMETOOLONG: ("name too long", "choose a shorter one"),
    errno.EMFILE: ("too many open files", "raise `ulimit -n`"),
}


class DiskError(UsageError):
    """A file cannot be written.

    `code` is the errno, `where` the path, `hint` what to do.
    """

    def __init__(self, error: OSError, path: str | Path, kept: str = "") -> None:
        self.code = error.errno or 0
        reason, hint = _REASONS.get(self.code, (error.strerror or str(error), ""))
        super().__init__(reason, where=str(path), hint="; ".join(filter(None, (kept, hint))))


class RawFile(Protocol):
    """What an append-only file must be able to do; each call may raise `OSError`."""

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes; return how many were taken."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def sync(self) -> None:
        """Wait until the data is on the disk."""

    def close(self) -> None:
        """Give the file back."""


class DiskFile:
    """A file of this machine's disk, written without a buffer in between."""

    def __init__(self, path: Path, *, new: bool) -> None:
        mode = os.O_CREAT | os.O_EXCL if new else 0
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | mode
        try:
            self._fd = os.open(path, flags, PRIVATE_FILE)
        except OSError as error:
            raise DiskError(error, path) from error

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes; return how many were taken."""
        return os.write(self._fd, data)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """Wait until the data is on the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)


class WholeAppender:
    """Appends batches of bytes to a file: each is kept whole, or the file is as it was before.

    One `write` a batch makes it proof against SIGKILL (the kernel has it), `sync` against power
    loss. If even cutting a half-written batch back fails, the appender refuses further batches:
    readers drop a torn tail, but nothing may follow it.
    """

    def __init__(self, file: RawFile, *, path: Path, size: int) -> None:
        self._file, self.path, self.size = file, path, size
        self._broken: OSError | None = None

    def append(self, data: bytes, *, sync: bool) -> None:
        """Append `data`; raises `DiskError`, and then the file holds none of it."""
        if self._broken:
            raise DiskError(self._broken, self.path)
        try:
            self._write(data)
            if sync:
                self._file.sync()
        except OSError as error:
            self._cut(error)
            raise DiskError(error, self.path, "kept up to here") from error
        self.size += len(data)

    def sync(self) -> None:
        """Wait until everything appended is on the disk; raises `DiskError`."""
        try:
            self._file.sync()
        except OSError as error:
            raise DiskError(error, self.path) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a full disk takes a part first and tells ENOSPC on the next call
            rest = rest[self._file.write(rest) :]

    def _cut(self, error: OSError) -> None:
        try:
            self._file.truncate(self.size)
        except OSError:
            self._broken = error


def write_atomic(path: str | Path, chunks: Iterable[bytes | str]) -> None:
    """Write a file so that readers see the old one or the whole new one, never a part.

    Text is UTF-8. A symlink is followed, special files (`/dev/stdout`) are written directly.
    Raises `DiskError` (one line) if the folder is missing, a right is missing, the disk is full.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            return _write_through(target, chunks)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        _replace(target, chunks)
    except OSError as error:
        raise DiskError(error, path) from error


def _write_through(target: Path, chunks: Iterable[bytes | str]) -> None:
    with target.open("wb") as file:
        file.writelines(_bytes(chunk) for chunk in chunks)


def _replace(target: Path, chunks: Iterable[bytes | str]) -> None:
    temporary = temporary_beside(target)
    try:
        with temporary.open("xb") as file:
            file.writelines(_bytes(chunk) for chunk in chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:  # also an interrupt or a renderer's own error leaves no rubbish
        with suppress(OSError):
            temporary.unlink()
        raise


def temporary_beside(target: Path) -> Path:
    """Return an unused name in the same folder: rename is atomic only within a file system."""
    # The name is cut so that a long but legal target name does not become an illegal one.
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")


def _bytes(chunk: bytes | str) -> bytes:
    return chunk.encode("utf-8", "backslashreplace") if isinstance(chunk, str) else chunk
