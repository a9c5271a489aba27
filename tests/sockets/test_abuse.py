"""Clients that mean harm, or know no better: the others are served, memory stays bounded."""

import contextlib
import re
import resource
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.cli.test_connect import Listener

RESET = struct.pack("ii", 1, 0)
RSTS = 2_000
MEMORY_BYTES = 30_000_000
"""What a crowd of bad clients may cost: each has its socket, its task, and a queue."""


def asked(listener, words=b"hello"):
    """Return what the echo says to a good client."""
    with socket.create_connection(("127.0.0.1", int(listener.port)), timeout=20) as sock:
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        parts = []
        while data := sock.recv(65536):
            parts.append(data)
        return b"".join(parts)


def resident(process):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def cpu_s(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def descriptors(process):
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


@pytest.mark.parametrize("words", [["--echo"], ["--echo", "--tls"], ["--broker"], ["--chat"]])
def test_flood_of_instant_resets_leaves_nothing_behind(words):
    with Listener("0", *words) as listener:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", int(listener.port))).close()
        before, files = resident(listener.process), descriptors(listener.process)
        for _ in range(RSTS):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.connect(("127.0.0.1", int(listener.port)))
            sock.close()
        if words == ["--echo"]:
            assert asked(listener) == b"hello"
        for _ in range(100):
            if descriptors(listener.process) <= files + 2:
                break
            time.sleep(0.05)
        assert listener.process.poll() is None
        assert descriptors(listener.process) <= files + 2
        assert resident(listener.process) - before < MEMORY_BYTES


def test_clients_that_never_speak_or_never_read_hold_up_no_one():
    with Listener("0", "--echo") as listener:
        before = resident(listener.process)
        place = ("127.0.0.1", int(listener.port))
        silent = [socket.create_connection(place) for _ in range(200)]
        deaf = [socket.create_connection(place) for _ in range(50)]
        for sock in deaf:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(bytes(65536))
        assert asked(listener, b"x" * 1_000_000) == b"x" * 1_000_000
        # Each deaf client costs the one read that cannot be written, at most.
        assert resident(listener.process) - before < 50 * 262_144 + MEMORY_BYTES
        for sock in silent + deaf:
            sock.close()


def test_out_of_descriptors_the_listener_waits_without_spinning_then_serves():
    with Listener("0", "--echo", "--max-conns", "1000", preexec_fn=few_files) as listener:
        place = ("127.0.0.1", int(listener.port))
        hoard = [socket.create_connection(place, timeout=20) for _ in range(150)]
        before = cpu_s(listener.process)
        with pytest.raises(TimeoutError):
            hoard[-1].settimeout(1)
            hoard[-1].send(b"x")
            hoard[-1].recv(1)
        assert cpu_s(listener.process) - before < 0.5
        for sock in hoard:
            sock.close()
        assert asked(listener) == b"hello"
        assert listener.process.poll() is None


def test_descriptors_taken_by_programs_are_noted_and_come_back():
    with Listener("0", "--exec", "cat", preexec_fn=few_files) as listener:
        place = ("127.0.0.1", int(listener.port))
        hoard = [socket.create_connection(place, timeout=20) for _ in range(60)]
        for sock in hoard:
            sock.close()
        for _ in range(50):
            with contextlib.suppress(OSError):
                if asked(listener) == b"hello":
                    return
            time.sleep(0.1)
        raise AssertionError("it serves no one any more")
