from __future__ import annotations

from pathlib import Path

import pytest

from portulan.record import AnyEvent, End, Host
from portulan.store.charts import ChartFolder, Charts
from portulan.store.journal import Journal
from portulan.store.lock import Lock
from portulan.store.summary import SMALL_BYTES, summarize

from .samples import end_event, open_port, run_event

UP = Host(addr="10.0.0.1", state="up", reason="arp")
INTERRUPTED = End(
    reason="interrupted", hosts_up=1, open=1, sent=1, received=1, drops=0, elapsed_s=1.0)


def charted(home: Path, *events: AnyEvent) -> ChartFolder:
    folder = Charts(home).create(0)
    with Journal.create(folder.journal) as journal:
        journal.append(list(events), sync=False)
    return folder


@pytest.mark.parametrize(("events", "state", "up", "ports"), [
    ([run_event(), UP, open_port(1), end_event()], "done", 1, 3),
    ([run_event(), UP, open_port(1), INTERRUPTED], "interrupted", 1, 1),
    ([run_event(), UP, open_port(1), open_port(2)], "interrupted", 1, 2),
    ([run_event(), end_event(), run_event()], "interrupted", 0, 0),
    ([UP], "damaged", 1, 0),
    ([], "damaged", 0, 0),
])
def test_state_and_counts_follow_the_events(
    tmp_path: Path, events: list[AnyEvent], state: str, up: int, ports: int
) -> None:
    found = summarize(charted(tmp_path, *events))
    assert (found.state, found.hosts_up, found.open) == (state, up, ports)


def test_locked_chart_is_running(tmp_path: Path) -> None:
    folder = charted(tmp_path, run_event(), open_port(1))
    with Lock.take(folder.lock):
        assert summarize(folder).state == "running"
    assert summarize(folder).state == "interrupted"


def test_flipped_bit_makes_it_damaged(tmp_path: Path) -> None:
    folder = charted(tmp_path, run_event(), open_port(1), end_event())
    data = bytearray(folder.journal.read_bytes())
    data[300] ^= 1
    folder.journal.write_bytes(data)
    assert summarize(folder).state == "damaged"


def test_large_ended_journal_is_summed_up_from_its_ends(tmp_path: Path) -> None:
    ports = [open_port(number) for number in range(9000)]
    folder = charted(tmp_path, run_event(), *ports, end_event())
    assert folder.journal.stat().st_size > SMALL_BYTES
    found = summarize(folder)
    assert (found.state, found.open, found.targets) == ("done", 3, ["10.0.0.0/24"])
    assert found.started == run_event().started


def test_large_unended_journal_is_counted(tmp_path: Path) -> None:
    ports = [open_port(number) for number in range(9000)]
    found = summarize(charted(tmp_path, run_event(), *ports))
    assert (found.state, found.open) == ("interrupted", 9000)


def test_missing_journal_is_damaged_not_an_error(tmp_path: Path) -> None:
    folder = Charts(tmp_path).create(0)
    found = summarize(folder)
    assert (found.state, found.targets, found.started) == ("damaged", [], "")
    folder.journal.mkdir()
    assert summarize(folder).state == "damaged"
