from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire.checksum import finish, internet_sum
from portulan.wire.tcp import EOL, NOP, SACK_OK, mss, timestamps, wscale

from .generators import ip4_address, payload, tcp_option_area


@given(ip4_address, ip4_address, tcp_option_area, payload)
def test_packed_segment_sums_to_zero_with_its_pseudo_header(src, dst, area, body):
    packet = wire.IPv4(src=src, dst=dst) / wire.TCP(dport=80) / area / body
    octets = packet.pack()
    ip, segment = wire.IPv4.parse(octets), octets[20:]
    assert finish(internet_sum(segment) + ip.pseudo_sum(6, len(segment))) == 0
    assert wire.TCP.parse(octets, 20).data_offset * 4 == 20 + len(area)


def test_flags_are_letters_and_numbers():
    assert wire.TCP(flags="SA").flags == wire.TcpFlags.SYN | wire.TcpFlags.ACK == 18
    assert str(wire.TCP(flags=0xFF).flags) == "FSRPAUEC"
    assert str(wire.TCP(flags="").flags) == ""
    with pytest.raises(UsageError, match="FSRPAUEC"):
        wire.TCP(flags="SX")


def test_built_options_are_walked_back():
    area = wire.tcp_options(mss(1460), SACK_OK, timestamps(1, 2), NOP, wscale(7), EOL)
    octets = b"lead" + (wire.TCP() / area / b"data").pack()
    found = [(o.kind, o.data.hex(), o.offset, o.defect) for o in
             wire.TCP.parse(octets, 4).options(octets, 4)]
    assert found == [
        (2, "05b4", 24, ""), (4, "", 28, ""), (8, "0000000100000002", 30, ""), (1, "", 40, ""),
        (3, "07", 41, ""), (0, "", 44, ""),
    ]


@given(st.binary(min_size=20, max_size=70))
def test_options_of_any_octets_end(octets):
    items = list(wire.TCP.parse(octets).options(octets))
    assert len(items) <= 40


def test_options_that_exceed_the_header_are_refused():
    with pytest.raises(UsageError, match="40 fit"):
        wire.tcp_options(*[timestamps(1)] * 5)
