from __future__ import annotations

import duckdb
import pytest

import portulan.wire as wire
from portulan.store.disk import DiskError
from portulan.store.packets import write_packets
from portulan.wire.columns import columns

NAMES = ["frame.number", "ip.src", "ip6.src", "tcp.dport", "vlan.id", "dns.qname"]


def batch(*packets, first=1):
    return columns(wire.Frames.of([each.pack() for each in packets]), NAMES, first=first)


def test_columns_of_two_batches_become_one_table(tmp_path):
    one = batch(wire.Ethernet() / wire.IPv4(src="10.9.0.1") / wire.TCP(dport=80))
    two = batch(wire.Ethernet() / wire.IPv6(src="::7") / wire.UDP(), first=2)
    path = tmp_path / "it's.parquet"
    assert write_packets([one, two], NAMES, path) == 2
    rows = duckdb.read_parquet(str(path)).fetchall()
    assert rows == [(1, "10.9.0.1", None, 80, None, None), (2, None, "::7", None, None, None)]
    assert [each.name for each in tmp_path.iterdir()] == ["it's.parquet"]


def test_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(DiskError):
        write_packets([batch()], NAMES, tmp_path / "no" / "a.parquet")
