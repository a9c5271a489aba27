"""Packets on the way out: one line each, the tree of fields, JSON objects, rows of fields."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from portulan.errors import UsageError

if TYPE_CHECKING:
    from portulan.drive.capture import Batch, Capture, CapturedPacket
    from portulan.wire.dissect import Dissection

BLOCK_LINES = 512
"""Lines written at a time: a system call a line would take longer than making it."""
TIMES = ("since", "delta", "utc", "epoch")
"""How a line says when: seconds since the first packet, since the one before, by the clock, Unix
time."""
TUNNELS = frozenset({"mpls", "ppp", "gre", "vxlan", "geneve", "ah", "snap"})
"""Headers that the one line about a packet does not look behind."""


def shown(
    capture: Capture, names: list[str], *, as_json: bool, as_hex: bool, verbose: bool,
    time: str = TIMES[0], dump: bool = False,
) -> Iterator[str | None]:
    """Yield the capture in the way that was asked for; None ends a batch."""
    if as_json:
        return objects(capture, names, as_hex=as_hex)
    if names:
        return rows(capture, names)
    return texts(capture, as_hex=as_hex, verbose=verbose, time=time, dump=dump)


def put(lines: Iterator[str | None]) -> None:
    """Print lines in blocks; None ends a batch: a pipe's packets are shown as they come."""
    block: list[str] = []
    for line in lines:
        if line is not None:
            block.append(line)
        if block and (line is None or len(block) >= BLOCK_LINES):
            sys.stdout.write("\n".join(block) + "\n")
            sys.stdout.flush()
            block.clear()


def binary_out() -> BinaryIO:
    """Return stdout for a capture's octets, which a terminal would take for commands."""
    if sys.stdout.isatty():
        raise UsageError("a capture is nothing for a terminal", where="-w -",
                         hint="name a file, or pipe it: | tshark -r -")
    return sys.stdout.buffer


# -- one line a packet, or the tree ------------------------------------------------------------


def texts(
    capture: Capture, *, as_hex: bool, verbose: bool, time: str = TIMES[0], dump: bool = False,
) -> Iterator[str | None]:
    """Yield what a person reads; None ends a batch."""
    show: Callable[[CapturedPacket], str] = _Lines(time, named=capture.named)
    if verbose:
        show = _tree
    elif as_hex:
        show = _hex
    for batch in capture.batches():
        for packet in batch.packets():
            yield show(packet)
            if as_hex and verbose:
                yield f"  {packet.octets.hex()}"
            if dump:
                yield from hex_dump(packet.octets)
        yield None


def hex_dump(octets: bytes) -> Iterator[str]:
    """Yield lines of place, 16 octets as hex digits, and their text where it is printable."""
    for at in range(0, len(octets), 16):
        row = octets[at : at + 16]
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in row)
        yield f"    {at:04x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {text}"


def _hex(packet: CapturedPacket) -> str:
    return packet.octets.hex()


class _Lines:
    """Makes the one line about each packet; knows the packets before."""

    def __init__(self, time: str, *, named: bool) -> None:
        self._time, self._named = time, named
        self._from_ns: int | None = None

    def __call__(self, packet: CapturedPacket) -> str:
        where = f"{packet.interface:<8} " if self._named else ""
        words = [str(packet), _carried(packet), packet.dissection.brief]
        said = " | ".join(filter(None, words)) + (f" # {packet.comment}" * bool(packet.comment))
        return f"{packet.number:>5} {self._when(packet.time_ns)} {where}{said}"

    def _when(self, time_ns: int) -> str:
        if self._time == "utc":
            return _time_text(time_ns)[:26]
        if self._time == "epoch":
            return f"{time_ns // 10**9}.{time_ns % 10**9:09}"
        if self._from_ns is None:
            self._from_ns = time_ns
        seconds = (time_ns - self._from_ns) / 1e9
        if self._time == "delta":
            self._from_ns = time_ns
        return f"{seconds:11.6f}"


def _carried(packet: CapturedPacket) -> str:
    """Return the line of the packet in the innermost tunnel, if there is one."""
    from portulan.wire.frames import LinkType
    from portulan.wire.text import line

    layers = packet.layers
    for outer, inner in zip(layers[-2::-1], layers[:0:-1], strict=True):
        if outer.name in TUNNELS and inner.name in ("ethernet", "ip", "ip6"):
            link_type = LinkType.ETHERNET if inner.name == "ethernet" else LinkType.RAW
            return f"{outer.name}: {line(packet.octets[inner.at :], link_type)}"
    return ""


def _tree(packet: CapturedPacket) -> str:
    from portulan.wire.shown import dissection_parts, tree

    cut = f", {len(packet)} captured" if len(packet) != packet.length else ""
    where = f" on {packet.interface}" if packet.interface else ""
    head = f"frame {packet.number}{where}, {packet.length} bytes{cut}, {_time_text(packet.time_ns)}"
    if packet.comment:
        head += f"\n  # {packet.comment}"
    return tree(head, dissection_parts(packet.dissection))


def _time_text(time_ns: int) -> str:
    from datetime import UTC, datetime

    seconds, rest_ns = divmod(time_ns, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest_ns:09} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"


# -- machine readable --------------------------------------------------------------------------


def objects(capture: Capture, names: list[str], *, as_hex: bool) -> Iterator[str | None]:
    """Yield JSON objects; with names only those fields, missing ones left out."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    for batch in capture.batches():
        if names and not as_hex:
            yield from (encode(row).decode() for row in _picked(batch, names))
        else:
            for packet in batch.packets():
                yield encode(_object(packet, names, as_hex=as_hex)).decode()
        yield None


def _object(packet: CapturedPacket, names: list[str], *, as_hex: bool) -> dict[str, Any]:
    """Return a packet's fields by name; further values of a name go to `also`."""
    found = packet.dissection
    values: dict[str, Any] = {
        "frame.number": packet.number, "frame.time_ns": packet.time_ns,
        "frame.length": packet.length, "frame.captured": len(packet),
        "frame.protocols": found.protocols,
    }
    if packet.interface:
        values["frame.interface"] = packet.interface
    if packet.comment:
        values["frame.comment"] = packet.comment
    also = _layer_values(found, values)
    if found.defect:
        values["frame.defect"] = found.defect
    if names:
        values = {name: values[name] for name in names if name in values}
    elif also:
        values["also"] = also
    if as_hex:
        values["frame.hex"] = packet.octets.hex()
    return values


def _layer_values(found: Dissection, values: dict[str, Any]) -> dict[str, list[Any]]:
    from portulan.wire.columns import plain

    also: dict[str, list[Any]] = {}
    for layer in found.layers:
        for name, value in layer.values():
            if name in values:
                also.setdefault(name, []).append(plain(value))
            else:
                values[name] = plain(value)
    return also


def _picked(batch: Batch, names: list[str]) -> Iterator[dict[str, Any]]:
    columns = _plain_columns(batch, names)
    for row in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, row, strict=True) if value is not None}


def rows(capture: Capture, names: list[str]) -> Iterator[str | None]:
    """Yield one line a packet, tabs between fields, nothing for a missing one."""
    from portulan.wire.table import Table

    table = Table(names)
    for batch in capture.batches():
        found = batch.columns(names)
        yield from table.lines([found[name] for name in names])
        yield None


def _plain_columns(batch: Batch, names: list[str]) -> list[list[Any]]:
    from portulan.wire.columns import texts

    found = batch.columns(names)
    return [texts(name, found[name]) for name in names]
