from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portulan.lab.ports import contains, expand, parse_ports

SETS = st.sets(st.integers(0, 65535), min_size=1, max_size=40)


@given(SETS)
def test_any_set_written_down_reads_back(ports):
    assert set(expand(parse_ports(",".join(map(str, ports))))) == ports


@given(SETS, SETS)
def test_ports_left_out_are_not_contained(ports, but):
    assume(ports - but)
    ranges = parse_ports(",".join(map(str, ports)), but=",".join(map(str, but)))
    assert {p for p in ports | but if contains(ranges, p)} == ports - but


@given(SETS)
def test_ranges_are_ascending_and_apart(ports):
    ranges = parse_ports(",".join(map(str, ports)))
    edges = [edge for span in ranges for edge in span]
    assert edges == sorted(edges)
    assert all(b[0] - a[1] > 1 for a, b in pairwise(ranges))


@pytest.mark.parametrize("text", ["", "a", "-5", "5-", "70000", "9-2", "1,,2", "1-2-3", "²"])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match="port"):
        parse_ports(text)


def test_nothing_left_is_refused():
    with pytest.raises(ValueError, match="no port is left"):
        parse_ports("5-9", but="1-100")
