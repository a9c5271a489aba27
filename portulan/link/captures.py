"""Open a capture file by what it holds, not by its name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Protocol, Self

from portulan.wire.frames import Frames

from .capture_source import Origin, Window
from .pcap import PcapReader
from .pcapng_blocks import BlockType
from .pcapng_reader import PcapngReader


class Capture(Protocol):
    """What every capture reader offers."""

    @property
    def format(self) -> str:
        """`pcap` or `pcapng`."""

    @property
    def link_type(self) -> int | None:
        """How the first frames begin; None if the file does not say."""

    @property
    def packets(self) -> int:
        """Packets yielded so far."""

    @property
    def damage(self) -> str | None:
        """What ended the packets before the file did, with its byte; None if nothing did."""

    def frames(self) -> Iterator[Frames]:
        """Yield the packets in batches, each of one link type."""

    def __iter__(self) -> Iterator[Frames]: ...

    def close(self) -> None:
        """Close the file if it was opened here."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_capture(origin: Origin) -> PcapReader | PcapngReader:
    """Return the reader for a pcap or pcapng file, plain or in gzip or xz; `-` is stdin.

    Raises `UsageError` if it cannot be read or is no capture.
    """
    window = Window(sys.stdin.buffer if origin == "-" else origin)
    window.reach(4)
    if window.view[:4].tobytes() == BlockType.SECTION.to_bytes(4, "big"):
        return PcapngReader(window)
    return PcapReader(window)
