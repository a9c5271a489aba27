"""The Internet checksum (RFC 1071): of bytes, of rows, of ragged frames, and updated in place.

Sums are kept unfolded, as ints or uint64 columns, so that parts can be added in any order;
`finish` folds and complements. Words of rows are added in the machine's byte order and the folded
sum is swapped once: RFC 1071 section 2(B) proves both give the same checksum.

Measured a 40-byte row at batches of 1024: einsum over uint16 10 ns, `sum(axis=1)` 20 ns, column by
column 27 ns. A float32 product takes 6 ns, but wakes the threads of the linear algebra library.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from portulan.wire.frames import Frames
from portulan.wire.header import Header

Sum = TypeVar("Sum", int, NDArray[np.uint64])
Past = TypeVar("Past", int, NDArray[np.uint64])
_SWAPPED = sys.byteorder == "little"


@runtime_checkable
class PseudoHeader(Protocol):
    """A network header that takes part in its payload's checksum."""

    def pseudo_sum(self, protocol: int, length: int) -> int:
        """Return the sum of the pseudo-header's 16-bit words."""


def fold(total: Sum) -> Sum:
    """Return a sum of 16-bit words with its carries added back in: 16 bits."""
    total = (total & 0xFFFF_FFFF) + (total >> 32)
    for _ in range(3):
        total = (total & 0xFFFF) + (total >> 16)
    return total


def finish(total: Sum) -> Sum:
    """Return the checksum of a sum: folded and complemented."""
    checksum: Sum = 0xFFFF - fold(total)
    return checksum


def finish_udp(total: Sum) -> Sum:
    """Return the checksum of a sum for UDP: 0 would say "none", so 0xFFFF stands in (RFC 768)."""
    checksum = finish(total)
    marked: Sum = checksum + (checksum == 0) * 0xFFFF
    return marked


def word_sum(value: Sum) -> Sum:
    """Return the sum of the four 16-bit words of a number of up to 64 bits."""
    halves: Sum = (value & 0xFFFF) + ((value >> 16) & 0xFFFF)
    halves = halves + ((value >> 32) & 0xFFFF) + (value >> 48)
    return halves


def internet_sum(data: bytes | bytearray | memoryview) -> int:
    """Return the folded sum of the words of `data`, padded with a zero octet if odd."""
    # 2**16 is 1 modulo 65535, so a big number's remainder is the folded sum of its digits.
    if len(data) % 2:
        data = bytes(data) + b"\0"
    number = int.from_bytes(data, "big")
    return number % 0xFFFF or (0xFFFF if number else 0)


def internet_checksum(data: bytes | bytearray | memoryview, initial: int = 0) -> int:
    """Return the checksum of `data` on top of an `initial` sum; 0 if data holds a right one."""
    return finish(internet_sum(data) + initial)


def pseudo_ip4(src: Sum, dst: Sum, protocol: int, length: Sum) -> Sum:
    """Return the sum of IPv4's pseudo-header (RFC 9293 section 3.1)."""
    return word_sum(src) + word_sum(dst) + protocol + length


def pseudo_ip6(src: tuple[Sum, Sum], dst: tuple[Sum, Sum], protocol: int, length: Sum) -> Sum:
    """Return the sum of IPv6's pseudo-header (RFC 8200 section 8.1) of (hi, lo) addresses."""
    addresses = word_sum(src[0]) + word_sum(src[1]) + word_sum(dst[0]) + word_sum(dst[1])
    return addresses + protocol + word_sum(length)


def transport_sum(outer: tuple[Header, ...], protocol: int, segment: bytes) -> int:
    """Return the sum of a segment and of the pseudo-header of the nearest network header."""
    nearest = next((header for header in outer if isinstance(header, PseudoHeader)), None)
    pseudo = nearest.pseudo_sum(protocol, len(segment)) if nearest else 0
    return internet_sum(segment) + pseudo


def sum_rows(
    rows: NDArray[np.uint8], start: int = 0, stop: int | None = None
) -> NDArray[np.uint64]:
    """Return the folded sum of octets `start:stop` of each row (n, length)."""
    return _words_of_rows(rows[:, start:stop], np.zeros(1, np.uint64)).astype(np.uint64)


