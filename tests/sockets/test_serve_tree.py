from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.sockets.serve_http import RefusedError
from portulan.sockets.serve_tree import DEPTH_MAX, UPLOAD_PREFIX, Tree, segments, url_path

SECRET = b"outside"
NAMES = 500


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with everything a traversal needs around it."""
    root = tmp_path / "www"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "in.txt").write_bytes(b"inside")
    (root / "sub" / "b.txt").write_bytes(b"inside too")
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "www-private").mkdir()
    (tmp_path / "www-private" / "secret").write_bytes(SECRET)
    (root / "link").symlink_to("sub")
    (root / "link.txt").symlink_to("sub/b.txt")
    (root / "out").symlink_to("..")
    (root / "out.txt").symlink_to(tmp_path / "secret")
    (root / "sibling").symlink_to(tmp_path / "www-private")
    (root / "etc").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    (root / "sub" / "chain").symlink_to("../out.txt")
    return root


def read(tree: Tree, *names: str) -> bytes:
    found = tree.open(names)
    try:
        return os.pread(found.fd, 1000, 0)
    finally:
        os.close(found.fd)


def status(tree: Tree, *names: str) -> int:
    with pytest.raises(RefusedError) as caught:
        read(tree, *names)
    return caught.value.status


@pytest.mark.parametrize("path, names", [
    ("/", ("",)), ("/a", ("a",)), ("/a/", ("a", "")), ("/a%20b/%E6%97%A5", ("a b", "日")),
    ("/\xe6\x97\xa5", ("日",)), ("/%252e%252e", ("%2e%2e",)), ("/a\\b", ("a\\b",)),
    ("/...", ("...",)), ("/a%3Fb", ("a?b",)),
])
def test_path_becomes_names(path: str, names: tuple[str, ...]) -> None:
    assert segments(path) == names


@pytest.mark.parametrize("path", [
    "/..", "/../x", "/a/../b", "/%2e%2e/x", "/.%2E", "/%2e", "/./x", "//evil.example/x", "/a//b",
    "/..%2fx", "/a%2Fb", "/%00", "/a%00.txt", "/" + "a/" * DEPTH_MAX, "/a/%2e%2e%2f%2e%2e",
])
def test_path_that_climbs_is_not_found(path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        segments(path)
    assert caught.value.status == 404


@pytest.mark.parametrize("path", ["/%", "/%zz", "/%4", "*", "", "a"])
def test_path_that_is_malformed_is_refused(path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        segments(path)
    assert caught.value.status == 400


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
def test_url_path_of_names_leads_back_to_them(raw: list[bytes]) -> None:
    names = tuple(os.fsdecode(each.replace(b"/", b"_").replace(b"\0", b"_")) for each in raw)
    if any(name in {".", ".."} for name in names):
        return
    path = url_path((*names, ""))
    assert path.isascii()
    assert not path.startswith("//")
    assert segments(path) == (*names, "")


def test_files_and_links_inside_are_served(root: Path) -> None:
    tree = Tree(root)
    assert read(tree, "in.txt") == b"inside"
    assert read(tree, "sub", "b.txt") == b"inside too"
    assert read(tree, "link", "b.txt") == b"inside too"
    assert read(tree, "link.txt") == b"inside too"


@pytest.mark.parametrize("names", [
    ("out.txt",), ("out", "secret"), ("sibling", "secret"), ("etc", "passwd"), ("loop",),
    ("sub", "chain"), ("link", "chain"), ("link", "..", "..", "secret"), ("..", "secret"),
    ("out",), ("none",), ("in.txt", "x"), ("a" * 300,), (UPLOAD_PREFIX + "1",),
])
def test_what_lies_outside_or_nowhere_is_not_found(root: Path, names: tuple[str, ...]) -> None:
    assert status(Tree(root), *names) == 404


def generated() -> list[str]:
    """Names as attackers write them: climbs, encodings, separators and targets, combined."""
    chance = random.Random(20)
    ups = ["..", "%2e%2e", ".%2e", "%252e%252e", "..%00", "%c0%ae%c0%ae", "..;", "....", "out",
           "etc", "sibling", "link/..", "sub/../..", ".", "%ff..", "\uff0e\uff0e", "www-private"]
    seps = ["/", "%2f", "%252f", "\\", "%5c", "//", "/./", "%c0%af", "/%2f"]
    ends = ["secret", "passwd", "www-private/secret", "etc/passwd", "www/in.txt/../../secret",
            "%73ecret", "secret%00.txt", "secret/", "secret?in.txt", "file:///etc/passwd"]
    made = []
    for _ in range(NAMES):
        steps = range(chance.randint(1, 6))
        climb = "".join(chance.choice(ups) + chance.choice(seps) for _ in steps)
        made.append(chance.choice(["/", "//", "/sub/", "/link/"]) + climb + chance.choice(ends))
    return made


def test_generated_traversals_never_leave_the_folder(root: Path) -> None:
    tree, served = Tree(root), 0
    for path in generated():
        try:
            raw = path.encode().decode("latin-1").partition("?")[0]
            found = tree.open(segments(raw))
        except RefusedError as refusal:
            assert refusal.status in {400, 404}
            continue
        served += 1
        assert Path(found.real_path).is_relative_to(root), path
        if os.path.isfile(found.real_path):
            assert os.pread(found.fd, 100, 0) != SECRET
        os.close(found.fd)
    assert served < NAMES // 10


def test_link_swapped_in_while_walking_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, real_open = Tree(root), os.open

    def swapping(path: str, flags: int, *args: int, **options: int) -> int:
        if path == "b.txt":
            (root / "sub" / "b.txt").unlink(missing_ok=True)
            (root / "sub" / "b.txt").symlink_to(root.parent / "secret")
        return real_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", swapping)
    assert status(tree, "sub", "b.txt") == 404


def test_pipe_socket_and_device_are_not_opened(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "sock"))
        tree = Tree(root)
        assert [status(tree, name) for name in ("pipe", "null", "sock")] == [404] * 3


def test_entries_are_sorted_and_hide_what_is_not_served(root: Path) -> None:
    for name in ("file10", "file9", "File1", "日本", UPLOAD_PREFIX + "1"):
        (root / name).touch()
    os.mkfifo(root / "pipe")
    entries = Tree(root).entries(())
    assert [entry.name for entry in entries] == [
        "link", "sub", "File1", "file9", "file10", "in.txt", "link.txt", "日本"]
    assert [entry.is_folder for entry in entries] == [True] * 2 + [False] * 6


def test_folder_for_writing_is_reached_without_links(root: Path) -> None:
    tree = Tree(root)
    with tree.folder(("sub",)) as fd:
        assert "b.txt" in os.listdir(fd)
    for names in (("link",), ("out",), ("sub", ".."), ("none",)):
        with pytest.raises(RefusedError), tree.folder(names):
            raise AssertionError(names)


def test_root_that_is_no_folder_is_one_clear_line(root: Path) -> None:
    with pytest.raises(UsageError, match=r"DIR: no folder to serve .*in.txt"):
        Tree(root / "in.txt")


def test_descriptors_are_given_back(root: Path) -> None:
    tree = Tree(root)
    before = len(os.listdir("/proc/self/fd"))
    for names in (("in.txt",), ("none", "x"), ("out", "secret"), ("link.txt",), ("sub", "deep")):
        with contextlib.suppress(RefusedError):
            os.close(tree.open(names).fd)
    tree.entries(())
    assert len(os.listdir("/proc/self/fd")) == before
    tree.close()
