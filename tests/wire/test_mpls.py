from __future__ import annotations

import portulan.wire as wire
from portulan.wire.dissect import dissect
from portulan.wire.mpls import MPLS


def test_stack_ends_at_the_bottom_and_carries_ip_by_its_version():
    stack = wire.Ethernet() / MPLS(label=16, bottom=0) / MPLS(label=17)
    four = dissect((stack / wire.IPv4() / wire.TCP()).pack())
    six = dissect((stack / wire.IPv6() / wire.UDP()).pack())
    assert four.protocols == "ethernet:mpls:mpls:ip:tcp"
    assert six.protocols == "ethernet:mpls:mpls:ip6:udp"


def test_what_is_no_ip_is_payload():
    found = dissect((wire.Ethernet() / MPLS() / b"\0\0").pack())
    assert (found.protocols, found.defect) == ("ethernet:mpls", "")


def test_stack_that_ends_before_its_bottom_is_a_defect():
    assert "cut short" in dissect((wire.Ethernet() / MPLS(bottom=0)).pack()).defect
