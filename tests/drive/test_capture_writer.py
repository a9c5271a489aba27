from __future__ import annotations

import numpy as np
import pytest

from portulan.drive.capture import Capture
from portulan.drive.capture_batch import Batch
from portulan.drive.capture_writer import BatchWriter, Portion, Splitter, parse_portion
from portulan.errors import UsageError
from portulan.wire.frames import Frames


def batch(count, *, size=60, step_ns=1):
    frames = Frames.of([bytes(size)] * count, [n * step_ns for n in range(count)])
    return Batch(frames, np.arange(1, count + 1), np.zeros(count, np.int64))


def split(path, portion, *batches, keep=0):
    writer = Splitter(path, portion, lambda each: BatchWriter(each, 1), keep=keep)
    for each in batches:
        writer.write(each)
    total = writer.finish()
    writer.close()
    return total, [len(Capture(each)) for each in writer.files]


@pytest.mark.parametrize(("text", "portion"), [
    ("100MB", Portion(size_bytes=100_000_000)), ("2 KiB", Portion(size_bytes=2048)),
    ("10000packets", Portion(packets=10_000)), ("60s", Portion(span_ns=60_000_000_000)),
    ("2min", Portion(span_ns=120_000_000_000)),
])
def test_portion_is_read(text, portion):
    assert parse_portion(text, where="--split") == portion


@pytest.mark.parametrize("text", ["", "0s", "10", "MB", "-1MB", "1e3MB", "9" * 15 + "s", "5 weeks"])
def test_portion_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError, match="60s"):
        parse_portion(text, where="--split")


def test_packets_fill_files_across_batches(tmp_path):
    assert split(tmp_path / "a.pcapng", Portion(packets=4), batch(3), batch(6)) == (9, [4, 4, 1])


def test_times_fill_files_by_their_first_packet(tmp_path):
    assert split(tmp_path / "a.pcap", Portion(span_ns=10), batch(25, step_ns=1)) == (
        25, [10, 10, 5])


def test_bytes_fill_files_up_to_the_limit(tmp_path):
    total, counts = split(tmp_path / "a.pcapng", Portion(size_bytes=1000), batch(30))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert total == sum(counts) == 30
    assert max(sizes) <= 1000 and min(counts[:-1]) > 5


def test_packet_larger_than_the_portion_has_a_file_of_its_own(tmp_path):
    _, counts = split(tmp_path / "a.pcapng", Portion(size_bytes=300), batch(3, size=500))
    assert counts == [1, 1, 1]


def test_nothing_written_leaves_one_empty_capture(tmp_path):
    assert split(tmp_path / "a.pcapng", Portion(packets=4)) == (0, [0])


def test_keep_removes_the_oldest(tmp_path):
    _, counts = split(tmp_path / "a.pcapng", Portion(packets=1), batch(5), keep=2)
    assert counts == [1, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-00004.pcapng", "a-00005.pcapng"]
