from __future__ import annotations

import pytest

from portulan.cli.scan_files import check_output, read_scope, read_words
from portulan.errors import UsageError


def test_words_of_a_file_say_their_line(tmp_path):
    path = tmp_path / "hosts.txt"
    path.write_text("10.0.0.1 10.0.0.2\n# mine\n10.0.0.3\n")
    assert read_words(str(path), "-iL") == [
        ("10.0.0.1", f"{path}:1"), ("10.0.0.2", f"{path}:1"), ("10.0.0.3", f"{path}:3")]


def test_scope_left_out_is_no_scope_and_a_blank_one_is_refused(tmp_path):
    path = tmp_path / "scope.txt"
    path.write_text("\n")
    assert read_scope("") == ""
    with pytest.raises(UsageError, match="allows nothing"):
        read_scope(str(path))


@pytest.mark.parametrize(("name", "kept", "word"), [
    ("x.foo", True, r"\.xml"), ("x.pcapng", False, "--no-keep"), ("no/such/x.xml", True, "folder"),
])
def test_output_that_cannot_be_is_refused_before_the_scan(name, kept, word):
    with pytest.raises(UsageError, match=word):
        check_output(name, kept=kept)


def test_output_that_can_be_is_taken(tmp_path):
    check_output(str(tmp_path / "x.xml"), kept=False)
    check_output(str(tmp_path / "x.pcapng"), kept=True)
