"""Packets and columns as a person reads them: trees and tables, as text and as HTML.

>>> from portulan.wire import IPv4, UDP
>>> packet = IPv4(src="10.9.0.1", dst="10.9.0.2") / UDP(dport=53) / b"ahoy"
>>> print(packet_text(packet).splitlines()[-1])
  payload, 4 bytes: 61686f79

Texts from outside are escaped where they are made (`inside.text_of`); HTML escapes once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from html import escape
from math import prod
from typing import Final

import numpy as np

from portulan.errors import printable
from portulan.wire.arp import ArpOperation
from portulan.wire.columns import Masked
from portulan.wire.columns import texts as texts_of
from portulan.wire.dissect import Dissection
from portulan.wire.ethernet import EtherType
from portulan.wire.header import Header, Packet
from portulan.wire.icmp import IcmpType
from portulan.wire.icmpv6 import Icmp6Type
from portulan.wire.ipv4 import IpProtocol

HEX_MAX: Final = 32
"""Octets of a payload that are shown: two lines of a hex dump."""
ROWS_MAX: Final = 20
"""Rows of a table that are shown: what fits on a screen, half of them from the end."""
CELL_MAX: Final = 60
"""Characters of a cell: longer texts push the other columns off the screen."""


_HEX: Final = frozenset({"checksum", "ethertype"})
_NAMED: Final[dict[str, type[IntEnum]]] = {
    "ethertype": EtherType, "next_header": IpProtocol, "ip.protocol": IpProtocol,
    "arp.operation": ArpOperation, "icmp.type": IcmpType, "icmpv6.type": Icmp6Type}
"""Whose numbers have names, by the field's own name or by any header's."""


@dataclass(frozen=True, slots=True)
class Part:
    """One header of a packet, or what else it holds: a title and rows of name and value."""

    title: str
    rows: tuple[tuple[str, str], ...] = ()


def dissection_parts(found: Dissection) -> Iterator[Part]:
    """Yield the headers of a dissected packet, its payload, and why it goes no further."""
    for layer in found.layers:
        yield Part(f"{layer.name}, byte {layer.at}", tuple(
            (name, value_text(name, value)) for name, value in layer.values()))
    if found.payload_end > found.payload_at:
        yield Part(f"payload, {found.payload_end - found.payload_at} bytes")
    if found.defect:
        yield Part(f"[byte {found.defect_at}: {found.defect}]")


def packet_parts(packet: Packet) -> Iterator[Part]:
    """Yield the layers of a packet that is being made, filled in; chosen fields have a star.

    Of a set of packets it is the first, with the number of values where they differ.
    """
    filled = Packet(tuple(_first(layer) for layer in packet.layers)).filled()
    for made, layer in zip(packet.layers, filled.layers, strict=True):
        if isinstance(layer, Header) and isinstance(made, Header):
            yield Part(layer.layer, tuple(_header_rows(made, layer)))
        elif isinstance(layer, bytes) and layer:
            kind = "payload" if type(layer) is bytes else "options"
            shown = layer[:HEX_MAX].hex() + "…" * (len(layer) > HEX_MAX)
            yield Part(f"{kind}, {len(layer)} bytes: {shown}")


def _first(layer: Header | bytes) -> Header | bytes:
    if isinstance(layer, Header) and layer.sets:
        return layer.replace(**{name: getattr(layer, name) for name in layer.sets})
    return layer


def _header_rows(made: Header, filled: Header) -> Iterator[tuple[str, str]]:
    for field in made.layout.fields:
        many = made.sets.get(field.attr)
        text = value_text(field.name, getattr(filled, field.attr))
        text += f" and {len(many) - 1:,} more" if many is not None and len(many) > 1 else ""
        yield field.name, text + "  *" * made.is_given(field.attr)


def value_text(name: str, value: object) -> str:
    """Return a field's value as people write it: checksums and types in hex, numbers with names.

    >>> value_text("ip.protocol", 6), value_text("ethernet.ethertype", 0x0806)
    ('6 (TCP)', '0x0806 (ARP)')
    """
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, int):
        return str(value)
    attr = name.partition(".")[2]
    kind = _NAMED.get(name) or _NAMED.get(attr)
    number = f"0x{value:04x}" if attr in _HEX else str(value)
    known = kind is not None and value in {int(each) for each in kind}
    return f"{number} ({kind(value).name})" if kind is not None and known else number


def tree(head: str, parts: Iterator[Part]) -> str:
    """Return a head and parts as indented lines."""
    lines = [head]
    for part in parts:
        lines.append(f"  {part.title}")
        lines += [f"    {name} = {value}" for name, value in part.rows]
    return "\n".join(lines)


def tree_html(head: str, parts: Iterator[Part]) -> str:
    """Return a head and parts as HTML: a part that has rows opens and closes."""
    made = [f"<div><b>{escape(head)}</b>"]
    for part in parts:
        title = escape(part.title)
        if part.rows:
            rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
                           for name, value in part.rows)
            made.append(f"<details open><summary>{title}</summary><table>{rows}</table></details>")
        else:
            made.append(f"<p>{title}</p>")
    return "".join(made) + "</div>"


def packet_text(packet: Packet) -> str:
    """Return a packet that is being made as a tree; what was not chosen is marked."""
    return tree(_packet_head(packet), packet_parts(packet))


def packet_html(packet: Packet) -> str:
    """Return a packet that is being made as HTML."""
    return tree_html(_packet_head(packet), packet_parts(packet))


def _packet_head(packet: Packet) -> str:
    made = [layer for layer in packet.layers if isinstance(layer, Header)]
    names = "/".join(layer.layer for layer in made)
    count = prod(len(many) for layer in made for many in layer.sets.values())
    if any(layer.sets for layer in made):
        return f"{names}, {count:,} packets, * given"
    return f"{names}, {len(packet)} bytes, * given"


class Table(dict[str, Masked]):
    """Columns by name; shown as a table by shells and notebooks."""

    def __repr__(self) -> str:
        return "\n".join(_aligned(self._rows()))

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(repr(self))  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        head, *rows = ([escape(cell) for cell in row] for row in self._rows())
        made = ["<table><tr>", *(f"<th>{cell}</th>" for cell in head), "</tr>"]
        for row in rows:
            made += ["<tr>", *(f"<td>{cell}</td>" for cell in row), "</tr>"]
        return "".join(made) + "</table>"

    def _rows(self) -> list[list[str]]:
        """Return names, the first and the last rows, and how many there are."""
        count = max((len(column) for column in self.values()), default=0)
        chosen = np.arange(count)
        if count > ROWS_MAX:
            chosen = np.r_[0 : ROWS_MAX // 2, count - ROWS_MAX // 2 : count]
        cells = [[_cell(value) for value in texts_of(name, column[chosen])]
                 for name, column in self.items()]
        rows = [list(row) for row in zip(*cells, strict=True)]
        if count > ROWS_MAX:
            rows.insert(ROWS_MAX // 2, ["…"] * len(self))
        return [list(self), *rows, [f"[{count:,} rows]"]]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return printable(text, CELL_MAX)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    *table, (last,) = rows
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
    yield last
