from __future__ import annotations

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.target.address import address_text, address_texts, address_value

LOW = (1 << 64) - 1
sparse = st.lists(st.sampled_from([0, 0, 0, 1, 0xA10, 0xFFFF]), min_size=8, max_size=8).map(
    lambda groups: sum(group << 16 * at for at, group in enumerate(groups)))


@given(st.one_of(sparse, st.integers(0, (1 << 128) - 1)))
def test_ipv6_text_is_rfc_5952_and_reads_back(number):
    text = address_text(6, number >> 64, number & LOW)
    assert address_value(text) == (6, number >> 64, number & LOW)
    if not ipaddress.IPv6Address(number).ipv4_mapped:  # Python 3.13 writes these with dots
        assert text == str(ipaddress.IPv6Address(number))


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=20))
def test_ipv4_many_equals_one_by_one(numbers):
    lo = np.array(numbers, np.uint64)
    texts = address_texts(np.full(len(lo), 4, np.uint8), np.zeros_like(lo), lo)
    assert texts == [address_text(4, 0, n) for n in numbers]
    assert texts == [str(ipaddress.IPv4Address(n)) for n in numbers]


def test_mixed_families_keep_their_order():
    columns = np.array([6, 4], np.uint8), np.array([0, 0], np.uint64), np.array([1, 1], np.uint64)
    assert address_texts(*columns) == ["::1", "0.0.0.1"]


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1.2.3.256", "01.2.3.4", "::g", "fe80::1%lo"])
def test_wrong_address_is_named(text):
    with pytest.raises(UsageError) as caught:
        address_value(text)
    assert caught.value.text == text
