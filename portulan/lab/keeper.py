"""The keeper: the one process that a lab lives in, `python -m portulan.lab.keeper`.

It reads a task from standard input, builds, listens, tells on standard output that all is ready,
then serves. Standard input stays its lifeline: when whoever started it goes away before saying
`keep`, the keeper ends, and the kernel takes the lab down with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from portulan.errors import PortulanError, UsageError
from portulan.lab.scenario import Host, Scenario
from portulan.lab.services import Listener, listen, serve

START_MAX_S = 15.0
"""A `command` service that listens on nothing for so long has failed."""

POLL_S = 0.02
KEEP = b"keep\n"


class Task(msgspec.Struct, frozen=True):
    """What a keeper is asked to do."""

    scenario: Scenario
    local: bool = False
    """No namespaces: listen on the machine's own loopback."""


class Ready(msgspec.Struct, frozen=True):
    """What a keeper answers: an open file's number per namespace, or why it failed."""

    namespaces: dict[str, int] = {}
    error: str = ""


def main() -> None:
    """Build a lab, serve it, and end with it."""
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    programs: list[subprocess.Popen[bytes]] = []
    try:
        task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
        namespaces, listeners = _set_up(task, programs)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_keep(task.scenario, namespaces, listeners))
    except PortulanError as error:
        _tell(Ready(error=str(error)))
    except Exception as error:  # whatever it is, the parent must hear it
        _tell(Ready(error=f"the lab cannot be built: {type(error).__name__}: {error}"))
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _set_up(
    task: Task, programs: list[subprocess.Popen[bytes]]
) -> tuple[dict[str, int], list[Listener]]:
    namespaces: dict[str, int] = {}
    if not task.local:
        from portulan.lab.build import build, enter

        namespaces = build(task.scenario)
    listeners: list[Listener] = []
    for name, host in task.scenario.hosts.items():
        if host.down:
            continue
        if namespaces:
            enter(namespaces[name])
        listeners += _listen_host(name, host, local=task.local)
        programs += [_start(name, service.command) for service in host.services if service.command]
        _wait_listening(name, host)
    return namespaces, listeners


def _listen_host(name: str, host: Host, *, local: bool) -> list[Listener]:
    """Bind a host's services in the current namespace.

    TCP listens on the wildcard, which covers an AnyIP network; UDP on each address, because an
    answer from a wildcard socket would leave with whatever source address routing prefers.
    """
    six = any(":" in each for each in [*host.addresses, *host.anyip])
    wildcards = ["0.0.0.0", "::"] if six else ["0.0.0.0"]
    listeners = []
    for service in host.services:
        if service.kind == "command":
            continue
        both = service.kind == "dns" or service.protocol == "udp" or local
        try:
            listeners.append(listen(name, service, host.addresses if both else wildcards))
        except OSError as error:
            reason = f"{error.strerror}: port {service.port}"
            raise UsageError(reason, where=f"hosts.{name}") from None
    return listeners


def _start(name: str, command: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            shlex.split(command), stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot start: {error}", text=command, where=f"hosts.{name}") from None


def _wait_listening(name: str, host: Host) -> None:
    """Return when every `command` service's port is bound in the current namespace."""
    waiting = {(s.protocol, s.port) for s in host.services if s.command}
    end = time.monotonic() + START_MAX_S
    while waiting - _bound():
        if time.monotonic() > end:
            port = min(waiting - _bound())[1]
            raise UsageError(f"nothing listens on port {port} after {START_MAX_S:.0f} s",
                             where=f"hosts.{name}", hint="the command must stay in the foreground")
        time.sleep(POLL_S)


def _bound() -> set[tuple[str, int]]:
    """Return (protocol, port) of what listens here.

    In proc(5) state 0A is a listening TCP socket, 07 an unconnected UDP one.
    """
    found = set()
    for protocol, state in (("tcp", "0A"), ("udp", "07")):
        for version in ("", "6"):
            table = Path(f"/proc/thread-self/net/{protocol}{version}")
            for line in table.read_text().splitlines()[1:] if table.exists() else ():
                words = line.split()
                if words[3] == state:
                    found.add((protocol, int(words[1].rsplit(":", 1)[1], 16)))
    return found


async def _keep(scenario: Scenario, namespaces: dict[str, int], listeners: list[Listener]) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    loop.set_exception_handler(_log)
    names = {name: list(host.addresses) for name, host in scenario.hosts.items()}
    for listener in listeners:
        await serve(listener, names)
    loop.add_reader(0, _lifeline, loop, done)
    _tell(Ready(namespaces=namespaces))
    await done.wait()


def _lifeline(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
    said = os.read(0, 64)
    if said != KEEP:
        done.set()
    loop.remove_reader(0)


def _log(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Keep one line per trouble: an error in one connection never stops a listener."""
    print(context.get("message", ""), context.get("exception", ""), file=sys.stderr, flush=True)


def _tell(ready: Ready) -> None:
    with contextlib.suppress(OSError):
        os.write(1, msgspec.json.encode(ready) + b"\n")


if __name__ == "__main__":
    main()
