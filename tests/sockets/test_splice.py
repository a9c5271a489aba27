from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.sockets.splice import NARROW, SPARE_PIPES_MAX, Plumbing, Pump, Step


class Bench:
    """A pump between two socket pairs: write to `front`, read from `back`."""

    def __init__(self, *, tap=None, first=b""):
        self.plumbing = Plumbing()
        self.front, source = socket.socketpair()
        sink, self.back = socket.socketpair()
        for sock in (self.front, source, sink, self.back):
            sock.setblocking(False)
        self.pump = Pump(source, sink, self.plumbing, tap=tap, first=first)

    def read(self):
        out = b""
        try:
            while data := self.back.recv(1 << 20):
                out += data
        except BlockingIOError:
            return out
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pump.release()
        self.plumbing.close()
        for sock in (self.front, self.pump.source, self.pump.sink, self.back):
            sock.close()


@pytest.mark.parametrize("tapped", [False, True])
@pytest.mark.parametrize("size", [0, 1, NARROW - 1, NARROW, NARROW + 1, 3_000_000])
def test_every_byte_then_the_end_arrives_in_order(size, tapped):
    seen = hashlib.sha256()
    data = random.Random(size).randbytes(size)
    with Bench(tap=seen.update if tapped else None, first=b"first") as bench:
        left, got, step = memoryview(data), b"", Step.WAIT
        for _ in range(10_000):
            if left:
                with contextlib.suppress(BlockingIOError):
                    left = left[bench.front.send(left):]
                if not left:
                    bench.front.shutdown(socket.SHUT_WR)
            elif not size and step is Step.WAIT:
                bench.front.shutdown(socket.SHUT_WR)
            bench.pump.closing = True
            step = bench.pump.run()
            got += bench.read()
            if step is Step.ENDED:
                break
        assert step is Step.ENDED
        assert bench.back.recv(1) == b""
        assert got == b"first" + data
        assert bench.pump.count == len(got)
        assert not tapped or seen.digest() == hashlib.sha256(data).digest()


@given(st.lists(st.binary(min_size=1, max_size=100_000), max_size=8), st.booleans())
@settings(max_examples=40, deadline=None)
def test_pieces_of_any_size_come_out_as_they_went_in(pieces, tapped):
    with Bench(tap=(lambda _: None) if tapped else None) as bench:
        got = b""
        for piece in pieces:
            left = memoryview(piece)
            while left:
                left = left[bench.front.send(left):]
                while bench.pump.run() is Step.MORE:
                    pass
                got += bench.read()
        while bench.pump.blocked:
            bench.pump.run()
            got += bench.read()
        assert got == b"".join(pieces)


def test_small_talk_makes_no_pipe_and_bulk_makes_one_that_is_given_back():
    with Bench() as bench:
        bench.front.send(b"x")
        bench.pump.run()
        assert bench.pump._pipe is None
        bench.front.send(bytes(NARROW))
        bench.pump.run()
        assert bench.pump._pipe is not None
        bench.pump.relax()
        assert bench.pump._pipe is None
        assert len(bench.plumbing._spare) == 1
        bench.front.send(b"y")
        bench.pump.run()
        assert bench.read() == b"x" + bytes(NARROW) + b"y"


def test_pipe_that_holds_bytes_is_not_relaxed():
    with Bench() as bench:
        sent = 0
        for _ in range(200):
            with contextlib.suppress(BlockingIOError):
                sent += bench.front.send(bytes(65536))
            bench.pump.run()
        assert bench.pump.blocked
        bench.pump.relax()
        got = len(bench.read())
        for _ in range(200):
            bench.pump.run()
            got += len(bench.read())
        assert got == sent


def test_without_descriptors_bulk_is_copied(monkeypatch):
    def none(flags):
        raise OSError(24, "Too many open files")

    with Bench() as bench:
        monkeypatch.setattr(os, "pipe2", none)
        got = b""
        for _ in range(3):
            bench.front.send(bytes(NARROW))
            bench.pump.run()
            got += bench.read()
        assert (len(got), bench.pump._pipe) == (3 * NARROW, None)


def test_lost_sink_turns_the_pump_into_a_drain():
    with Bench() as bench:
        bench.back.close()
        bench.front.send(b"x" * 10)
        assert bench.pump.run() is Step.WAIT
        assert bench.pump.sink_lost and bench.pump.lost_bytes
        bench.front.send(b"y" * 10)
        bench.front.shutdown(socket.SHUT_WR)
        bench.pump.closing = True
        assert bench.pump.run() is Step.ENDED
        assert bench.pump.count == 0


def test_lost_source_is_told_with_its_error():
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        source, _ = door.accept()
    with source, Bench() as bench:
        source.setblocking(False)
        pump = Pump(source, bench.pump.sink, bench.plumbing)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert pump.run() is Step.SOURCE_LOST
        assert isinstance(pump.error, ConnectionResetError)


def test_spare_pipes_are_bounded_and_full_ones_are_not_kept():
    plumbing = Plumbing()
    pipes = [plumbing.take() for _ in range(SPARE_PIPES_MAX + 5)]
    plumbing.give(pipes.pop(), empty=False)
    assert plumbing._spare == []
    for pipe in pipes:
        plumbing.give(pipe, empty=True)
    assert len(plumbing._spare) == SPARE_PIPES_MAX
    plumbing.close()


def test_bulk_that_pauses_leaves_nothing_corked():
    with socket.create_server(("127.0.0.1", 0)) as door:
        sink = socket.create_connection(door.getsockname())
        back, _ = door.accept()
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back.settimeout(5)
    with sink, back, Bench() as bench:
        sink.setblocking(False)
        pump = Pump(bench.pump.source, sink, bench.plumbing)
        sent = got = corked = 0
        for size in (NARROW, 100_001, 65_536, 131_072, 7):
            left = memoryview(bytes(size))
            while left:
                with contextlib.suppress(BlockingIOError):
                    left = left[bench.front.send(left):]
                while pump.run() is Step.MORE or pump.blocked:
                    pass
            sent += size
            corked += pump.corked
            while got < sent:
                got += len(back.recv(1 << 20))
        assert (got, corked) == (sent, 0)
        pump.release()


def test_pipes_are_widened_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("portulan.sockets.splice.WIDE_PIPES_MAX", 2)
    asked: list[int] = []

    def widen(number, size):
        asked.append(number)
        return True

    plumbing = Plumbing(widen)
    pipes = [plumbing.take() for _ in range(3)]
    assert asked == [pipe[1] for pipe in pipes[:2]]
    plumbing.give(pipes[0], empty=False)
    pipes[0] = plumbing.take()
    assert len(asked) == 3
    for pipe in pipes:
        plumbing.give(pipe, empty=False)
