"""An expert's notes on captures as columns, one row a note."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.api.words import Words
from portulan.drive.capture import Capture
from portulan.traffic.expert import SENTENCES, Expert, Kind, level

COLUMNS: Final = {
    "frame": "BIGINT", "time_ns": "BIGINT", "kind": "VARCHAR", "level": "VARCHAR",
    "flow": "BIGINT", "src": "VARCHAR", "dst": "VARCHAR", "text": "VARCHAR",
    "sentence": "VARCHAR"}
"""What is known of a note, and its SQL type; flows count from 1 as in the table of flows."""


def expert_columns(
    captures: Sequence[Capture], needed: Collection[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the notes on captures, which are looked at as one."""
    expert = Expert()
    parts = [
        expert.add(batch.frames, batch.numbers)
        for capture in captures for batch in capture.batches()]
    kinds = _joined([part.kind for part in parts], np.uint8)
    flow = _joined([part.flow for part in parts], np.int64)
    src, dst = _ends(expert, flow)
    made: dict[str, NDArray[Any]] = {
        "frame": _joined([part.frame for part in parts], np.int64),
        "time_ns": _joined([part.time_ns for part in parts], np.int64),
        "kind": _texts([kind.text for kind in Kind], kinds),
        "level": _texts([level(kind) for kind in Kind], kinds),
        "flow": flow + 1, "src": src, "dst": dst,
        "text": Words.plain([text for part in parts for text in part.text]),
        "sentence": _texts([SENTENCES[kind] for kind in Kind], kinds)}
    return {name: made[name] for name in COLUMNS if needed is None or name in needed}


def _joined(parts: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts])


def _texts(words: Sequence[str], kinds: NDArray[np.uint8]) -> NDArray[Any]:
    return Words.plain([words[kind] for kind in kinds.tolist()])


def _ends(expert: Expert, flow: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the ends of each note's flow, None where there is none."""
    rows = np.unique(flow[flow >= 0])
    ends: list[list[str | None]] = [[], []]
    texts = expert.table.addresses(rows)
    place = {row: at for at, row in enumerate(rows.tolist())}
    for row in flow.tolist():
        for side, names in enumerate(ends):
            names.append(texts[side][place[row]] if row >= 0 else None)
    return Words.plain(ends[0]), Words.plain(ends[1])
