from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from portulan.sockets.serve_http import Slice
from portulan.sockets.serve_sendfile import send_slice

DATA = os.urandom(10 << 20)


async def moved(path: Path, part: Slice) -> tuple[int, bytes]:
    """Send a slice and read it at the other end, slowly."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    loop, got = asyncio.get_running_loop(), bytearray()

    async def read() -> None:
        while data := await loop.sock_recv(theirs, 100_000):
            got.extend(data)

    reader = asyncio.create_task(read())
    file = os.open(path, os.O_RDONLY)
    try:
        sent = await send_slice(ours.fileno(), file, part)
    finally:
        os.close(file)
        ours.close()
    await reader
    theirs.close()
    return sent, bytes(got)


@pytest.mark.parametrize("part", [Slice(0, len(DATA)), Slice(1_000_001, 5_000_000), Slice(5, 1)])
def test_slice_of_a_file_arrives_whole(tmp_path: Path, part: Slice) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA)
    sent, got = asyncio.run(moved(path, part))
    assert sent == part.length
    assert got == DATA[part.offset : part.offset + part.length]


def test_file_that_is_shorter_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA[:5_000_000])
    assert asyncio.run(moved(path, Slice(0, len(DATA))))[0] == 5_000_000


def test_peer_that_is_gone_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with path.open("rb") as file:
            before = len(os.listdir("/proc/self/fd"))
            whole = Slice(0, len(DATA))
            task = asyncio.create_task(send_slice(ours.fileno(), file.fileno(), whole))
            await asyncio.sleep(0.01)
            theirs.close()
            with pytest.raises(OSError):
                await task
            cancelled = asyncio.create_task(send_slice(ours.fileno(), file.fileno(), Slice(0, 9)))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            assert len(os.listdir("/proc/self/fd")) == before - 1
        ours.close()

    asyncio.run(main())
