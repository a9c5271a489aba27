"""Addresses as small values: an int that is the column's value and prints as people write it.

`Ip4(0x0A000001) == 0x0A000001` and `str(...) == "10.0.0.1"`: a scalar compares with a column
without any conversion, which `ipaddress` objects (five times slower to make) cannot do.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Self

from portulan.errors import UsageError

_MAC = re.compile(r"[0-9a-fA-F]{1,2}([:-])(?:[0-9a-fA-F]{1,2}\1){4}[0-9a-fA-F]{1,2}\Z")


class Address(int):
    """An address of a fixed number of bits; the int is its big-endian value."""

    bits = 0

    @classmethod
    def of(cls, value: str | int) -> Self:
        """Return the address from its text or number; raises `UsageError` if it is neither."""
        number = cls._number(value) if isinstance(value, str) else value
        if not 0 <= number < 1 << cls.bits:
            raise UsageError(f"does not fit the {cls.bits} bits of {cls.__name__}", text=str(value))
        return cls(number)

    @classmethod
    def _number(cls, text: str) -> int:
        raise NotImplementedError

    @property
    def packed(self) -> bytes:
        """The address in network byte order."""
        return self.to_bytes(self.bits // 8, "big")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class Ip4(Address):
    """An IPv4 address."""

    bits = 32

    @classmethod
    def _number(cls, text: str) -> int:
        try:
            return int(IPv4Address(text))
        except AddressValueError:
            raise UsageError("not an IPv4 address", text=text, hint="write 192.0.2.1") from None

    def __str__(self) -> str:
        return f"{self >> 24}.{self >> 16 & 255}.{self >> 8 & 255}.{self & 255}"


class Ip6(Address):
    """An IPv6 address; its columns are two: `hi` and `lo`, 64 bits each."""

    bits = 128

    @classmethod
    def _number(cls, text: str) -> int:
        try:
            if "%" in text:
                # A zone is no part of the 128 bits: dropping it here would change the target.
                raise AddressValueError
            return int(IPv6Address(text))
        except AddressValueError:
            raise UsageError("not an IPv6 address", text=text, hint="write 2001:db8::1") from None

    def __str__(self) -> str:
        return str(IPv6Address(int(self)))

    @classmethod
    def join(cls, hi: int, lo: int) -> Self:
        """Return the address of its two column values."""
        return cls(int(hi) << 64 | int(lo))

    @property
    def hi(self) -> int:
        """The network half: the value of the first column."""
        return self >> 64

    @property
    def lo(self) -> int:
        """The interface half: the value of the second column."""
        return self & 0xFFFF_FFFF_FFFF_FFFF


class Mac(Address):
    """An Ethernet address (EUI-48)."""

    bits = 48

    @classmethod
    def _number(cls, text: str) -> int:
        if not _MAC.match(text):
            hint = "write 02:00:5e:10:00:01"
            raise UsageError("not an Ethernet address", text=text, hint=hint)
        return int.from_bytes(bytes(int(part, 16) for part in re.split("[:-]", text)), "big")

    def __str__(self) -> str:
        return self.packed.hex(":")
