from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.errors import WireError
from portulan.wire.ipv6 import walk_extensions
from portulan.wire.locate import Defect, Located, Part, locate, quoted

from .generators import LINK_TYPES, ethernet_packets, hostile_octets, ip_packets

PLAIN = wire.Ethernet() / wire.IPv4(src="10.0.0.1", dst="10.0.0.2") / wire.TCP(dport=80) / b"hello"


def row(located, index=0):
    return {name: int(getattr(located, name)[index]) for name in Located.__slots__}


def one(octets, link_type=wire.LinkType.ETHERNET):
    octets = octets if isinstance(octets, bytes) else octets.pack()
    return row(locate(wire.Frames.of([octets], link_type=link_type)))


def naive(octets):
    """The same walk over good Ethernet frames, by scalars."""
    at, kind = 14, wire.Ethernet.parse(octets).ethertype
    while kind == 0x8100:
        at, kind = at + 4, wire.VLAN.parse(octets, at).ethertype
    if kind == 0x0800:
        ip = wire.IPv4.parse(octets, at)
        protocol, transport = ip.protocol, at + ip.ihl * 4
    elif kind == 0x86DD:
        ip = wire.IPv6.parse(octets, at)
        chain = walk_extensions(octets, ip.next_header, at + 40)
        protocol, transport = chain.protocol, chain.offset
    else:
        return kind, at, 0, at, at
    size = wire.TCP.parse(octets, transport).data_offset * 4 if protocol == 6 else 8
    return kind, at, protocol, transport, transport + size


@given(st.lists(ethernet_packets(), min_size=1, max_size=4))
def test_good_frames_are_located_as_scalars_do(packets):
    frames = wire.Frames.of([packet.pack() for packet in packets])
    located = locate(frames)
    for index, octets in enumerate(frames):
        got, start = row(located, index), int(frames.offset[index])
        found = (got["network_offset"], got["transport_offset"], got["payload_offset"])
        kind, network, protocol, transport, payload = naive(octets)
        assert (got["ethertype"], got["protocol"]) == (kind, protocol)
        if got["family"]:
            assert [offset - start for offset in found] == [network, transport, payload]
            assert got["payload_end"] == start + len(octets)
            assert got["defect"] == Defect.NONE
        else:
            assert (found[0] - start, got["defect"]) == (network, Defect.NOT_IP)


@given(st.lists(hostile_octets, max_size=6), st.sampled_from([*LINK_TYPES, 9999]))
@settings(max_examples=300)
def test_any_octets_of_any_link_keep_the_promises(parts, link_type):
    frames = wire.Frames.of(parts, link_type=link_type)
    located = locate(frames)
    inner_rows, inner = quoted(frames, located)
    everything = np.arange(len(frames))
    for rows, found, least in ((everything, located, 20), (inner_rows, inner, 8)):
        low, high = frames.offset[rows], frames.offset[rows] + frames.length[rows]
        good = (found.defect == 0) & (found.family != 0)
        for offset in (found.network_offset, found.transport_offset, found.payload_offset):
            assert ((low <= offset) & (offset <= high))[good].all()
        assert (found.payload_offset <= found.payload_end)[good].all()
        assert (found.payload_end <= high)[good].all()
        for protocol, size in ((6, least), (17, 8), (1, 8), (58, 8)):
            picked = found.of(protocol)
            assert (found.transport_offset[picked] + size <= high[picked]).all()
        assert (found.defect_offset >= 0).all()


@given(st.lists(ethernet_packets(), min_size=1, max_size=5))
def test_rows_do_not_depend_on_their_neighbours(packets):
    parts = [packet.pack() for packet in packets]
    together = locate(wire.Frames.of(parts))
    start = 0
    for index, part in enumerate(parts):
        alone = one(part)
        for name in ("network_offset", "transport_offset", "payload_offset", "payload_end"):
            alone[name] += start
        assert row(together, index) == alone
        start += len(part)


@given(ip_packets, st.sampled_from([wire.LinkType.RAW, wire.LinkType.NULL, wire.LinkType.LOOP,
                                    wire.LinkType.LINUX_SLL, wire.LinkType.LINUX_SLL2]))
def test_every_link_type_leads_to_the_same_packet(packet, link_type):
    octets = packet.pack()
    ip6 = octets[0] >> 4 == 6
    ethertype = 0x86DD if ip6 else 0x0800
    lead = {
        wire.LinkType.RAW: b"", wire.LinkType.NULL: bytes([10 if ip6 else 2, 0, 0, 0]),
        wire.LinkType.LOOP: bytes([0, 0, 0, 30 if ip6 else 2]),
        wire.LinkType.LINUX_SLL: wire.LinuxSLL(ethertype=ethertype).pack(),
        wire.LinkType.LINUX_SLL2: wire.LinuxSLL2(ethertype=ethertype).pack(),
    }[link_type]
    want, got = one(octets, wire.LinkType.RAW), one(lead + octets, link_type)
    assert got["defect"] == want["defect"] == 0
    assert got["transport_offset"] == want["transport_offset"] + len(lead)
    assert (got["family"], got["protocol"]) == (want["family"], want["protocol"])


def test_plain_frame_cut_at_every_byte_says_how_far_it_got():
    octets = PLAIN.pack()
    seen = []
    for have in range(len(octets)):
        whole = wire.Frames.of([octets[:have]])
        frames = wire.Frames(whole.buffer, whole.offset, whole.length,
                             np.array([len(octets)]), whole.time_ns)
        got = row(locate(frames))
        seen.append(Defect(got["defect"]).name)
        if got["defect"]:
            with pytest.raises(WireError):
                wire.Ethernet.parse(octets[:have])
                wire.IPv4.parse(octets[:have], 14)
                wire.TCP.parse(octets[:have], 34)
    assert seen == ["SHORT_LINK"] * 14 + ["SHORT_NETWORK"] * 20 + ["SHORT_TRANSPORT"] * 20 + \
        ["NONE"] * 5


