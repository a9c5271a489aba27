from __future__ import annotations

import pytest

from portulan.drive.capture import Capture
from portulan.drive.capture_merge import Merged
from portulan.errors import UsageError
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng_reader import PcapngReader
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire.frames import Frames


@pytest.fixture
def files(tmp_path):
    one, two, three = (tmp_path / name for name in ("a.pcapng", "b.pcapng", "c.pcap"))
    with PcapngWriter(one, link_type=1, interface="eth0") as writer:
        writer.write(Frames.of([b"a1", b"a5", b"a3"], [1, 5, 3]), comments={1: "five"})
    with PcapngWriter(two, link_type=101, interface="tun0") as writer:
        writer.write(Frames.of([b"b2", b"b6"], [2, 6], 101))
    with PcapWriter(three, link_type=1) as writer:
        writer.write(Frames.of([b"c4"] * 2, [4, 4]))
    return one, two, three


def test_merged_packets_are_in_the_order_of_time_and_of_their_files(files):
    merged = Merged(files)
    found = [(packet.number, bytes(packet)) for packet in merged]
    assert found == list(enumerate([b"a1", b"b2", b"c4", b"c4", b"a5", b"a3", b"b6"], 1))
    assert len(list(merged)) == 7


def test_merged_file_keeps_interfaces_apart_and_comments(files, tmp_path):
    assert Merged(files).write(tmp_path / "m.pcapng") == 7
    with PcapngReader(tmp_path / "m.pcapng") as reader:
        batches = list(reader)
        assert sum(map(len, batches)) == 7
        names = [each.name for each in reader.interfaces]
        assert [names[n] for batch in batches for n in batch.interface.tolist()] == [
            "eth0", "tun0", "", "", "eth0", "eth0", "tun0"]
        assert reader.comments == {5: "five"}


def test_many_batches_merge_as_sorted(tmp_path):
    paths = []
    for part in range(3):
        path = tmp_path / f"{part}.pcap"
        with PcapWriter(path, link_type=1) as writer:
            writer.write(Frames.of([bytes(200)] * 30_000, range(part, 90_000, 3)))
        paths.append(path)
    times = Merged(paths).columns("frame.time_ns")["frame.time_ns"]
    assert times.tolist() == list(range(90_000))


def test_damage_of_one_is_told_and_the_rest_is_there(files):
    files[2].write_bytes(files[2].read_bytes()[:-1])
    merged = Merged(files)
    assert len(list(merged)) == 6
    assert "cut" in merged.damage


def test_merge_over_one_of_its_files_is_refused(files):
    with pytest.raises(UsageError, match="overwrite"):
        Merged(files).write(files[1])
    assert len(Capture(files[1])) == 2


def test_nothing_to_merge_is_refused():
    with pytest.raises(UsageError):
        Merged([])
