"""Where the records of connections go: to a chart, then to stdout, then to people."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from portulan import __version__
from portulan.errors import printable
from portulan.record import SCHEMA, Connection, End, Run, encode

if TYPE_CHECKING:
    from portulan.record import EndReason
    from portulan.store.charts import ChartFolder
    from portulan.store.journal import Journal
    from portulan.store.lock import Lock

ORDERLY: Final = frozenset({"end", "stopped"})
"""Ends that people need not hear about one by one."""


class Ledger:
    """Takes what a listener, a relay or a proxy has to tell of its connections.

    With `keep` every record is in a chart's journal before it is shown; `as_json` prints one JSON
    object a line on stdout; `say` gets a line for people of connections that ended badly.
    """

    def __init__(
        self, *, verb: str, targets: list[str], argv: list[str], keep: bool, as_json: bool,
        clock: Callable[[], int], say: Callable[[str], None] | None,
    ) -> None:
        self._clock, self._say, self._as_json = clock, say, as_json
        self._began_ns = clock()
        self._received = self._sent = 0
        self.folder: ChartFolder | None = None
        self._journal: Journal | None = None
        self._lock: Lock | None = None
        if keep:
            self._open(verb, targets, argv)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens: records need not be made otherwise."""
        return self._as_json or self._journal is not None or self._say is not None

    def record(self, connection: Connection) -> None:
        """Take one connection that ended."""
        self._received += connection.received
        self._sent += connection.sent
        if self._journal is not None:
            line = self._journal.append([connection], sync=False)
        elif self._as_json:
            line = encode(connection) + b"\n"
        if self._as_json:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        if self._say is not None and connection.closed not in ORDERLY:
            self._say(ending(connection))

    def close(self, reason: EndReason) -> None:
        """End the chart's record."""
        if self._journal is None or self._lock is None:
            return
        elapsed_s = (self._clock() - self._began_ns) / 1e9
        self._journal.append([End(
            reason=reason, hosts_up=0, open=0, sent=self._sent, received=self._received, drops=0,
            elapsed_s=round(elapsed_s, 3))])
        self._journal.close()
        self._lock.release()
        self._journal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close("error" if error is not None else "done")

    def _open(self, verb: str, targets: list[str], argv: list[str]) -> None:
        from portulan.drive.clock import rfc3339
        from portulan.store.charts import Charts
        from portulan.store.journal import Journal
        from portulan.store.lock import Lock

        self.folder = Charts().create(self._began_ns)
        self._lock = Lock.take(self.folder.lock)
        try:
            self._journal = Journal.create(self.folder.journal)
            self._journal.append([Run(
                schema=SCHEMA, id=self.folder.id, version=__version__, argv=argv,
                started=rfc3339(self._began_ns), seed=secrets.randbelow(1 << 32), targets=targets,
                probes=0, method=verb, why="Connections of others are kept; nothing is asked.")])
        except BaseException:
            self._lock.release()
            raise


def ending(connection: Connection) -> str:
    """Return a line for people: who, where to, why it ended.

    >>> print(ending(Connection(client="10.0.0.1:5", local="10.0.0.2:80", protocol="tcp",
    ...       started="", elapsed_s=0.1, received=0, sent=0, closed="refused", target="",
    ...       error="127.0.0.1:81: refused: nothing listens there")))
    10.0.0.1:5: refused: 127.0.0.1:81: refused: nothing listens there
    """
    reason = connection.closed
    text = f"{reason}: {connection.error}" if connection.error else reason
    return printable(f"{connection.client}: {text}", 300)
