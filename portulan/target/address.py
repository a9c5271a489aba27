"""Addresses as numbers and as text (RFC 4291, RFC 5952).

An address is (family, hi, lo): 4 or 6, and the upper and lower 64 bits; IPv4 has hi = 0.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError

BITS: Final = {4: 32, 6: 128}
_LOW_64: Final = 2**64 - 1
_OCTETS: Final = tuple(str(octet) for octet in range(256))
_ZERO_RUNS: Final = re.compile(r"\b0(?::0)+\b")


def address_text(family: int, hi: int, lo: int) -> str:
    """Return the address as people write it, IPv6 in the form of RFC 5952.

    >>> address_text(6, 0x20010DB8 << 32, 1)
    '2001:db8::1'
    """
    if family == 4:
        return f"{lo >> 24}.{lo >> 16 & 255}.{lo >> 8 & 255}.{lo & 255}"
    return _v6_text(hi, lo)


def address_texts(
    family: NDArray[np.uint8], hi: NDArray[np.uint64], lo: NDArray[np.uint64]
) -> list[str]:
    """Return many addresses as text, one of each row."""
    if (family == 4).all():
        octet = _OCTETS
        return [
            f"{octet[a]}.{octet[b]}.{octet[c]}.{octet[d]}"
            for a, b, c, d in zip(*[iter(lo.astype(">u4").tobytes())] * 4, strict=True)
        ]
    rows = zip(family.tolist(), hi.tolist(), lo.tolist(), strict=True)
    return [address_text(*row) for row in rows]


def address_value(text: str) -> tuple[int, int, int]:
    """Return (family, hi, lo) of an address without zone; raises `UsageError`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise UsageError("not an address", text=text) from None
    if "%" in text:
        raise UsageError("an address without a zone is needed here", text=text)
    value = int(address)
    return address.version, value >> 64, value & _LOW_64


def _v6_text(hi: int, lo: int) -> str:
    value = hi << 64 | lo
    text = ":".join([f"{value >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)])
    run = max(_ZERO_RUNS.finditer(text), key=lambda found: len(found[0]), default=None)
    if run is None:
        return text
    return f"{text[: run.start()].rstrip(':')}::{text[run.end() :].lstrip(':')}"
