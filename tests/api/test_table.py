from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from portulan.api.table import HTML_ROWS, Table
from portulan.errors import UsageError
from portulan.store.sql import Source

TYPES = {"n": "BIGINT", "t": "VARCHAR"}


@pytest.fixture
def made():
    return []


@pytest.fixture
def table(made):
    def make(names):
        made.extend(names)
        return {"n": np.array([1, -1]), "t": np.array(["<a>", None], object)}

    return Table("things", Source(TYPES, make))


def test_column_is_made_once_when_asked_for(table, made):
    assert table.names == ("n", "t")
    assert not made
    assert (len(table), table["n"].tolist(), int(table["n"].sum())) == (2, [1, None], 1)
    assert made == ["n"]
    assert table.columns("t")["t"].tolist() == ["<a>", None]


def test_rows_are_mappings(table):
    assert list(table) == [{"n": 1, "t": "<a>"}, {"n": None, "t": None}]


def test_sql_knows_the_table_by_its_name(table, made):
    assert table.sql("select n from things where n is not null").fetchall() == [(1,)]
    assert made == ["n"]


def test_notebook_sees_escaped_rows(table):
    shown = table._repr_html_()
    assert "&lt;a&gt;" in shown
    assert "<a>" not in shown
    assert repr(table) == "<things: 2 rows; n, t>"


def test_long_table_is_cut_in_a_notebook():
    long = Table("x", Source({"n": "BIGINT"}, lambda names: {"n": np.arange(HTML_ROWS + 7)}))
    assert long._repr_html_().count("<tr>") == HTML_ROWS + 1
    assert "and 7 more rows" in long._repr_html_()


def test_column_that_is_not_there_is_refused(table):
    with pytest.raises(UsageError, match="no such column: 'x'"):
        table.columns("x")


@pytest.mark.parametrize(("name", "maker", "method"), [
    ("pandas", "DataFrame", "df"), ("polars", "DataFrame", "pl"), ("pyarrow", "table", "arrow")])
def test_libraries_get_plain_columns(name, maker, method, table, monkeypatch):
    fake = ModuleType(name)
    setattr(fake, maker, lambda columns: columns)
    monkeypatch.setitem(sys.modules, name, fake)
    assert getattr(table, method)() == {"n": [1, None], "t": ["<a>", None]}
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=f"{name} is not installed"):
        getattr(table, method)()
