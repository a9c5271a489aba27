from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portulan.errors import LimitError
from portulan.store.disk import DiskError
from portulan.store.lock import Busy, Lock, holder

HOLD = """
import sys
from pathlib import Path
from portulan.store import Lock
lock = Lock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""

TRY = """
import sys
from pathlib import Path
from portulan.store import Busy, Lock
try:
    Lock.take(Path(sys.argv[1]))
except Busy as busy:
    print(busy.pid)
else:
    print("taken")
"""


@contextmanager
def other_holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def tried_elsewhere(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(path)], text=True, capture_output=True, check=True,
        timeout=30)
    return done.stdout.strip()


def test_free_lock_is_taken_and_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with Lock.take(path) as lock:
        assert holder(path) == os.getpid()
    assert holder(path) is None
    lock.release()  # twice is harmless
    with Lock.take(path):
        assert holder(path) == os.getpid()


def test_second_taker_is_refused_in_one_line_that_names_the_pid(tmp_path: Path) -> None:
    path = tmp_path / "20261121-0941-k3f" / "lock"
    path.parent.mkdir()
    with other_holder(path) as process:
        assert holder(path) == process.pid
        with pytest.raises(LimitError) as caught:
            Lock.take(path)
        assert str(caught.value) == (
            f"chart 20261121-0941-k3f is being written by process {process.pid} - wait or stop it")


def test_sigkilled_holder_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other_holder(path) as process:
        process.kill()
        process.wait()
        assert path.read_text() == f"{process.pid}\n"
        assert holder(path) is None
        with Lock.take(path):
            assert path.read_text() == f"{os.getpid()}\n"


def test_same_process_conflicts_with_itself(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock.take(path), pytest.raises(Busy) as caught:
        Lock.take(path)
    assert caught.value.pid == os.getpid()


def test_looking_at_and_trying_the_own_lock_does_not_drop_it(tmp_path: Path) -> None:
    """Closing any descriptor of the file would: the quirk of POSIX locks."""
    path = tmp_path / "lock"
    with Lock.take(path):
        holder(path)
        with pytest.raises(Busy):
            Lock.take(path)
        assert tried_elsewhere(path) == str(os.getpid())
    assert tried_elsewhere(path) == "taken"


def test_two_takers_at_once_only_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    pipe = subprocess.PIPE
    rivals = [
        subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    said = []
    for rival in rivals:
        assert rival.stdout is not None
        said.append(rival.stdout.readline())
    for rival in rivals:
        rival.communicate("\n", timeout=30)
    assert sorted(said) == ["", "", "", "held\n"]


def test_nonsense_in_the_file_is_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"\xff" * 5000)
    assert holder(path) is None
    with Lock.take(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_symlinked_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError):
        Lock.take(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()
    assert holder(tmp_path / "lock") is None
