from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.link.vendor import locally_administered, vendor


def test_vendor_of_a_registered_block_is_its_organisation() -> None:
    assert "Raspberry Pi" in vendor(bytes.fromhex("b827eb010203"))


@pytest.mark.parametrize("mac", ["525400123456", "02fc00000001", "01005e000001", "000000000000"])
def test_vendor_of_local_group_and_zero_addresses_is_empty(mac: str) -> None:
    assert vendor(bytes.fromhex(mac)) == ""


@given(st.binary(max_size=8))
def test_vendor_of_any_bytes_is_a_text(mac: bytes) -> None:
    assert isinstance(vendor(mac), str)


def test_locally_administered_is_the_second_bit() -> None:
    assert locally_administered(bytes.fromhex("525400123456"))
    assert not locally_administered(bytes.fromhex("b827eb010203"))


def test_vendor_of_a_local_address_does_not_load_the_register() -> None:
    code = (
        "import sys; from portulan.link.vendor import vendor; vendor(bytes([2] * 6));"
        "sys.exit('netaddr' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
