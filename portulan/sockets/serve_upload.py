"""Files that come in: written beside their place under another name, then put there at once.

Whoever reads the folder sees no half file, a broken upload leaves nothing, and nothing there is
replaced unless that was allowed. No link is followed: neither in the folder's path nor in the name.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from portulan.sockets.serve_http import RefusedError
from portulan.sockets.serve_tree import UPLOAD_PREFIX

NAME_MAX_BYTES: Final = 255
"""NAME_MAX of every file system we meet."""

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def check_name(name: str) -> str:
    """Return a file's name if it may be one; raises RefusedError(400)."""
    raw = os.fsencode(name)
    bad = (
        not 0 < len(raw) <= NAME_MAX_BYTES
        or name in {".", ".."}
        or "/" in name
        or any(byte < 0x20 or byte == 0x7F for byte in raw)
        or name.startswith(UPLOAD_PREFIX)
    )
    if bad:
        raise RefusedError(400, "that is no name for a file")
    return name


class Incoming:
    """One file under way, in a folder given by its descriptor."""

    def __init__(self, folder: int, name: str, limit_bytes: int) -> None:
        self._folder, self._name, self._left = folder, name, limit_bytes
        self._temporary = UPLOAD_PREFIX + secrets.token_hex(8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._temporary, flags, 0o666, dir_fd=folder)

    def write(self, data: bytes) -> None:
        """Add bytes; raises RefusedError(413) beyond the limit."""
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(413, "the file is larger than this server takes")
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def put(self, *, overwrite: bool) -> bool:
        """Give the file its name; return whether there was none before.

        Raises RefusedError(409) if the name is taken and may not be, or is a folder's.
        """
        new = not self._taken()
        if overwrite:
            # A link of that name is replaced itself: rename follows none.
            os.rename(self._temporary, self._name, src_dir_fd=self._folder,
                      dst_dir_fd=self._folder)
        else:
            self._link()
        return new

    def _taken(self) -> bool:
        with suppress(FileNotFoundError):
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            return True
        return False

    def _link(self) -> None:
        """Take the name only if it is free, in one step."""
        try:
            os.link(self._temporary, self._name, src_dir_fd=self._folder,
                    dst_dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            # FAT and some network file systems have no hard links: hold the place, then move.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self._name, flags, 0o666, dir_fd=self._folder))
            os.rename(self._temporary, self._name, src_dir_fd=self._folder,
                      dst_dir_fd=self._folder)

    def close(self) -> None:
        """Forget what was not put in its place."""
        os.close(self._fd)
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._folder)


@contextmanager
def incoming(folder: int, name: str, *, limit_bytes: int) -> Iterator[Incoming]:
    """Take a file in; whatever goes wrong with the disk becomes a refusal."""
    with disk_refusals():
        file = Incoming(folder, check_name(name), limit_bytes)
        try:
            yield file
        finally:
            file.close()


@contextmanager
def disk_refusals() -> Iterator[None]:
    """Turn what the disk says while writing into HTTP."""
    try:
        yield
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise RefusedError(409, "there is something of that name already") from None
    except OSError as error:
        if error.errno in NO_ROOM:
            raise RefusedError(507, "the disk is full") from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise RefusedError(403, "writing is not allowed there") from None
        raise
