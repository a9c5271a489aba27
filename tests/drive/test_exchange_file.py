from __future__ import annotations

import pytest

from portulan.drive.capture import Capture
from portulan.drive.exchange_file import ExchangeFile
from portulan.drive.sending import exchange, exchanges
from portulan.errors import UsageError
from portulan.link.pcapng_reader import PcapngReader
from portulan.wire import ICMP, UDP, IPv4
from tests.link.namespace import inside

from .sending_ground import ground

assert ground


@pytest.mark.live
def test_probes_and_replies_of_two_links_are_kept_by_time(ground, tmp_path):
    with inside(ground.near), ExchangeFile(tmp_path / "a.pcapng") as file:
        for turn in range(2):
            packet = IPv4(dst=["10.9.0.2", "127.0.0.1"]) / ICMP.echo(id=7)
            done = exchange(packet, turn=turn)
            file.add(done)
            assert done.sent == 2 and len(done.answered) == 2
    packets = list(Capture(tmp_path / "a.pcapng"))
    assert len(packets) == 8
    times = [packet.time_ns for packet in packets]
    assert times[:4] == sorted(times[:4]) and times[4:] == sorted(times[4:])
    assert sorted(packet["icmp.type"] for packet in packets) == [0] * 4 + [8] * 4
    assert {(packet.interface, packet.link_type) for packet in packets} == {
        ("va", 1), ("lo", 101)}
    with PcapngReader(tmp_path / "a.pcapng") as reader:
        assert sum(map(len, reader)) == 8 and len(reader.interfaces) == 2


@pytest.mark.live
def test_exchanges_begin_an_interval_apart(ground):
    with inside(ground.near):
        found = [int(done.sent_ns[0]) for done in exchanges(
            lambda turn: exchange(IPv4(dst="10.9.0.2") / UDP(dport=9), turn=turn, hear=False),
            3, interval_ns=50_000_000)]
    assert found[1] - found[0] > 25_000_000 and found[2] - found[0] > 75_000_000


def test_nothing_sent_is_an_empty_capture(tmp_path):
    ExchangeFile(tmp_path / "a.pcapng").close()
    assert list(Capture(tmp_path / "a.pcapng")) == []


def test_file_that_cannot_be_written_is_known_at_once(tmp_path):
    for name in (tmp_path / "no" / "a.pcapng", "a\0b"):
        with pytest.raises(UsageError, match="cannot be written"):
            ExchangeFile(name)
