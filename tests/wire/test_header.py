from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.errors import UsageError, WireError
from portulan.wire.header import Header, octets_at
from portulan.wire.layout import auto, ip4, u4, u8, u12, u16, u24, u32

from .generators import ALL_HEADERS, any_header, header_of, values_of

CASES = pytest.mark.parametrize("kind", ALL_HEADERS, ids=lambda kind: kind.layer)


def columns_of(kind, columns):
    """Give back the scalars' numbers from columns, wide fields joined."""
    rows = []
    for field in kind.layout.fields:
        parts = [np.asarray(getattr(columns, span.name)[:]).tolist() for span in field.spans]
        wide = len(parts) > 1
        joined = [hi << 64 | lo for hi, lo in zip(*parts, strict=True)] if wide else parts[0]
        rows.append(joined)
    return [dict(zip(kind.layout.by_name, row, strict=True)) for row in zip(*rows, strict=True)]


@given(any_header)
def test_any_header_packed_and_parsed_is_the_same(header):
    octets = header.pack()
    again = type(header).parse(octets)
    assert (len(octets), again, hash(again)) == (header.size, header, hash(header))
    assert again.pack() == octets


@CASES
@given(data=st.data())
def test_any_header_gathered_from_ragged_frames_equals_the_scalars(kind, data):
    headers = data.draw(st.lists(header_of(kind), min_size=1, max_size=5))
    count = len(headers)
    before = data.draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
    frames = wire.Frames.of([lead + h.pack() for lead, h in zip(before, headers, strict=True)])
    starts = frames.offset + np.array([len(lead) for lead in before])
    assert kind.fits(frames, starts).all()
    gathered = columns_of(kind, kind.gather(frames.buffer, starts))
    assert gathered == [{n: int(getattr(h, n)) for n in kind.layout.by_name} for h in headers]


@CASES
@given(data=st.data())
def test_any_header_written_through_views_equals_the_scalars(kind, data):
    values = data.draw(st.lists(values_of(kind), min_size=1, max_size=4))
    rows = np.frombuffer(bytes(range(256)) * len(values), np.uint8).reshape(len(values), 256).copy()
    view = kind.view(rows, 3)
    for field in kind.layout.fields:
        for index, span in enumerate(reversed(field.spans)):
            low = [value[field.attr] >> 64 * index & (1 << span.bits) - 1 for value in values]
            getattr(view, span.name)[:] = np.array(low, np.uint64)
    assert columns_of(kind, view) == values
    for row, value in zip(rows, values, strict=True):
        assert kind.parse(row.tobytes(), 3) == kind(**value)
        assert row[:3].tolist() == [0, 1, 2]
        assert row[3 + kind.size :].tolist() == list(range(3 + kind.size, 256))


@CASES
def test_any_header_cut_at_every_byte_raises_with_need_and_have(kind):
    for have in range(kind.size):
        with pytest.raises(WireError) as caught:
            kind.parse(bytes(5 + have), 5)
        error = caught.value
        assert (error.layer, error.offset) == (kind.layer, 5)
        assert (error.need, error.have) == (kind.size, have)
    with pytest.raises(WireError):
        kind.parse(bytes(99), -1)


@CASES
def test_any_header_is_documented_and_its_dtype_covers_it(kind):
    assert kind.dtype.itemsize == kind.size
    assert all(field.sentence for field in kind.layout.fields)
    stated = [line for line in (kind.__doc__ or "").splitlines() if line.startswith("    ")]
    names = {line.strip().split(":")[0] for line in stated if ": " in line}
    assert names == set(kind.layout.by_name)


def test_dtype_records_read_the_same_bytes():
    octets = wire.UDP(sport=1, dport=2, length=3, checksum=4).pack()
    assert np.frombuffer(octets, wire.UDP.dtype)[0].tolist() == (1, 2, 3, 4)
    assert wire.IPv4.dtype.names[:2] == ("version_ihl", "dscp_ecn")


def test_values_that_do_not_fit_are_refused_by_name():
    for wrong in (-1, 65536, "80", 1.5, None):
        with pytest.raises(UsageError, match=r"tcp\.dport"):
            wire.TCP(dport=wrong)
    with pytest.raises(UsageError, match="IPv4 address"):
        wire.IPv4(dst="10.0.0.256")
    with pytest.raises(TypeError, match="no field prot"):
        wire.IPv4(prot=1)


def test_headers_are_frozen_and_replaced():
    header = wire.UDP(sport=1)
    with pytest.raises(AttributeError, match=r"replace\(sport="):
        header.sport = 2
    assert header.replace(sport=2) == wire.UDP(sport=2)
    changed = header.replace(checksum=7).filled(checksum=9, length=8)
    assert changed == wire.UDP(sport=1, length=8, checksum=7)


class Vxlan(Header, protocol=253):
    """A protocol of the user's own.

    flags: what is valid
    vni: identifier of the network [ids]
    """

    flags: u8 = 8
    reserved: u24 = 0
    vni: u24
    reserved2: u8 = 0


