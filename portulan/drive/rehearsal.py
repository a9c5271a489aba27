"""A scan on paper: the probes in the order in which they would be sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portulan.drive.findings import PROTOCOL_TEXT
from portulan.drive.plan import Aim
from portulan.scan.sweep import Sweep
from portulan.target.address import address_texts
from portulan.target.space import Space

#: Probes made into text at once.
PORTION: Final = 16_384


def probe_lines(aim: Aim) -> Iterator[bytes]:
    """Yield JSON Lines, one a probe of the first pass, in the order of sending."""
    for space in aim.spaces():
        yield from _lines_of(aim, space)


def _lines_of(aim: Aim, space: Space) -> Iterator[bytes]:
    sweep = Sweep(space.size, seed=aim.request.seed, shard=aim.shard, retries=0)
    while (emission := sweep.emit(0, PORTION)) is not None:
        sweep.sent_batch(emission, 0, 0)
        probes = space.probes(emission.index)
        texts = address_texts(probes.family, probes.hi, probes.lo)
        yield "".join(
            f'{{"type":"probe","addr":"{text}","port":{port},"protocol":"{PROTOCOL_TEXT[number]}"}}\n'
            for text, port, number in zip(
                texts, probes.port.tolist(), probes.protocol.tolist(), strict=True)
        ).encode()
