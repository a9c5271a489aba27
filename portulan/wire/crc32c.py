"""CRC32c (Castagnoli), SCTP's checksum: of bytes, and of rows of equal length.

RFC 9260 appendix A: the remainder's octets go on the wire in the order in which the reflected
algorithm has them, that is, as a little-endian number.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: 0x1EDC6F41, its bits reversed.
_POLYNOMIAL: Final = 0x82F6_3B78
_ALL: Final = 0xFFFF_FFFF


def _table() -> NDArray[np.uint32]:
    value = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        value = (value >> np.uint32(1)) ^ np.where(value & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return value


_TABLE: Final = _table()


def crc32c(octets: bytes) -> int:
    """Return the CRC32c of octets.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    return int(crc32c_rows(np.frombuffer(octets, np.uint8)[None, :])[0])


def crc32c_rows(rows: NDArray[np.uint8], start: int = 0) -> NDArray[np.uint32]:
    """Return the CRC32c of each row from the octet `start` on."""
    value = np.full(len(rows), _ALL, np.uint32)
    for column in range(start, rows.shape[1]):
        low = (value & np.uint32(0xFF)).astype(np.uint8) ^ rows[:, column]
        value = _TABLE[low] ^ (value >> np.uint32(8))
    return value ^ np.uint32(_ALL)
