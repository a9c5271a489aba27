from __future__ import annotations

import pytest

from portulan import wire
from portulan.drive.capture import Capture
from portulan.drive.exporting import Exporter
from portulan.link.pcapng_writer import PcapngWriter

SAID = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfriend"


def talk(client, path):
    """A request and its answer in three segments, the middle one last and the first twice."""
    ask = f"GET /{path} HTTP/1.1\r\nHost: lab\r\n\r\n".encode()
    there = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(
        sport=client, dport=80, seq=1, ack=1, flags="A")
    parts = {at: SAID[at : at + 15] for at in range(0, len(SAID), 15)}
    back = {at: wire.IPv4(src="10.9.0.2", dst="10.9.0.1") / wire.TCP(
        sport=80, dport=client, seq=1 + at, ack=1 + len(ask), flags="A") / part
        for at, part in parts.items()}
    order = [0, 30, 0, 15]
    return [(there / ask).pack(), *(back[at].pack() for at in order)]


@pytest.fixture
def path(tmp_path):
    one, two = talk(4001, "one.txt"), talk(4002, "two.txt")
    mixed = [frame for pair in zip(one, two, strict=True) for frame in pair]
    path = tmp_path / "a.pcapng"
    with PcapngWriter(path, link_type=101) as writer:
        writer.write(wire.Frames.of(mixed, link_type=101))
    return path


def test_bodies_of_all_conversations_are_found_in_one_reading(path):
    found = [(flow, each.name, each.body, each.side) for flow, each in Exporter(
        Capture(path)).objects()]
    assert sorted(found) == [(1, "one.txt", b"friend", 1), (2, "two.txt", b"friend", 1)]


def test_one_flow_alone_can_be_asked_for(path):
    assert [flow for flow, _ in Exporter(Capture(path), 2).objects()] == [2]
    assert list(Exporter(Capture(path), 9).objects()) == []
