from __future__ import annotations

from pathlib import Path

import pytest

from portulan.sockets import serve_kept
from portulan.sockets.serve_http import Source
from portulan.sockets.serve_kept import Answers, Kept, stamp_of


def kept(path: Path, after: bytes = b"x") -> Kept:
    return Kept(b"before", after, Source(str(path), stamp_of(path.stat())), True, 200, 1)


def test_answer_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    answers = Answers()
    answers.put(b"head", kept(path))
    assert answers.get(b"head") == kept(path)
    assert answers.get(b"other") is None
    path.write_bytes(b"22")
    assert answers.get(b"head") is None


@pytest.mark.parametrize("how", ["removed", "replaced", "linked elsewhere"])
def test_answer_is_dropped_when_its_path_leads_elsewhere(tmp_path: Path, how: str) -> None:
    real, other, link = tmp_path / "a", tmp_path / "b", tmp_path / "link"
    real.write_bytes(b"1")
    other.write_bytes(b"1")
    link.symlink_to("a")
    answers = Answers()
    answers.put(b"head", kept(link))
    if how == "removed":
        real.unlink()
    elif how == "replaced":
        other.rename(real)
    else:
        link.unlink()
        link.symlink_to("b")
    assert answers.get(b"head") is None


def test_answers_are_bounded_and_the_oldest_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_kept, "TOTAL_MAX_BYTES", 10_000)
    path = tmp_path / "a"
    path.touch()
    answers = Answers()
    for number in range(100):
        answers.put(b"%d" % number, kept(path, b"x" * 1000))
        answers.put(b"%d" % number, kept(path, b"x" * 1000))
    held = [number for number in range(100) if answers.get(b"%d" % number)]
    assert 2 <= len(held) <= 9
    assert held[-1] == 99
