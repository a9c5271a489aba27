from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import DamageError, UsageError
from portulan.store.charts import ChartFolder, Charts, charts_folder, new_id
from portulan.store.disk import DiskError
from portulan.store.lock import Busy, Lock

NOON_NS = int(datetime(2026, 11, 21, 9, 41, tzinfo=UTC).timestamp()) * 10**9
TIMES = st.integers(0, 4_000_000_000 * 10**9)


def filled(folder: Path, count: int = 3) -> Charts:
    charts = Charts(folder)
    for number in range(count):
        chart = charts.create(NOON_NS + number * 3_600 * 10**9)
        chart.journal.write_text("")
    return charts


def test_id_is_the_minute_and_three_digits() -> None:
    assert new_id(NOON_NS, set()) == "20261121-0941-000"
    assert new_id(NOON_NS + 59_999_999_999, set()) == "20261121-0941-zzz"


def test_taken_id_gives_the_next() -> None:
    assert new_id(NOON_NS, {"20261121-0941-000", "20261121-0941-001"}) == "20261121-0941-002"


@given(TIMES, TIMES)
def test_ids_sort_as_their_times(one_ns: int, other_ns: int) -> None:
    early, late = sorted((one_ns, other_ns))
    assert new_id(early, set()) <= new_id(late, set())


@pytest.mark.parametrize(("variables", "folder"), [
    ({"PORTULAN_HOME": "/p", "XDG_DATA_HOME": "/x"}, "/p/charts"),
    ({"XDG_DATA_HOME": "/x"}, "/x/portulan/charts"),
    ({"XDG_DATA_HOME": "relative"}, "/h/.local/share/portulan/charts"),
    ({}, "/h/.local/share/portulan/charts"),
])
def test_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("PORTULAN_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**variables, "HOME": "/h"}.items():
        monkeypatch.setenv(name, value)
    assert str(charts_folder()) == folder


def test_new_chart_is_its_owners_only(tmp_path: Path) -> None:
    chart = Charts(tmp_path / "deep" / "charts").create(NOON_NS)
    assert chart.path.stat().st_mode & 0o777 == 0o700
    assert chart.path.parent.stat().st_mode & 0o777 == 0o700


def test_two_charts_of_one_moment_differ(tmp_path: Path) -> None:
    charts = Charts(tmp_path)
    assert charts.create(NOON_NS).id != charts.create(NOON_NS).id


def test_unusable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="PORTULAN_HOME") as caught:
        Charts(tmp_path / "file" / "charts").create(NOON_NS)
    assert "\n" not in str(caught.value)


def test_list_is_newest_first_and_leaves_foreign_things_out(tmp_path: Path) -> None:
    charts = filled(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "20260101-0000-000").write_text("a file")
    (tmp_path / "20260101-0000-001").symlink_to("/etc")
    (tmp_path / "backup").mkdir()
    (tmp_path / "bad\udcff").mkdir()
    ids = [chart.id for chart in charts.list()]
    assert ids == ["20261121-1141-000", "20261121-1041-000", "20261121-0941-000"]


def test_absent_folder_lists_nothing(tmp_path: Path) -> None:
    assert Charts(tmp_path / "none").list() == []


@pytest.mark.parametrize("text", ["20261121-1041-000", "20261121-10"])
def test_find_takes_the_id_or_its_beginning(tmp_path: Path, text: str) -> None:
    assert filled(tmp_path).find(text).id == "20261121-1041-000"


def test_find_takes_last_and_a_unique_suffix(tmp_path: Path) -> None:
    charts = filled(tmp_path)
    assert charts.find("last").id == "20261121-1141-000"
    charts.create(NOON_NS + 30 * 10**9)
    assert charts.find("g00").id == "20261121-0941-g00"


@pytest.mark.parametrize(("text", "words"), [
    ("2026", "3 charts begin so: '2026'"), ("20261121-1042-000", "try 20261121-1041-000"),
    ("", "no such chart"), ("../../etc", "no such chart"), ("\x1b[2J", r"\\x1b\[2J"),
])
def test_find_of_nothing_or_several_tells_what_is_near(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words.replace("\\\\", "\\\\\\\\")) as caught:
        filled(tmp_path).find(text)
    assert "\x1b" not in str(caught.value)


def test_find_without_any_chart_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no charts"):
        Charts(tmp_path).find("last")


def test_remove_deletes_the_chart_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    charts = filled(tmp_path / "charts")
    chart = charts.find("last")
    (chart.path / "link").symlink_to(outside)
    charts.remove(chart)
    assert [each.id for each in charts.list()] == ["20261121-1041-000", "20261121-0941-000"]
    assert len(os.listdir(charts.folder)) == 2
    assert (outside / "precious").exists()


def test_remove_refuses_a_chart_that_is_written(tmp_path: Path) -> None:
    charts = filled(tmp_path)
    chart = charts.find("last")
    with Lock.take(chart.lock), pytest.raises(Busy):
        charts.remove(chart)
    assert chart.journal.exists()


@pytest.mark.parametrize("name", ["../outside", "outside", "..", ".", "20260101-0000-001"])
def test_remove_refuses_what_is_no_chart_of_the_folder(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    charts = filled(tmp_path / "charts", 1)
    (charts.folder / "20260101-0000-001").symlink_to(outside)
    with pytest.raises(UsageError, match="this is no chart"):
        charts.remove(ChartFolder(charts.folder / name))
    assert outside.exists()


def test_remove_sweeps_what_a_killed_removal_left(tmp_path: Path) -> None:
    charts = filled(tmp_path)
    (tmp_path / ".removed-20260101-0000-001").mkdir()
    charts.remove(charts.find("last"))
    assert not list(tmp_path.glob(".removed-*"))


def test_plan_round_trips(tmp_path: Path) -> None:
    chart = Charts(tmp_path).create(NOON_NS)
    plan = {"targets": "10.0.0.0/24 \x1b", "ports": [[1, 1024]], "seed": 2**63, "scope": None}
    chart.write_plan(plan)
    assert chart.read_plan() == plan


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_damaged_plan_is_one_line(tmp_path: Path, data: bytes) -> None:
    chart = Charts(tmp_path).create(NOON_NS)
    chart.plan.write_bytes(data)
    with pytest.raises(DamageError, match="the plan cannot be read"):
        chart.read_plan()


def test_missing_plan_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="no such file"):
        Charts(tmp_path).create(NOON_NS).read_plan()


def test_size_counts_files_and_follows_no_link(tmp_path: Path) -> None:
    chart = Charts(tmp_path).create(NOON_NS)
    chart.journal.write_bytes(bytes(1000))
    (chart.path / "link").symlink_to("/bin/sh")
    assert 1000 <= chart.size_bytes() < 1100
