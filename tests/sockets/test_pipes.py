import asyncio
import fcntl
import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.sockets import pipes
from portulan.sockets.pipes import (
    PipeReader,
    PipeWriter,
    command_words,
    end_process,
    open_stdio,
    spawn,
)
from tests.sockets.talking import read_all, run


def state(number):
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]


def test_program_gets_its_environment_and_ends():
    async def main():
        stream = await spawn("sh -c 'echo $PORTULAN_X'", {"PORTULAN_X": "who calls"})
        assert await read_all(stream) == b"who calls\n"
        await stream.close()
        assert stream.process.returncode == 0

    run(main())


def test_aborted_program_is_killed_with_what_it_started():
    async def main():
        stream = await spawn("sh -c 'sleep 60 & echo $!; wait'")
        child = int(await stream.read())
        stream.abort()
        assert stream.process.returncode == -signal.SIGKILL
        for _ in range(100):
            if not os.path.exists(f"/proc/{child}") or "Z" in state(child):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the grandchild lives")

    run(main())


def test_program_that_ignores_its_end_is_asked_then_killed(monkeypatch):
    monkeypatch.setattr(pipes, "EXIT_GRACE_S", 0.1)

    async def main():
        stream = await spawn("sh -c 'trap \"\" TERM; echo up; while :; do sleep 1; done'")
        assert await stream.read() == b"up\n"
        await stream.close()
        assert stream.process.returncode == -signal.SIGKILL
        assert await end_process(stream.process) == -signal.SIGKILL

    run(main())


def test_shared_pipe_is_not_made_non_blocking():
    async def main():
        theirs, ours = os.pipe()
        writer = PipeWriter(ours, own=False)
        writing = asyncio.create_task(writer.write(b"x" * (1 << 20)))
        await asyncio.sleep(0.02)
        assert not fcntl.fcntl(ours, fcntl.F_GETFL) & os.O_NONBLOCK
        assert not writing.done()
        reader = PipeReader(theirs)
        got = 0
        while got < 1 << 20:
            got += len(await reader.read(65536))
        await writing
        writer.close()
        assert await reader.read(10) == b""
        reader.close()
        os.close(ours)

    run(main())


def test_pipe_that_cannot_be_opened_anew_is_written_without_blocking(monkeypatch):
    def refuse(path, flags):
        raise PermissionError

    monkeypatch.setattr(pipes.os, "open", refuse)

    async def main():
        theirs, ours = os.pipe()
        writer, reader = PipeWriter(ours, own=False), PipeReader(theirs)
        writing = asyncio.create_task(writer.write(b"x" * 300_000))
        got = 0
        while got < 300_000:
            got += len(await reader.read(65536))
        await writing
        writer.close()
        reader.close()
        os.close(ours)

    run(main())


def test_program_that_cannot_be_started_leaves_no_descriptor():
    async def main():
        before = len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for room in range(12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (before + room, hard))
            try:
                (await spawn("true")).abort()
            except OSError:
                continue
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert len(os.listdir("/proc/self/fd")) == before

    run(main())


def test_socket_as_output_is_written_and_ended():
    async def main():
        ours, theirs = socket.socketpair()
        writer = PipeWriter(ours.fileno(), own=False)
        await writer.write(b"x")
        writer.close()
        writer.close()
        assert theirs.recv(9) == b"x" and theirs.recv(9) == b""
        ours.close()
        theirs.close()

    run(main())


def test_reader_gone_is_a_broken_pipe():
    async def main():
        theirs, ours = os.pipe()
        os.close(theirs)
        writer = PipeWriter(ours)
        with pytest.raises(BrokenPipeError):
            await writer.write(b"x")
        writer.close()

    run(main())


def test_our_own_pipes_are_a_stream(monkeypatch, tmp_path):
    code = ("import asyncio\nfrom portulan.sockets.pipes import open_stdio\n"
            "async def main():\n s = open_stdio()\n while d := await s.read(): await s.write(d)\n"
            " await s.close()\nasyncio.run(main())")
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], check=True, input=b"x" * 300_000,
                          capture_output=True)
    assert done.stdout == b"x" * 300_000 and not done.stderr
    assert callable(open_stdio)


@pytest.mark.parametrize("command", ["'unclosed", "", "  "])
def test_command_that_is_none_is_a_usage_error(command):
    with pytest.raises(UsageError):
        command_words(command)
