from __future__ import annotations

import numpy as np
import pytest

from portulan.drive.ways import Cables, Learned, Way, Ways, range_texts
from portulan.errors import UsageError
from portulan.scan.paths import NO_WAY
from portulan.target.ranges import Range
from portulan.target.space import Space

MAC = b"\x02\0\0\0\0\1"
LAN = Way(Range(4, 100, 10), "lan", 2, "neighbour", 1, MAC)
FAR = Way(Range(4, 200, 50), "lan", 2, "routed", 1, MAC, gateway=101, gateway_family=4)
BACK = Way(Range(4, 300, 5), "back", 3, "routed", 7, MAC, gateway=9, gateway_family=4)
TUN = Way(Range(4, 400, 5), "tun0", 4, "raw", 8)
LO = Way(Range(4, 0x7F000001), "lo", 1, "local", 0x7F000001)
ALL = (LAN, FAR, BACK, TUN)
SPACE = Space.hosts([way.range for way in ALL], [(6, 80)])
MACS = {(2, 101, 4): b"\x02\0\0\0\0\x65", (3, 9, 4): b"\x02\0\0\0\0\x09"}


def route(paths, host):
    number = paths.of_host[host]
    return None if number == NO_WAY else paths.vias[number]


def learned(*pairs):
    lo = np.array([address for address, _ in pairs], np.uint64)
    return Learned(np.full(len(pairs), 4, np.uint8), np.zeros(len(pairs), np.uint64), lo,
                   np.array([mac for _, mac in pairs], np.uint64))


def test_each_host_takes_its_way_and_neighbours_their_mac():
    cables = Cables(ALL)
    paths = cables.paths(SPACE, MACS, learned((103, 0x77)))
    assert [name for name, *_ in cables.links] == ["lan", "back", "tun0"]
    assert route(paths, 3).next_mac == 0
    assert paths.mac_of_host[3] == 0x77
    assert route(paths, 4) is None, "no neighbour answered there"
    far, back, tun = route(paths, 10), route(paths, 60), route(paths, 65)
    assert (far.next_mac, far.source) == (0x0200_0000_0065, 1)
    assert (back.next_mac, back.source) == (0x0200_0000_0009, 7)
    assert not tun.ethernet
    assert (far.link, back.link, tun.link) == (0, 1, 2)


def test_silent_router_leaves_its_targets_without_a_way():
    paths = Cables(ALL).paths(SPACE, {(3, 9, 4): MAC}, learned((103, 0x77)))
    assert route(paths, 10) is None
    assert route(paths, 60) is not None


def test_one_routed_way_needs_no_column():
    space = Space.hosts([FAR.range], [(6, 80)])
    paths = Cables([FAR]).paths(space, MACS)
    assert paths.of_host is None
    assert len(paths.vias) == 1


def test_asking_leads_only_to_ethernet_links():
    paths = Cables(ALL).asking(SPACE)
    assert route(paths, 0).next_mac == 0
    assert route(paths, 65) is None


def test_gateways_come_once_each():
    twice = Way(Range(4, 260, 5), "lan", 2, "routed", 1, MAC, gateway=101, gateway_family=4)
    assert {way.gateway for way in Cables([*ALL, twice]).gateways()} == {101, 9}
    assert len(Cables([*ALL, twice]).gateways()) == 2


def test_more_ways_than_a_byte_names_are_refused():
    many = [Way(Range(4, 1000 + n), "lan", 2, "routed", n, MAC, gateway=101, gateway_family=4)
            for n in range(260)]
    space = Space.hosts([way.range for way in many], [(6, 80)])
    with pytest.raises(UsageError, match="in parts"):
        Cables(many).paths(space, MACS)


def test_ways_are_sorted_out_by_manner():
    ways = Ways((LO, *ALL))
    assert ways.ranges("local") == (LO.range,)
    assert ways.ranges("routed", "raw") == (FAR.range, BACK.range, TUN.range)
    assert len(ways.all_ranges()) == 5
    assert (LO.local, LAN.neighbour, FAR.routed, TUN.routed) == (True,) * 4
    assert str(LO) == "127.0.0.1 dev lo this machine"
    assert str(FAR).endswith("dev lan via 0.0.0.101")


def test_zones_are_those_of_link_local_ways():
    fe80 = 0xFE80 << 112
    way = Way(Range(6, fe80 + 1, 2), "lan", 2, "neighbour", fe80, MAC)
    assert Ways((way, LAN)).zones() == {"fe80::1": 2, "fe80::2": 2}


def test_range_as_texts():
    assert range_texts(Range(4, 0x0A0000FF, 2)) == ["10.0.0.255", "10.0.1.0"]
