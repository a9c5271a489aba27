from __future__ import annotations

import errno
import os
import resource
import socket
from contextlib import ExitStack

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.link.contract import Link
from portulan.link.udp_sockets import UdpSocketsLink
from portulan.wire.frames import Frames, LinkType

HOSTS = {4: "127.0.0.1", 6: "::1"}
WAIT_NS = 2_000_000_000


def datagram(family, port, payload, sport=61_000):
    number = int.from_bytes(socket.inet_pton(
        socket.AF_INET6 if family == 6 else socket.AF_INET, HOSTS[family]), "big")
    head = wire.IPv6(dst=number) if family == 6 else wire.IPv4(dst=number)
    return (head / wire.UDP(sport=sport, dport=port) / payload).pack()


def frames(*packets):
    return Frames.of(packets, link_type=LinkType.RAW)


def parsed(octets):
    ip = (wire.IPv6 if octets[0] >> 4 == 6 else wire.IPv4).parse(octets)
    return ip, octets[ip.size:]


@pytest.fixture(params=[4, 6])
def family(request):
    return request.param


@pytest.fixture
def server(family):
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.bind((HOSTS[family], 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def link():
    with UdpSocketsLink() as made:
        yield made


def test_fulfils_the_contract(link):
    assert isinstance(link, Link)
    got = link.receive()
    assert (len(got), got.link_type) == (0, LinkType.RAW)


def test_reply_comes_back_as_a_frame_to_the_port_the_probe_was_built_with(link, family, server):
    port = server.getsockname()[1]
    packets = [datagram(family, port, b"ask%d" % n, sport=61_000 + n) for n in range(3)]
    assert link.send(frames(*packets)) == 3
    for _ in range(3):
        data, peer = server.recvfrom(100)
        server.sendto(data.upper(), peer)
    got = {}
    while len(got) < 3:
        for octets in link.receive(WAIT_NS):
            ip, rest = parsed(octets)
            udp = wire.UDP.parse(rest)
            got[udp.dport] = rest[8:]
            assert (udp.sport, udp.length) == (port, len(rest))
            assert str(ip.src) == HOSTS[family]
            assert (ip.ttl if family == 4 else ip.hop_limit) == 64
    assert got == {61_000 + n: b"ASK%d" % n for n in range(3)}
    assert (link.counters().sent, link.counters().received) == (3, 3)


def test_closed_port_comes_back_as_the_error_of_who_sent_it(link, family, server):
    port = server.getsockname()[1]
    server.close()
    link.send(frames(datagram(family, port, b"x", sport=61_007)))
    [octets] = link.receive(WAIT_NS)
    ip, rest = parsed(octets)
    assert str(ip.src) == HOSTS[family]
    icmp = (wire.ICMPv6 if family == 6 else wire.ICMP).parse(rest)
    assert (icmp.type, icmp.code) == ((1, 4) if family == 6 else (3, 3))
    quoted, inner = parsed(rest[8:])
    assert str(quoted.dst) == HOSTS[family]
    assert wire.UDP.parse(inner).replace(checksum=0) == wire.UDP(
        sport=61_007, dport=port, length=8, checksum=0)


def test_error_of_an_earlier_datagram_keeps_no_later_one_from_leaving(link, family, server):
    with socket.socket(server.family, socket.SOCK_DGRAM) as other:
        other.bind((HOSTS[family], 0))
        closed = other.getsockname()[1]
    port = server.getsockname()[1]
    for _ in range(20):
        assert link.send(frames(datagram(family, closed, b"x"), datagram(family, port, b"y"))) == 2
        assert server.recvfrom(10)[0] == b"y"
    assert link.counters().refused == 0


def test_time_is_the_kernels_and_not_before_sending(link, family, server):
    import time

    began = time.time_ns()
    link.send(frames(datagram(family, server.getsockname()[1], b"x")))
    server.sendto(b"y", server.recvfrom(10)[1])
    [when] = link.receive(WAIT_NS).time_ns.tolist()
    assert began <= when <= time.time_ns()


@pytest.mark.parametrize(("error", "code"), [
    (errno.EPERM, 13), (errno.ENETUNREACH, 0), (errno.EHOSTUNREACH, 1), (errno.EINVAL, 1),
])
def test_datagram_that_the_kernel_refuses_is_answered_as_by_a_router(link, error, code):
    class Refusing:
        def sendto(self, *_):
            raise OSError(error, "no")

        def recvmsg(self, *_):
            raise BlockingIOError

        def close(self):
            pass

    link._by_port[4, 61_000] = Refusing()
    assert link.send(frames(datagram(4, 9, b"x"))) == 1
    assert link.counters().refused == 1
    [octets] = link.receive()
    _, rest = parsed(octets)
    assert (wire.ICMP.parse(rest).type, wire.ICMP.parse(rest).code) == (3, code)


def test_full_send_buffer_takes_no_more_for_now(link):
    class Full:
        def sendto(self, *_):
            raise BlockingIOError

        def close(self):
            pass

    link._by_port[4, 61_000] = Full()
    assert link.send(frames(datagram(4, 9, b"x"))) == 0


@pytest.mark.parametrize("octets", [
    b"\x45", (wire.IPv4(dst=1) / wire.TCP()).pack(), (wire.IPv6(dst=1) / wire.TCP()).pack(),
])
def test_what_is_not_udp_is_refused(link, octets):
    with pytest.raises(UsageError, match="UDP"):
        link.send(frames(octets))


def test_closing_twice_is_closing_once():
    link = UdpSocketsLink()
    link.close()
    link.close()


def test_without_descriptors_the_newest_tries_are_heard(server, family):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    port = server.getsockname()[1]
    with UdpSocketsLink() as link, ExitStack() as holes:
        while (number := os.dup(server.fileno())) < link.fileno():  # no room below the link's own
            holes.callback(os.close, number)
        os.close(number)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (link.fileno() + 3, hard))
            packets = [datagram(family, port, b"x", sport=61_000 + n) for n in range(8)]
            assert link.send(frames(*packets)) == 8
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        peers = [server.recvfrom(10)[1] for _ in range(8)]
        server.sendto(b"late", peers[0])
        server.sendto(b"in time", peers[-1])
        [octets] = link.receive(WAIT_NS)
        _, rest = parsed(octets)
        assert (wire.UDP.parse(rest).dport, rest[8:]) == (61_007, b"in time")
