"""Which labs there are: one small file each, and the processes that carry a lab's mark."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from portulan.errors import LimitError, UsageError

MARK = "PORTULAN_LAB_ID"
"""The environment variable that every process of a lab inherits: it tells ours from all others."""

NAME_MAX = 32
"""Bytes of a lab's name: it becomes a file name."""

TERM_GRACE_S = 2.0
"""A process that has not ended so long after SIGTERM is killed."""

Mode = Literal["namespaces", "user namespace", "local"]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a lab; written before anything of it is made."""

    id: str
    name: str
    scenario: str
    mode: Mode
    maker: int
    """The process that builds the lab, and its start, as with the keeper's."""
    maker_started: int
    keeper: int = 0
    """Process number; 0 while nothing is made."""
    started: int = 0
    """The keeper's start in clock ticks since boot: a number that comes again is not the keeper."""
    ready: bool = False
    """Whether all services listen."""
    namespaces: dict[str, int] = {}
    """Host -> the keeper's open file of its namespace."""

    @property
    def alive(self) -> bool:
        """Whether the keeper still runs."""
        return bool(self.keeper) and start_ticks(self.keeper) == self.started

    @property
    def building(self) -> bool:
        """Whether somebody is still at it."""
        return not self.ready and start_ticks(self.maker) == self.maker_started

    def namespace(self, host: str) -> Path:
        """Return the path that opens a host's network namespace."""
        if host not in self.namespaces:
            known = ", ".join(sorted(self.namespaces)) or "none, as a local lab has no namespaces"
            raise UsageError("no such host", text=host, where=f"lab {self.name}", hint=known)
        return Path(f"/proc/{self.keeper}/fd/{self.namespaces[host]}")


def folder() -> Path:
    """Return where the files are: `$PORTULAN_HOME/labs`, or under the XDG data folder."""
    home = os.environ.get("PORTULAN_HOME")
    if not home:
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        home = str(Path(data) / "portulan")
    return Path(home) / "labs"


def path_of(name: str) -> Path:
    """Return a lab's file; raises `UsageError` for what cannot be a name."""
    if not 0 < len(name.encode()) <= NAME_MAX or not name.replace("-", "").isalnum():
        raise UsageError(
            "not a lab's name", text=name, hint=f"letters, digits and '-', at most {NAME_MAX}"
        )
    return folder() / f"{name}.json"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the folder's lock: of two that want one name at once, the second sees the first's."""
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim(state: State) -> None:
    """Write the file of a lab that is about to be made; `UsageError` if the name is taken."""
    path = path_of(state.name)
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.encode(state))
    except FileExistsError:
        hint = f"portulan lab down {state.name}"
        raise UsageError("a lab of this name is up", text=state.name, hint=hint) from None


def update(state: State) -> None:
    """Replace a lab's file, whole or not at all."""
    path = path_of(state.name)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.replace(path)


def read(name: str) -> State | None:
    """Return what is known of a lab, None if nothing is or if its file is torn."""
    try:
        return msgspec.json.decode(path_of(name).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def names() -> list[str]:
    """Return the names of all labs that have a file."""
    return sorted(path.stem for path in folder().glob("*.json"))


def forget(name: str) -> None:
    """Remove a lab's files."""
    for suffix in (".json", ".new", ".log"):
        path_of(name).with_suffix(suffix).unlink(missing_ok=True)


def start_ticks(pid: int) -> int:
    """Return when a process began, in ticks since boot (proc(5), field 22); 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def marked(prefix: str) -> Iterator[tuple[int, str]]:
    """Yield (process, lab id) of living processes whose mark begins with `prefix`.

    This finds a lab by its processes alone, its file gone. Never yields this process or one it
    descends from: a `down` typed inside a lab must not kill the shell it was typed in.
    """
    spared = set(_ancestors(os.getpid()))
    wanted = f"{MARK}={prefix}".encode()
    for entry in os.listdir("/proc"):  # noqa: PTH208 - procfs names, not paths
        if not entry.isdecimal() or int(entry) in spared:
            continue
        with contextlib.suppress(OSError):
            environ = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            for word in environ:
                if word.startswith(wanted) and start_ticks(int(entry)):
                    yield int(entry), word.decode(errors="replace").partition("=")[2]


def inside(state: State) -> Iterator[int]:
    """Yield processes that live in a lab's namespaces, whatever became of their environment."""
    if not state.alive:
        return
    spared = set(_ancestors(os.getpid()))
    rooms = set()
    for number in state.namespaces.values():
        with contextlib.suppress(OSError):
            rooms.add(Path(f"/proc/{state.keeper}/fd/{number}").stat().st_ino)
    for entry in os.listdir("/proc"):  # noqa: PTH208 - procfs names, not paths
        if entry.isdecimal() and int(entry) not in spared:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{entry}/ns/net").stat().st_ino in rooms:
                    yield int(entry)


def end(processes: Iterable[int]) -> int:
    """End processes by their numbers, gently first; return how many there were.

    Each is held by a pidfd, so that a number given to somebody else meanwhile is never hit.
    """
    held = [fd for pid in set(processes) if (fd := _hold(pid)) is not None]
    try:
        for number, grace_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, TERM_GRACE_S)):
            running = [fd for fd in held if _signal(fd, number)]
            limit = time.monotonic() + grace_s
            while running and time.monotonic() < limit:
                time.sleep(0.005)
                running = [fd for fd in running if _signal(fd, 0) and not _ended(fd)]
            if not running:
                return len(held)
    finally:
        for fd in held:
            os.close(fd)
    raise LimitError("processes of the lab outlive SIGKILL")


def _hold(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _signal(fd: int, number: int) -> bool:
    try:
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    return True


def _ended(fd: int) -> bool:
    """Return whether a process has ended; a pidfd becomes readable then, even as a zombie."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
        except (OSError, IndexError):
            return
        pid = int(fields[1])
