import io
import struct

from hypothesis import given
from hypothesis import strategies as st

from portulan.link.pcapng import PcapngFrames, PcapngReader, PcapngWriter
from portulan.wire.frames import Frames

texts = st.text(max_size=20).map(lambda text: text.replace("\0", ""))


@given(
    st.lists(st.lists(st.binary(max_size=40), max_size=8), max_size=5),
    st.dictionaries(st.integers(0, 7), texts),
    st.integers(0, (1 << 63) - 100),
)
def test_batches_written_with_comments_are_read_the_same(batches, comments, time_ns):
    file, expected = io.BytesIO(), {}
    writer = PcapngWriter(file, link_type=1)
    for parts in batches:
        here = {row: text for row, text in comments.items() if row < len(parts)}
        frames = Frames.of(parts, [time_ns + i for i in range(len(parts))])
        first = writer.write(frames, comments=here)
        expected |= {first + row: text for row, text in here.items()}
    reader = PcapngReader(io.BytesIO(file.getvalue()))
    found = list(reader)
    assert [frame for batch in found for frame in batch] == [p for parts in batches for p in parts]
    assert [t for batch in found for t in batch.time_ns.tolist()] == [
        time_ns + i for parts in batches for i in range(len(parts))
    ]
    assert (reader.comments, reader.damage, reader.packets) == (expected, None, writer.packets)


def test_batch_selected_is_plain_frames_and_an_empty_one_can_be_made():
    assert len(PcapngFrames.empty()) == 0
    assert list(PcapngFrames.of([b"a", b"b"]).take(slice(1))) == [b"a"]


def test_known_frame_written_is_the_known_block():
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1)
    start = file.tell()
    writer.write(Frames.of([b"abcde"], (7 << 32) + 9))
    head, tail = struct.pack("<7I", 6, 40, 0, 7, 9, 5, 5), struct.pack("<I", 40)
    assert file.getvalue()[start:] == head + b"abcde\0\0\0" + tail
