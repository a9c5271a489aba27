"""The journal of a run: `events.jsonl`, append-only, the same lines as `--json` prints.

Beside it lies `events.crc`, fixed records of (offset, length, CRC-32) over what each append wrote:
a flipped bit inside a number or a name leaves valid JSON, and the lines themselves must stay as
printed. The side file is a help only: missing, short or damaged, it checks less and hurts nothing.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from portulan.record import AnyEvent, encode_lines

from .disk import DiskError, DiskFile, RawFile, WholeAppender

CRC_BLOCK_BYTES = 1 << 16
"""Bytes under one checksum: finding a flipped bit walks at most this much, 0.1 s in Python."""

LINE_LIMIT_BYTES = 1 << 24
"""No event is longer; a longer line is damage and is not parsed."""

_CHECK = struct.Struct("<QIII")
"""offset, length, CRC-32 of the bytes, CRC-32 of the three fields before."""

_POLYNOMIAL = 0xEDB88320
"""CRC-32 of IEEE 802.3, reflected, as `zlib.crc32` computes it."""

_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a journal: `line` from 1, `offset` in bytes, and one sentence."""

    line: int
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"events.jsonl:{self.line} (byte {self.offset}): {self.reason}"


class Journal:
    """The one writer of a journal; hold the chart's lock while you have it."""

    def __init__(
        self, lines: RawFile, checks: RawFile, *, path: Path, size: int = 0, checks_size: int = 0,
    ) -> None:
        self._lines = WholeAppender(lines, path=path, size=size)
        self._checks = WholeAppender(checks, path=checks_path(path), size=checks_size)
        self.damage: list[Damage] = []

    @classmethod
    def create(cls, path: Path) -> Self:
        """Begin a journal; raises `DiskError` if the file exists or cannot be made."""
        return cls(DiskFile(path, new=True), DiskFile(checks_path(path), new=True), path=path)

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Take a journal up again: a torn last line is cut off, `damage` tells what else is wrong.

        Raises `DiskError` if there is none or it cannot be written.
        """
        _, damage = read_events(path)
        lines = DiskFile(path, new=False)
        size = _cut_torn_line(path, lines)
        checks = DiskFile(checks_path(path), new=not checks_path(path).exists())
        journal = cls(lines, checks, path=path, size=size, checks_size=_cut_checks(path, checks))
        journal.damage = damage
        return journal

    @property
    def path(self) -> Path:
        """Where the lines are."""
        return self._lines.path

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._lines.size

    def append(self, events: list[AnyEvent], *, sync: bool = True) -> bytes:
        """Keep events and return the bytes that may now be shown: exactly what was kept.

        One `write` for all of them, so batch. `sync` waits for the disk too (power loss); without
        it the lines survive the end of this process, by SIGKILL as well.
        Raises `DiskError`; then none of these events is kept and the journal stays readable.
        """
        data = encode_lines(events)
        start = self._lines.size
        self._lines.append(data, sync=sync)
        with suppress(DiskError):
            self._checks.append(_checks_of(data, start), sync=False)
        return data

    def close(self) -> None:
        """Put everything on the disk and close; raises `DiskError`."""
        try:
            self._lines.sync()
        finally:
            self._lines.close()
            self._checks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def checks_path(path: Path) -> Path:
    """Return where the checksums of a journal are."""
    return path.with_suffix(".crc")


def read_events(path: Path) -> tuple[list[AnyEvent], list[Damage]]:
    """Return the events of a journal, which may be growing, and what is wrong with it.

    A last line without an end is still being written, or torn by a kill: it is left out, silently.
    A line that cannot be read is reported and left out. A single flipped bit under a checksum is
    found and mended, and reported. Raises `DiskError` if the file cannot be read.
    """
    try:
        # The writer appends lines first: checks read before them never speak of lines to come.
        checks = list(_read_checks(path))
        data = path.read_bytes()
    except OSError as error:
        raise DiskError(error, path) from error
    data, damage = _verify(data, checks)
    events, unreadable = decode_lines(data[: data.rfind(b"\n") + 1])
    return events, sorted(damage + unreadable, key=lambda each: each.offset)


def decode_lines(data: bytes) -> tuple[list[AnyEvent], list[Damage]]:
    """Return the events of whole lines, and which lines could not be read."""
    try:
        return _decoder.decode_lines(data), []
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _decode_each(data)


def _decode_each(data: bytes) -> tuple[list[AnyEvent], list[Damage]]:
    events: list[AnyEvent] = []
    damage: list[Damage] = []
    offset = 0
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            if len(line) > LINE_LIMIT_BYTES:
                raise ValueError(f"longer than {LINE_LIMIT_BYTES} bytes")
            events.append(_decoder.decode(line))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            damage.append(Damage(number, offset, f"line left out: {error}"))
        offset += len(line) + 1
    return events, damage


def _checks_of(data: bytes, start: int) -> bytes:
    records = []
    for at in range(0, len(data), CRC_BLOCK_BYTES):
        block = data[at : at + CRC_BLOCK_BYTES]
        fields = (start + at, len(block), zlib.crc32(block))
        records.append(_CHECK.pack(*fields, zlib.crc32(struct.pack("<QII", *fields))))
    return b"".join(records)


def _read_checks(path: Path) -> Iterator[tuple[int, int, int]]:
    """Yield (offset, length, crc) of the side file's records that are whole themselves."""
    try:
        data = checks_path(path).read_bytes()
    except OSError:
        return
    for at in range(0, len(data) - _CHECK.size + 1, _CHECK.size):
        offset, length, crc, own = _CHECK.unpack_from(data, at)
        if zlib.crc32(data[at : at + 16]) == own and length <= CRC_BLOCK_BYTES:
            yield offset, length, crc


