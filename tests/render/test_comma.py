from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings

from portulan.record import Host
from portulan.render.comma import COLUMNS, FORMULA, cell, render
from portulan.render.escape import visible

from .golden import check
from .runs import ATTACKS, SMALL, hostile, texts


def parsed(events):
    return list(csv.reader(io.StringIO("".join(render(events)), newline=""), strict=True))


def harmless(text: str) -> bool:
    return not text.lstrip(" \"").startswith(FORMULA)


def test_small_run_is_as_kept():
    check("small.csv", "".join(render(SMALL)))


def test_header_begins_as_promised():
    assert "".join(render([])).startswith("addr,port,protocol,state,")


def test_host_without_ports_has_a_row_of_its_own():
    _, cells = parsed([Host(addr="::1", state="up", reason="echo-reply")])
    row = dict(zip(COLUMNS, cells, strict=True))
    assert (row["addr"], row["port"], row["state"]) == ("::1", "", "up")
    assert len(parsed([Host(addr="::1", state="down", reason="no-response")])) == 1


def test_guessed_service_is_marked():
    services = {row[1]: row[5] for row in parsed(SMALL) if row[0] == "10.0.0.1"}
    assert services == {"22": "ssh", "80": "http?", "443": "http"}


@given(texts)
@settings(deadline=None)
def test_any_text_is_one_row_of_text_cells(text):
    rows = parsed(hostile(text))
    assert [len(row) for row in rows] == [len(COLUMNS)] * len(rows)
    assert len("".join(render(hostile(text))).splitlines()) == len(rows)
    assert all(harmless(value) for row in rows for value in row)


@given(texts)
def test_any_cell_reads_back_but_for_its_apostrophe(text):
    (row,) = csv.reader([f"x,{cell(text)}"], strict=True)
    assert row[1] in (visible(text), "'" + visible(text))


@pytest.mark.parametrize("start", [*FORMULA, '"=', "'=", " =", '"\'"-', "\t=", "\r="])
def test_formula_is_text_in_every_column(start):
    assert all(harmless(value) for row in parsed(hostile(f"{start}1+1")) for value in row)


def test_every_attack_keeps_the_shape():
    for text in ATTACKS:
        assert {len(row) for row in parsed(hostile(text))} == {len(COLUMNS)}
