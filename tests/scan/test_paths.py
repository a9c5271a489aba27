from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from portulan.scan.paths import NO_WAY, Paths, Via

VIAS = tuple(Via(n, 4, n) for n in range(3))
ways = st.lists(st.sampled_from([0, 1, 2, NO_WAY]), max_size=40)


@given(ways)
def test_split_gives_each_row_its_way_once_and_leaves_the_wayless_out(of_host):
    paths = Paths(VIAS, np.array(of_host, np.uint8))
    host = np.arange(len(of_host))[::-1]
    found = {}
    for via, rows in paths.split(host):
        for row in np.arange(len(host))[rows].tolist():
            assert row not in found
            found[row] = via.link
    assert found == {
        row: of_host[at] for row, at in enumerate(host.tolist()) if of_host[at] != NO_WAY}


def test_one_way_for_all_selects_everything_without_a_column():
    [(via, rows)] = Paths((VIAS[1],)).split(np.arange(5))
    assert (via, rows) == (VIAS[1], slice(None))


def test_next_macs_router_is_one_for_all_neighbour_one_a_host():
    macs = np.array([5, 6, 7], np.uint64)
    router, neighbour = Via(0, 4, 1, b"123456", 9), Via(0, 4, 1, b"123456")
    paths = Paths((router, neighbour), np.array([0, 1, 1], np.uint8), macs)
    assert paths.next_macs(router, np.array([0])) == 9
    assert paths.next_macs(neighbour, np.array([2, 1])).tolist() == [7, 6]
    assert Paths((neighbour,)).next_macs(neighbour, np.array([0])) == 0


def test_via_is_ethernet_only_with_an_address_of_its_own():
    assert Via(0, 4, 1, b"123456").ethernet
    assert not Via(0, 4, 1).ethernet
