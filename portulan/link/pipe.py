"""Pipes that hold more than the usual 64 KiB."""

from __future__ import annotations

import fcntl


def widen(number: int, size_bytes: int) -> bool:
    """Let a pipe hold at least this much; False if the kernel does not allow it (pipe(7)).

    An unprivileged user has fs.pipe-max-size for one pipe, and fs.pipe-user-pages-soft for all.
    """
    try:
        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, size_bytes)
    except OSError:
        return False
    return True
