"""A lab that runs: up, commands inside, down."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from portulan.errors import PeerError, UsageError
from portulan.lab import state as labs
from portulan.lab.keeper import KEEP, Ready, Task
from portulan.lab.local import first_unprivileged_port, localize
from portulan.lab.scenario import Scenario, load
from portulan.lab.state import MARK, Mode, State
from portulan.lab.truth import Expected, alive, truth

DEFAULT = "harbour"

SIGNALED = 128
"""A shell's exit code for a program that signal n ended is 128 + n; ours too."""


@cache
def best_mode() -> Mode:
    """Return how labs can be made here, found by trying: rights are more than being root."""
    if _works("unshare", "--net", "true"):
        return "namespaces"
    if _works("unshare", "--user", "--map-root-user", "--net", "true"):
        return "user namespace"
    return "local"


def _works(*argv: str) -> bool:
    try:
        return not subprocess.run(argv, capture_output=True, check=False).returncode
    except OSError:
        return False


@dataclass(eq=False)
class Lab:
    """A lab that is up.

    >>> with Lab.up("harbour") as lab:                             # doctest: +SKIP
    ...     lab.run(["portulan", "scan", *lab.scenario.targets])
    """

    scenario: Scenario
    """As it runs: in a local lab with its addresses and ports on loopback."""
    state: State
    _keeper: subprocess.Popen[bytes] | None = None

    @classmethod
    def up(
        cls, scenario: str = DEFAULT, *, name: str = "", local: bool = False, keep: bool = False
    ) -> Self:
        """Build a lab and return when all its services listen.

        It ends with `down()`, with the `with` block, or with this process, unless `keep`.
        Raises `UsageError` for a wrong scenario or a name in use, `PrivilegeError` for missing nft.
        """
        plan = load(scenario)
        mode: Mode = "local" if local else best_mode()
        if mode == "local":
            plan = localize(plan, first_port=first_unprivileged_port())
        name = name or plan.name
        me = os.getpid()
        state = State(id=f"{name}-{secrets.token_hex(4)}", name=name, mode=mode, maker=me,
                      maker_started=labs.start_ticks(me), scenario=_lasting(scenario))
        with labs.locked():
            _sweep(name)
            labs.claim(state)
        lab = cls(plan, state)
        try:
            keeper = lab._keeper = _spawn(state)
            state = msgspec.structs.replace(
                state, keeper=keeper.pid, started=labs.start_ticks(keeper.pid)
            )
            labs.update(state)
            ready = _ask(keeper, Task(scenario=plan, local=mode == "local"))
            lab.state = msgspec.structs.replace(
                state, namespaces=ready.namespaces, ready=True
            )
            labs.update(lab.state)
            if keep:
                lab._let_go()
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def find(cls, name: str) -> Self | None:
        """Return the lab of that name if it is up."""
        state = labs.read(name)
        if state is None or not state.alive or not state.ready:
            return None
        plan = load(state.scenario)
        if state.mode == "local":
            plan = localize(plan, first_port=first_unprivileged_port())
        return cls(plan, state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.state.name

    def namespace(self, host: str) -> Path:
        """Return the path of a host's network namespace, to be opened or given to nsenter."""
        return self.state.namespace(host)

    def truth(self, ports: str = "") -> list[Expected]:
        """Return the state that every port of every target must be found in."""
        return list(truth(self.scenario, ports))

    def alive(self) -> dict[str, bool]:
        """Return for each target address that is listed whether its host is up."""
        return alive(self.scenario)

    def environment(self) -> dict[str, str]:
        """Return the variables that commands in the lab get beside their own."""
        return {
            MARK: self.state.id,
            "PORTULAN_LAB": self.name,
            "PORTULAN_LAB_TARGETS": " ".join(self.scenario.targets),
            "PORTULAN_LAB_PORTS": self.scenario.ports,
        }

    def argv(self, host: str, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` inside a host."""
        if self.state.mode == "local":
            if host != self.scenario.scanner:
                raise UsageError("a local lab has no hosts to be inside of", text=host)
            return list(argv)
        keeper = ["--target", str(self.state.keeper), "--user", "--preserve-credentials"]
        user = keeper if self.state.mode == "user namespace" else []
        return ["nsenter", *user, f"--net={self.namespace(host)}", "--", *argv]

    def exec(self, host: str, argv: Sequence[str], **popen: Any) -> subprocess.Popen[Any]:  # noqa: ANN401
        """Start a command inside a host and return it; further words go to `Popen`."""
        environment = dict(popen.pop("env", os.environ)) | self.environment()
        return subprocess.Popen(self.argv(host, argv), env=environment, **popen)

    def run(
        self, argv: Sequence[str], *, host: str = "", **popen: Any  # noqa: ANN401 - Popen's words
    ) -> subprocess.CompletedProcess[Any]:
        """Run a command inside a host, the scanner by default, and return when it has ended."""
        process = self.exec(host or self.scenario.scanner, argv, **popen)
        with process:
            try:
                out, err = process.communicate()
            except BaseException:
                _end(process)
                raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def down(self) -> None:
        """Take the lab down; once more does nothing."""
        down(self.name)
        self._let_go(b"")

    def _let_go(self, word: bytes = KEEP) -> None:
        """Part from the keeper: with `KEEP` it lives on, without it ends."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin and keeper.stdout  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError):
            keeper.stdin.write(word)
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        keeper.stdout.close()
        if word == KEEP:
            keeper.returncode = 0  # no longer ours to wait for: Popen would warn about it
        else:
            keeper.wait()


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(labs.TERM_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def down(name: str) -> bool:
    """Take down whatever there is of a lab, whole, half-made or half-gone; say if there was any.

    Finds it by its file and by the mark of its processes; either alone is enough.
    """
    labs.path_of(name)
    known = labs.read(name)
    prefix = f"{name}-"
    doomed = {pid for pid, mark in labs.marked(prefix) if _name_of(mark) == name}
    if known is not None:
        doomed |= set(labs.inside(known))
    there = name in labs.names() or bool(doomed)
    labs.end(doomed)
    labs.forget(name)
    return there


def all_names() -> list[str]:
    """Return the names of all labs of which there is something: a file or a process."""
    return sorted({*labs.names(), *(_name_of(mark) for _, mark in labs.marked(""))})


def _name_of(mark: str) -> str:
    return mark.rpartition("-")[0]


def _sweep(name: str) -> None:
    """Clear the remains of a lab whose keeper is gone, so that its name can be used again."""
    known = labs.read(name)
    if name in labs.names() and not (known and (known.alive or known.building)):
        down(name)


def _lasting(scenario: str) -> str:
    """Return a scenario's name so that it means the same in another folder."""
    return str(Path(scenario).resolve()) if scenario.endswith(".toml") else scenario


def _spawn(state: State) -> subprocess.Popen[bytes]:
    root = ["unshare", "--user", "--map-root-user", "--"]
    head = root if state.mode == "user namespace" else []
    log = labs.path_of(state.name).with_suffix(".log")
    with log.open("wb") as errors:
        return subprocess.Popen(
            [*head, sys.executable, "-m", "portulan.lab.keeper"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env=os.environ | {MARK: state.id}, start_new_session=True,
        )


def _ask(keeper: subprocess.Popen[bytes], task: Task) -> Ready:
    assert keeper.stdin and keeper.stdout  # noqa: S101 - for the type checker
    line = b""
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.write(msgspec.json.encode(task) + b"\n")
        keeper.stdin.flush()
        line = keeper.stdout.readline()
    if not line:
        raise PeerError("the lab's keeper ended while it built - was it killed?")
    ready = msgspec.json.decode(line, type=Ready)
    if ready.error:
        raise UsageError(ready.error)
    return ready


@contextlib.contextmanager
def leaving_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to the command that runs, which gets it too: a scan may want to end cleanly.

    A handler and not SIG_IGN, since a program inherits what is ignored but no handler.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that `with Lab.up()` takes its lab down."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(SIGNALED + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, leave) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
