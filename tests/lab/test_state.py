from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from portulan.errors import UsageError
from portulan.lab import state as labs
from portulan.lab.state import MARK, State


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    return tmp_path


def some(name: str = "one", **words) -> State:
    me = os.getpid()
    return State(id=f"{name}-1", name=name, scenario="harbour", mode="local", maker=me,
                 maker_started=labs.start_ticks(me), **words)


def test_a_claim_is_exclusive_and_forgotten_whole(home):
    with labs.locked():
        labs.claim(some())
        with pytest.raises(UsageError, match="is up"):
            labs.claim(some())
    labs.update(some(ready=True))
    assert labs.read("one") == some(ready=True)
    assert labs.names() == ["one"]
    labs.forget("one")
    assert labs.names() == [] and labs.read("one") is None
    assert not list((home / "labs").glob("one*"))


def test_a_torn_file_is_no_lab_but_still_has_a_name(home):
    (home / "labs").mkdir()
    (home / "labs" / "one.json").write_bytes(b'{"id":"one-')
    assert labs.read("one") is None and labs.names() == ["one"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 33, "a.b", "\n"])
def test_a_name_that_could_leave_the_folder_is_refused(name):
    with pytest.raises(UsageError, match="not a lab's name"):
        labs.path_of(name)


def test_alive_means_the_same_process_not_the_same_number():
    me = os.getpid()
    ticks = labs.start_ticks(me)
    assert some(keeper=me, started=ticks).alive
    assert not some(keeper=me, started=ticks + 1).alive
    assert not some().alive
    assert some().building and not some(ready=True).building


def test_marked_processes_are_found_by_their_environment_and_ended():
    mark = f"marked-{os.getpid()}-1"
    argv = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    with subprocess.Popen(argv, env=os.environ | {MARK: mark}, stdout=-1) as process:
        process.stdout.readline()
        assert list(labs.marked(mark)) == [(process.pid, mark)]
        assert labs.end([process.pid, process.pid]) == 1
        assert process.wait() == -signal.SIGTERM
    assert list(labs.marked(mark)) == []


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(labs, "TERM_GRACE_S", 0.2)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=1); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1) as process:
        process.stdout.readline()
        assert labs.end([process.pid]) == 1
        assert process.wait() == -signal.SIGKILL


def test_what_is_gone_is_not_ended():
    with subprocess.Popen(["true"]) as process:
        pass
    assert labs.start_ticks(process.pid) == 0
    assert labs.end([process.pid]) == 0


def test_we_and_those_we_descend_from_are_never_marked():
    code = (f"import os; os.environ['{MARK}']='x'; "
            "from portulan.lab.state import marked; print(list(marked('self-')))")
    argv = ["sh", "-c", f"'{sys.executable}' -c \"{code}\"; true"]
    done = subprocess.run(argv, env=os.environ | {MARK: f"self-{os.getpid()}"},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_home_falls_back_to_the_xdg_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PORTULAN_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert labs.folder() == tmp_path / "portulan" / "labs"
