from __future__ import annotations

import numpy as np
import pytest

import portulan.wire as wire
from portulan.scan.kind import Outgoing, Stamp, find, split
from portulan.scan.paths import NO_WAY, Paths
from portulan.target.ranges import Range
from portulan.target.space import Probes, Space

from .crafting import ETHER4, ETHER6, NET4, NET6, RAW4, RAW6, Sent, mixed_paths, mixed_space

SEGMENT = wire.TCP(sport=5, dport=6, flags="S") / b""


@pytest.mark.parametrize("via", [ETHER4, RAW4, ETHER6, RAW6], ids=["e4", "r4", "e6", "r6"])
def test_stamped_rows_differ_from_the_template_only_where_probes_do(via):
    stamp = Stamp(via, SEGMENT)
    space = Space.hosts([Range(via.family, NET4 if via.family == 4 else NET6, 300)], [(6, 80)])
    rows, added = stamp.rows(space.probes(np.arange(300)), via.next_mac)
    total = np.uint64(stamp.transport_sum(wire.TCP)) + added
    wire.TCP.view(rows, stamp.transport).checksum[:] = wire.checksum.finish(total)
    for number in (0, 1, 255, 256, 299):
        probe = Sent.parse(rows[number].tobytes(), ethernet=via.ethernet)
        assert probe.sums_are_right()
        assert int(probe.ip.dst) == (NET4 if via.family == 4 else NET6) + number
        assert int(probe.ip.src) == via.source


def test_outgoing_names_its_link_type():
    row = np.zeros((1, 54), np.uint8)
    assert Outgoing(0, row, slice(None), True).link_type == wire.LinkType.ETHERNET
    assert Outgoing(0, row, slice(None), False).link_type == wire.LinkType.RAW


def test_split_covers_every_probe_that_has_a_way():
    space = mixed_space([(6, 80), (6, 81)], [(6, 80)])
    paths = mixed_paths(space)
    index = np.arange(space.size)[::-1]
    seen = []
    for via, rows, probes, _ in split(space, paths, index):
        assert set(probes.family.tolist()) == {via.family}
        assert (find(space, probes) == index[rows]).all()
        seen += index[rows].tolist()
    wayless = paths.of_host[space.host_of(index)] == NO_WAY
    assert sorted(seen) == sorted(index[~wayless].tolist())


def test_split_of_one_way_selects_everything():
    space = Space.hosts([Range(4, NET4, 5)], [(6, 80)])
    [(via, rows, probes, mac)] = split(space, Paths((ETHER4,)), np.arange(5))
    assert (via, rows, len(probes), mac) == (ETHER4, slice(None), 5, ETHER4.next_mac)


def test_find_stranger_is_minus_one():
    space = Space.hosts([Range(4, NET4, 5)], [(6, 80)])
    lo = np.array([NET4, NET4 + 5, NET4, NET4], np.uint64)
    probes = Probes(
        np.array([4, 4, 6, 4], np.uint8), np.zeros(4, np.uint64), lo,
        np.array([80, 80, 80, 81], np.uint16), np.full(4, 6, np.uint8))
    assert find(space, probes).tolist() == [0, -1, -1, -1]
