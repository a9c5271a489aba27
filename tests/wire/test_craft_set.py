from __future__ import annotations

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.wire import TCP, Ethernet, IPv4, IPv6
from portulan.wire.craft_set import VALUES_MAX, Many


def values(header, name):
    many = header.sets[name]
    return [sum(int(c[i]) << 64 * (len(many.columns) - 1 - at)
                for at, c in enumerate(many.columns)) for i in range(len(many))]


@pytest.mark.parametrize(("given", "wanted"), [
    ((1, 4), [1, 2, 3, 4]), ([1, (5, 6), 9], [1, 5, 6, 9]), (range(0, 9, 4), [0, 4, 8]),
    (np.array([7, 7]), [7, 7]),
])
def test_port_given_as_set_is_its_values(given, wanted):
    assert values(TCP(dport=given), "dport") == wanted


def test_address_given_as_set_is_its_values():
    assert values(IPv4(dst="10.9.0.5/30"), "dst") == [0x0A090004 + i for i in range(4)]
    assert values(IPv4(dst=("10.0.0.255", "10.0.1.0")), "dst") == [0x0A0000FF, 0x0A000100]
    assert values(Ethernet(src=["02:00:00:00:00:01"]), "src") == [0x020000000001]


def test_range_across_the_halves_of_ipv6_carries():
    top = (1 << 64) - 1
    assert values(IPv6(dst=(top, top + 2)), "dst") == [top, top + 1, top + 2]


@pytest.mark.parametrize("given", [
    "10.9.0.0/33", "::/64", (3, 2), (1, 2, 3), [], "10.0.0.0/8", [["10.0.0.1"]], ("x", "y"),
])
def test_set_that_makes_no_sense_is_refused_in_one_line(given):
    with pytest.raises(UsageError) as caught:
        IPv4(dst=given)
    assert "\n" not in str(caught.value)


def test_huge_range_is_refused_before_it_takes_memory():
    with pytest.raises(UsageError, match=str(VALUES_MAX)):
        IPv6(dst="2001:db8::/32")
    with pytest.raises(UsageError, match=str(VALUES_MAX)):
        TCP(seq=range(VALUES_MAX + 1))


def test_header_with_a_set_keeps_it_through_replace_and_tells_it():
    header = TCP(dport=(1, 3)).replace(sport=9)
    assert len(header.sets["dport"]) == 3 and not header.replace(dport=1).sets
    assert "3 values" in repr(header)
    assert header != TCP(sport=9, dport=1) and header == TCP(sport=9, dport=[1, 2, 3])
    assert header.is_given("sport") and not header.is_given("window")
    with pytest.raises(UsageError, match=r"dport.*craft\.build"):
        header.pack()


def test_sets_of_the_same_values_hash_alike():
    field = TCP.layout.by_name["dport"]
    assert hash(Many.of(field, (1, 2))) == hash(Many.of(field, [1, 2]))
