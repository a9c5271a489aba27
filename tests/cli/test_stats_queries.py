from __future__ import annotations

import pytest

from portulan.api.tables import sources
from portulan.cli.stats_queries import QUERIES
from portulan.store.sql import ask
from tests.cli.test_sql import make_capture


@pytest.mark.parametrize("what", sorted(QUERIES))
def test_every_question_can_be_asked_and_gives_the_same_twice(what, tmp_path):
    path = str(make_capture(tmp_path))
    first, second = (ask(QUERIES[what], sources([path])) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.rows() == second.rows()


def test_lengths_are_counted_by_powers_of_two(tmp_path):
    rows = ask(QUERIES["lengths"], sources([str(make_capture(tmp_path))])).rows()
    for low, high, _, _, shortest, longest in rows:
        assert low <= shortest <= longest <= high
    assert sum(row[2] for row in rows) == 3
