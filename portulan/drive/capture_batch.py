"""Frames of a capture with their numbers, interfaces and comments; packets one by one of them."""

# ruff: noqa: ANN401 - fields are what they are: numbers, texts, lists.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.errors import printable
from portulan.link.pcapng_copy import Blocks
from portulan.wire.columns import Masked, check_names, numbered
from portulan.wire.dissect import Dissection, Layer, dissect
from portulan.wire.frames import Frames
from portulan.wire.inside import TEXT_MAX_CHARS
from portulan.wire.text import line

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames of a capture, each with its number in the file."""

    frames: Frames
    numbers: Index
    interface: Index
    """Index into `names` of the interface each came from."""
    names: Sequence[str] = ("",)
    """Grows while a file is read: batches share it, their own interfaces are in it."""
    comments: Mapping[int, str] = field(default_factory=dict)
    """By packet number."""
    blocks: Blocks | None = None
    """The pcapng blocks they come from, if they do."""

    def block_bytes(self) -> Index:
        """Return about how many bytes of a file each packet takes."""
        if self.blocks is not None:
            return self.blocks.size
        return 32 + (self.frames.length + 3 & ~3)

    def take(self, rows: Index) -> Batch:
        """Return some of the rows; no bytes are copied."""
        return Batch(
            self.frames.take(rows), self.numbers[rows], self.interface[rows], self.names,
            self.comments, self.blocks.take(rows) if self.blocks is not None else None)

    def columns(self, names: Sequence[str]) -> dict[str, Masked]:
        """Return columns by field, those that only captures know among them."""
        found = numbered(self.frames, names, self.numbers)
        if "frame.interface" in found:
            found["frame.interface"] = _texts(self._interfaces())
        if "frame.comment" in found:
            found["frame.comment"] = _texts(map(self._comment, self.numbers.tolist()))
        return found

    def packets(self) -> Iterator[CapturedPacket]:
        """Yield the packets one by one."""
        frames = self.frames
        times, lengths = frames.time_ns.tolist(), frames.wire_length.tolist()
        for octets, number, time_ns, length, interface in zip(
            frames, self.numbers.tolist(), times, lengths, self._interfaces(), strict=True
        ):
            yield CapturedPacket(octets, number=number, time_ns=time_ns, length=length,
                                 link_type=frames.link_type, interface=interface,
                                 comment=self._comment(number) if self.comments else "")

    def _interfaces(self) -> list[str]:
        """Return the name of each packet's interface, nothing where it has none."""
        # Only those that are used: a hostile file has 65,536 of them, and as many small batches.
        places, which = np.unique(self.interface, return_inverse=True)
        names = [printable(self.names[place], TEXT_MAX_CHARS) if place < len(self.names) else ""
                 for place in places.tolist()]
        return [names[place] for place in which.tolist()]

    def _comment(self, number: int) -> str:
        found = self.comments.get(number) if self.comments else None
        return printable(found, TEXT_MAX_CHARS) if found else ""


def _texts(values: Iterable[str]) -> Masked:
    column = np.array(list(values), object)
    return np.ma.masked_array(column, column == "")


class CapturedPacket:
    """One packet of a capture, dissected when first asked: `packet["ip.src"]`."""

    def __init__(
        self, octets: bytes, *, number: int, time_ns: int, length: int, link_type: int,
        interface: str = "", comment: str = "",
    ) -> None:
        self.octets, self.number, self.time_ns = octets, number, time_ns
        self.length, self.link_type = length, link_type
        self.interface, self.comment = interface, comment

    @cached_property
    def dissection(self) -> Dissection:
        """What it holds, how far that could be read, and why no further."""
        return dissect(self.octets, self.link_type)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its headers, outermost first."""
        return self.dissection.layers

    def get(self, name: str) -> Any:
        """Return the first value of a field; None if the packet has none."""
        own = {"frame.number": self.number, "frame.time_ns": self.time_ns,
               "frame.length": self.length, "frame.captured": len(self.octets),
               "frame.interface": self.interface or None, "frame.comment": self.comment or None}
        return own[name] if name in own else self.dissection.get(name)

    def __getattr__(self, name: str) -> LayerFields:
        """Return the first header of a name: `packet.ip.src`, `packet.dns.qname`."""
        for layer in () if name.startswith("_") else self.layers:
            if layer.name == name:
                return LayerFields(layer)
        raise AttributeError(f"packet has no header {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(layer.name for layer in self.layers)]

    def _ipython_key_completions_(self) -> list[str]:
        return [name for layer in self.layers for name, _ in layer.values()]

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            check_names([name])
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __bytes__(self) -> bytes:
        return self.octets

    def __len__(self) -> int:
        return len(self.octets)

    def __str__(self) -> str:
        return line(self.octets, self.link_type)

    def __repr__(self) -> str:
        return f"<packet {self.number}: {self}>"

    @property
    def _head(self) -> str:
        cut = f", {len(self)} captured" if len(self) != self.length else ""
        said = f" # {self.comment}" if self.comment else ""
        return f"packet {self.number}, {self.length} bytes{cut}: {self}{said}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from portulan.wire.shown import dissection_parts, tree

        printer.text(tree(self._head, dissection_parts(self.dissection)))

    def _repr_html_(self) -> str:
        from portulan.wire.shown import dissection_parts, tree_html

        return tree_html(self._head, dissection_parts(self.dissection))


class LayerFields:
    """One header of a captured packet; its fields are attributes."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        wanted = f"{self._layer.name}.{name}"
        for known, value in () if name.startswith("_") else self._layer.values():
            if known == wanted:
                return value
        raise AttributeError(f"this {self._layer.name} has no {name!r}")

    def __dir__(self) -> list[str]:
        return [name.partition(".")[2] for name, _ in self._layer.values()]

    def __repr__(self) -> str:
        values = (f"{name.partition('.')[2]}={value}" for name, value in self._layer.values())
        return f"<{self._layer.name} {', '.join(values)}>"
