import io
import os
import struct

import numpy as np
import pytest

from portulan.errors import DamageError, UsageError
from portulan.link import pcapng_writer
from portulan.link.pcapng_reader import PcapngReader
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire.frames import Frames


def read(data: bytes) -> tuple[PcapngReader, list[bytes]]:
    reader = PcapngReader(io.BytesIO(data))
    return reader, [frame for batch in reader for frame in batch]


@pytest.mark.parametrize("parts", [[b"ab"] * 5, [b"ab", b"", b"abcde", b"ab", bytes(1500)]])
@pytest.mark.parametrize(
    "comments", [{}, {0: "a"}, {1: "b", 4: "ü" * 9}, dict.fromkeys(range(5), "")]
)
def test_batch_of_any_shape_and_comments_is_readable(parts, comments):
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1)
    assert writer.write(Frames.of([b"before"])) == 1
    assert writer.write(Frames.of(parts, 9), comments=comments) == 2
    reader, found = read(file.getvalue())
    assert found == [b"before", *parts] and reader.damage is None
    assert reader.comments == {row + 2: text for row, text in comments.items()}


def test_frames_selected_from_a_shared_buffer_are_written_as_selected():
    file = io.BytesIO()
    frames = Frames.of([b"a", b"bb", b"cc", b"d"], [1, 2, 3, 4]).take(np.array([3, 1, 1]))
    PcapngWriter(file, link_type=1).write(frames)
    [batch] = PcapngReader(io.BytesIO(file.getvalue()))
    assert (list(batch), batch.time_ns.tolist()) == ([b"d", b"bb", b"bb"], [4, 2, 2])


def test_batches_larger_than_a_part_keep_comments_on_their_rows(monkeypatch):
    monkeypatch.setattr(pcapng_writer, "BATCH_MAX", 3)
    file, parts = io.BytesIO(), [bytes([i]) * (i % 4) for i in range(10)]
    comments = {0: "zero", 3: "three", 9: "nine"}
    PcapngWriter(file, link_type=1).write(Frames.of(parts), comments=comments)
    reader, found = read(file.getvalue())
    assert found == parts
    assert reader.comments == {row + 1: text for row, text in comments.items()}


def test_frames_cut_keep_their_length_on_the_wire():
    file, frames = io.BytesIO(), Frames.of([b"abc"])
    cut = Frames(frames.buffer, frames.offset, frames.length - 1, frames.length, frames.time_ns)
    PcapngWriter(file, link_type=1).write(cut)
    [batch] = PcapngReader(io.BytesIO(file.getvalue()))
    assert (list(batch), batch.wire_length.tolist()) == ([b"ab"], [3])


def test_time_before_1970_becomes_0():
    file = io.BytesIO()
    PcapngWriter(file, link_type=1).write(Frames.of([b""], -1))
    [batch] = PcapngReader(io.BytesIO(file.getvalue()))
    assert batch.time_ns.tolist() == [0]


def test_several_interfaces_names_and_statistics_are_read_back():
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1, interface="eth0", comment="why", application="test")
    tun = writer.add_interface("tun0", 101)
    writer.write(Frames.of([b"ip"], link_type=101), interface=tun)
    writer.write(Frames.of([b"ether"]))
    writer.statistics(tun, 1, 2, time_ns=(3 << 32) + 4)
    writer.names({"::1": ["localhost"]})
    writer.names({})
    reader, found = read(file.getvalue())
    assert found == [b"ip", b"ether"] and writer.packets == 2
    assert [(i.name, i.link_type) for i in reader.interfaces] == [("eth0", 1), ("tun0", 101)]
    assert reader.interfaces == list(writer.interfaces)
    assert (reader.sections[0].application, reader.sections[0].comments) == ("test", ("why",))
    [counts] = reader.statistics
    assert (counts.interface, counts.received, counts.dropped) == (tun, 1, 2)
    assert counts.ticks == (3 << 32) + 4
    assert reader.names == {"::1": ["localhost"]}


def test_writing_what_does_not_fit_the_file_is_refused_before_a_byte():
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1)
    size = file.tell()
    for frames, keywords in [
        (Frames.of([b"x"], link_type=101), {}),
        (Frames.of([b"x"]), {"interface": 1}),
        (Frames.of([b"x"]), {"interface": -1}),
        (Frames.of([b"x"]), {"comments": {1: "beyond"}}),
    ]:
        with pytest.raises(ValueError):
            writer.write(frames, **keywords)
    assert file.tell() == size and writer.write(Frames.empty(101)) == 1


