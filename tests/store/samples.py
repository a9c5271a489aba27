"""Events and files that several tests of this room use."""

from __future__ import annotations

from pathlib import Path

from portulan.record import AnyEvent, End, Host, Note, Os, Port, Run, Service
from portulan.store.disk import DiskFile, RawFile

EVERY_CONTROL = "".join(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x202E, 0x2066, 0xFFFE]))


def run_event(identity: str = "20261121-0941-k3f") -> Run:
    return Run(
        schema=1, id=identity, version="0", argv=["scan"], started="2026-11-21T09:41:00Z", seed=7,
        targets=["10.0.0.0/24"], probes=256, method="syn", why="CAP_NET_RAW is there",
    )


def open_port(number: int, addr: str = "10.0.0.1") -> Port:
    return Port(
        addr=addr, port=number, protocol="tcp", state="open", reason="syn-ack", ttl=64, rtt_us=90,
        tries=1, frames=[number * 2 - 1, number * 2],
    )


def end_event() -> End:
    return End(reason="done", hosts_up=1, open=3, sent=9, received=9, drops=0, elapsed_s=0.5)


def hostile_events() -> list[AnyEvent]:
    text = EVERY_CONTROL + "]]><script>=cmd()\u2028\U0001f5fa"
    return [
        Host(addr="10.0.0.1", state="up", reason=text, names=[text], vendor=text),
        Service(addr="10.0.0.1", port=1, protocol="tcp", name=text, banner=text),
        Os(addr="10.0.0.1", family=text, evidence=[text]), Note(addr="10.0.0.1", text=text),
    ]


class FailingFile:
    """A file whose n-th call of the named kind fails, once or from then on."""

    def __init__(
        self, path: Path, *, fails_at: int, error: OSError, calls: str = "write",
        for_ever: bool = False, takes: int | None = None,
    ) -> None:
        self._file: RawFile = DiskFile(path, new=True)
        self._error, self._fails_at, self._for_ever = error, fails_at, for_ever
        self._calls, self._takes = calls.split(), takes
        self.count = 0

    def write(self, data: bytes | memoryview) -> int:
        self._check("write")
        return self._file.write(data[: self._takes])

    def truncate(self, size: int) -> None:
        self._check("truncate")
        self._file.truncate(size)

    def sync(self) -> None:
        self._check("sync")
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def _check(self, call: str) -> None:
        if call not in self._calls:
            return
        self.count += 1
        if self.count == self._fails_at or (self._for_ever and self.count > self._fails_at):
            raise self._error
