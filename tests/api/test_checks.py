from __future__ import annotations

import pytest

from portulan.api.checks import checks
from portulan.errors import UsageError
from portulan.ident.checks import builtin

MINE = '''
from portulan.ident.checks import Place, Say, Script, Told, check

@check("http-page", services=("http",))
def mine(place: Place) -> Script:
    """Mine."""
    yield Say(b"x")
    return [Told("mine")]
'''


def test_those_of_a_folder_win_by_their_name(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    found = {each.name: each for each in checks(tmp_path)}
    assert len(found) == len(builtin())
    assert found["http-page"].about == "Mine."


def test_a_folder_that_is_missing_or_empty_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        checks(tmp_path / "none")
    with pytest.raises(UsageError, match="no Python files"):
        checks(tmp_path)


def test_a_file_that_does_not_load_is_named(tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(UsageError, match=r"ZeroDivisionError.*bad\.py"):
        checks(tmp_path)
