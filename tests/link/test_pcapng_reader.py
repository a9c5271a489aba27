import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.link import pcapng_reader
from portulan.link.pcapng_reader import PcapngReader, walk_blocks
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire.frames import Frames


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<", major: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, major, 0, -1))


def interface(order: str = "<", link_type: int = 1, *, resolution: int = 9) -> bytes:
    options = struct.pack(order + "HH", 9, 1) + bytes([resolution, 0, 0, 0]) + bytes(4)
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, 0) + options)


def packet(order: str = "<", data: bytes = b"frame", *, on: int = 0, ticks: int = 5) -> bytes:
    head = struct.pack(order + "IIIII", on, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(order, 6, head + data)


def read(data: bytes):
    reader = PcapngReader(io.BytesIO(data))
    return reader, list(reader)


def test_sections_of_different_byte_orders_are_read_as_one_file():
    data = b"".join(
        section(order) + interface(order, link) + packet(order, order.encode())
        for order, link in [(">", 1), ("<", 1), ("<", 101), (">", 101)]
    )
    reader, batches = read(data)
    assert [(list(b), b.link_type, b.first, b.interface.tolist()) for b in batches] == [
        ([b">"], 1, 1, [0]), ([b"<"], 1, 2, [1]), ([b"<"], 101, 3, [2]), ([b">"], 101, 4, [3]),
    ]
    assert [s.order for s in reader.sections] == [">", "<", "<", ">"]
    assert (reader.damage, reader.link_type, reader.packets) == (None, 1, 4)


def test_interfaces_of_one_link_type_share_a_batch_and_keep_their_clocks():
    data = section() + interface() + interface(resolution=6) + interface(link_type=101)
    data += packet(on=0) + packet(on=1) + packet(on=2) + packet(on=0)
    _, batches = read(data)
    assert [(b.link_type, b.interface.tolist(), b.time_ns.tolist()) for b in batches] == [
        (1, [0, 1], [5, 5000]), (101, [2], [5]), (1, [0], [5]),
    ]


def test_blocks_beside_packets_are_kept_and_do_not_split_batches():
    custom = block("<", 0x0BAD, struct.pack("<I", 32473) + b"data")
    secrets = block("<", 10, struct.pack("<II", 0x544C534B, 3) + b"key")
    names = block("<", 4, struct.pack("<HH", 1, 8) + bytes([10, 0, 0, 1]) + b"gw\0\0" + bytes(4))
    counts = block("<", 5, struct.pack("<IIIHHQ", 0, 0, 9, 4, 8, 3))
    tiny = block("<", 5, b"")
    data = section() + interface() + packet() + custom + secrets + names + counts + tiny + packet()
    reader, [batch] = read(data)
    assert len(batch) == 2
    assert [(o.kind, o.position) for o in reader.others] == [
        (0x0BAD, data.index(custom)), (5, data.index(tiny)),
    ]
    assert reader.others[0].enterprise == 32473
    assert reader.secrets[0].data == b"key"
    assert reader.names == {"10.0.0.1": ["gw"]}
    assert (reader.statistics[0].received, reader.statistics[0].ticks) == (3, 9)


def test_statistics_of_a_later_section_count_interfaces_through_the_file():
    counts = block("<", 5, struct.pack("<III", 0, 0, 0))
    reader, _ = read((section() + interface() + counts) * 2)
    assert [s.interface for s in reader.statistics] == [0, 1]


WHOLE = section() + interface() + packet(data=b"one") + packet(data=b"three")


def test_file_cut_at_every_byte_gives_the_whole_packets_and_where_it_is_cut():
    starts = [0, 28, 60, 96, 136]
    assert starts[-1] == len(WHOLE)
    for size in range(4, len(WHOLE)):
        reader, batches = read(WHOLE[:size])
        frames = [frame for batch in batches for frame in batch]
        assert frames == [b"one", b"three"][: (size >= 96) + (size >= 136)]
        whole = max(start for start in starts if start <= size)
        assert reader.sound_bytes == whole
        assert reader.torn == (size not in starts)
        if reader.torn:
            assert reader.damage.startswith(f"byte {whole}: the block is cut")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (struct.pack("<II", 6, 0) + bytes(90), "cannot have 0 bytes"),
        (struct.pack("<II", 6, 8) + bytes(90), "cannot have 8 bytes"),
        (struct.pack("<II", 6, 33) + bytes(90), "cannot have 33 bytes"),
        (struct.pack("<II", 6, 0xFFFFFFFC), "cannot have 4,294,967,292 bytes"),
        (packet()[:-4] + struct.pack("<I", 44), "two lengths differ"),
        (packet(on=1), "packet 3 is on an interface that is not described"),
        (block("<", 6, struct.pack("<5I", 0, 0, 0, 99, 99)), "packet 3 is longer than its block"),
        (block("<", 6, b""), "packet 3 is longer than its block"),
        (block("<", 1, b""), "too short for its type"),
        (block("<", 0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), "too short for its type"),
        (block("<", 0x0A0D0D0A, bytes(16)), "no byte-order magic"),
        (section(major=2), "version 2.0 is not 1.0"),
        (section() + packet(), "packet 3 is on an interface"),
    ],
)
def test_damage_in_the_middle_stops_with_its_byte_and_reason(bad, reason):
    reader, batches = read(WHOLE + bad + packet())
    assert [frame for batch in batches for frame in batch] == [b"one", b"three"]
    at = len(WHOLE) + (28 if bad.startswith(section()) else 0)
    assert reader.damage.startswith(f"byte {at}: ") and reader.sound_bytes == at
    assert not reader.torn
    assert reason in reader.damage


