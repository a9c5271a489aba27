from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.record import AnyEvent, Host, Os, Port, Service
from portulan.store.charts import ChartFolder
from portulan.store.disk import DiskError
from portulan.store.findings import Findings, TableName
from portulan.store.tables import (
    TABLES,
    address_halves,
    all_columns,
    columns,
    kept_parquet,
    parquet_files,
    query,
    write_parquet,
)

from .samples import hostile_events, open_port

EVENTS: list[AnyEvent] = [
    Host(addr="10.0.0.10", state="up", reason="arp", rest={"tcp": {"closed": 998}}),
    Host(addr="10.0.0.9", state="up", reason="arp", names=["nine", "neuf"]),
    Host(addr="fe80::1%eth0", state="down", reason=""),
    open_port(80, "10.0.0.10"), open_port(443, "10.0.0.9"), open_port(80, "10.0.0.9"),
    Port(addr="fe80::1%eth0", port=22, protocol="tcp", state="closed", reason="reset"),
    Service(addr="10.0.0.9", port=80, protocol="tcp", name="http", tls=True, confidence=0.75),
    *hostile_events(),
]


def rows(path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.read_parquet(str(path)).fetchall()


def asked(sql: str, findings: Findings) -> list[tuple[Any, ...]]:
    relation = query(sql, tables=all_columns(findings))
    assert relation is not None
    return relation.fetchall()


def test_columns_are_sorted_by_address_and_port() -> None:
    table = columns(Findings.of(EVENTS), "ports")
    assert list(zip(table["addr"], table["port"].tolist(), strict=True)) == [
        ("10.0.0.9", 80), ("10.0.0.9", 443), ("10.0.0.10", 80), ("fe80::1%eth0", 22)]
    assert table["frames"][0] == [159, 160]
    assert table["rtt_us"].dtype == np.int64


@pytest.mark.parametrize("table", list(TABLES))
def test_columns_match_their_declaration_empty_or_not(table: TableName) -> None:
    for findings in (Findings.of([]), Findings.of(EVENTS)):
        found = columns(findings, table)
        assert list(found) == [column.name for column in TABLES[table]]
        assert [found[column.name].dtype for column in TABLES[table]] == [
            np.dtype(column.dtype) for column in TABLES[table]]
        assert len({len(values) for values in found.values()}) == 1


def test_columns_name_every_field_of_their_events() -> None:
    kinds: dict[TableName, type] = {
        "hosts": Host, "ports": Port, "services": Service, "systems": Os}
    for table, kind in kinds.items():
        names = {column.name for column in TABLES[table]} - {"addr_hi", "addr_lo"}
        assert names == set(kind.__struct_fields__) - {"heard", "handshake"}


def test_unknown_table_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="hosts, ports, services, systems, notes"):
        columns(Findings.of([]), "spells")  # type: ignore[arg-type]


def test_parquet_holds_what_the_findings_hold(tmp_path: Path) -> None:
    findings = Findings.of(EVENTS)
    files = parquet_files(ChartFolder(tmp_path))
    write_parquet(findings, files)
    assert sorted(os.listdir(tmp_path)) == sorted(f"{table}.parquet" for table in TABLES)
    for table, path in files.items():
        found = columns(findings, table)
        expected = zip(*(found[column.name].tolist() for column in TABLES[table]), strict=True)
        assert rows(path) == list(expected)


@pytest.mark.parametrize("reason", [
    "syn-ack", "it's", "a\0b", "\\", "", "\n", "'; DROP VIEW ports; --",
])
def test_column_of_one_text_is_kept_as_it_is(reason: str) -> None:
    ports = [
        Port(addr=f"10.0.0.{each}", port=1, protocol="tcp", state="open", reason=reason)
        for each in range(3)
    ]
    assert asked("SELECT reason, state FROM ports", Findings.of(ports)) == [(reason, "open")] * 3


def test_parquet_types_do_not_depend_on_the_values(tmp_path: Path) -> None:
    types = []
    for number, findings in enumerate((Findings.of([]), Findings.of(EVENTS))):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = parquet_files(ChartFolder(folder))
        write_parquet(findings, files)
        with duckdb.connect() as connection:
            types.append([connection.read_parquet(str(path)).types for path in files.values()])
    assert types[0] == types[1]


def test_one_filled_list_among_thousands_of_empty_ones_is_kept(tmp_path: Path) -> None:
    ports: list[AnyEvent] = [
        Port(addr="10.0.0.1", port=number, protocol="tcp", state="open", reason="syn-ack",
             frames=[7, 8] if number == 79 else [])
        for number in range(3_000)
    ]
    write_parquet(Findings.of(ports), {"ports": tmp_path / "ports.parquet"})
    query = f"select port, frames from '{tmp_path}/ports.parquet' where len(frames) > 0"
    assert duckdb.sql(query).fetchall() == [(79, [7, 8])]


