from __future__ import annotations

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.store.sql import Source, ask

TABLE = {"n": np.array([1, -1, 3]), "t": np.array(["a", None, "7"], object)}


TYPES = {"n": "BIGINT", "t": "VARCHAR"}
THINGS = Source(TYPES, lambda needed: TABLE)


def rows(query, **tables):
    return ask(query, tables or {"things": THINGS}).rows()


def asked_for(query, **more):
    """Return which columns of things a query makes, None if not even the table."""
    asked = []

    def make(needed):
        asked.extend(needed)
        return TABLE

    try:
        ask(query, {"things": Source(TYPES, make), **more}).rows()
    except UsageError:
        return "wrong"
    return asked or None


def test_absent_numbers_and_texts_are_null():
    assert rows("select n, t from things") == [(1, "a"), (None, None), (3, "7")]


def test_only_tables_that_are_named_are_made():
    assert asked_for("with x as (select 1 as a) select a from x") is None


@pytest.mark.parametrize(("query", "columns"), [
    ("select t from things", ["t"]), ("select count(*) from things", ["n"]),
    ("select 1 from things where n = 7 and t is null", ["n", "t"]),
    ("from things", ["n", "t"]), ("select x from things x", ["n", "t"]),
    ("select columns('t.*') from things", ["t"]), ("select (select max(n) from things)", ["n"]),
    ("select * exclude (t) from things", ["n"]),
    ("with a as (select * from things) select b.t from a b join a c on b.n > c.n", ["n", "t"]),
    ("select a.t from things a join things b using (n)", ["n", "t"]),
    ("select 1; select t from things", "wrong"), ("describe things", None),
    ("select * from (pivot things on t using count(*))", "wrong"),
    ("select * from (pivot things on t in ('a') using count(*))", ["n", "t"])])
def test_only_columns_that_a_query_reads_are_made(query, columns):
    assert asked_for(query) == columns


def test_described_table_has_all_its_columns():
    assert [row[:2] for row in rows("describe things")] == [("n", "BIGINT"), ("t", "VARCHAR")]


def test_columns_never_read_are_there_all_the_same():
    assert rows("select * exclude (t) from things where n = 3") == [(3,)]


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
    assert ask("select n from things", {"things": THINGS}, parquet=path) is None
    assert duckdb.read_parquet(str(path)).fetchall() == [(1,), (None,), (3,)]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError):
        ask("select * from nope", {}, parquet=tmp_path / "b.parquet")
    assert list(tmp_path.iterdir()) == [path]


def test_octets_are_blobs():
    octets = np.empty(3, object)
    octets[:] = [b"\x00\xff'", b"", None]
    table = Source({"o": "BLOB"}, lambda needed: {"o": octets})
    assert ask("select o, octet_length(o) from t", {"t": table}).rows() == [
        (b"\x00\xff'", 3), (b"", 0), (None, None)]
