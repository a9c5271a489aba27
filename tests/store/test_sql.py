from __future__ import annotations

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.store.sql import ask

TABLE = {"n": np.array([1, -1, 3]), "t": np.array(["a", None, "7"], object)}


def rows(query, **tables):
    return ask(query, tables or {"things": lambda: TABLE}).rows()


def test_absent_numbers_and_texts_are_null():
    assert rows("select n, t from things") == [(1, "a"), (None, None), (3, "7")]


def test_only_tables_that_are_named_are_made():
    def never():
        raise AssertionError

    assert rows("with x as (select 1 as a) select a from x", other=never) == [(1,)]


@pytest.mark.parametrize(("words", "value"), [
    ("in_net('10.1.2.3', '10.0.0.0/8')", True), ("in_net('fd00::1', '10.0.0.0/8')", False),
    ("in_net('nonsense', '10.0.0.0/8')", False), ("in_net(null, '10.0.0.0/8')", None),
    ("is_private('192.168.3.4')", True), ("is_private('8.8.8.8')", False),
    ("is_private('x')", False)])
def test_address_functions(words, value):
    assert rows(f"select {words}") == [(value,)]


@pytest.mark.parametrize("query", [
    "selec", "select * from nope", "select in_net('10.0.0.1', 'x')", "", "select 1/'x'",
    "select * from read_text('/etc/hostname')", "copy (select 1) to 'out.csv'",
    "attach 'x.db'", "set enable_external_access = true", "install httpfs", "load httpfs"])
def test_wrong_or_reaching_query_is_one_line(query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        rows(query)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_parquet_is_written_whole_and_nothing_else(tmp_path):
    import duckdb

    path = tmp_path / "it's.parquet"
    assert ask("select n from things", {"things": lambda: TABLE}, parquet=path) is None
    assert duckdb.read_parquet(str(path)).fetchall() == [(1,), (None,), (3,)]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError):
        ask("select * from nope", {}, parquet=tmp_path / "b.parquet")
    assert list(tmp_path.iterdir()) == [path]
