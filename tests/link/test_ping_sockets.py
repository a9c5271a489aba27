from __future__ import annotations

import errno
import os
import socket
import struct

import pytest

import portulan.wire as wire
from portulan.errors import PrivilegeError, UsageError
from portulan.link import ping_sockets
from portulan.link.contract import Link
from portulan.link.ping_sockets import PingSocketsLink
from portulan.wire.frames import Frames, LinkType

HOSTS = {4: "192.0.2.9", 6: "2001:db8::9"}
REPLY = {4: 0, 6: 129}


class Kernel:
    """Stands in for a ping socket: answers each request with the identifier that it chose."""

    def __init__(self, family):
        self.family, self.queue, self.refuse = family, [], 0
        self.ears, self.mouth = os.pipe()

    def setsockopt(self, *_):
        pass

    def fileno(self):
        return self.ears

    def sendto(self, data, address):
        if self.refuse:
            raise OSError(self.refuse, "refused")
        self.say(bytes([REPLY[self.family], 0]) + b"\1\2\x77\x77" + data[6:], address[0])

    def say(self, data, source):
        self.queue.append((data, source))
        os.write(self.mouth, b".")

    def recvmsg(self, *_):
        if not self.queue:
            raise BlockingIOError
        os.read(self.ears, 1)
        data, source = self.queue.pop(0)
        told = [(socket.IPPROTO_IP, 2, struct.pack("=I", 63))]
        return data, told, 0, (source, 0)

    def close(self):
        os.close(self.ears)
        os.close(self.mouth)


@pytest.fixture(params=[4, 6])
def family(request):
    return request.param


@pytest.fixture
def kernel(family, monkeypatch):
    made = Kernel(family)
    monkeypatch.setattr(ping_sockets.socket, "socket", lambda *_: made)
    return made


@pytest.fixture
def link():
    with PingSocketsLink() as made:
        yield made


def request(family, seq=5, data=b"hello"):
    head = wire.IPv6(dst=HOSTS[6]) if family == 6 else wire.IPv4(dst=HOSTS[4])
    echo = (wire.ICMPv6 if family == 6 else wire.ICMP).echo(id=0x1234, seq=seq)
    return Frames.of([(head / echo / data).pack()], link_type=LinkType.RAW)


def test_fulfils_the_contract(link):
    assert isinstance(link, Link)
    got = link.receive()
    assert (len(got), got.link_type) == (0, LinkType.RAW)


def test_reply_comes_back_with_the_identifier_that_was_asked_with(link, kernel, family):
    assert link.send(request(family)) == 1
    (octets,) = link.receive(1_000_000_000)
    head, message = (wire.IPv6, wire.ICMPv6) if family == 6 else (wire.IPv4, wire.ICMP)
    ip, icmp = head.parse(octets), message.parse(octets, head.size)
    assert (str(ip.src), icmp.id, icmp.seq) == (HOSTS[family], 0x1234, 5)
    assert octets[head.size + 8 :] == b"hello"
    assert (ip.ttl if family == 4 else ip.hop_limit) == 63
    assert (link.counters().sent, link.counters().received) == (1, 1)


def test_answer_that_was_not_asked_for_is_not_heard(link, kernel, family):
    link.send(request(family))
    kernel.queue.clear()
    other = {4: "192.0.2.8", 6: "2001:db8::8"}[family]
    kernel.say(bytes([REPLY[family], 0]) + b"\0\0\0\0\0\5", other)
    kernel.say(bytes([REPLY[family], 0]) + b"\0\0\0\0\0\6", HOSTS[family])
    kernel.say(b"\x03\x00" + b"\0\0\0\0\0\5", HOSTS[family])
    kernel.say(b"", HOSTS[family])
    assert len(link.receive(1_000_000_000)) == 0


@pytest.mark.parametrize(("code", "taken"), [
    (errno.ENETUNREACH, 1), (errno.EPERM, 1), (errno.ENOBUFS, 0), (errno.EAGAIN, 0),
])
def test_refusal_is_counted_and_a_full_queue_is_tried_again(link, kernel, family, code, taken):
    kernel.refuse = code
    assert link.send(request(family)) == taken
    assert link.counters().refused == taken


def test_oldest_question_is_forgotten(link, kernel, family, monkeypatch):
    monkeypatch.setattr(ping_sockets, "ASKED_MAX", 2)
    for seq in (1, 2, 3):
        link.send(request(family, seq))
    assert len(link.receive(1_000_000_000)) == 2


def test_what_is_no_echo_request_is_refused(link):
    packet = wire.IPv4(dst=HOSTS[4]) / wire.UDP(dport=53) / b"x"
    with pytest.raises(UsageError):
        link.send(Frames.of([packet.pack()], link_type=LinkType.RAW))


def test_missing_right_is_named(link, family, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(ping_sockets.socket, "socket", refuse)
    with pytest.raises(PrivilegeError, match="ping_group_range"):
        link.send(request(family))
