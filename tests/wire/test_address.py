from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire import Ip4, Ip6, Mac


@given(st.integers(0, (1 << 32) - 1))
def test_ip4_text_and_number_agree_with_the_standard_library(number):
    address = Ip4.of(str(IPv4Address(number)))
    assert (int(address), str(address)) == (number, str(IPv4Address(number)))
    assert address.packed == IPv4Address(number).packed


@given(st.integers(0, (1 << 128) - 1))
def test_ip6_halves_join_to_the_same_address(number):
    address = Ip6.of(str(IPv6Address(number)))
    assert address == number
    assert Ip6.join(address.hi, address.lo) == address


@given(st.integers(0, (1 << 48) - 1))
def test_mac_text_is_read_back_with_either_separator(number):
    text = str(Mac(number))
    assert Mac.of(text) == Mac.of(text.replace(":", "-").upper()) == number


@pytest.mark.parametrize(("kind", "text"), [
    (Ip4, "1.2.3"), (Ip4, "1.2.3.256"), (Ip4, "::1"), (Ip4, "01.2.3.4"), (Ip6, "1.2.3.4"),
    (Ip6, "::g"), (Ip6, "fe80::1%eth0"), (Mac, "02:00"), (Mac, "02:00-00:00:00:01"), (Mac, ""),
    (Mac, "020000000001"), (Ip4, -1), (Ip4, 1 << 32), (Mac, 1 << 48), (Ip6, 1 << 128),
])
def test_what_is_no_address_is_refused(kind, text):
    with pytest.raises(UsageError):
        kind.of(text)


def test_repr_shows_the_text():
    assert repr(Ip4(0x0A000001)) == "Ip4('10.0.0.1')"