def _words_of_rows(part: NDArray[np.uint8], initial: NDArray[np.uint64]) -> NDArray[np.uint16]:
    octets = part.shape[1]
    # 32 bits hold the words of the longest frame (32,768 of 65,535) and what is added below.
    total = np.zeros(len(part), np.uint32)
    if octets > 1:
        words = part[:, : octets & ~1].view(np.uint16)
        total = np.einsum("ij->i", words, dtype=np.uint32)
    if octets % 2:
        total += part[:, -1].astype(np.uint32) << np.uint32(0 if _SWAPPED else 8)
    if initial.any():
        total += _to_wire(fold(initial).astype(np.uint16))
    total = (total & np.uint32(0xFFFF)) + (total >> np.uint32(16))
    total += total >> np.uint32(16)
    return _to_wire(total.astype(np.uint16))


def _to_wire(words: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return words.byteswap() if _SWAPPED else words


def checksum_rows(
    rows: NDArray[np.uint8], start: int = 0, stop: int | None = None,
    initial: NDArray[np.uint64] | int = 0,
) -> NDArray[np.uint16]:
    """Return the checksum of octets `start:stop` of each row, on top of `initial` sums."""
    return ~_words_of_rows(rows[:, start:stop], np.atleast_1d(np.asarray(initial, np.uint64)))


def sum_ragged(
    buffer: NDArray[np.uint8], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the folded sum of the octets from `start` up to `stop` of a flat buffer.

    One running sum over the words between the first and the last range serves all of them: a
    range is a difference of two. A range at an odd byte sees its words swapped, and so is its sum.
    """
    if not len(start):
        return np.zeros(0, np.uint64)
    low = int(start.min()) & ~1
    span = buffer[low : int(stop.max())]
    if len(span) % 2 or not len(span):
        span = np.concatenate([span, np.zeros(2 - len(span) % 2, np.uint8)])
    words = np.ascontiguousarray(span).view(np.uint16)
    running = np.zeros(len(words) + 1, np.uint64)
    # Widened first: a running sum that converts as it goes takes three times as long.
    running[1:] = words
    np.cumsum(running, out=running)
    total = fold(_upto(running, span, stop - low) - _upto(running, span, start - low))
    folded = total.astype(np.uint16)
    swapped = start & 1 != _SWAPPED
    return np.where(swapped, folded.byteswap(), folded).astype(np.uint64)


def _upto(
    running: NDArray[np.uint64], octets: NDArray[np.uint8], end: NDArray[np.int64]
) -> NDArray[np.uint64]:
    half = octets[np.maximum(end - 1, 0)].astype(np.uint64) << np.uint64(0 if _SWAPPED else 8)
    total: NDArray[np.uint64] = running[end >> 1] + half * (end & 1).astype(np.uint64)
    return total


def checksum_ragged(
    buffer: NDArray[np.uint8], start: NDArray[np.int64], stop: NDArray[np.int64],
    *, initial: NDArray[np.uint64] | int = 0,
) -> NDArray[np.uint16]:
    """Return the checksum of the octets `start` to `stop` of a flat buffer, over `initial` sums."""
    total: NDArray[np.uint64] = sum_ragged(buffer, start, stop) + np.asarray(initial, np.uint64)
    checksum: NDArray[np.uint16] = finish(total).astype(np.uint16)
    return checksum


def checksum_frames(frames: Frames) -> NDArray[np.uint16]:
    """Return the checksum of each whole frame."""
    return checksum_ragged(frames.buffer, frames.offset, frames.offset + frames.length)


def updated(checksum: Past, *, old: Past, new: Sum) -> Sum:
    """Return `checksum` after words summing to `old` became words summing to `new`.

    RFC 1624 equation 3, ints or uint64 columns; `word_sum` makes the sums. Words must lie at even
    bytes. The equation differs from a full sum only where all covered words are zero.
    """
    past: Any = (0xFFFF - checksum) + (0xFFFF - fold(old))
    total: Sum = past + new
    return finish(total)
