from __future__ import annotations

import os
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.record import AnyEvent, Hop, Host, Port, Service
from portulan.store.chart import HTML_ROWS, Chart
from portulan.store.charts import Charts
from portulan.store.journal import Journal
from portulan.store.tables import parquet_files, write_parquet

from .samples import EVERY_CONTROL, end_event, open_port, run_event

NOW_NS = 1_795_254_060 * 10**9
FOUND: list[AnyEvent] = [
    run_event(), Host(addr="10.0.0.9", state="up", reason="arp"),
    open_port(80, "10.0.0.10"), open_port(22, "10.0.0.9"),
    Port(addr="10.0.0.9", port=23, protocol="tcp", state="closed", reason="reset"),
]


def charted(home: Path, *events: AnyEvent) -> tuple[Charts, Journal, Chart]:
    charts = Charts(home / "charts")
    folder = charts.create(NOW_NS)
    journal = Journal.create(folder.journal)
    journal.append(list(events), sync=False)
    return charts, journal, Chart.open("last", charts=charts)


def test_ended_chart_tells_everything(tmp_path: Path) -> None:
    charts, journal, chart = charted(tmp_path, *FOUND, end_event())
    journal.close()
    assert chart.id == charts.list()[0].id
    assert (chart.run, chart.end, chart.complete) == (run_event(), end_event(), True)
    assert [host.addr for host in chart.hosts] == ["10.0.0.9"]
    assert [(port.addr, port.port) for port in chart] == [
        ("10.0.0.9", 22), ("10.0.0.9", 23), ("10.0.0.10", 80)]
    assert [port.port for port in chart.open_ports()] == [22, 80]
    assert (len(chart), chart.services, chart.systems, chart.notes) == (3, [], [], [])
    assert chart.events() == [*FOUND, end_event()]
    assert chart.damage == []
    assert chart.evidence == chart.folder.path / "evidence.pcapng"
    assert repr(chart) == f"<Chart {chart.id}: 10.0.0.0/24, 1 hosts up, 2 ports open, done>"


def test_running_chart_grows_under_the_eyes(tmp_path: Path) -> None:
    _, journal, chart = charted(tmp_path)
    assert (len(chart), bool(chart), chart.run, chart.complete) == (0, True, None, False)
    journal.append([*FOUND], sync=False)
    assert (len(chart), chart.end) == (3, None)
    assert "not ended" in repr(chart)
    journal.append([end_event()], sync=False)
    assert chart.complete
    journal.close()


@pytest.mark.parametrize("by", ["path", "text", "id"])
def test_chart_opens_by_path_and_by_id(tmp_path: Path, by: str) -> None:
    charts, journal, chart = charted(tmp_path, *FOUND)
    journal.close()
    path = chart.folder.path
    which: dict[str, str | Path] = {"path": path, "text": str(path), "id": chart.id}
    assert len(Chart.open(which[by], charts=charts)) == 3


def test_copied_chart_opens_by_its_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, journal, chart = charted(tmp_path, *FOUND)
    journal.close()
    os.rename(chart.folder.path, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert len(Chart.open("mine")) == 3


def test_unknown_chart_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Chart.open(tmp_path / "none")
    with pytest.raises(UsageError, match="there are no charts"):
        Chart.open("none", charts=Charts(tmp_path))


def test_sql_asks_the_journal_and_then_the_parquet(tmp_path: Path) -> None:
    _, journal, chart = charted(tmp_path, *FOUND)
    sql = "SELECT count(*) FROM ports WHERE state = 'open'"

    def count() -> int:
        relation = chart.sql(sql)
        assert relation is not None
        return int(relation.fetchall()[0][0])

    assert count() == 2
    write_parquet(chart.findings, parquet_files(chart.folder))
    assert count() == 2
    journal.append([open_port(81)], sync=False)
    os.utime(chart.folder.journal)
    journal.close()
    assert count() == 3  # the Parquet is older now, and not believed


def test_columns_are_arrays(tmp_path: Path) -> None:
    _, journal, chart = charted(tmp_path, *FOUND)
    journal.close()
    assert chart.columns("ports")["port"].tolist() == [22, 23, 80]


def test_html_is_escaped_and_short(tmp_path: Path) -> None:
    text = "<script>alert(1)</script>" + EVERY_CONTROL
    service = Service(addr="10.0.0.1", port=1, protocol="tcp", name=text, product='"><img>')
    many = [open_port(number) for number in range(1, HTML_ROWS + 6)]
    odd = Port(addr=text, port=7, protocol="tcp", state="open", reason=text)
    _, journal, chart = charted(tmp_path, *many, odd, service)
    journal.close()
    html = chart._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert html.isprintable()
    assert html.count("<tr>") == HTML_ROWS + 1
    assert "and 6 more ports" in html


def test_damaged_chart_opens_and_says_so(tmp_path: Path) -> None:
    _, journal, chart = charted(tmp_path, *FOUND)
    journal.close()
    data = bytearray(chart.folder.journal.read_bytes())
    data[10] ^= 1
    chart.folder.journal.write_bytes(data)
    again = Chart.open(chart.folder.path)
    assert len(again) == 3
    assert [each.offset for each in again.damage] == [10]


def test_paths_are_hops_by_target_in_order(tmp_path: Path) -> None:
    hops = [Hop(target=f"10.0.0.{n}", ttl=ttl, addr="" if ttl == 1 else "10.0.0.254",
                state="expired", others=["10.0.1.1"]) for n in (10, 9) for ttl in (2, 1)]
    _, journal, chart = charted(tmp_path, *hops, end_event())
    journal.close()
    assert [(target, [hop.ttl for hop in path]) for target, path in chart.paths().items()] == [
        ("10.0.0.9", [1, 2]), ("10.0.0.10", [1, 2])]
    asked = chart.sql("select target, ttl, addr, others from hops")
    assert asked is not None
    assert asked.fetchall()[:2] == [
        ("10.0.0.9", 1, "", ["10.0.1.1"]), ("10.0.0.9", 2, "10.0.0.254", ["10.0.1.1"])]
