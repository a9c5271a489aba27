"""What systems the hosts of a capture run, by the first packets of their connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.api.words import Words
from portulan.drive.capture import Capture
from portulan.ident.systems import Judged, judge
from portulan.scan.stack_traits import Traits, signature
from portulan.wire.frames import Frames
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.ipv6 import IPv6
from portulan.wire.locate import Located, locate
from portulan.wire.tcp import TCP, TcpFlags

COLUMNS: Final = {
    "address": "VARCHAR", "family": "VARCHAR", "generation": "VARCHAR", "confidence": "DOUBLE",
    "packets": "BIGINT", "first": "BIGINT", "evidence": "VARCHAR"}
"""What is known of a host, and its SQL type; `packets` looked at, `first` is the first's number."""
LOOKED_AT: Final = 4
"""Different first packets of one host that are looked at: behind one address may be several."""
HOSTS_MAX: Final = 65_536


def system_columns(
    captures: Sequence[Capture], needed: Collection[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the hosts whose system shows, one row a host and family."""
    seen = _Seen()
    for capture in captures:
        for batch in capture.batches():
            seen.add(batch.frames, batch.numbers)
    rows = list(seen.rows())
    made: dict[str, NDArray[Any]] = {}
    for at, (name, kind) in enumerate(COLUMNS.items()):
        values = [row[at] for row in rows]
        made[name] = Words.plain(values) if kind == "VARCHAR" else np.array(
            values, np.float64 if kind == "DOUBLE" else np.int64)
    return {name: made[name] for name in COLUMNS if needed is None or name in needed}


class _Seen:
    """The different first packets of each host."""

    def __init__(self) -> None:
        self._traits: dict[str, dict[tuple[tuple[str, str], ...], tuple[int, int]]] = (
            defaultdict(dict))

    def add(self, frames: Frames, numbers: NDArray[np.int64]) -> None:
        at = locate(frames)
        rows = at.of(IpProtocol.TCP)
        rows = rows[at.payload_end[rows] - at.transport_offset[rows] >= TCP.size]
        segment = TCP.gather(frames.buffer, at.transport_offset[rows])
        rows = rows[(segment.flags & (TcpFlags.SYN | TcpFlags.RST)) == TcpFlags.SYN]
        for row in rows.tolist():
            address = _source(frames, at, row)
            known = self._traits.get(address)
            if known is None and len(self._traits) >= HOSTS_MAX:
                continue
            start = int(frames.offset[row])
            octets = frames.buffer[start : start + int(frames.length[row])].tobytes()
            told = tuple(sorted(signature(octets, frames.link_type).items()))
            if told in self._traits[address]:
                first, count = self._traits[address][told]
                self._traits[address][told] = first, count + 1
            elif len(self._traits[address]) < LOOKED_AT:
                self._traits[address][told] = int(numbers[row]), 1

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield a row for each family that a host's packets look like."""
        for address in self._traits:
            families: dict[str, tuple[Judged, int, int]] = {}
            for told, (first, count) in self._traits[address].items():
                found = judge(_without_size(dict(told)))
                if found is None:
                    continue
                before = families.get(found.family)
                if before is None or found.confidence > before[0].confidence:
                    families[found.family] = (
                        found, count + (before[1] if before else 0),
                        min(first, before[2]) if before else first)
                else:
                    families[found.family] = (before[0], before[1] + count, before[2])
            for family, (found, count, first) in families.items():
                yield (address, family, found.generation, found.confidence, count, first,
                       "; ".join(found.evidence))


def _without_size(told: Traits) -> Traits:
    """Leave out what depends on the path's packet size alone."""
    return {name: value for name, value in told.items() if name != "synack.mss"}


def _source(frames: Frames, at: Located, row: int) -> str:
    start = int(at.network_offset[row])
    if at.family[row] == 4:
        return str(ip_address(frames.buffer[start + 12 : start + 16].tobytes()))
    return str(ip_address(frames.buffer[start + 8 : start + IPv6.size - 16].tobytes()))
