from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import PrivilegeError
from portulan.sockets.hops import HopSockets, read_error


def closed_port(family, addr):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((addr, 0))
        return sock.getsockname()[1]


def error(origin, kind, code, addr="192.0.2.9"):
    head = struct.pack("=IBBBBII", 113, origin, kind, code, 0, 0, 0)
    return head + struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(addr))


@pytest.mark.parametrize(("family", "addr"), [
    (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_closed_udp_port_of_the_target_shows_that_it_is_reached(family, addr):
    sockets = HopSockets("udp", port=closed_port(family, addr))
    try:
        sockets.open(7, addr)
        assert sockets.send(7, 1, 0x0102)
        (heard,) = list(sockets.hear(2_000_000_000))
        assert heard == (7, 0x0102, addr, "reached", "")
    finally:
        sockets.close()


@pytest.mark.parametrize(("kind", "code", "sender", "expected"), [
    (11, 0, "192.0.2.9", ("expired", "")),
    (3, 3, "192.0.2.1", ("reached", "")),
    (3, 3, "192.0.2.9", ("unreachable", "!3")),
    (3, 0, "192.0.2.9", ("unreachable", "!N")),
    (3, 1, "192.0.2.9", ("unreachable", "!H")),
    (3, 13, "192.0.2.9", ("unreachable", "!X")),
    (5, 0, "192.0.2.9", None),
])
def test_icmp_error_means_what_its_type_and_code_say(kind, code, sender, expected):
    heard = read_error(0, 4, "192.0.2.1", error(2, kind, code, sender))
    assert (heard and heard[3:]) == expected


def test_error_of_our_own_kernel_is_no_reply():
    assert read_error(0, 4, "192.0.2.1", error(1, 3, 1)) is None


@given(st.binary(max_size=64), st.sampled_from([4, 6]))
def test_any_bytes_of_an_error_are_read_without_a_crash(content, family):
    read_error(0, family, "192.0.2.1", content)


@given(st.integers(0, 0xFFFF), st.sampled_from(["udp", "icmp"]))
def test_tag_comes_back_out_of_the_probe_that_carries_it(tag, manner):
    sockets = HopSockets(manner)
    packet = sockets._packet(4, tag)
    assert sockets._tag(packet) == tag
    assert sockets._tag(packet[:1]) == -1


def test_checksum_is_the_same_for_every_echo():
    sockets = HopSockets("icmp")
    sums = {sum(struct.unpack("!5H", sockets._packet(4, tag))) % 0xFFFF
            for tag in range(0, 9999, 7)}
    assert len(sums) == 1


def test_missing_right_to_icmp_is_named(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("portulan.sockets.hops.socket.socket", refuse)
    with pytest.raises(PrivilegeError, match="ping_group_range"):
        HopSockets("icmp").open(0, "127.0.0.1")
