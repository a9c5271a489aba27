from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.errors import LimitError, UsageError
from portulan.wire import bpf

from .generators import ethernet_packets, hostile_octets

ETH, IP, IP6 = wire.Ethernet(), wire.IPv4(src=1, dst=2), wire.IPv6(src=1, dst=2)
FILTER = bpf.replies_filter(
    link_type=1, tcp_ports=(40000, 40009), udp_ports=(50000, 50000),
    icmp=True, icmp6=True, arp=True,
)
NARROW = bpf.replies_filter(link_type=1, tcp_ports=(40000, 40009))
CASES = [
    (IP / wire.TCP(dport=40000), "both"), (IP / wire.TCP(dport=40009), "both"),
    (IP / wire.TCP(dport=39999), ""), (IP / wire.TCP(dport=40010), ""),
    (IP / wire.Options(bytes(40)) / wire.TCP(dport=40005), "both"),
    (IP6 / wire.TCP(dport=40005), "both"), (IP6 / wire.TCP(dport=1), ""),
    (IP.replace(flags=1) / wire.TCP(dport=40005), ""),
    (IP.replace(fragment_offset=1) / wire.TCP(dport=40005), ""),
    (IP / wire.UDP(dport=50000), "wide"), (IP / wire.UDP(dport=40000), ""),
    (IP6 / wire.UDP(dport=50000), "wide"), (IP / wire.ICMP.echo_reply(), "wide"),
    (IP6 / wire.ICMPv6.echo_reply(), "wide"), (IP6 / wire.ICMP.echo_reply(), ""),
    (IP / wire.SCTP(dport=7000), ""), (IP6 / wire.SCTP(dport=7000), ""),
    (wire.ARP(operation=2) / b"", "wide"), (wire.ARP(operation=1) / b"", ""),
]


@pytest.mark.parametrize(("packet", "kept"), CASES, ids=lambda value: str(value)[:70])
def test_reply_filter_keeps_only_what_can_answer(packet, kept):
    octets = (ETH / packet).pack()
    assert bool(bpf.run(FILTER, octets)) == (kept in ("both", "wide"))
    assert bool(bpf.run(NARROW, octets)) == (kept == "both")
    if packet.layers[0] in (IP, IP6):
        raw = bpf.replies_filter(link_type=wire.LinkType.RAW, tcp_ports=(40000, 40009))
        assert bool(bpf.run(raw, packet.pack())) == (kept == "both")


@pytest.mark.parametrize("extension", [
    wire.HopByHop(), wire.Destination(), wire.Fragment(),
], ids=lambda value: value.layer)
def test_reply_behind_an_extension_header_is_kept_for_whoever_can_walk_there(extension):
    octets = (ETH / IP6 / extension / wire.TCP(dport=40005)).pack()
    assert bpf.run(FILTER, octets)
    assert bpf.run(NARROW, octets)
    assert not bpf.run(bpf.replies_filter(link_type=1, arp=True), octets)


@pytest.mark.parametrize(("packet", "ports", "others"), [
    (IP / wire.SCTP(dport=7000), True, True), (IP6 / wire.SCTP(dport=7000), True, True),
    (IP / wire.SCTP(dport=7001), False, True), (IP.replace(protocol=47) / b"", False, True),
    (IP6.replace(next_header=47) / b"", False, True), (IP / wire.UDP(dport=7000), False, False),
])
def test_filter_of_sctp_and_of_other_protocols_keeps_those(packet, ports, others):
    octets = (ETH / packet).pack()
    of_sctp = bpf.replies_filter(link_type=1, sctp_ports=(7000, 7000))
    of_others = bpf.replies_filter(link_type=1, udp_ports=(9, 9), others=True)
    assert bool(bpf.run(of_sctp, octets)) == ports
    assert bool(bpf.run(of_others, octets)) == others


@given(hostile_octets)
def test_reply_filter_on_any_octets_ends(octets):
    assert bpf.run(FILTER, octets) in (0, bpf.KEEP_BYTES)


@given(ethernet_packets())
def test_reply_filter_for_nothing_keeps_nothing(packet):
    assert bpf.run(bpf.replies_filter(link_type=1), packet.pack()) == 0


def test_unknown_link_is_refused():
    with pytest.raises(UsageError, match="link type"):
        bpf.replies_filter(link_type=wire.LinkType.NULL, icmp=True)


