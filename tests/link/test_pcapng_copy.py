from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from portulan.drive.capture import Capture
from portulan.drive.capture_writer import Portion
from portulan.link.pcapng_blocks import BlockType, RawBlock
from portulan.link.pcapng_copy import Blocks, PcapngCopier, lost_in_pcap, pack_raw
from portulan.link.pcapng_reader import PcapngReader


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def packet(order, interface, data, options=b""):
    head = struct.pack(order + "IIIII", interface, 1, 2, len(data), len(data))
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def section(order):
    """Return a section with every kind of block, options we have no words for among them."""
    end = bytes(4)
    idb = option(order, 2, b"eth0") + option(order, 9, b"\x09") + option(order, 15, b"card")
    idb += option(order, 2988, struct.pack(order + "I", 32473) + b"custom")
    said = option(order, 1, b"a comment") + option(order, 2, struct.pack(order + "I", 1))
    said += option(order, 5, struct.pack(order + "Q", 77)) + option(order, 3, b"\x02hash")
    return b"".join([
        block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
              + option(order, 4, b"other tool") + end),
        block(order, 1, struct.pack(order + "HHI", 1, 0, 96) + idb + end),
        block(order, 1, struct.pack(order + "HHI", 101, 0, 0)),
        packet(order, 0, b"one", said + end),
        block(order, 10, struct.pack(order + "II", 0x544C534B, 4) + b"keys"),
        packet(order, 0, b"two"),
        packet(order, 1, b"three"),
        block(order, 4, struct.pack(order + "HH", 1, 9) + b"\x0a\0\0\x01host\0" + bytes(7)),
        block(order, 0xBAD, struct.pack(order + "I", 32473) + b"ours"),
        packet(order, 0, b"four"),
        block(order, 5, struct.pack(order + "III", 0, 1, 2)
              + option(order, 4, struct.pack(order + "Q", 9)) + end),
    ])


@pytest.mark.parametrize("order", [("<",), (">",), ("<", ">", "<")], ids="".join)
def test_pcapng_read_and_written_is_the_same_byte_for_byte(order):
    data = b"".join(map(section, order))
    out = io.BytesIO()
    assert Capture(io.BytesIO(data)).write(out) == 4 * len(order)
    assert out.getvalue() == data


def test_packets_left_out_leave_all_else_in_place():
    out = io.BytesIO()
    assert Capture(io.BytesIO(section(">"))).filter("len >= 4").write(out) == 2
    assert b"two" not in out.getvalue() and b"one" not in out.getvalue()
    with PcapngReader(io.BytesIO(out.getvalue())) as reader:
        assert [list(batch) for batch in reader] == [[b"three"], [b"four"]]
        assert reader.secrets and reader.statistics and reader.names and reader.others


def test_section_of_known_length_becomes_one_of_unknown_length():
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, 4711)
    assert pack_raw(RawBlock(BlockType.SECTION, 0, body))[16:24] == b"\xff" * 8


def test_split_files_begin_with_what_their_packets_need(tmp_path):
    capture = Capture(io.BytesIO(section("<")))
    assert capture.write(tmp_path / "s.pcapng", split=Portion(packets=2)) == 4
    with PcapngReader(tmp_path / "s-00002.pcapng") as reader:
        assert [list(batch) for batch in reader] == [[b"three"], [b"four"]]
        assert [each.name for each in reader.interfaces] == ["eth0", ""]
        assert reader.secrets[0].data == b"keys"
        assert len(reader.statistics) == 1


def test_pcap_target_says_what_it_has_no_place_for(tmp_path):
    data = section("<").replace(packet("<", 1, b"three"), b"")
    capture = Capture(io.BytesIO(data))
    capture.write(tmp_path / "a.pcap")
    assert capture.lost["comments"] == 1 and capture.lost["decryption secrets blocks"] == 1
    assert list(lost_in_pcap([RawBlock(0x77, 0, b"")])) == ["unknown"]


def test_scattered_blocks_are_gathered_in_order():
    first, second, third = (packet("<", 0, data) for data in (b"1", b"22222", b"333"))
    buffer = np.frombuffer(first + second + third, np.uint8)
    at = np.array([0, len(first) + len(second)])
    file = io.BytesIO()
    copier = PcapngCopier(file)
    copier.write(buffer, Blocks(at, np.array([len(first), len(third)])))
    assert file.getvalue() == first + third and copier.packets == 2


def test_copy_of_a_file_without_a_sound_block_is_an_empty_capture():
    damaged = bytearray(section("<"))
    damaged[4] ^= 0x40
    out = io.BytesIO()
    capture = Capture(io.BytesIO(bytes(damaged)))
    assert capture.write(out) == 0 and capture.damage
    assert len(list(Capture(io.BytesIO(out.getvalue())))) == 0
