from __future__ import annotations

from portulan.target.ports import describe_port, parse_ports, service_name
from portulan.target.protocols import NAMES, PROTOCOL_MAX


def test_names_are_of_octets_and_each_its_own():
    assert min(NAMES) == 0
    assert max(NAMES) <= PROTOCOL_MAX
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(name == name.lower() for name in NAMES.values())


def test_protocols_are_read_by_name_and_number_and_all_begin_with_0():
    assert parse_ports("gre,ospf,1", protocols=("ip",)).ip == (1, 47, 89)
    assert parse_ports("-", protocols=("ip",)).ip == tuple(range(256))
    assert str(parse_ports("80,P:gre")) == "T:80 P:47"


def test_number_is_described_as_a_protocol():
    assert service_name(47, "ip") == "gre"
    assert describe_port(47, "ip") == "IP protocol 47 is gre."
    assert "not assigned" in describe_port(200, "ip")
