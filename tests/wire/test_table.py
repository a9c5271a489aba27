from __future__ import annotations

import random

import pytest

import portulan.wire as wire
from portulan.wire import table
from portulan.wire.columns import columns, known_fields, texts
from portulan.wire.table import Table

EVERY = sorted(known_fields())


def sample(seed=1):
    ends = {"src": "10.9.0.1", "dst": "fe80::2"}
    parts = [
        wire.Ethernet() / wire.IPv4(src=ends["src"]) / wire.TCP(dport=80, flags="SA"),
        wire.Ethernet() / wire.IPv6(dst=ends["dst"]) / wire.UDP(dport=53),
        wire.Ethernet() / wire.VLAN(id=7) / wire.IPv4() / wire.ICMP.echo(id=1, seq=2),
        wire.Ethernet() / wire.ARP.request(sha=1, spa="10.0.0.1", tpa="10.0.0.2"),
    ]
    rng = random.Random(seed)
    return wire.Frames.of([rng.choice(parts).pack() for _ in range(50)], list(range(50)))


def test_cells_of_every_field_are_what_json_has():
    frames = sample()
    found = columns(frames, EVERY)
    rows = [line.split("\t") for line in Table(EVERY).lines(list(found.values()))]
    for at, name in enumerate(EVERY):
        for row, value in zip(rows, texts(name, found[name]), strict=True):
            wanted = ",".join(map(str, value)) if isinstance(value, list) else value
            assert row[at] == ("" if value is None else str(wanted)), name


def test_texts_are_kept_between_batches_and_forgotten_when_many(monkeypatch):
    monkeypatch.setattr(table, "WRITTEN_MAX", 1)
    lines = Table(["ip.src", "tcp.dport"])
    for seed in range(3):
        found = columns(sample(seed), ["ip.src", "tcp.dport"])
        first = lines.lines(list(found.values()))
        assert set(first) <= {"10.9.0.1\t80", "0.0.0.0\t", "\t"}


def test_names_and_columns_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        Table(["ip.src"]).lines([])