def test_block_larger_than_the_window_is_read():
    large = block("<", 0x0BAD, struct.pack("<I", 1) + bytes(9 << 20))
    reader, batches = read(section() + interface() + packet() + large + packet())
    assert sum(map(len, batches)) == 2 and reader.damage is None
    assert len(reader.others[0].body) == (9 << 20) + 4


def test_more_than_may_be_kept_is_counted_instead(monkeypatch):
    monkeypatch.setattr(pcapng_reader, "KEPT_MAX", 1000)
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1)
    writer.write(Frames.of([b"x"] * 9), comments=dict.fromkeys(range(9), "c" * 100))
    reader, [batch] = read(file.getvalue())
    assert len(batch.comments) == 9
    assert 0 < len(reader.comments) < 9 and len(reader.comments) + reader.left_out == 9


def test_more_interfaces_than_can_be_kept_is_damage(monkeypatch):
    monkeypatch.setattr(pcapng_reader, "INTERFACES_MAX", 3)
    reader, batches = read(section() + interface() * 3 + packet() + interface() + packet())
    assert sum(map(len, batches)) == 1 and "more interfaces" in reader.damage


@pytest.mark.parametrize("data", [b"", b"\n\r\r\n" + bytes(24), b"\xd4\xc3\xb2\xa1" + bytes(20)])
def test_file_that_is_no_pcapng_is_refused(data):
    with pytest.raises(UsageError, match="not a capture"):
        PcapngReader(io.BytesIO(data))


def test_pipe_of_single_bytes_gives_every_packet():
    class Drip(io.BytesIO):
        def readinto1(self, buffer):
            return super().readinto1(memoryview(buffer)[:1])

    mixed = section(">") + interface(">") + packet(">", b"big") + WHOLE
    reader = PcapngReader(Drip(mixed))
    assert [f for batch in reader for f in batch] == [b"big", b"one", b"three"]
    assert reader.damage is None


def test_file_of_many_windows_counts_every_packet():
    frames = Frames.uniform(np.zeros((20_000, 60), np.uint8), np.arange(20_000))
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1)
    for _ in range(6):
        writer.write(frames, comments={19_999: "last"})
    reader, batches = read(file.getvalue())
    assert len(batches) > 2 and reader.packets == 120_000
    assert list(reader.comments) == [20_000 * i for i in range(1, 7)]
    assert all(b.first == 1 + sum(map(len, batches[:i])) for i, b in enumerate(batches))


@pytest.mark.parametrize(
    "unit",
    [
        section(), section() + section(">"), interface() + packet(), packet() + block("<", 4, b""),
        packet() + packet(on=1), struct.pack("<II", 6, 0),
    ],
    ids=["sections", "orders", "interfaces", "names", "link types", "zeros"],
)
def test_hostile_file_of_small_blocks_is_walked_once(monkeypatch, unit):
    walked = []

    def counted(data, shape, mark):
        found = walk(data, shape, mark)
        walked.append(len(found))
        return found

    walk = pcapng_reader.walk
    monkeypatch.setattr(pcapng_reader, "walk", counted)
    data = section() + interface() + interface(link_type=101) + unit * 2000
    read(data)
    assert sum(walked) <= len(data) // 12 + 5


@settings(max_examples=300)
@given(st.data())
def test_file_with_bytes_changed_never_raises(data):
    whole = bytearray(WHOLE + section(">") + interface(">", 101) + packet(">"))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(12, len(whole) - 1))] = data.draw(st.integers(0, 255))
    reader, batches = read(bytes(whole))
    assert sum(int(batch.length.sum()) for batch in batches) <= len(whole)
    assert reader.damage is None or reader.damage.startswith(f"byte {reader.sound_bytes}: ")


@given(st.binary(max_size=200), st.sampled_from(["<", ">"]))
def test_walk_over_any_bytes_stays_within_them(data, order):
    walk = walk_blocks(np.frombuffer(data, np.uint8), order)
    assert walk.used <= len(data)
    assert walk.used == int(walk.blocks.size.sum())
