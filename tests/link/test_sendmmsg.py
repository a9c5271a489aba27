from __future__ import annotations

import errno
import socket

import numpy as np

from portulan.link import sendmmsg
from portulan.link.sendmmsg import Outcome, send_many
from portulan.wire.frames import Frames


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def test_messages_arrive_one_by_one_and_in_order():
    near, far = pair()
    with near, far:
        frames = Frames.of([b"one", b"", b"three"])
        assert send_many(near.fileno(), frames) == Outcome(3, 0)
        assert [far.recv(99) for _ in range(3)] == [b"one", b"", b"three"]


def test_selected_messages_are_taken_from_where_they_lie():
    near, far = pair()
    with near, far:
        frames = Frames.of([b"aaa", b"bb", b"c"]).take(np.array([2, 0]))
        assert send_many(near.fileno(), frames).taken == 2
        assert [far.recv(99) for _ in range(2)] == [b"c", b"aaa"]


def test_names_given_address_each_message():
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    try:
        names = np.zeros(3, np.dtype([("family", "=u2"), ("port", ">u2"), ("addr", "V4"),
                                      ("zero", "V8")]))
        names["family"] = socket.AF_INET
        names["addr"] = np.void(socket.inet_aton("127.0.0.1"))
        for index, sock in enumerate(sockets):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(5)
            names["port"][index] = sock.getsockname()[1]
        send_many(near.fileno(), Frames.of([b"0", b"1", b"2"]), names)
        assert [sock.recv(9) for sock in sockets] == [b"0", b"1", b"2"]
    finally:
        for sock in (near, *sockets):
            sock.close()


def test_receiver_full_tells_how_many_were_taken():
    near, far = pair()
    with near, far:
        outcome = send_many(near.fileno(), Frames.of([b"x"] * 5_000))
        assert outcome.errno == errno.EAGAIN
        far.setblocking(False)
        got = 0
        try:
            while far.recv(9):
                got += 1
        except BlockingIOError:
            assert got == outcome.taken > 0


def test_more_than_one_call_takes_are_all_sent(monkeypatch):
    near, far = pair()
    with near, far:
        monkeypatch.setattr(sendmmsg, "MOST", 3)
        count = 8
        frames = Frames.of([bytes([index]) for index in range(count)])
        assert send_many(near.fileno(), frames) == Outcome(count, 0)
        assert [far.recv(9)[0] for _ in range(count)] == list(range(count))


def test_closed_descriptor_is_an_outcome():
    assert send_many(-1, Frames.of([b"x"])) == Outcome(0, errno.EBADF)


def test_interrupted_call_is_made_again(monkeypatch):
    calls = []

    def interrupted(*call: int) -> int:
        calls.append(call)
        sendmmsg.ctypes.set_errno(errno.EINTR)
        return -1 if len(calls) == 1 else call[2]

    monkeypatch.setattr(sendmmsg, "_sendmmsg", interrupted)
    assert send_many(5, Frames.of([b"x", b"y"])) == Outcome(2, 0)
    assert len(calls) == 2
