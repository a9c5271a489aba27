from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from portulan.sockets.serve_http import RefusedError
from portulan.sockets.serve_upload import check_name, disk_refusals, incoming


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def put(folder: int, name: str, data: bytes = b"new", *, overwrite: bool = False) -> bool:
    with incoming(folder, name, limit_bytes=10) as file:
        file.write(data)
        return file.put(overwrite=overwrite)


def refused(folder: int, name: str, data: bytes = b"new", *, overwrite: bool = False) -> int:
    with pytest.raises(RefusedError) as caught:
        put(folder, name, data, overwrite=overwrite)
    return caught.value.status


def test_new_file_is_there_at_once_and_nothing_else(folder: int, tmp_path: Path) -> None:
    with incoming(folder, "日本.txt", limit_bytes=10) as file:
        file.write(b"ab")
        assert not (tmp_path / "日本.txt").exists()
        assert file.put(overwrite=False) is True
    assert (tmp_path / "日本.txt").read_bytes() == b"ab"
    assert os.listdir(tmp_path) == ["日本.txt"]


def test_broken_upload_leaves_nothing(folder: int, tmp_path: Path) -> None:
    with pytest.raises(ConnectionAbortedError), incoming(folder, "a", limit_bytes=10) as file:
        file.write(b"ab")
        raise ConnectionAbortedError
    assert os.listdir(tmp_path) == []


def test_file_there_stays_unless_overwrite(folder: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    assert refused(folder, "a") == 409
    assert (tmp_path / "a").read_bytes() == b"old"
    assert put(folder, "a", overwrite=True) is False
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_link_of_that_name_is_never_followed(folder: int, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "a").symlink_to("target")
    if overwrite:
        put(folder, "a", overwrite=True)
        assert not (tmp_path / "a").is_symlink()
    else:
        assert refused(folder, "a") == 409
    assert (tmp_path / "target").read_bytes() == b"old"


def test_folder_of_that_name_is_refused(folder: int, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert refused(folder, "a", overwrite=True) == 409
    assert os.listdir(tmp_path) == ["a"]


def test_file_beyond_the_limit_is_refused(folder: int, tmp_path: Path) -> None:
    assert refused(folder, "a", b"x" * 11) == 413
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_file_system_without_hard_links_works_too(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(code, "no links")

    monkeypatch.setattr(os, "link", no_links)
    put(folder, "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert refused(folder, "a", b"other") == 409
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("name", [
    "", ".", "..", "a/b", "/etc/passwd", "a\0", "a\n", "\x1b[2J", "x" * 256, ".portulan-upload-1",
])
def test_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_name(name)
    assert caught.value.status == 400


@pytest.mark.parametrize("code, status", [
    (errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EACCES, 403), (errno.EROFS, 403),
    (errno.EEXIST, 409), (errno.EISDIR, 409),
])
def test_fault_of_the_disk_is_told(code: int, status: int) -> None:
    with pytest.raises(RefusedError) as caught, disk_refusals():
        raise OSError(code, "x")
    assert caught.value.status == status


def test_other_fault_is_not_hidden() -> None:
    with pytest.raises(OSError, match="x"), disk_refusals():
        raise OSError(errno.EIO, "x")
