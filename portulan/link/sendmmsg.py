"""Many datagrams in one system call: sendmmsg(2), its argument arrays built as NumPy columns.

Python has no sendmmsg; a loop of `sendto` costs more than the kernel's own work (see bench). It
is one C call without callbacks, so ctypes is enough; it lets go of the interpreter lock.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portulan.wire.frames import Frames

MOST = 1024
"""UIO_MAXIOV: the kernel takes no more messages in one call."""
MSG_DONTWAIT = 0x40

IOVEC = np.dtype([("base", np.uintp), ("len", np.uintp)], align=True)
# Nested as in C: the message header's own padding comes before the count.
MSGHDR = np.dtype([
    ("name", np.uintp), ("namelen", np.uint32), ("iov", np.uintp), ("iovlen", np.uintp),
    ("control", np.uintp), ("controllen", np.uintp), ("flags", np.int32),
], align=True)
MMSGHDR = np.dtype([("msg", MSGHDR), ("sent", np.uint32)], align=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many messages from the first were taken, and the error number that stopped the rest."""

    taken: int
    errno: int


def send_many(
    fd: int, frames: Frames, names: NDArray[np.void] | NDArray[np.uint8] | None = None,
) -> Outcome:
    """Send each frame as one message on `fd`, to `names[i]` (raw sockaddr rows) if given."""
    buffer = np.ascontiguousarray(frames.buffer)
    vectors = np.zeros(len(frames), IOVEC)
    vectors["base"] = _address(buffer) + frames.offset
    vectors["len"] = frames.length
    headers = np.zeros(len(frames), MMSGHDR)
    message = headers["msg"]
    message["iov"] = _address(vectors) + np.arange(len(frames)) * IOVEC.itemsize
    message["iovlen"] = 1
    if names is not None:
        size = names.strides[0]
        message["name"] = _address(names) + np.arange(len(frames)) * size
        message["namelen"] = size
    done = 0
    while done < len(frames):
        count = min(MOST, len(frames) - done)
        start = _address(headers) + done * MMSGHDR.itemsize
        sent = _sendmmsg(fd, start, count, MSG_DONTWAIT)
        if sent < 0:
            code = ctypes.get_errno()
            if code == errno.EINTR:
                continue
            return Outcome(done, code)
        done += sent
    return Outcome(done, 0)


def _address(array: NDArray[np.void] | NDArray[np.uint8]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _bind() -> Callable[[int, int, int, int], int]:
    function = ctypes.CDLL(None, use_errno=True).sendmmsg
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    function.restype = ctypes.c_int
    return function


_sendmmsg = _bind()


def strerror(code: int) -> OSError:
    """Return the error of a number."""
    return OSError(code, os.strerror(code))
