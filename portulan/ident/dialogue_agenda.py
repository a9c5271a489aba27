"""What is still to be asked of a port, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .dialogue_next import Follow
from .probes import GREETERS, LISTEN, TLS, Probe

PATIENT_AT: Final = 14
"""After so many questions a connection is opened that only listens, for late greetings. Not
sooner: to a server that has one client at a time it is in everybody's way."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question; `same`: only on the connection that gave rise to it."""

    probe: Probe
    tls: bool = False
    same: bool = False


class Agenda:
    """The questions for one port; a protocol once known leaves only its own."""

    def __init__(self, probes: Iterable[Probe], *, port: int | None, datagrams: bool) -> None:
        self.inside = False
        self._probes: Sequence[Probe] = list(probes)
        self._items: deque[Item] = deque()
        self._datagrams, self.greeter = datagrams, port in GREETERS
        """Whether the port's usual service speaks first."""
        self.reset(tls_first=port in TLS.ports and not datagrams)

    def __bool__(self) -> bool:
        return bool(self._items)

    def reset(self, *, tls_first: bool = False) -> None:
        """Ask everything anew: outside of TLS, or inside once that is known."""
        probes = [probe for probe in self._probes if not (self.inside and probe.tls)]
        if tls_first:
            probes = [TLS, *(probe for probe in probes if probe is not TLS)]
        if not self._datagrams:
            probes.insert(0 if self.greeter and not tls_first else PATIENT_AT, LISTEN)
        self._items = deque(Item(probe, self.inside) for probe in probes)

    def next(self) -> Item:
        """Take the next question."""
        return self._items.popleft()

    def next_usual(self, port: int) -> bool:
        """Tell whether the next question is one that the port's usual clients ask."""
        return bool(self._items) and port in self._items[0].probe.ports

    def next_same(self) -> Probe | None:
        """Take the next question meant for the connection that has just answered."""
        for item in self._items:
            if item.same:
                self._items.remove(item)
                return item.probe
        return None

    def has_same(self) -> bool:
        """Tell whether a question waits for the connection that has just answered."""
        return any(item.same for item in self._items)

    def clear(self) -> None:
        """Forget all questions."""
        self._items.clear()

    def first(self, follows: Iterable[Follow]) -> None:
        """Put questions in front."""
        items = [Item(f.probe, self.inside and not f.probe.tls, f.same) for f in follows]
        names = {item.probe.name for item in items}
        rest = [item for item in self._items if item.probe.name not in names]
        self._items = deque([*items, *rest])

    def drop_same(self) -> bool:
        """Forget what was meant for a connection that is gone; return whether that was anything."""
        before = len(self._items)
        self._items = deque(item for item in self._items if not item.same)
        return len(self._items) < before
