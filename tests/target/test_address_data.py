from __future__ import annotations

import ipaddress
from typing import get_args

from portulan.target.address_data import HOLDERS, SPECIAL
from portulan.target.classify import Kind


def test_special_lines_are_net_kind_rfc_name():
    for line in SPECIAL.splitlines():
        prefix, kind, rfc, name = line.split(" ", 3)
        ipaddress.ip_network(prefix)
        assert kind in get_args(Kind) and rfc.isdigit() and name


def test_holders_lines_are_net_and_holder():
    lines = HOLDERS.splitlines()
    for line in lines:
        prefix, holder = line.split(" ", 1)
        ipaddress.ip_network(prefix)
        assert holder
    assert any("RIPE NCC" in line for line in lines)