def test_user_header_gets_everything():
    try:
        assert Vxlan.parse(b"\x08\0\0\0\x01\x02\x03\0").vni == 0x010203
        assert wire.find_field("vxlan.vni").unit == "ids"
        rows = np.zeros((2, 8), np.uint8)
        Vxlan.view(rows).vni[:] = [1, 0xABCDEF]
        assert rows[1].tolist() == [0, 0, 0, 0, 0xAB, 0xCD, 0xEF, 0]
        assert Vxlan.gather(rows.reshape(-1), np.array([0, 8])).vni.tolist() == [1, 0xABCDEF]
        packet = wire.IPv4() / Vxlan(vni=5) / b"x"
        assert packet.filled()[wire.IPv4].protocol == 253
        with pytest.raises(TypeError, match="needs vni"):
            Vxlan()
    finally:
        from portulan.wire import header
        from portulan.wire.vxlan import VXLAN as Ours  # noqa: N811

        header._HEADERS["vxlan"] = Ours
        header.BY_PROTOCOL.pop(253)


def test_bad_declarations_are_refused():
    with pytest.raises(TypeError, match="end inside an octet"):
        class Open(Header):
            a: u4 = 0
            b: u12 = 0
            c: u4 = 0
    with pytest.raises(TypeError, match="cannot be field names"):
        class Taken(Header):
            pack: u16 = 0
    with pytest.raises(TypeError, match="no wire field"):
        class Nothing(Header):
            pass
    assert {"open", "taken", "nothing"}.isdisjoint(wire.headers())


def test_unknown_field_name_lists_near_ones():
    with pytest.raises(UsageError, match=r"known: .*udp\.dport"):
        wire.find_field("udp.port")
    with pytest.raises(UsageError, match=r"headers: (ah, )?arp"):
        wire.find_field("nope.port")
    assert wire.find_field("tcp.flags").kind == "tcp_flags"


def test_view_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        wire.TCP.view(np.zeros((2, 39), np.uint8), 20)
    with pytest.raises(AttributeError, match="no column 'port'"):
        wire.TCP.view(np.zeros((2, 40), np.uint8), 20).port  # noqa: B018


def test_fits_says_which_frames_hold_the_header():
    frames = wire.Frames.of([bytes(8), bytes(7), bytes(20)])
    assert wire.UDP.fits(frames, frames.offset).tolist() == [True, False, True]
    assert wire.UDP.fits(frames, frames.offset - 1).tolist() == [False, False, False]


def test_stack_fills_lengths_types_and_checksums():
    inside = wire.IPv4(dst="10.9.0.2") / wire.UDP(dport=53) / b"abc"
    packet = wire.Ethernet() / wire.VLAN(id=7) / inside
    done = packet.filled()
    assert done[wire.Ethernet].ethertype == 0x8100
    assert done[wire.VLAN].ethertype == 0x0800
    assert (done[wire.IPv4].total_length, done[wire.IPv4].protocol) == (31, 17)
    assert done[wire.UDP].length == 11
    assert done.pack() == packet.pack() == bytes(done)
    assert wire.TCP not in packet
    with pytest.raises(KeyError, match="TCP"):
        packet[wire.TCP]


def test_stack_sees_the_next_header_behind_an_empty_payload():
    packet = wire.Ethernet() / b"" / wire.IPv4() / b"" / wire.UDP()
    assert packet == wire.Ethernet() / wire.IPv4() / wire.UDP()
    assert (wire.Ethernet() / b"x" / wire.IPv4()).pack()[12:14] == b"\0\0"


def test_stack_keeps_what_is_given_wrong_on_purpose():
    wrong = wire.IPv4(total_length=9, checksum=0, ihl=3, protocol=99)
    done = (wrong / wire.TCP(checksum=0, data_offset=2)).filled()
    assert done[wire.IPv4] == wrong
    assert (done[wire.TCP].checksum, done[wire.TCP].data_offset) == (0, 2)


def test_stack_of_parsed_headers_is_byte_exact():
    octets = (wire.IPv4(checksum=1) / wire.UDP(length=3) / b"xyz").pack()
    again = wire.IPv4.parse(octets) / wire.UDP.parse(octets, 20) / octets[28:]
    assert again.pack() == octets


def test_octets_at_outside_the_buffer_is_an_index_error():
    buffer = np.arange(10, dtype=np.uint8)
    assert octets_at(buffer, np.array([0, 6]), 4).tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert octets_at(buffer, np.array([], np.int64), 4).shape == (0, 4)
    with pytest.raises(IndexError):
        octets_at(buffer, np.array([7]), 4)
    with pytest.raises(IndexError):
        octets_at(buffer[:2], np.array([0]), 4)
    assert octets_at(np.arange(20, dtype=np.uint8)[::2], np.array([1]), 2).tolist() == [[2, 4]]


def test_local_class_with_local_types_resolves():
    class Local(Header):
        """Made in a function."""

        addr: ip4 = "10.0.0.1"
        n: u32 = auto(3)
        m: u16 = 0

    try:
        assert str(Local().addr) == "10.0.0.1"
        assert Local().n == 3
    finally:
        from portulan.wire import header
        header._HEADERS.pop("local")


def test_signature_of_a_header_names_its_fields_and_their_defaults():
    import inspect

    from portulan.wire import UDP

    signature = inspect.signature(UDP)
    assert list(signature.parameters) == ["sport", "dport", "length", "checksum"]
    assert signature.bind(dport=53).kwargs == {"dport": 53}


def test_header_of_a_packet_is_an_attribute():
    import copy

    from portulan.wire import TCP, UDP, IPv4

    packet = IPv4() / UDP(dport=53) / b"x"
    assert packet.udp is packet[UDP] and "udp" in dir(packet)
    assert copy.copy(packet) == packet
    with pytest.raises(AttributeError):
        packet.tcp  # noqa: B018 - the asking is the test
    assert TCP not in packet
