from __future__ import annotations

import pytest
from hypothesis import given

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire.checksum import internet_checksum

from .generators import ip4_option_area, ip4_packets, payload


@given(ip4_packets())
def test_packed_header_sums_to_zero_and_counts_its_bytes(packet):
    octets = packet.pack()
    ip = wire.IPv4.parse(octets)
    assert internet_checksum(octets[: ip.ihl * 4]) == 0
    assert ip.total_length == len(octets)


@given(ip4_option_area, payload)
def test_built_options_are_walked_back_up_to_the_end(area, body):
    octets = (wire.IPv4() / area / body).pack()
    items = list(wire.IPv4.parse(octets).options(octets))
    assert not any(item.defect for item in items)
    rebuilt = wire.ip4_options(*((item.kind, item.data) for item in items))
    assert rebuilt == area


def test_known_header_of_rfc_791_form_has_its_known_checksum():
    header = wire.IPv4.parse(bytes.fromhex("45000073000040004011b861c0a80001c0a800c7"))
    again = wire.IPv4(src="192.168.0.1", dst="192.168.0.199", total_length=0x73, protocol=17)
    assert header.checksum == 0xB861
    assert wire.Packet((again,)).filled().layers == (header,)


def test_options_that_exceed_the_header_are_refused():
    with pytest.raises(UsageError, match="40 fit"):
        wire.ip4_options((7, bytes(39)))
