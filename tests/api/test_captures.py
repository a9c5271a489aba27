from __future__ import annotations

import pytest

from portulan.api.captures import Capture, Merged
from portulan.errors import UsageError
from tests.cli.test_sql import ASK, make_capture


@pytest.fixture
def path(tmp_path):
    return make_capture(tmp_path)


def test_tables_of_a_capture(path):
    capture = Capture(path)
    assert capture.flows()["dport"].tolist() == [80, 53]
    assert capture.dns()["name"].tolist() == ["www.example"]
    assert capture.http()["method"].tolist() == ["GET"]
    assert len(capture.tls()) == 0
    assert capture.table("packets")["number"].tolist() == [1, 2, 3]
    with pytest.raises(UsageError, match="no such table"):
        capture.table("x")


def test_tables_count_what_a_filter_leaves(path):
    assert Capture(path).filter("udp").flows()["application"].tolist() == ["dns"]
    assert len(Capture(path)[1:].table("packets")) == 2


def test_sql_joins_tables_of_one_capture(path):
    asked = "select distinct d.name from dns d join flows f on f.dport = d.dport"
    assert Capture(path).sql(asked).fetchall() == [("www.example",)]


def test_merged_captures_have_tables_too(path):
    assert Merged([path, path]).flows()["packets_fwd"].tolist() == [4, 2]


def test_streams_tell_what_was_said(path):
    streams = Capture(path).streams()
    said = ASK[1:]  # its first octet has the number of the SYN
    assert streams["data_fwd"].tolist() == [said]
    assert streams.sql("select number, octet_length(data_fwd) from streams").fetchall() == [
        (1, len(said))]
