from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from portulan.cli.charts import charts as command
from portulan.errors import UsageError
from portulan.record import AnyEvent, Connection, End, Host, Port, Run, Service
from portulan.store import ChartFolder, Charts, Journal, Lock

HOUR_NS = 3_600 * 10**9
NASTY = "\x1b]0;x\x07\x1b[2J\u202e[red]b[/red]\x9b1m"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def charted(number: int, *events: AnyEvent, targets: str = "10.0.0.0/24") -> ChartFolder:
    folder = Charts().create(number * HOUR_NS)
    run = Run(
        schema=1, id=folder.id, version="0", argv=[], started="2026-11-21T09:41:00Z", seed=1,
        targets=[targets], probes=9, method="syn", why="CAP_NET_RAW is there")
    port = Port(
        addr="10.0.0.1", port=80, protocol="tcp", state="open", reason="syn-ack", frames=[1, 2])
    with Journal.create(folder.journal) as journal:
        journal.append([run, Host(addr="10.0.0.1", state="up", reason="arp"), port, *events])
    return folder


def done() -> End:
    return End(reason="done", hosts_up=1, open=1, sent=9, received=9, drops=0, elapsed_s=1.0)


def call(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(command, words, input=stdin)


def test_list_fits_80_columns_newest_first() -> None:
    old, new = charted(1, done()), charted(2, targets="a-very-long.name.example.org " * 9)
    lines = call("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", new.id, old.id]
    assert max(map(len, lines)) <= 80
    assert "interrupted" in lines[1]
    assert "done" in lines[2]


def test_list_json_is_one_object_a_chart() -> None:
    folder = charted(1, done())
    found = [json.loads(line) for line in call("list", "--json").stdout.splitlines()]
    assert found == [{
        "id": folder.id, "started": "2026-11-21T09:41:00Z", "targets": ["10.0.0.0/24"],
        "hosts_up": 1, "open": 1, "state": "done", "size_bytes": folder.size_bytes(),
        "connections": 0, "verb": "syn"}]


def test_list_of_nothing_says_where_it_looked(home: Path) -> None:
    result = call("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert str(home / "charts") in result.stderr


def test_show_tells_ports_evidence_and_how_to_resume() -> None:
    quiet = Host(addr="10.0.0.7", state="up", reason="arp")
    folder = charted(1, quiet, Service(
        addr="10.0.0.1", port=80, protocol="tcp", name="http", product="nginx", version="1.2"))
    folder.evidence.write_bytes(b"")
    text = call("show", "last").stdout
    assert "80/tcp" in text
    assert "http nginx 1.2" in text
    assert "2 hosts up, 1 port open" in text
    assert "Up without listed ports: 10.0.0.7" in text
    assert str(folder.evidence) in text
    assert f"--resume {folder.id}" in text


def test_show_json_is_the_journal() -> None:
    folder = charted(1, done())
    assert call("show", folder.id, "--json").stdout_bytes == folder.journal.read_bytes()


def test_show_reports_damage_on_stderr_only() -> None:
    folder = charted(1, done())
    data = bytearray(folder.journal.read_bytes())
    data[10] ^= 1
    folder.journal.write_bytes(data)
    result = call("show", "--json")
    assert "damaged: events.jsonl:1 (byte 10)" in result.stderr
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 4


@pytest.mark.parametrize("words", [["list"], ["show"]])
def test_hostile_text_reaches_the_terminal_escaped(words: list[str]) -> None:
    service = Service(addr="10.0.0.1", port=80, protocol="tcp", name=NASTY, product=NASTY)
    odd = Port(addr=NASTY, port=1, protocol="tcp", state="open", reason=NASTY)
    charted(1, service, odd, Host(addr=NASTY + "x", state="up", reason=""), targets=NASTY)
    result = call(*words)
    assert result.exit_code == 0
    assert result.stdout.replace("\n", "").isprintable()


def test_rm_asks_and_keeps_on_no() -> None:
    charted(1)
    result = call("rm", "last", stdin="n\n")
    assert isinstance(result.exception, UsageError)
    assert "nothing removed" in str(result.exception)
    assert len(Charts().list()) == 1


def test_rm_asks_and_removes_on_yes() -> None:
    folder = charted(1)
    result = call("rm", folder.id, stdin="y\n")
    assert f"Remove chart {folder.id}" in result.stderr
    assert Charts().list() == []


def test_rm_all_removes_all_without_asking_if_told() -> None:
    charted(1)
    charted(2)
    assert call("rm", "--all", "-y").exit_code == 0
    assert Charts().list() == []
    assert call("rm", "--all", "-y").exit_code == 0


@pytest.mark.parametrize("words", [["rm"], ["rm", "--all", "last"]])
def test_rm_of_nothing_or_of_both_is_refused(words: list[str]) -> None:
    charted(1)
    assert isinstance(call(*words, "-y").exception, UsageError)
    assert len(Charts().list()) == 1


def test_rm_with_one_wrong_id_removes_nothing() -> None:
    folder = charted(1)
    result = call("rm", "-y", folder.id, "../../outside")
    assert isinstance(result.exception, UsageError)
    assert len(Charts().list()) == 1


def test_rm_of_a_chart_that_is_written_is_refused() -> None:
    folder = charted(1)
    with Lock.take(folder.lock):
        assert "is being written" in str(call("rm", "-y", "last").exception)
    assert len(Charts().list()) == 1


def ledger(*events: AnyEvent) -> ChartFolder:
    folder = Charts().create(HOUR_NS)
    run = Run(schema=1, id=folder.id, version="0", argv=[], started="2026-11-21T09:41:00Z", seed=1,
              targets=["127.0.0.1:80"], probes=0, method="relay", why="kept")
    with Journal.create(folder.journal) as journal:
        journal.append([run, *events])
    return folder


def connection(**more: object) -> Connection:
    given: dict[str, object] = {
        "client": "10.0.0.1:5", "local": "10.0.0.2:80", "protocol": "tcp",
        "started": "2026-11-21T09:42:03.5Z", "elapsed_s": 1.5, "received": 1000, "sent": 2000,
        "closed": "end"}
    return Connection(**(given | more))  # type: ignore[arg-type]


def test_show_of_a_ledger_tells_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    ledger(connection(target="127.0.0.1:80", rtt_us=42, tls="TLSv1.3"),
           connection(client=NASTY, closed="refused", error="127.0.0.1:80: refused"))
    text = call("show").stdout
    words = " ".join(text.split())
    for part in ("10.0.0.1:5 127.0.0.1:80 09:42:03 1.5 s 1 kB 2 kB 42 us end, TLSv1.3",
                 "refused: 127.0.0.1:80: refused",
                 "2 connections, 2 kB from clients, 4 kB to them"):
        assert part in words
    assert "\x1b" not in text
    assert "host" not in text
    assert "resume" not in text.lower()


def test_show_of_an_empty_ledger_says_that_there_were_none() -> None:
    ledger(done())
    assert "0 connections" in call("show").stdout


def test_list_counts_the_connections_of_a_ledger() -> None:
    ledger(connection(error='"type":"connection"'), connection(), done())
    line = call("list").stdout.splitlines()[1].split()
    assert line[5:7] == ["relay", "2"]
    assert json.loads(call("list", "--json").stdout)["connections"] == 2
