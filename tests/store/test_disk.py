from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.store.disk import DiskError, DiskFile, WholeAppender, write_atomic

from .samples import FailingFile


def test_new_file_is_private_and_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text("old")
    write_atomic(path, ["new ", b"bytes ", "\u00e9"])
    assert path.read_bytes() == "new bytes \u00e9".encode()
    assert os.listdir(tmp_path) == ["report.xml"]


def test_renderer_failing_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    path = tmp_path / "report.xml"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, chunks())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.xml"]


def test_lone_surrogates_are_escaped_not_fatal(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", ["a\udc80b"])
    assert (tmp_path / "x").read_bytes() == b"a\\udc80b"


def test_symlink_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomic(tmp_path / "link", ["x"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"


def test_special_file_is_written_through(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        write_atomic(fifo, ["through"])
        assert reader.communicate(timeout=10)[0] == b"through"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize(("name", "words"), [
    ("absent/report.xml", "no such file or folder"),
    ("file/report.xml", "no folder"),
    (".", "this is a folder"),
    ("n" * 300, "name too long"),
])
def test_bad_place_is_one_clear_line(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=words) as caught:
        write_atomic(tmp_path / name, ["x"])
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


def test_longest_legal_name_is_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("n" * 255), ["x"])
    assert os.listdir(tmp_path) == ["n" * 255]


NO_RIGHT = """
import sys
from portulan.store import write_atomic
from portulan.errors import UsageError
try:
    write_atomic(sys.argv[1], ["x"])
except UsageError as error:
    print(error)
"""


def test_missing_right_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    command = [sys.executable, "-c", NO_RIGHT, str(folder / "report.xml")]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv to drop root's right to write everywhere")
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "no right to write here" in done.stdout
    assert done.stdout.count("\n") == 1


FULL = """
import sys
from portulan.store import write_atomic
from portulan.errors import UsageError
try:
    write_atomic(sys.argv[1], (b"x" * 4096 for _ in range(1000)))
except UsageError as error:
    print(error)
"""


@pytest.mark.live
def test_full_disk_leaves_no_part_behind(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to mount a small tmpfs of its own")
    script = 'mount -t tmpfs -o size=1m none "$1" && "$2" -c "$3" "$1/out" && ls -A "$1"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FULL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "mount:" in done.stderr:
        pytest.skip(f"no tmpfs here: {done.stderr.strip()}")
    assert done.stdout.startswith(f"{tmp_path}/out: disk full")
    assert done.stdout.count("\n") == 1  # the message, and an empty folder


def test_unknown_error_keeps_the_systems_own_words(tmp_path: Path) -> None:
    error = DiskError(OSError(errno.ETXTBSY, "Text file busy"), tmp_path)
    assert error.code == errno.ETXTBSY
    assert "Text file busy" in str(error)


def test_appender_that_could_not_cut_refuses_to_go_on(tmp_path: Path) -> None:
    file = FailingFile(
        tmp_path / "x", fails_at=2, error=OSError(errno.EIO, "gone"), takes=1,
        calls="write truncate", for_ever=True)
    appender = WholeAppender(file, path=tmp_path / "x", size=0)
    for _ in range(2):
        with pytest.raises(DiskError):
            appender.append(b"abc", sync=False)
    assert (tmp_path / "x").read_bytes() == b"a"
    appender.close()


def test_sync_failing_is_told(tmp_path: Path) -> None:
    file = FailingFile(
        tmp_path / "x", fails_at=1, error=OSError(errno.EIO, "gone"), calls="sync")
    with pytest.raises(DiskError, match="input/output"):
        WholeAppender(file, path=tmp_path / "x", size=0).sync()
    file.close()


def test_disk_file_refuses_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(DiskError):
        DiskFile(tmp_path / "link", new=False)
