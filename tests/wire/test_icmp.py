from __future__ import annotations

from hypothesis import given

import portulan.wire as wire
from portulan.wire.checksum import internet_checksum

from .generators import header_of, payload


@given(header_of(wire.ICMP), payload)
def test_packed_message_sums_to_zero(header, body):
    fresh = wire.ICMP(type=header.type, code=header.code, id=header.id, seq=header.seq)
    octets = (wire.IPv4() / fresh / body).pack()[20:]
    assert internet_checksum(octets) == 0
    assert fresh.is_error == (fresh.type in (3, 4, 5, 11, 12))


def test_messages_have_their_numbers():
    assert wire.ICMP.echo(id=1, seq=2) == wire.ICMP(type=8, id=1, seq=2)
    assert wire.ICMP.echo_reply(id=1, seq=2) == wire.ICMP(type=0, id=1, seq=2)
    timestamp = wire.ICMP.timestamp(id=3, originate_ms=0x01020304).pack()
    assert (timestamp[0], len(timestamp), timestamp[8:12]) == (13, 20, b"\1\2\3\4")
    refused = wire.ICMP.unreachable(wire.Unreachable.FRAGMENTATION_NEEDED, b"quoted", mtu=1400)
    assert (refused[wire.ICMP].code, refused[wire.ICMP].seq, refused.pack()[8:]) == (
        4, 1400, b"quoted")
    assert wire.ICMP.time_exceeded(b"q")[wire.ICMP].type == wire.IcmpType.TIME_EXCEEDED


def test_message_without_a_type_is_an_echo_request():
    assert wire.ICMP().type == wire.IcmpType.ECHO == 8
    assert wire.ICMPv6().type == wire.Icmp6Type.ECHO == 128
