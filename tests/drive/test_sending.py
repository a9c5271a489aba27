from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from portulan.drive.outgoing import prepare
from portulan.drive.sending import _open, emit, exchange
from portulan.errors import UsageError
from portulan.wire import (
    ARP,
    ICMP,
    TCP,
    UDP,
    Ethernet,
    ICMPv6,
    IPv4,
    IPv6,
    LinkType,
    TcpFlags,
)
from tests.link.namespace import inside, run

from .sending_ground import ground

assert ground
pytestmark = pytest.mark.live


def asked(ground, packet, **words):
    with inside(ground.near):
        return exchange(packet, timeout_ns=words.pop("timeout_ns", 2 * 10**9), **words)


def only_reply(done):
    assert len(done.answered) == 1 and not done.unanswered
    return done.answered[0].reply


def test_syn_to_open_port_is_answered_by_syn_ack(ground):
    with inside(ground.far):
        server = socket.create_server(("10.9.0.2", 0))
    with server:
        port = server.getsockname()[1]
        done = asked(ground, IPv4(dst="10.9.0.2") / TCP(dport=port))
    reply = only_reply(done)
    assert reply["tcp.flags"] == TcpFlags.SYN | TcpFlags.ACK
    assert (str(reply["ip.src"]), reply["tcp.sport"]) == ("10.9.0.2", port)
    assert 0 < done.answered[0].rtt_ns < 2 * 10**9
    assert done.answered[0].sent["tcp.sport"] >= 49_152


@pytest.mark.parametrize(("packet", "field", "value"), [
    (ARP.who_has("10.9.0.2"), "arp.spa", "10.9.0.2"),
    (Ethernet() / ARP.who_has("10.9.0.2"), "arp.operation", "2"),
    (IPv4(dst="10.9.0.2") / ICMP.echo() / b"x", "icmp.type", "0"),
    (Ethernet() / IPv4(dst="10.9.0.2") / ICMP.echo(id=7, seq=1), "icmp.id", "7"),
    (IPv4(dst="10.9.0.2") / UDP(dport=9), "icmp.code", "3"),
    (IPv6(dst="fd00::2") / ICMPv6.echo(), "icmpv6.type", "129"),
    (IPv6(dst="fd00::2") / UDP(dport=9), "icmpv6.code", "4"),
    (IPv6(dst="fd00::2") / TCP(dport=9), "tcp.flags", "RA"),
    (IPv4(dst="127.0.0.1") / ICMP.echo(), "icmp.type", "0"),
    (IPv4(dst="10.9.0.1") / ICMP.echo(), "icmp.type", "0"),
    (IPv6(dst="::1") / UDP(dport=9), "icmpv6.code", "4"),
])
def test_question_of_each_protocol_is_answered(ground, packet, field, value):
    assert str(only_reply(asked(ground, packet))[field]) == value


def test_ten_thousand_probes_of_a_network_are_all_answered_in_one_call(ground):
    packet = IPv4(dst=("10.8.0.0", "10.8.39.15")) / TCP(dport=80)
    done = asked(ground, packet, rate_pps=0, retries=2)
    assert (done.rtt_ns >= 0).all() and len(done) == 10_000
    rows = np.sort(np.concatenate([index for index, _ in done.replies]))
    assert np.array_equal(rows, np.arange(10_000))
    for index, frames in done.replies:
        source = IPv4.gather(frames.buffer, frames.offset + 14).src
        assert np.array_equal(source, 0x0A080000 + index)


def test_silence_is_a_result(ground):
    done = asked(ground, IPv4(dst="10.9.0.3") / ICMP.echo())
    assert not done.answered
    assert done.unreached == {0: "its Ethernet address is not known"}
    done = asked(ground, ARP.who_has("10.9.0.77"), timeout_ns=10**7, retries=1)
    assert [str(each["arp.tpa"]) for each in done.unanswered] == ["10.9.0.77"]
    assert repr(done) == "<0 of 1 answered>"


def test_packet_without_route_is_not_sent(ground):
    done = asked(ground, IPv4(dst="192.0.2.1") / ICMP.echo())
    assert done.unreached == {0: "no route"}


