from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.target.classify import UNASKABLE, classify, classify_ranges, describe_address, kinds
from portulan.target.ranges import Range


@pytest.mark.parametrize(("address", "kind"), [
    ("10.255.255.255", "private"), ("11.0.0.0", "public"), ("172.16.0.1", "private"),
    ("172.32.0.0", "public"), ("192.168.1.1", "private"), ("127.0.0.1", "loopback"),
    ("169.254.1.1", "link-local"), ("100.64.0.1", "shared"), ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"), ("240.0.0.1", "reserved"), ("255.255.255.255", "broadcast"),
    ("0.0.0.0", "unspecified"), ("0.0.0.1", "reserved"), ("192.0.2.9", "documentation"),
    ("198.18.0.1", "benchmarking"), ("8.8.8.8", "public"), ("192.0.0.9", "public"),
    ("::", "unspecified"), ("::1", "loopback"), ("fe80::1%eth0", "link-local"),
    ("fd00::1", "private"), ("ff02::1", "multicast"), ("2001:db8::1", "documentation"),
    ("2a01:4f8::1", "public"), ("100::1", "discard"), ("4000::1", "reserved"),
])
def test_address_has_its_kind(address, kind):
    assert classify(address).kind == kind


@given(st.integers(0, (1 << 32) - 1))
def test_ipv4_agrees_with_the_standard_library(number):
    address, kind = ipaddress.IPv4Address(number), classify(number, 4).kind
    assert address.is_multicast == (kind == "multicast")
    assert address.is_loopback == (kind == "loopback")
    assert address.is_link_local == (kind == "link-local")
    if address.is_global and not address.is_multicast:
        assert kind in ("public", "reserved")  # 6to4 relays are deprecated


@given(st.lists(st.integers(0, (1 << 32) - 4000), max_size=5, unique=True), st.integers(1, 3000))
def test_ranges_count_as_their_addresses_do(starts, count):
    ranges = [Range(4, start, count) for start in [*starts, (10 << 24) - 100, (224 << 24) - 7]]
    edges = Counter(
        classify(number, 4).kind for item in ranges
        for number in {item.start, item.stop - 1})
    found = dict(classify_ranges(ranges))
    assert sum(found.values()) == count * len(ranges)
    assert set(edges) <= set(found)


def test_range_across_a_border_is_cut_there():
    assert list(kinds([Range(4, (10 << 24) - 1, 3)])) == [
        ("public", Range(4, (10 << 24) - 1, 1)), ("private", Range(4, 10 << 24, 2))]


def test_whole_spaces_are_counted_to_the_last_address():
    assert sum(n for _, n in classify_ranges([Range(4, 0, 1 << 32)])) == 1 << 32
    assert sum(n for _, n in classify_ranges([Range(6, 0, 1 << 128)])) == 1 << 128


def test_no_scan_of_what_names_no_single_host():
    assert {"multicast", "broadcast", "reserved"} <= UNASKABLE
    assert not UNASKABLE & {"private", "public", "loopback", "link-local", "shared"}


def test_description_says_block_name_and_rfc():
    assert describe_address("10.1.2.3") == (
        "10.1.2.3 is an IPv4 address of 10.0.0.0/8: private-use (RFC 1918), private.")
    assert "ARIN" in describe_address("8.8.8.8")
    with pytest.raises(UsageError):
        describe_address("10.1.2")
