from __future__ import annotations

import errno
import fcntl
import select
import socket
import time

import pytest

from portulan.errors import PeerError, UsageError
from portulan.link import packet_socket

KEEP_ALL = [(0x06, 0, 0, 0xFFFF)]
KEEP_NONE = [(0x06, 0, 0, 0)]


def delivered(program: packet_socket.Program) -> bool:
    """Return whether a datagram passes a socket with this filter."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as into:
        into.bind(("127.0.0.1", 0))
        packet_socket.attach_filter(into, program)
        into.sendto(b"x", into.getsockname())
        return bool(select.select([into], [], [], 0.05)[0])


def test_filter_that_keeps_all_or_none_does():
    assert delivered(KEEP_ALL)
    assert not delivered(KEEP_NONE)


@pytest.mark.parametrize("count", [0, 4097])
def test_filter_of_wrong_size_is_refused(count: int):
    with pytest.raises(UsageError, match=f"this has {count}"):
        delivered(KEEP_ALL * count)


def test_filter_without_return_is_refused():
    with pytest.raises(UsageError, match="refuses the filter program: Invalid argument"):
        delivered([(0x30, 0, 0, 0)])


def test_wait_nothing_comes_ends_in_time():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        before = time.monotonic_ns()
        packet_socket.wait_readable(sock, 2_000_000)
        assert time.monotonic_ns() - before >= 2_000_000


@pytest.mark.parametrize("high", [False, True])
def test_wait_data_there_returns_without_waiting(high: bool, monkeypatch):
    if high:  # as for a descriptor that select(2) cannot take
        monkeypatch.setattr(packet_socket, "FD_SETSIZE", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.sendto(b"x", sock.getsockname())
        packet_socket.wait_readable(sock, 3_600 * 10**9)
        assert sock.recv(9) == b"x"


def test_wait_high_descriptor_works():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as low:
        try:
            sock = socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD, 1_100))
        except OSError as error:
            assert error.errno in (errno.EMFILE, errno.EINVAL)
            pytest.skip("needs more than 1,100 descriptors")
        with sock:
            packet_socket.wait_readable(sock, 1_000_000)


def test_pending_error_is_told_with_the_interface():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        packet_socket.raise_pending(sock, "eth7")
        sock.connect(("127.0.0.1", 1))  # nobody listens: the ICMP error is noted on the socket
        sock.send(b"x")
        select.select([sock], [], [], 1)
        with pytest.raises(PeerError, match="'eth7' went down or away"):
            packet_socket.raise_pending(sock, "eth7")


def test_send_buffer_is_raised():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        packet_socket.raise_send_buffer(sock, 150_000)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 150_000


def test_send_buffer_without_the_right_is_raised_as_far_as_allowed():
    class Unprivileged:
        asked: tuple[int, ...] = ()

        def setsockopt(self, *asked: int) -> None:
            if asked[1] == packet_socket.SO_SNDBUFFORCE:
                raise PermissionError
            self.asked = asked

    sock = Unprivileged()
    packet_socket.raise_send_buffer(sock, 5)
    assert sock.asked == (socket.SOL_SOCKET, socket.SO_SNDBUF, 5)


def test_binding_to_an_interface_that_went_says_so():
    class Late:
        def bind(self, address: tuple[str, int]) -> None:
            raise OSError(errno.ENODEV, "No such device")

    with pytest.raises(PeerError, match="'eth7' went down or away: No such device"):
        packet_socket.bind(Late(), "eth7", 0)
