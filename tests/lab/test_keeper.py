from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from portulan.errors import UsageError
from portulan.lab import keeper
from portulan.lab.keeper import KEEP, Ready, Task
from portulan.lab.scenario import Host, Scenario, Service
from tests.lab.fixtures import make_lab  # noqa: F401


def plan(*services: Service) -> Scenario:
    host = Host(links={"lo": ["127.77.9.9/8"]}, services=list(services))
    return Scenario(about="", hosts={"scanner": Host(), "web": host}, targets=["127.77.9.9/32"],
                    ports="1-65535")


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "portulan.lab.keeper"], stdin=-1, stdout=-1,
                            stderr=-3)


def ask(process: subprocess.Popen[bytes], task: Task) -> Ready:
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    process.stdin.flush()
    return msgspec.json.decode(process.stdout.readline(), type=Ready)


def test_lifeline_cut_before_keep_ends_the_keeper():
    with start() as process:
        assert ask(process, Task(plan(Service(kind="echo", port=48123)), local=True)) == Ready()
        process.stdin.close()
        assert process.wait(5) == 0


def test_keep_said_keeper_outlives_its_maker_until_terminated():
    with start() as process:
        ask(process, Task(plan(Service(kind="echo", port=48124)), local=True))
        process.stdin.write(KEEP)
        process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.terminate()
        assert process.wait(5) == 0


def test_port_taken_is_told_with_its_host():
    service = Service(kind="echo", port=48125)
    with start() as first, start() as second:
        ask(first, Task(plan(service), local=True))
        error = ask(second, Task(plan(service), local=True)).error
        assert error == "hosts.web: Address already in use: port 48125"
        first.stdin.close()


def test_nonsense_task_is_told_not_raised():
    with start() as process:
        out, _ = process.communicate(b"[1]\n")
    assert "cannot be built" in msgspec.json.decode(out, type=Ready).error


SERVER = f"{sys.executable} -m http.server --bind 127.77.9.9 48126"


def test_command_is_ready_once_it_listens_and_ends_with_the_keeper():
    service = Service(kind="command", port=48126, command=SERVER)
    with start() as process:
        assert ask(process, Task(plan(service), local=True)).error == ""
        assert ("tcp", 48126) in keeper._bound()
        process.stdin.close()
        process.wait(5)
    assert ("tcp", 48126) not in keeper._bound()


def test_command_that_never_listens_is_an_error(monkeypatch):
    monkeypatch.setattr(keeper, "START_MAX_S", 0.1)
    service = Service(kind="command", port=48127, command="true")
    with pytest.raises(UsageError, match="nothing listens on port 48127"):
        keeper._wait_listening("web", Host(services=[service]))


def test_command_that_does_not_exist_is_an_error():
    with pytest.raises(UsageError, match=r"hosts.web: cannot start"):
        keeper._start("web", "no-such-program-anywhere --flag")
