from __future__ import annotations

from hypothesis import given

import portulan.wire as wire
from portulan.wire.checksum import finish, internet_sum

from .generators import ip6_address, payload


@given(ip6_address, ip6_address, payload)
def test_packed_datagram_sums_to_zero_with_its_pseudo_header(src, dst, body):
    octets = (wire.IPv6(src=src, dst=dst) / wire.UDP(sport=1, dport=2) / body).pack()
    ip, datagram = wire.IPv6.parse(octets), octets[40:]
    assert finish(internet_sum(datagram) + ip.pseudo_sum(17, len(datagram))) == 0
    udp = wire.UDP.parse(octets, 40)
    assert udp.length == 8 + len(body)
    assert udp.checksum != 0
