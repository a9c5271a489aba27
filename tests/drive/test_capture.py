from __future__ import annotations

import gzip
import io
import os
import threading

import numpy as np
import pytest

import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.errors import UsageError
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng_reader import PcapngReader
from portulan.link.pcapng_writer import PcapngWriter


def packets(count=10):
    base = wire.Ethernet() / wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
    return [(base / wire.TCP(sport=1000 + i, dport=80)).pack() for i in range(count)]


@pytest.fixture
def path(tmp_path):
    with PcapngWriter(tmp_path / "a.pcapng", link_type=1, interface="eth0") as writer:
        writer.write(wire.Frames.of(packets(), [*range(5, 15)]), comments={2: "look"})
        other = writer.add_interface("raw0", 101)
        again = (wire.IPv6(src="::1") / wire.UDP(dport=53)).pack()
        writer.write(wire.Frames.of([again], 99, link_type=101), interface=other)
    return tmp_path / "a.pcapng"


def test_capture_read_as_columns_has_one_value_a_packet(path):
    found = Capture(path).columns("frame.number", "tcp.sport", "ip6.src")
    assert found["frame.number"].tolist() == [*range(1, 12)]
    assert found["tcp.sport"].tolist() == [*range(1000, 1010), None]
    assert found["ip6.src"].mask.tolist() == [True] * 10 + [False]
    assert str(found["ip6.src"][10]) == "::1"


def test_capture_without_packets_has_empty_columns_of_their_type():
    file = io.BytesIO()
    PcapWriter(file, link_type=1)
    file.seek(0)
    found = Capture(file).columns("tcp.sport")
    assert len(found["tcp.sport"]) == 0 and found["tcp.sport"].dtype == np.uint16


@pytest.mark.parametrize("part", [
    slice(3, 5), slice(-2, None), slice(None, None, 4), slice(8, 2), slice(0, 0), slice(5, 1000),
], ids=str)
def test_slice_holds_what_a_list_would(path, part):
    whole = [packet.number for packet in Capture(path)]
    assert [packet.number for packet in Capture(path)[part]] == whole[part]
    assert len(Capture(path)[part]) == len(whole[part])


def test_slice_of_slice_counts_in_the_first(path):
    assert [packet.number for packet in Capture(path)[2:9][1::3]] == [4, 7]


def test_packet_by_index_is_a_view_of_its_fields(path):
    capture = Capture(path)
    packet = capture[2]
    assert (packet["tcp.sport"], packet.number, packet.time_ns) == (1002, 3, 7)
    assert capture[-1]["udp.dport"] == 53
    assert "udp.dport" not in packet
    with pytest.raises(KeyError):
        packet["udp.dport"]
    with pytest.raises(UsageError):
        packet["udp.dprt"]
    with pytest.raises(IndexError):
        capture[11]


def test_summary_counts_protocols(path):
    assert repr(Capture(path).summary()) == "<TCP:10 UDP:1 ICMP:0 Other:0>"


def test_written_slice_keeps_times_interfaces_and_comments(path, tmp_path):
    out = tmp_path / "b.pcapng"
    assert Capture(path)[2:].write(out) == 9
    with PcapngReader(out) as reader:
        batches = list(reader)
    assert [each.name for each in reader.interfaces] == ["eth0", "raw0"]
    assert reader.comments == {1: "look"}
    assert [batch.time_ns.tolist() for batch in batches] == [[*range(7, 15)], [99]]


def test_pcap_refuses_a_second_link_type_and_says_what_to_do(path, tmp_path):
    with pytest.raises(UsageError, match="pcapng"):
        Capture(path).write(tmp_path / "b.pcap")


def test_write_over_the_capture_that_is_read_is_refused(path):
    before = path.read_bytes()
    with pytest.raises(UsageError, match="overwrite"):
        Capture(path).write(path)
    assert path.read_bytes() == before


def test_stream_is_read_once(path):
    capture = Capture(io.BytesIO(gzip.compress(path.read_bytes())))
    assert len(list(capture)) == 11
    with pytest.raises(UsageError, match="only once"):
        capture.summary()


def test_torn_capture_gives_what_is_there_and_says_so(path):
    capture = Capture(io.BytesIO(path.read_bytes()[:-7]))
    assert len(list(capture)) == 10
    assert "cut" in (capture.damage or "")


def test_no_capture_is_refused_at_once(tmp_path):
    (tmp_path / "x").write_bytes(b"hello world")
    with pytest.raises(UsageError, match="not a capture"):
        Capture(tmp_path / "x")


def test_filter_is_asked_on_every_link_type(path):
    capture = Capture(path).filter("tcp port 80 or udp port domain")
    assert [packet.number for packet in capture[-2:]] == [10, 11]
    with pytest.raises(UsageError, match="column"):
        Capture(path).filter("tcp port")


def test_filter_no_packet_of_the_other_link_can_match_drops_those(path):
    assert len(Capture(path).filter("ether src 00:00:00:00:00:00")) == 10


def test_path_of_a_pipe_is_read_once(tmp_path):
    file = io.BytesIO()
    PcapWriter(file, link_type=101).write(wire.Frames.of([b"a"] * 3, link_type=101))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(file.getvalue(),))
    writer.start()
    capture = Capture(tmp_path / "pipe")
    assert not capture.rereadable and sum(map(len, capture.frames())) == 3
    writer.join()
    with pytest.raises(UsageError, match="only once"):
        list(capture)


def test_capture_in_a_shell_shows_its_first_packets(path):
    class Printer:
        def __init__(self):
            self.said = ""

        def text(self, part):
            self.said += part

    printer = Printer()
    Capture(path)._repr_pretty_(printer, False)
    lines = printer.said.splitlines()
    assert len(lines) == 1 + 10 + 1 and lines[-1].strip() == "…"
    printer = Printer()
    Capture(path)[:3]._repr_pretty_(printer, False)
    assert len(printer.said.splitlines()) == 1 + 3
    stream = io.BytesIO(path.read_bytes())
    capture, printer = Capture(stream), Printer()
    capture._repr_pretty_(printer, False)
    assert len(printer.said.splitlines()) == 1 and len(list(capture)) == 11


def test_batches_share_the_names_of_interfaces(path):
    # A hostile file has 65,536 interfaces and as many batches: a copy for each would be a hang.
    first, second = Capture(path).batches()
    assert first.names is second.names and list(second.names) == ["eth0", "raw0"]
    assert [packet.interface for packet in second.packets()] == ["raw0"]
