from __future__ import annotations

import io
import struct

from portulan.drive.capture import Capture
from portulan.drive.capture_merge import Merged
from portulan.drive.capture_writer import Portion
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng_blocks import BlockType, RawBlock
from portulan.link.pcapng_merge import NOTES_MAX, PcapngMerge
from portulan.link.pcapng_reader import PcapngReader
from portulan.wire.frames import Frames
from tests.link.test_pcapng_copy import block, option, section


def blocks_of(data):
    """Return kind and body of each block of a little-endian file."""
    found, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        found.append((kind, data[at + 8 : at + size - 4]))
        at += size
    return found


def merged(*files, **words):
    out = io.BytesIO()
    capture = Merged([io.BytesIO(each) for each in files])
    capture.write(out, **words)
    return blocks_of(out.getvalue()), capture


def of_kind(blocks, *kinds):
    return [body for kind, body in blocks if kind in kinds]


def numbered(body, number):
    return struct.pack("<I", number) + body[4:]


def test_one_file_keeps_every_block_but_the_section_header():
    found, _ = merged(section("<"))
    wanted = blocks_of(section("<"))
    for kind in (1, 6, 10, 4, 0xBAD, 5):
        assert of_kind(found, kind) == of_kind(wanted, kind)
    assert found[0][0] == BlockType.SECTION and b"other tool" in found[0][1]


def test_two_files_keep_options_and_get_their_own_interfaces():
    found, _ = merged(section("<"), section("<"))
    once = blocks_of(section("<"))
    assert of_kind(found, 1) == of_kind(once, 1) * 2
    wanted = [numbered(body, int.from_bytes(body[:4], "little") + 2 * part)
              for part in range(2) for body in of_kind(once, 6)]
    assert sorted(of_kind(found, 6)) == sorted(wanted)
    assert of_kind(found, 5) == [numbered(of_kind(once, 5)[0], number) for number in (0, 2)]
    for kind in (10, 4, 0xBAD):
        assert of_kind(found, kind) == of_kind(once, kind) * 2


def test_file_of_the_other_byte_order_is_merged_as_if_it_were_ours():
    assert merged(section(">"))[0] == merged(section("<"))[0]
    assert merged(section(">"), section("<"))[0] == merged(section("<"), section("<"))[0]


def test_later_sections_keep_their_interfaces_and_counts():
    found, capture = merged(section("<") + section(">"), section("<"))
    # The order of interfaces is the one in which files are read, window by window.
    assert len(of_kind(found, 1)) == 6
    assert [int.from_bytes(body[:4], "little") for body in of_kind(found, 5)] in (
        [0, 2, 4], [0, 4, 2])
    assert capture.lost == {"sections' descriptions": 1}


def test_simple_and_obsolete_packets_become_enhanced_ones():
    for order in "<>":
        head = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        head += block(order, 1, struct.pack(order + "HHI", 1, 0, 5))
        old = struct.pack(order + "HHIIII", 0, 3, 1, 2, 4, 60) + b"data"
        old += option(order, 2, struct.pack(order + "I", 2)) + bytes(4)
        simple = block(order, 3, struct.pack(order + "I", 60) + b"short" + bytes(3))
        found, capture = merged(head + block(order, 2, old) + simple)
        options = option("<", 4, struct.pack("<Q", 3)) + option("<", 2, b"\2\0\0\0") + bytes(4)
        # In the order of the file, though the simple one knows no time.
        assert of_kind(found, 6) == [
            struct.pack("<IIIII", 0, 1, 2, 4, 60) + b"data" + options,
            struct.pack("<IIIII", 0, 0, 0, 5, 60) + b"short" + bytes(3)]
        assert not capture.lost


def test_pcap_is_an_interface_in_nanoseconds():
    plain = io.BytesIO()
    PcapWriter(plain, link_type=101).write(
        Frames.of([b"a", b"bcdef"], [5, 4_000_000_000_123_456_789], 101))
    found, _ = merged(plain.getvalue(), section("<"))
    with PcapngReader(io.BytesIO(b"".join(
            block("<", kind, body) for kind, body in found))) as reader:
        seen = [(bytes(octets), int(t)) for batch in reader for octets, t in zip(
            batch, batch.time_ns, strict=True)]
        assert [each.link_type for each in reader.interfaces] == [101, 1, 101]
    assert {(b"a", 5), (b"bcdef", 4_000_000_000_123_456_789)} < set(seen)


def test_filter_and_split_carry_the_heads_along(tmp_path):
    files = [tmp_path / name for name in ("a.pcapng", "b.pcapng")]
    for file in files:
        file.write_bytes(section("<"))
    chosen = Merged(files)[2:8]
    assert chosen.write(tmp_path / "m.pcapng", split=Portion(packets=3)) == 6
    for number in (1, 2):
        found = blocks_of((tmp_path / f"m-0000{number}.pcapng").read_bytes())
        assert len(of_kind(found, 6)) == 3 and len(of_kind(found, 1)) == 4
        assert of_kind(found, 10) == of_kind(blocks_of(section("<")), 10) * 2


def test_block_of_unknown_kind_in_the_other_order_is_told_as_lost():
    found, capture = merged(section("<") + block("<", 0x77, b"what"))
    assert of_kind(found, 0x77) == [b"what"]
    found, capture = merged(section(">") + block(">", 0x77, b"what"))
    assert not of_kind(found, 0x77)
    assert capture.lost == {"blocks of unknown kind in the other byte order": 1}


def test_counts_of_nobody_are_told_as_lost():
    wrong = block("<", 5, struct.pack("<III", 9, 1, 2))
    found, capture = merged(section("<") + wrong)
    assert len(of_kind(found, 5)) == 1
    assert capture.lost == {"counts of interfaces that are not described": 1}


def test_descriptions_beyond_what_is_kept_cost_no_packet_that_can_be_read(monkeypatch):
    # What is told of a section counts where blocks wait, but not where they are kept.
    talk = b"".join(option("<", 1, bytes(100)) for _ in range(5)) + bytes(4)
    data = block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + talk)
    data += section("<")[len(block("<", 0x0A0D0D0A, blocks_of(section("<"))[0][1])) :]
    told = set()
    for limit in range(200, 1200, 4):
        monkeypatch.setattr("portulan.link.pcapng_reader.KEPT_MAX", limit)
        with PcapngReader(io.BytesIO(data)) as reader:
            readable = sum(map(len, reader))
        found, capture = merged(data)
        assert len(of_kind(found, 6)) == readable
        told |= capture.lost.keys()
    assert "descriptions of interfaces" in told


def test_section_says_no_more_than_its_limit():
    merge = PcapngMerge()
    source = merge.source("folder/a.pcapng")
    said = b"".join(option("<", 1, b"c") for _ in range(NOTES_MAX + 1)) + bytes(4)
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + said
    source.between([RawBlock(BlockType.SECTION, 0, body)])
    assert merge.lost == {"sections' descriptions": 1}


def test_merge_of_a_merge_is_the_same_again():
    first, _ = merged(section("<"), section(">"))
    data = b"".join(block("<", kind, body) for kind, body in first)
    again, _ = merged(data)
    assert again[1:] == first[1:]
    comments = [text for each in Capture(io.BytesIO(data)).batches()
                for text in each.comments.values()]
    assert comments == ["a comment"] * 2
