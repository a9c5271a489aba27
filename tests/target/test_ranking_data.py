from __future__ import annotations

import pytest

from portulan.target import ranking_data
from portulan.target.ports import parse_ports


@pytest.mark.parametrize(("tiers", "least"), [
    (ranking_data.TCP_TIERS, 800), (ranking_data.UDP_TIERS, 300)])
def test_tiers_are_ports_ranked_by_hand(tiers, least):
    ports = [int(port) for tier in tiers for port in tier.split()]
    assert all(0 < port < 65_536 for port in ports)
    assert len(set(ports)) >= least


def test_alternates_are_port_lists():
    assert len(parse_ports(ranking_data.TCP_ALTERNATES)) > 400
    assert len(parse_ports(ranking_data.UDP_ALTERNATES)) > 100
