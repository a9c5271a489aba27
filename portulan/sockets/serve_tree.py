"""A folder seen from outside: names in a URL to descriptors beneath it, and never beyond.

Each step down is an `openat` that follows no link, so a link swapped in between two looks leads
nowhere. A link is allowed where it ends beneath the folder: then the real path is walked, again
without following any. Hard links and mounts that somebody placed inside are inside.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from portulan.errors import UsageError
from portulan.sockets.serve_http import RefusedError

UPLOAD_PREFIX: Final = ".portulan-upload-"
"""Names of uploads under way: neither shown nor served."""

DEPTH_MAX: Final = 64
"""Folders below each other; each costs an `openat` a request."""

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
REGULAR: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

OUT_OF_FILES: Final = frozenset({errno.ENFILE, errno.EMFILE})
"""What passes: the next try may work."""


class Found(NamedTuple):
    """An open descriptor, what it is, the path asked for, and where that really lies."""

    fd: int
    status: os.stat_result
    path: str
    real_path: str


class Entry(NamedTuple):
    """One line of a directory: sizes are bytes, times nanoseconds."""

    name: str
    is_folder: bool
    size: int
    mtime_ns: int


def segments(path: str) -> tuple[str, ...]:
    """Return a URL path's names, percent-decoded once; the last is empty for a folder.

    Raises RefusedError: 400 for a malformed escape, 404 for what names nothing beneath a folder:
    `.`, `..`, an empty name, or a slash or NUL in disguise.
    """
    if PERCENT.search(path) or not path.startswith("/"):
        raise RefusedError(400, "the path is malformed")
    names = [unquote_to_bytes(name.encode("latin-1")) for name in path[1:].split("/")]
    for at, name in enumerate(names):
        last = at == len(names) - 1
        if name in {b".", b".."} or b"/" in name or b"\0" in name or not (name or last):
            raise RefusedError(404)
    if len(names) > DEPTH_MAX:
        raise RefusedError(404)
    return tuple(os.fsdecode(name) for name in names)


def url_path(names: Sequence[str]) -> str:
    """Return the path that `segments` turns into these names."""
    return "/" + "/".join(quote(os.fsencode(name)) for name in names)


class Tree:
    """A folder and everything beneath it."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.realpath(root)
        try:
            self._fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"no folder to serve ({error.strerror})", text=os.fspath(root),
                             where="DIR") from None

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._fd)

    def open(self, names: Sequence[str]) -> Found:
        """Open the file or folder of these names; the caller closes it.

        Raises RefusedError: 404 for what is not there, lies outside or is no file, 403 for what may
        not be read.
        """
        names = [name for name in names if name]
        _check(names)
        path = "/".join((self.root, *names))
        with _as_refusal():
            try:
                return self._walk(names, path)
            except OSError:
                real = self._real(path)
                if real == names:
                    raise
                return self._walk(real, path)

    @contextmanager
    def folder(self, names: Sequence[str]) -> Iterator[int]:
        """Lend the descriptor of a folder that is reached without any link, for writing in it."""
        _check(names)
        with _as_refusal():
            fd = self._descend(names)
        try:
            yield fd
        finally:
            os.close(fd)

    def entries(self, names: Sequence[str]) -> list[Entry]:
        """Return what a folder holds that may be served, folders first, by name as people sort."""
        found = self.open(names)
        try:
            with _as_refusal(), os.scandir(found.fd) as listing:
                made = [self._entry(each, found) for each in listing]
        finally:
            os.close(found.fd)
        return sorted((each for each in made if each), key=_by_name)

    def _entry(self, each: os.DirEntry[str], folder: Found) -> Entry | None:
        if each.name.startswith(UPLOAD_PREFIX):
            return None
        if each.is_symlink():
            real = os.path.realpath(os.path.join(folder.real_path, each.name))  # noqa: PTH118
            if self._beneath(real) is None:
                return None
        with suppress(OSError):
            status = each.stat()
            is_folder = stat.S_ISDIR(status.st_mode)
            if is_folder or stat.S_ISREG(status.st_mode):
                return Entry(each.name, is_folder, status.st_size, status.st_mtime_ns)
        return None

    def _walk(self, names: Sequence[str], path: str) -> Found:
        parent = self._descend(names[:-1])
        try:
            return self._leaf(parent, names, path)
        finally:
            os.close(parent)

    def _leaf(self, parent: int, names: Sequence[str], path: str) -> Found:
        name = names[-1] if names else "."
        # Looked at before it is opened: opening a device or a pipe may already do something.
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise FileNotFoundError
        fd = os.open(name, DIRECTORY if stat.S_ISDIR(mode) else REGULAR, dir_fd=parent)
        status = os.fstat(fd)
        if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
            os.close(fd)
            raise FileNotFoundError
        return Found(fd, status, path, "/".join((self.root, *names)))

    def _descend(self, names: Sequence[str]) -> int:
        fd = os.open(".", DIRECTORY, dir_fd=self._fd)
        for name in names:
            try:
                below = os.open(name, DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        return fd

    def _real(self, path: str) -> list[str]:
        beneath = self._beneath(os.path.realpath(path))
        if beneath is None:
            raise FileNotFoundError
        return beneath

    def _beneath(self, real: str) -> list[str] | None:
        # By whole names: the folder's sibling with the same prefix is not beneath it.
        try:
            return list(Path(real).relative_to(self.root).parts)
        except ValueError:
            return None


def _check(names: Sequence[str]) -> None:
    """Refuse names that would climb, whoever asks, and those of uploads under way."""
    if any(name in {"", ".", ".."} or "/" in name or name.startswith(UPLOAD_PREFIX)
           for name in names):
        raise RefusedError(404)


def _by_name(entry: Entry) -> tuple[bool, list[tuple[int, str]], str]:
    """Folders first, `file2` before `file10`, case apart only between equals."""
    parts = re.split(r"([0-9]+)", entry.name.casefold())
    key = [(int(part), "") if part.isdecimal() and len(part) < 20 else (-1, part) for part in parts]
    return (not entry.is_folder, key, entry.name)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """Turn what the file system says into HTTP."""
    try:
        yield
    except PermissionError:
        raise RefusedError(403) from None
    except BlockingIOError:
        raise RefusedError(503) from None
    except OSError as error:
        raise RefusedError(503 if error.errno in OUT_OF_FILES else 404) from None
