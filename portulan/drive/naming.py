"""Names for the routers of paths, asked while the trace goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from portulan.record import Hop
from portulan.sockets.names import reverse_names


def named_paths(paths: Iterable[list[Hop]], server: str = "") -> Iterator[list[Hop]]:
    """Yield paths in their order, hops with names by reverse DNS; `server` as in `names.py`.

    Questions are asked in a thread of their own: a trace that waits for them would take the wait
    for a round trip. An address is asked for once.
    """
    known: dict[str, str] = {}
    waiting: deque[Future[list[Hop]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for hops in paths:
            waiting.append(pool.submit(_named, hops, known, server))
            while waiting and waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _named(hops: list[Hop], known: dict[str, str], server: str) -> list[Hop]:
    fresh = [hop.addr for hop in hops if hop.addr and hop.addr not in known]
    known.update(dict.fromkeys(fresh, ""))
    known.update(reverse_names(list(dict.fromkeys(fresh)), server))
    return [msgspec.structs.replace(hop, name=known.get(hop.addr, "")) for hop in hops]