def test_disk_full_raises_counts_nothing_and_leaves_whole_blocks(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "file"
    child = os.fork()
    if not child:  # a limit on file sizes is the disk that every machine has
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        writer = PcapngWriter(path, link_type=1)
        try:
            while True:
                before = writer.packets
                writer.write(Frames.of([bytes(700)] * 10))
        except OSError:
            os._exit(7 if writer.packets == before else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    reader, found = read(path.read_bytes())
    assert reader.damage is None and len(found) % 10 == 0 and len(found) >= 100


def test_first_write_failing_closes_the_file():
    with pytest.raises(OSError):
        PcapngWriter("/dev/full", link_type=1)


def small(path) -> list[tuple[int, int]]:
    """Write a file in steps and return (size, packets) after each."""
    steps = [(0, 0)]
    with PcapngWriter(path, link_type=1, interface="eth0") as writer:
        for text in (b"one", b"", b"three"):
            steps.append((os.path.getsize(path), writer.packets))
            writer.write(Frames.of([text], 7), comments={0: "note"})
        writer.statistics(0, 3, 0)
        steps.append((os.path.getsize(path), writer.packets))
    return steps


def test_file_torn_at_every_byte_is_taken_up_again(tmp_path):
    path = tmp_path / "file"
    steps = small(path)
    data, parts = path.read_bytes(), [b"one", b"", b"three"]
    packet_ends = dict(steps)
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        kept = max((n for end, n in packet_ends.items() if end <= size), default=0)
        # The last step holds a packet and the counts after it; the packet may be whole alone.
        with PcapngWriter.reopen(path, link_type=1, interface="eth0") as writer:
            assert writer.packets in (kept, kept + 1)
            assert [i.name for i in writer.interfaces] == ["eth0"]
            kept = writer.packets
            assert writer.write(Frames.of([b"new", b"er"], 8), comments={1: "again"}) == kept + 1
        reader, found = read(path.read_bytes())
        assert found == [*parts[:kept], b"new", b"er"] and reader.damage is None
        assert reader.comments == dict.fromkeys(range(1, kept + 1), "note") | {kept + 2: "again"}


def test_whole_file_reopened_keeps_all_its_interfaces(tmp_path):
    path = tmp_path / "file"
    with PcapngWriter(path, link_type=1, interface="eth0") as writer:
        tun = writer.add_interface("tun0", 101)
        writer.write(Frames.of([b"x"] * 3))
    with PcapngWriter.reopen(path, link_type=1) as writer:
        assert [i.name for i in writer.interfaces] == ["eth0", "tun0"]
        assert writer.write(Frames.of([b"ip"], link_type=101), interface=tun) == 4
    assert read(path.read_bytes())[1] == [b"x", b"x", b"x", b"ip"]


def test_absent_file_reopened_is_begun(tmp_path):
    with PcapngWriter.reopen(tmp_path / "new", link_type=101, comment="begun") as writer:
        assert writer.write(Frames.of([b"x"], link_type=101)) == 1
    assert read((tmp_path / "new").read_bytes())[0].sections[0].comments == ("begun",)


def test_zeros_after_power_loss_are_cut(tmp_path):
    path = tmp_path / "file"
    small(path)
    path.write_bytes(path.read_bytes() + bytes(5000))
    with PcapngWriter.reopen(path, link_type=1) as writer:
        assert writer.write(Frames.of([b"new"])) == 4
    reader, found = read(path.read_bytes())
    assert found == [b"one", b"", b"three", b"new"] and reader.damage is None


def test_damage_before_the_end_is_reported_and_nothing_cut(tmp_path):
    path = tmp_path / "file"
    steps = small(path)
    data = bytearray(path.read_bytes())
    data[steps[1][0] + 4] ^= 4  # the first packet's length
    path.write_bytes(data)
    with pytest.raises(DamageError, match=f"byte {steps[1][0]}: "):
        PcapngWriter.reopen(path, link_type=1)
    assert path.read_bytes() == data


def foreign(order: str, resolution: int) -> bytes:
    head = struct.pack(order + "IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    options = struct.pack(order + "HH", 9, 1) + bytes([resolution, 0, 0, 0])
    described = struct.pack(order + "IIHHI", 1, 28, 1, 0, 0) + options
    return head + described + struct.pack(order + "I", 28)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "not a capture"), (b"\x1f\x8b" + bytes(90), "not a capture"),
        (b"\n\r\r\n" + bytes(20), "not a capture"),
        (foreign("<", 6), "nanoseconds"), (foreign(">", 9), "byte order"),
    ],
)
def test_file_that_is_not_ours_is_refused_and_left_alone(tmp_path, data, reason):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=reason):
        PcapngWriter.reopen(path, link_type=1)
    assert path.read_bytes() == data