def _verify(data: bytes, checks: list[tuple[int, int, int]]) -> tuple[bytes, list[Damage]]:
    """Return the bytes with single flipped bits mended, and what the checksums tell."""
    damage: list[Damage] = []
    mended: bytearray | None = None
    view = memoryview(data)
    for offset, length, crc in checks:
        block = view[offset : offset + length]
        if len(block) < length:
            lost = offset + length - len(data)
            damage.append(_at(data, len(data), f"cut short: {lost} bytes or more are missing"))
            break
        found = zlib.crc32(block)
        if found == crc:
            continue
        bit = _flipped_bit(found ^ crc, length)
        if bit < 0:
            damage.append(_at(data, offset, f"some of the next {length} bytes were changed"))
            continue
        at = offset + bit // 8
        damage.append(_at(data, at, "one flipped bit, mended from the checksum"))
        mended = mended or bytearray(data)
        mended[at] ^= 1 << (bit % 8)
    return bytes(mended) if mended else data, damage


def _flipped_bit(syndrome: int, length: int) -> int:
    """Return the one bit whose flip explains `syndrome` in a block of `length` bytes, or -1.

    CRC is linear: flipping a bit changes the sum by a value that depends only on the bit's
    distance from the end, and no two distances under 2**32 - 1 bits share one.
    """
    value = _POLYNOMIAL
    for back in range(length * 8):
        if value == syndrome:
            at, bit = divmod(back, 8)
            return (length - 1 - at) * 8 + (7 - bit)
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return -1


def _at(data: bytes, offset: int, reason: str) -> Damage:
    return Damage(data.count(b"\n", 0, offset) + 1, offset, reason)


def _cut_torn_line(path: Path, lines: RawFile) -> int:
    """Cut the file after its last newline; return the size that is left."""
    with path.open("rb") as file:
        size = position = file.seek(0, os.SEEK_END)
        while position:
            start = max(0, position - CRC_BLOCK_BYTES)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
    if position != size:
        _try_cut(lines, position, path)
    return position


def _cut_checks(path: Path, checks: RawFile) -> int:
    """Drop checks of bytes that are no more, and a torn record; return the size that is left."""
    size = path.stat().st_size
    data = checks_path(path).read_bytes()
    keep = 0
    while keep + _CHECK.size <= len(data):
        offset, length, _, own = _CHECK.unpack_from(data, keep)
        # A damaged record stays in its place: readers skip it, and what follows keeps its stride.
        if zlib.crc32(data[keep : keep + 16]) == own and offset + length > size:
            break
        keep += _CHECK.size
    if keep != len(data):
        _try_cut(checks, keep, checks_path(path))
    return keep


def _try_cut(file: RawFile, size: int, path: Path) -> None:
    try:
        file.truncate(size)
    except OSError as error:
        raise DiskError(error, path) from error
