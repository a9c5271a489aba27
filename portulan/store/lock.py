"""One writer per chart: a kernel lock on the chart's `lock` file.

A POSIX record lock (`os.lockf`) ends with its process, however that ends: a SIGKILLed scan never
blocks its own resume, and there is no stale file to judge, no pid that a stranger has got since.
The file only tells a person who holds it. Two quirks of these locks shape this module: one process
never conflicts with itself, and closing *any* descriptor of the file drops the lock. So locks held
here are also kept in a table, and a file in it is never opened again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from portulan.errors import LimitError

from .disk import PRIVATE_FILE, DiskError

_held: dict[tuple[int, int], int] = {}
"""(device, inode) of the lock files held by the process whose pid is the value."""


class Busy(LimitError):  # noqa: N818 - a state of the chart, named as users see it
    """Another process writes this chart; `pid` is 0 if it cannot be told."""

    def __init__(self, path: Path, pid: int) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"chart {path.parent.name} is being written by {who} - wait or stop it")


class Lock:
    """The right to write a chart, held until `release` or the end of the process."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd = path, fd

    @classmethod
    def take(cls, path: Path) -> Self:
        """Lock at once; raises `Busy` if held, by this process too, `DiskError` if unwritable."""
        if _held_here(path):
            raise Busy(path, os.getpid())
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(path, flags, PRIVATE_FILE)
        except OSError as error:
            raise DiskError(error, path) from error
        try:
            os.lockf(fd, os.F_TLOCK, 0)
        except OSError as error:
            pid = _pid_in(fd)
            os.close(fd)
            if isinstance(error, BlockingIOError | PermissionError):  # EAGAIN or EACCES: POSIX
                raise Busy(path, pid) from None
            raise DiskError(error, path) from error
        lock = cls(path, fd)
        lock._sign()
        return lock

    def release(self) -> None:
        """Let others write; harmless when done already."""
        if self._fd < 0:
            return
        _held.pop(_key(os.fstat(self._fd)), None)
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1

    def _sign(self) -> None:
        _held[_key(os.fstat(self._fd))] = os.getpid()
        with suppress(OSError):  # on a full disk the lock holds all the same
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds the lock, None if nobody does, 0 if unknown."""
    if _held_here(path):
        return os.getpid()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        os.lockf(fd, os.F_TEST, 0)
    except OSError:
        return _pid_in(fd)
    else:
        return None
    finally:
        os.close(fd)


def _held_here(path: Path) -> bool:
    try:
        key = _key(path.stat(follow_symlinks=False))
    except OSError:
        return False
    return _held.get(key) == os.getpid()  # a forked child inherits the table, not the lock


def _key(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