def test_parquet_name_with_a_quote_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / "it's; DROP TABLE ports.parquet"
    write_parquet(Findings.of(EVENTS), {"ports": path})
    assert len(rows(path)) == 4


@pytest.mark.parametrize(("name", "code"), [
    ("absent/ports.parquet", errno.ENOENT), ("folder", errno.EISDIR)])
def test_parquet_to_a_bad_place_is_one_line_and_leaves_nothing(
    tmp_path: Path, name: str, code: int
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DiskError) as caught:
        write_parquet(Findings.of(EVENTS), {"ports": tmp_path / name})
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["folder"]


def test_numbers_beyond_their_type_are_held_at_its_edge() -> None:
    wild = Port(addr="x", port=2**40, protocol="tcp", state="open", reason="", rtt_us=-(2**63))
    found = columns(Findings.of([wild]), "ports")
    assert (found["port"][0], found["rtt_us"][0]) == (2**31 - 1, -(2**63))


def test_sql_joins_tables() -> None:
    found = asked(
        "SELECT addr, port, name FROM ports JOIN services USING (addr, port, protocol)",
        Findings.of(EVENTS))
    assert found == [("10.0.0.9", 80, "http")]


def test_sql_reads_rest_and_lists_of_an_empty_chart() -> None:
    sql = "SELECT count(*), max(rest['tcp']['closed']), max(len(names)) FROM hosts"
    assert asked(sql, Findings.of([])) == [(0, None, None)]
    assert asked(sql, Findings.of(EVENTS[:3])) == [(3, 998, 2)]


def test_hostile_text_passes_sql_unchanged() -> None:
    host = hostile_events()[0]
    assert isinstance(host, Host)
    assert asked("SELECT reason, names FROM hosts", Findings.of([host])) == [
        (host.reason, host.names)]


@pytest.mark.parametrize("sql", ["selec 1", "SELECT x FROM ports", "FROM absent", "\x1b[2J"])
def test_wrong_sql_is_one_line_that_names_the_tables(sql: str) -> None:
    with pytest.raises(UsageError, match="tables: hosts, ports") as caught:
        query(sql, tables=all_columns(Findings.of([])))
    assert str(caught.value).isprintable()


def test_sql_neither_sees_python_variables_nor_loads_extensions() -> None:
    hidden = columns(Findings.of(EVENTS), "ports")  # noqa: F841 - what must not be found
    for sql in ("FROM hidden", "FROM 'https://127.0.0.1:9/x.parquet'", "INSTALL inet; LOAD inet"):
        with pytest.raises((UsageError, duckdb.Error)):
            asked(sql, Findings.of([]))


@pytest.mark.parametrize("addrs", [
    [], ["10.0.0.1", "255.255.255.255"], ["10.0.0.1", "::1", "nonsense"], ["1.2.3.4 5.6.7.8"],
    [""], ["1.2.3.4 5.6.7.8", ""], ["1.2.3.999"], ["\u0661.2.3.4"], ["1.2.3.4\n"],
])
def test_halves_of_a_column_are_those_of_each_address(addrs: list[str]) -> None:
    high, low = address_halves(addrs)
    one_by_one = [address_halves([addr]) for addr in addrs]
    assert high.tolist() == [int(each[0][0]) for each in one_by_one]
    assert low.tolist() == [int(each[1][0]) for each in one_by_one]


def test_halves_map_ipv4_into_ipv6_and_put_nonsense_last() -> None:
    high, low = address_halves(["10.0.0.1", "255.255.255.255"])
    assert (high.tolist(), low.tolist()) == ([0, 0], [0xFFFF_0A00_0001, 0xFFFF_FFFF_FFFF])
    assert address_halves(["10.0.0.1", "1.2.3.999"])[0].tolist() == [0, 2**64 - 1]


def test_parquet_is_used_only_if_whole_and_no_older_than_the_journal(tmp_path: Path) -> None:
    folder = ChartFolder(tmp_path)
    folder.journal.write_text("")
    assert kept_parquet(folder) is None
    write_parquet(Findings.of(EVENTS), parquet_files(folder))
    assert kept_parquet(folder) == parquet_files(folder)
    newest_ns = max(path.stat().st_mtime_ns for path in parquet_files(folder).values())
    os.utime(folder.journal, ns=(newest_ns + 1, newest_ns + 1))
    assert kept_parquet(folder) is None


def test_importing_the_room_and_its_journal_loads_neither_duckdb_nor_numpy() -> None:
    code = (
        "import sys, portulan.store as s; s.Journal, s.Charts, s.Lock, s.Chart, s.summarize;"
        "print(sorted({'duckdb', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
