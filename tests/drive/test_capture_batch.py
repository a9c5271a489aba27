from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import portulan.wire as wire
from portulan.drive.capture_batch import Batch
from portulan.errors import UsageError


@pytest.fixture
def batch():
    packets = [wire.IPv4() / wire.UDP(sport=n, dport=53) for n in (1, 2, 3)]
    frames = wire.Frames.of([each.pack() for each in packets], [10, 20, 30], 101)
    return Batch(frames, np.array([4, 5, 6]), np.zeros(3, np.int64), comments={5: "five"})


def test_take_keeps_numbers_and_comments(batch):
    taken = batch.take(np.array([1, 2]))
    assert taken.numbers.tolist() == [5, 6]
    assert [packet["udp.sport"] for packet in taken.packets()] == [2, 3]
    assert taken.comments[5] == "five"


def test_packet_without_the_field_raises_key_error(batch):
    packet = next(batch.packets())
    with pytest.raises(KeyError):
        packet["tcp.dport"]
    with pytest.raises(UsageError):
        packet["no.such"]
    assert "tcp.dport" not in packet and packet["frame.time_ns"] == 10


def test_headers_and_their_fields_are_attributes(batch):
    packet = next(batch.packets())
    assert (packet.udp.sport, str(packet.ip.src)) == (1, "0.0.0.0")
    assert "udp" in dir(packet) and "sport" in dir(packet.udp)
    assert repr(packet.udp) == "<udp sport=1, dport=53, length=8, checksum=65448>"
    for missing in (lambda: packet.tcp, lambda: packet.udp.nothing, lambda: packet._x):
        with pytest.raises(AttributeError):
            missing()


def test_packet_in_a_notebook_is_a_tree(batch):
    packet = next(batch.packets())
    assert "<th>udp.dport</th><td>53</td>" in packet._repr_html_()
    assert "udp.dport" in packet._ipython_key_completions_()


def test_interface_and_comment_are_columns_and_fields(batch):
    named = replace(batch, names=("eth0\x1b[2J", ""), interface=np.array([0, 1, 0]))
    found = named.columns(["udp.sport", "frame.interface", "frame.comment"])
    assert found["udp.sport"].tolist() == [1, 2, 3]
    assert found["frame.interface"].tolist() == ["eth0\\x1b[2J", None, "eth0\\x1b[2J"]
    assert found["frame.comment"].tolist() == [None, "five", None]
    packets = list(named.packets())
    assert packets[1]["frame.comment"] == packets[1].comment == "five"
    assert packets[0]["frame.interface"] == "eth0\\x1b[2J" and "frame.comment" not in packets[0]
