"""Charts whose files were damaged, or left unfinished, between two runs."""

import pytest

from portulan import api
from portulan.drive.request import Request
from portulan.errors import UsageError
from portulan.record import SCHEMA, End, Host, Port, Run
from portulan.store.charts import Charts
from portulan.wire.frames import Frames, LinkType

RUN = Run(
    schema=SCHEMA, id="x", version="0", argv=[], started="2026-01-01T00:00:00Z", seed=1,
    targets=["127.0.0.1"], probes=1, method="syn", why="",
)


def chart(tmp_path, *events):
    keeper = api.Keeper.create(Request(targets=[("127.0.0.1", "target")], seed=1), Charts(tmp_path))
    keeper.write(Frames.of([b"a" * 60, b"b" * 60, b"c" * 60, b"d" * 60]), "eth0")
    keeper.journal.append([RUN, *events])
    keeper.close()
    return keeper.folder


def listed(frames):
    return Port(addr="127.0.0.1", port=1, protocol="tcp", state="open", reason="syn-ack",
                frames=frames)


def test_evidence_damaged_in_the_middle_is_set_aside_and_numbers_go_on(tmp_path):
    folder = chart(tmp_path, listed([1, 2]), listed([3, 4]))
    data = bytearray(folder.evidence.read_bytes())
    data[-180:-176] = b"\xff" * 4  # the length of the last block but one
    folder.evidence.write_bytes(data)
    keeper, _ = api.Keeper.reopen(folder.id, Charts(tmp_path))
    assert len(keeper.damage) == 1
    assert "evidence-damaged.pcapng" in keeper.damage[0]
    assert keeper.write(Frames.of([b"e" * 60]), "eth0") == 5
    keeper.close()
    assert folder.evidence.with_name("evidence-damaged.pcapng").read_bytes() == data


def test_sound_evidence_stays_where_it_is(tmp_path):
    folder = chart(tmp_path, listed([1, 2]))
    keeper, _ = api.Keeper.reopen(folder.id, Charts(tmp_path))
    assert keeper.damage == []
    assert keeper.write(Frames.of([b"e" * 60], link_type=LinkType.ETHERNET), "eth0") == 5
    keeper.close()


def test_damage_of_the_journal_is_told(tmp_path):
    folder = chart(tmp_path, listed([1, 2]))
    data = bytearray(folder.journal.read_bytes())
    data[-30] ^= 4
    folder.journal.write_bytes(data)
    keeper, _ = api.Keeper.reopen(folder.id, Charts(tmp_path))
    keeper.close()
    assert any("events.jsonl" in text for text in keeper.damage)


def test_complete_scan_without_tables_gets_them_and_is_not_resumed(tmp_path):
    end = End(reason="done", hosts_up=1, open=1, sent=1, received=1, drops=0, elapsed_s=0.1)
    up = Host(addr="127.0.0.1", state="up", reason="syn-ack")
    folder = chart(tmp_path, up, listed([1, 2]), end)
    with pytest.raises(UsageError, match="complete"):
        api.Keeper.reopen(folder.id, Charts(tmp_path))
    assert (folder.path / "ports.parquet").exists()
    assert (folder.path / "hosts.parquet").exists()