def test_sent_frames_are_counted_and_heard(ground):
    with inside(ground.far):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("10.9.0.2", 0))
    with receiver, inside(ground.near):
        port = receiver.getsockname()[1]
        packet = IPv4(dst="10.9.0.2") / UDP(sport=(1000, 1004), dport=port) / b"ahoy"
        assert emit(packet) == 5
        receiver.settimeout(5)
        assert sorted(receiver.recvfrom(9)[1][1] for _ in range(5)) == list(range(1000, 1005))


def test_wrong_on_purpose_leaves_as_it_was_given(ground):
    with inside(ground.far):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        tap.bind(("vb", 0x0800))
    with tap, inside(ground.near):
        assert emit(IPv4(dst="10.9.0.2", checksum=0xBAD, ttl=3) / TCP(checksum=0xBEE)) == 1
        tap.settimeout(5)
        frame = tap.recv(2048)
    assert IPv4.parse(frame, 14).checksum == 0xBAD
    assert TCP.parse(frame, 34).checksum == 0xBEE


def test_interface_that_is_not_there_is_named(ground):
    with pytest.raises(UsageError, match=r"no such interface.*va"):
        asked(ground, ARP.who_has("10.9.0.2"), interface="nothere")
    with pytest.raises(UsageError, match="does not begin with"):
        asked(ground, TCP() / b"")


def test_reply_frames_keep_their_link_type(ground):
    done = asked(ground, IPv4(dst="127.0.0.1") / TCP(dport=9))
    assert done.replies[0][1].link_type == LinkType.RAW


def test_exchange_in_a_shell_shows_who_answered(ground):
    class Printer:
        text = staticmethod(lambda said: lines.extend(said.splitlines()))

    lines = []
    asked(ground, IPv4(dst=("10.8.0.1", "10.8.0.25")) / ICMP.echo())._repr_pretty_(Printer, False)
    assert lines[0] == "<25 of 25 answered>" and "10.8.0.1 > 10.9.0.1 ICMP" in lines[1]
    assert lines[-1] == "  … 5 more"


def test_other_traffic_never_enters_the_ring(ground):
    with inside(ground.near):
        part = prepare(IPv4(dst="10.9.0.2") / UDP(sport=50_000, dport=9), "").parts[0]
        link = _open(part, hear=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("10.9.0.1", 0))
            address = receiver.getsockname()
            with inside(ground.far), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(50):
                    sender.sendto(b"noise", address)
                sender.sendto(b"reply", ("10.9.0.1", 50_000))
    with link:
        heard = [frame for _ in range(3) for frame in link.receive(100_000_000)]
    assert [frame[-5:] for frame in heard if frame[23] == 17] == [b"reply"]


def answering(ground, times):
    """Return a socket of `far` and a thread that answers one datagram so often."""
    with inside(ground.far):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("10.9.0.2", 0))

    def answer():
        _, peer = server.recvfrom(100)
        for number in range(times):
            server.sendto(bytes([number]), peer)

    thread = threading.Thread(target=answer)
    thread.start()
    return server, thread


def test_every_reply_is_kept_when_asked_for(ground):
    server, thread = answering(ground, 3)
    with server:
        packet = IPv4(dst="10.9.0.2") / UDP(dport=server.getsockname()[1]) / b"?"
        done = asked(ground, packet, every=True, timeout_ns=300_000_000)
        thread.join()
    assert [bytes(pair.reply)[-1] for pair in [*done.answered, *done.further]] == [0, 1, 2]
    assert sum(len(frames) for _, frames in done.reply_frames()) == 3
    assert all(0 <= pair.rtt_ns < 300_000_000 for pair in done.further)


def test_first_reply_alone_is_kept_otherwise(ground):
    server, thread = answering(ground, 3)
    with server:
        packet = IPv4(dst="10.9.0.2") / UDP(dport=server.getsockname()[1]) / b"?"
        done = asked(ground, packet)
        thread.join()
    assert len(done.answered) == 1 and not done.further


def test_question_to_a_broadcast_address_is_answered_by_whoever(ground):
    run("ip", "netns", "exec", ground.far, "sysctl", "-qw",
        "net.ipv4.icmp_echo_ignore_broadcasts=0")
    done = asked(ground, IPv4(dst="10.9.0.255") / ICMP.echo())
    assert str(only_reply(done)["ip.src"]) == "10.9.0.2"
