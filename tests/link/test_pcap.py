import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.link import pcap
from portulan.link.capture_source import WINDOW_BYTES
from portulan.link.pcap import PcapReader, PcapWriter
from portulan.wire.frames import Frames

frame_lists = st.lists(st.binary(max_size=70), max_size=20)


def written(frames: Frames, **keywords) -> bytes:
    file = io.BytesIO()
    PcapWriter(file, link_type=frames.link_type, **keywords).write(frames)
    return file.getvalue()


def read(data: bytes) -> tuple[PcapReader, list[bytes]]:
    reader = PcapReader(io.BytesIO(data))
    return reader, [frame for batch in reader for frame in batch]


def by_hand(order: str, magic: int, packets: list[tuple[int, int, bytes]], link: int = 1) -> bytes:
    head = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(
        struct.pack(order + "IIII", seconds, fraction, len(data), len(data) + 3) + data
        for seconds, fraction, data in packets
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_both_magics_and_byte_orders_are_read(order, magic, unit):
    data = by_hand(order, magic, [(7, 999_999, b"one"), (0xFFFFFFFF, 1, b"")])
    reader = PcapReader(io.BytesIO(data))
    [batch] = reader
    assert list(batch) == [b"one", b""]
    assert batch.time_ns.tolist() == [7_000_000_000 + 999_999 * unit, 4294967295_000_000_000 + unit]
    assert batch.wire_length.tolist() == [6, 3]
    assert (reader.link_type, reader.damage, reader.packets) == (1, None, 2)
    assert reader.nanoseconds == (unit == 1)


def test_writer_of_known_frames_gives_known_bytes():
    frames = Frames.of([b"ab"], 1_000_000_002, link_type=101)
    assert written(frames) == by_hand("<", 0xA1B23C4D, [(1, 2, b"ab")], 101).replace(
        struct.pack("<II", 2, 5), struct.pack("<II", 2, 2)
    ).replace(struct.pack("<I", 65535), struct.pack("<I", 262144))


@given(frame_lists, st.integers(0, 4_000_000_000_000_000_000), st.booleans())
def test_frames_written_are_read_the_same(parts, time_ns, nanoseconds):
    frames = Frames.of(parts, [time_ns + i for i in range(len(parts))])
    reader = PcapReader(io.BytesIO(written(frames, nanoseconds=nanoseconds)))
    found = Frames.concat(list(reader))
    unit = 1 if nanoseconds else 1000
    assert list(found) == parts and reader.damage is None
    assert (found.time_ns == frames.time_ns // unit * unit).all()


def test_frames_selected_from_a_shared_buffer_are_written_as_selected():
    frames = Frames.of([b"a", b"bb", b"cc", b"d"], [1, 2, 3, 4]).take(np.array([3, 1, 1]))
    assert read(written(frames))[1] == [b"d", b"bb", b"bb"]


def test_times_out_of_range_become_the_nearest():
    data = written(Frames.of([b"", b""], [-5, 1 << 62]))
    [batch] = PcapReader(io.BytesIO(data))
    assert (batch.time_ns // 1_000_000_000).tolist() == [0, 0xFFFFFFFF]


def test_file_cut_at_every_byte_gives_the_whole_packets_and_where_it_is_cut():
    parts = [b"one", b"", b"three"]
    data = written(Frames.of(parts, 1))
    ends = np.cumsum([24] + [16 + len(part) for part in parts]).tolist()
    for size in range(24, len(data)):
        reader, found = read(data[:size])
        whole = sum(end <= size for end in ends) - 1
        assert found == parts[:whole]
        if size in ends:
            assert reader.damage is None
        else:
            assert reader.damage.startswith(f"byte {ends[whole]}: packet {whole + 1} is cut")


def test_length_beyond_any_packet_is_damage_at_its_byte():
    good = by_hand("<", 0xA1B2C3D4, [(1, 1, b"good")])
    for length in (262_145, 0xFFFFFFFF):
        bad = struct.pack("<IIII", 1, 1, length, length) + bytes(300_000)
        reader, found = read(good + bad)
        assert found == [b"good"]
        assert reader.damage.startswith("byte 44: packet 2 claims")


def test_largest_packet_and_a_lying_snaplen_are_read():
    data = by_hand("<", 0xA1B2C3D4, [(1, 1, bytes(262_144)), (1, 1, b"x")])
    assert [len(frame) for frame in read(data)[1]] == [262_144, 1]


def test_file_longer_than_the_window_is_read_in_several_batches():
    count = WINDOW_BYTES // 1000
    rows = np.arange(count * 1500).astype(np.uint8).reshape(count, 1500)
    data = written(Frames.uniform(rows))
    batches = list(PcapReader(io.BytesIO(data)))
    assert len(batches) > 1 and sum(map(len, batches)) == count
    assert b"".join(b"".join(batch) for batch in batches) == rows.tobytes()


def test_link_type_with_frame_check_bits_is_split():
    reader, _ = read(by_hand("<", 0xA1B2C3D4, [], 0x2400_0001))
    assert (reader.link_type, reader.fcs_bytes) == (1, 4)
    assert read(by_hand("<", 0xA1B2C3D4, [], 1))[0].fcs_bytes is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x7fELF\2\1\1" + bytes(90), "not a capture.*7f 45 4c 46"),
        (b"\xa1\xb2", "not a capture"),
        (by_hand("<", 0xA1B2CD34, []), "Kuznetzov.*editcap"),
        (by_hand("<", 0xA1B2C3D4, [])[:20], "header is cut: 20 of 24"),
        (struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 3, 0, 0, 0, 1), "version 2.3"),
        (struct.pack("<IHHIIII", 0xA1B2C3D4, 543, 0, 0, 0, 0, 1), "version 543.0"),
    ],
)
def test_file_that_is_no_pcap_is_one_line_that_says_what_it_is(data, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        PcapReader(io.BytesIO(data))
    assert "\n" not in str(caught.value)


def test_pipe_of_single_bytes_gives_every_packet():
    class Drip(io.BytesIO):
        def readinto1(self, buffer):
            return super().readinto1(memoryview(buffer)[:1])

        def seekable(self):
            return False

    parts = [b"one", b"", b"three"]
    assert [f for batch in PcapReader(Drip(written(Frames.of(parts, 1)))) for f in batch] == parts


def test_batches_larger_than_a_part_are_written_whole(monkeypatch):
    monkeypatch.setattr(pcap, "BATCH_MAX", 3)
    parts = [bytes([i]) * (i % 4) for i in range(10)]
    assert read(written(Frames.of(parts)))[1] == parts


def test_writer_counts_packets_and_refuses_another_link_type(tmp_path):
    with PcapWriter(tmp_path / "f", link_type=1) as writer:
        assert writer.write(Frames.of([b"a", b"b"])) == 1
        assert writer.write(Frames.empty(101)) == 3
        assert writer.write(Frames.of([b"c"])) == 3
        assert writer.packets == 3
        with pytest.raises(ValueError, match="link type 101"):
            writer.write(Frames.of([b"d"], link_type=101))
        writer.flush()
        writer.sync()
    writer.close()
    assert read((tmp_path / "f").read_bytes())[1] == [b"a", b"b", b"c"]


@settings(max_examples=300)
@given(st.data())
def test_file_with_bytes_changed_never_raises_in_the_middle(data):
    whole = bytearray(by_hand("<", 0xA1B2C3D4, [(1, i, bytes(i)) for i in range(12)]))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(24, len(whole) - 1))] = data.draw(st.integers(0, 255))
    reader, found = read(bytes(whole))
    assert sum(16 + len(frame) for frame in found) <= len(whole) - 24
    assert reader.damage is None or reader.damage.startswith("byte ")