IP = wire.IPv4(src=1, dst=2)
ETH = wire.Ethernet()
MANY = wire.IPv6() / b""
for _ in range(9):
    MANY = MANY / wire.Destination() / wire.ip6_options((1, b""))
CASES = [
    (ETH / wire.IPv4(ihl=4) / wire.TCP(), Defect.BAD_HEADER_LENGTH, 14),
    (ETH / wire.IPv4(ihl=15) / wire.TCP(), Defect.BAD_HEADER_LENGTH, 14),
    (ETH / wire.IPv4(version=5) / wire.TCP(), Defect.BAD_VERSION, 14),
    (ETH / wire.IPv4(total_length=19) / wire.TCP(), Defect.BAD_TOTAL_LENGTH, 14),
    (ETH / wire.IPv4(total_length=99) / wire.TCP(), Defect.BAD_TOTAL_LENGTH, 14),
    (ETH / wire.IPv4(total_length=30) / wire.TCP(), Defect.SHORT_TRANSPORT, 34),
    (ETH / IP / wire.TCP(data_offset=4), Defect.BAD_DATA_OFFSET, 34),
    (ETH / IP / wire.TCP(data_offset=6), Defect.BAD_DATA_OFFSET, 34),
    (ETH / wire.IPv6(payload_length=99) / wire.UDP(), Defect.BAD_TOTAL_LENGTH, 14),
    (ETH / wire.IPv6() / wire.HopByHop(length=9), Defect.SHORT_EXTENSION, 54),
    (ETH / MANY, Defect.TOO_MANY_EXTENSIONS, 14 + 40 + 64),
    (wire.Ethernet(ethertype=0x88CC) / b"x", Defect.NOT_IP, 14),
    (wire.Ethernet(ethertype=0x8100) / b"xx", Defect.SHORT_LINK, 14),
    (ETH / wire.VLAN() / wire.VLAN() / wire.VLAN() / IP, Defect.NOT_IP, 22),
]


@pytest.mark.parametrize(("packet", "defect", "offset"), CASES, ids=lambda value: str(value)[:40])
def test_lying_frame_is_marked_with_reason_and_byte(packet, defect, offset):
    got = one(packet)
    assert (Defect(got["defect"]), got["defect_offset"]) == (defect, offset)
    assert Defect(got["defect"]).text


def test_every_defect_has_a_text():
    assert len({defect.text for defect in Defect}) == len(Defect)


def test_link_padding_is_no_payload():
    got = one((ETH / IP / wire.UDP()).pack() + bytes(18))
    assert got["payload_offset"] == got["payload_end"] == 42


def test_fragments_are_told_apart():
    first = one(ETH / wire.IPv4(flags=1) / wire.UDP())
    later = one(ETH / wire.IPv4(fragment_offset=1, protocol=17) / b"abc")
    first6 = one(ETH / wire.IPv6() / wire.Fragment(more=1) / wire.UDP())
    later6 = one(ETH / wire.IPv6() / wire.Fragment(fragment_offset=2, next_header=17) / b"abc")
    parts = [got["fragment"] for got in (first, later, first6, later6)]
    assert parts == [Part.FIRST, Part.LATER, Part.FIRST, Part.LATER]
    assert (later["payload_offset"], later["payload_end"], later["protocol"]) == (34, 37, 17)
    frames = wire.Frames.of([(ETH / wire.IPv4(fragment_offset=1, protocol=17) / b"abc").pack()])
    assert locate(frames).of(17).tolist() == []


def test_segments_cut_by_the_card_show_length_zero_and_reach_to_the_end():
    got = one(ETH / wire.IPv4(total_length=0) / wire.TCP() / b"abc")
    assert (got["defect"], got["payload_end"]) == (0, 57)


def test_quoted_probe_is_found_in_icmp_and_icmpv6_errors():
    probe = wire.IPv4(dst="10.0.0.9") / wire.TCP(sport=5, seq=77)
    probe6 = wire.IPv6(dst="::9") / wire.UDP(sport=6)
    error = ETH / wire.IPv4() / wire.ICMP.unreachable(wire.Unreachable.PORT, probe.pack()[:28])
    error6 = ETH / wire.IPv6() / wire.ICMPv6.unreachable(wire.Unreachable6.PORT, probe6.pack())
    echo = ETH / wire.IPv4() / wire.ICMP.echo() / probe.pack()
    empty = ETH / wire.IPv4() / wire.ICMP.time_exceeded(b"")
    frames = wire.Frames.of([p.pack() for p in (PLAIN, error, echo, error6, empty)])
    rows, inner = quoted(frames, locate(frames))
    assert rows.tolist() == [1, 4, 3]
    assert inner.family.tolist() == [4, 0, 6]
    assert inner.defects() == {Defect.SHORT_NETWORK: 1}
    tcp, udp = inner.of(6), inner.of(17)
    assert wire.UDP.gather(frames.buffer, inner.transport_offset[udp]).sport.tolist() == [6]
    assert wire.TCP.gather(frames.buffer, inner.transport_offset[tcp]).seq.tolist() == [77]
    dst = wire.IPv4.gather(frames.buffer, inner.network_offset[tcp]).dst
    assert dst.tolist() == [wire.Ip4.of("10.0.0.9")]


def test_empty_batches_are_fine():
    assert len(locate(wire.Frames.empty())) == 0
    assert one(b"")["defect"] == Defect.SHORT_LINK
    none = wire.Frames.empty()
    assert len(quoted(none, locate(none))[0]) == 0
