import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.link import pcapng_blocks as blocks
from portulan.link.pcapng_blocks import BlockType, Interface, Option, RawBlock, Section, Statistics

orders = st.sampled_from(["<", ">"])


def packed(options: list[Option], order: str) -> bytes:
    return b"".join(
        struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in options
    ) + bytes(4)


def body(block: bytes) -> bytes:
    assert struct.unpack("<I", block[4:8])[0] == len(block) == struct.unpack("<I", block[-4:])[0]
    return block[8:-4]


@given(st.lists(st.tuples(st.integers(1, 65535), st.binary(max_size=9)), max_size=9))
def test_options_packed_are_parsed_the_same(options):
    assert blocks.parse_options(blocks.pack_options(options), "<") == options


@given(st.binary(max_size=80), orders)
def test_options_of_any_bytes_end_without_an_error(data, order):
    assert sum(4 + len(value) for _, value in blocks.parse_options(data, order)) <= len(data)


def test_options_without_end_are_bounded():
    many = struct.pack("<HH", 1, 0) * 5000
    assert len(blocks.parse_options(many, "<")) == blocks.OPTIONS_MAX


@pytest.mark.parametrize("order", "<>")
def test_section_with_options_is_parsed(order):
    options = [(1, b"one"), (1, b"two"), (2, b"box"), (3, b"Linux"), (4, b"tool\0"), (99, b"?")]
    data = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + packed(options, order)
    assert blocks.parse_section(data, order) == Section(
        order, 1, 0, "box", "Linux", "tool", ("one", "two")
    )


def test_section_packed_is_parsed_the_same():
    options = blocks.SectionOption
    texts = {blocks.COMMENT: "why", options.OS: "Linux", options.HARDWARE: ""}
    section = blocks.parse_section(body(blocks.pack_section(texts)), "<")
    assert section == Section("<", 1, 0, "", "Linux", "", ("why",))


@pytest.mark.parametrize("order", "<>")
def test_interface_with_every_option_is_parsed(order):
    options = [
        (2, b"eth0"), (3, b"uplink"), (4, bytes([10, 0, 0, 1, 255, 255, 255, 0])),
        (5, bytes(15) + b"\1\x40"), (6, bytes(6)), (8, struct.pack(order + "Q", 10**9)),
        (9, b"\x86"), (11, b"\0tcp"), (12, b"Linux"), (13, b"\4"),
        (14, struct.pack(order + "q", -3600)), (15, b"NIC"), (1, b"note"),
    ]
    data = struct.pack(order + "HHI", 276, 0, 128) + packed(options, order)
    assert blocks.parse_interface(data, order) == Interface(
        276, 128, "eth0", "uplink", "tcp", "Linux", "NIC", ("10.0.0.1/255.255.255.0", "::1/64"),
        bytes(6), 10**9, 0x86, -3600, 4, ("note",),
    )


def test_interface_without_options_counts_microseconds():
    data = struct.pack("<HHI", 1, 0, 0)
    assert blocks.parse_interface(data, "<") == Interface(1, time_resolution=6)


def test_interface_options_of_a_wrong_size_are_left_out():
    options = [(4, b"xx"), (5, b"xx"), (9, b""), (11, b"\1code"), (14, b"xx")]
    data = struct.pack("<HHI", 1, 0, 0) + packed(options, "<")
    assert blocks.parse_interface(data, "<") == Interface(1, time_resolution=6)


def test_interface_packed_is_parsed_the_same():
    interface = Interface(101, 99, "tun0", time_resolution=9)
    assert blocks.parse_interface(body(blocks.pack_interface(interface)), "<") == interface


@pytest.mark.parametrize("counts", [(5, 0, None, None, None), (1, 2, 3, 4, 1 << 63)])
def test_statistics_packed_are_parsed_the_same(counts):
    statistics = Statistics(3, 1 << 40, *counts)
    assert blocks.parse_statistics(body(blocks.pack_statistics(statistics)), "<") == statistics
    assert statistics.counted_from(10).interface == 13


def test_names_packed_are_parsed_the_same():
    names = {"10.0.0.1": ["a.example", "b"], "2001:db8::1": ["ü.example"]}
    assert blocks.parse_names(body(blocks.pack_names(names)), "<") == names


@pytest.mark.parametrize(
    ("address", "names"), [("router", ["x"]), ("1.2.3", ["x"]), ("::1", ["x" * 65536])]
)
def test_names_that_do_not_fit_are_refused(address, names):
    with pytest.raises(ValueError):
        blocks.pack_names({address: names})


@given(st.binary(max_size=80), orders)
def test_bodies_of_any_bytes_parse_without_an_error(data, order):
    blocks.parse_section(bytes(16) + data, order)
    blocks.parse_interface(bytes(8) + data, order)
    blocks.parse_statistics(bytes(12) + data, order)
    blocks.parse_secrets(bytes(8) + data, order)
    blocks.parse_names(data, order)


@pytest.mark.parametrize("order", "<>")
def test_secrets_are_parsed_by_their_own_length(order):
    data = struct.pack(order + "II", 0x544C534B, 5) + b"keys\n" + bytes(3)
    assert blocks.parse_secrets(data, order) == blocks.Secrets("TLSK", b"keys\n")


def test_custom_block_tells_its_enterprise():
    assert RawBlock(BlockType.CUSTOM, 0, b"\x01\0\0\0rest").enterprise == 1
    assert RawBlock(BlockType.CUSTOM_NO_COPY, 0, b"\0\0\0\x02", ">").enterprise == 2
    assert RawBlock(77, 0, b"\x01\0\0\0").enterprise is None


def test_text_longer_than_an_option_is_cut_between_characters():
    code, raw = blocks.text_option(1, "ü" * 40_000)
    assert (code, len(raw)) == (1, 65_534) and raw.decode() == "ü" * 32_767
    assert blocks.text_option(1, "\udc80")[1] == b"?"