def test_tcpdump_program_for_ip_assembles_to_its_known_code():
    source = [bpf.load(12, 2), bpf.jump_if("eq", 0x0800, no="drop"), bpf.keep(262144),
              "drop", bpf.keep(0)]
    program = bpf.assemble(source)
    assert program == [(40, 0, 0, 12), (21, 0, 1, 2048), (6, 0, 0, 262144), (6, 0, 0, 0)]
    assert bpf.to_bytes(program)[8:16] == struct.pack("=HBBI", 21, 0, 1, 2048)


@pytest.mark.parametrize("sides", ["yes", "no", "both"])
@pytest.mark.parametrize("octet", [7, 8])
def test_far_jumps_get_a_jump_of_their_own(sides, octet):
    yes, no = ("yes" if sides != "no" else None), ("no" if sides != "yes" else None)
    filler = [bpf.load_constant(0)] * 300
    source = [bpf.load(0, 1), bpf.jump_if("eq", 7, yes=yes, no=no), bpf.keep(3), *filler,
              "no", bpf.keep(2), *filler, "yes", bpf.keep(1)]
    program = bpf.assemble(source)
    assert max(max(jt, jf) for _, jt, jf, _ in program) <= 255
    want = (1 if yes else 3) if octet == 7 else (2 if no else 3)
    assert bpf.run(program, bytes([octet])) == want


u32 = st.integers(0, (1 << 32) - 1)


@given(u32, u32)
def test_arithmetic_is_of_32_bits(a, b):
    mask = (1 << 32) - 1
    want = {"add": a + b & mask, "sub": a - b & mask, "mul": a * b & mask, "or": a | b,
            "and": a & b, "xor": a ^ b, "div": a // b if b else 0, "mod": a % b if b else 0,
            "lsh": a << b & mask if b < 32 else 0, "rsh": a >> b if b < 32 else 0, "neg": -a & mask}
    for name, value in want.items():
        program = bpf.assemble([
            bpf.load_constant(b), bpf.to_index(), bpf.load_constant(a), bpf.compute(name),
            bpf.keep_a(),
        ])
        assert bpf.run(program, b"") == value, name


@given(u32, u32)
def test_tests_compare_unsigned(a, b):
    for name, value in {"eq": a == b, "gt": a > b, "ge": a >= b, "set": bool(a & b)}.items():
        ends = [bpf.keep(1), "no", bpf.keep(0)]
        direct = [bpf.load_constant(a), bpf.jump_if(name, b, no="no"), *ends]
        assert bpf.run(bpf.assemble(direct), b"") == value
        by_index = [bpf.index_constant(b), bpf.load_constant(a), bpf.jump_if(name, None, no="no"),
                    *ends]
        assert bpf.run(bpf.assemble(by_index), b"") == value


def test_memory_and_registers_hold_what_was_stored():
    program = bpf.assemble([
        bpf.load_length(), bpf.store(3), bpf.load_constant(4), bpf.to_index(), bpf.store_index(5),
        bpf.load_memory(3), bpf.index_memory(5), bpf.compute("add"), bpf.to_index(),
        bpf.load_constant(0), bpf.from_index(), bpf.keep_a(),
    ])
    assert bpf.run(program, b"abc") == 7
    assert bpf.run(program, b"abc", wire_length=100) == 104


def test_reading_outside_the_frame_keeps_nothing():
    for op in (bpf.load(0, 4), bpf.load_header_size(3), bpf.load(0, 1, indexed=True)):
        program = bpf.assemble([bpf.index_constant(3), op, bpf.keep(9)])
        assert bpf.run(program, b"abc") == 0
        assert bpf.run(program, b"abcd") == 9


@pytest.mark.parametrize(("source", "reason"), [
    ([], "end in ret"), ([bpf.load_length()], "end in ret"),
    ([bpf.jump("x"), bpf.keep(0)], "missing"), (["x", bpf.jump("x"), bpf.keep(0)], "backwards"),
    (["x", "x", bpf.keep(0)], "twice"), ([bpf.compute("div", 0), bpf.keep(0)], "divides"),
    ([bpf.compute("lsh", 32), bpf.keep(0)], "shifts"), ([bpf.store(16), bpf.keep(0)], "16 cells"),
    ([bpf.load_memory(16), bpf.keep(0)], "16 cells"),
    ([bpf.jump("x"), bpf.keep(0), "x"], "leaves"),
])
def test_programs_the_kernel_refuses_are_refused(source, reason):
    with pytest.raises(UsageError, match=reason):
        bpf.assemble(source)


def test_program_too_long_is_refused():
    with pytest.raises(LimitError, match="4096 fit"):
        bpf.assemble([bpf.load_length()] * 4096 + [bpf.keep(0)])
