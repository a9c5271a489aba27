from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire.filter import compile_filter

PAD = wire.ip6_options((1, b""))
CHAIN = wire.IPv6() / wire.HopByHop() / PAD / wire.Destination() / PAD / wire.UDP(dport=53)


@pytest.mark.parametrize(("text", "hit"), [
    ("protochain 17", True), ("ip6 protochain \\udp", True), ("protochain 60", True),
    ("protochain 6", False), ("ip protochain 17", False), ("ip6 protochain 0", True),
    ("not protochain 6", True),
])
def test_chain_is_followed_to_its_end(text, hit):
    found, octets = compile_filter(text, 101), CHAIN.pack()
    assert found.match(octets) is hit
    assert found.mask(wire.Frames.of([octets, b""], link_type=101)).tolist() == [hit, False]


def test_cut_chain_ends_without_the_protocol():
    octets = CHAIN.pack()
    for size in range(len(octets) - 8):
        compile_filter("protochain 17", 101).match(octets[:size])
    assert not compile_filter("protochain 17", 101).match(octets[:41])


def test_chain_is_no_program_for_the_kernel():
    with pytest.raises(UsageError, match="not expressible in BPF: 'protochain 6'"):
        compile_filter("ip6 protochain 6").program()


@pytest.mark.parametrize("text", ["tcp protochain 6", "src protochain 6", "protochain nosuch"])
def test_chain_of_what_has_none_is_refused(text):
    with pytest.raises(UsageError, match=r"column \d+"):
        compile_filter(text)
