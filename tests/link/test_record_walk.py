"""The walk in lanes finds what the plain loop finds, on sound, misleading and hostile octets."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.link import record_walk
from portulan.link.record_walk import Mark, Shape, walk

DAY = 0x6553
PCAP = {order: Shape(order, 16, length_at=8, extra=16) for order in "<>"}
PCAPNG = {order: Shape(order, 8, length_at=4, least=12) for order in "<>"}
DAY_MARK = {"<": Mark({2: DAY & 255, 3: DAY >> 8, 11: 0}), ">": Mark({0: DAY >> 8, 1: DAY & 255})}
BLOCK_MARK = {"<": Mark({0: 6, 1: 0, 2: 0, 3: 0, 7: 0}, 4), ">": Mark({3: 6, 0: 0, 4: 0}, 4)}
HOSTILE = [0, 1, 11, 12, 13, 15, 16, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Lanes from a few records on, so that small inputs take every way."""
    monkeypatch.setattr(record_walk, "SAMPLE_BYTES", 200)
    monkeypatch.setattr(record_walk, "RECORDS_MIN", 8)


def plainly(data: bytes, shape: Shape) -> list[int]:
    found, at = [], 0
    while at + shape.header <= len(data):
        found.append(at)
        size, = struct.unpack_from(shape.order + "I", data, at + shape.length_at)
        at += max(size + shape.extra, shape.least)
    return found


def agree(data: bytes, shape: Shape, mark: Mark | None) -> None:
    octets = np.frombuffer(data, np.uint8)
    assert walk(octets, shape, mark).tolist() == plainly(data, shape)


def records(order: str, bodies: list[bytes], rng: np.random.Generator) -> bytes:
    return b"".join(
        struct.pack(order + "HHIII" if order == "<" else ">HHIII", *(
            (int(rng.integers(0, 65536)), DAY) if order == "<" else
            (DAY, int(rng.integers(0, 65536)))), 7, len(body), len(body)) + body
        for body in bodies)


def blocks(order: str, bodies: list[bytes]) -> bytes:
    return b"".join(
        struct.pack(order + "II", 6, len(body) + -len(body) % 4 + 12) + body + bytes(-len(body) % 4)
        + struct.pack(order + "I", len(body) + -len(body) % 4 + 12) for body in bodies)


def bodies_of(rng: np.random.Generator, count: int, most: int) -> list[bytes]:
    return [rng.bytes(int(size)) for size in rng.integers(0, most, count)]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("most", [1, 60, 1_500])
def test_sound_records_are_found_in_lanes_as_plainly(order, most):
    rng = np.random.default_rng(most)
    bodies = bodies_of(rng, 3_000, most)
    agree(records(order, bodies, rng), PCAP[order], DAY_MARK[order])
    agree(blocks(order, bodies), PCAPNG[order], BLOCK_MARK[order])


def test_lanes_do_most_of_the_walk(monkeypatch):
    steps = []
    until = record_walk._Plain.until

    def counted(self, at, stop):
        found, at = until(self, at, stop)
        steps.append(len(found))
        return found, at

    monkeypatch.setattr(record_walk._Plain, "until", counted)
    rng = np.random.default_rng(1)
    agree(records("<", bodies_of(rng, 5_000, 900), rng), PCAP["<"], DAY_MARK["<"])
    assert sum(steps) < 1_000


def test_payloads_full_of_what_looks_like_records_mislead_nobody():
    rng = np.random.default_rng(2)
    inner = records("<", bodies_of(rng, 20, 30), rng)  # a capture inside of packets
    bodies = [inner[int(cut):] for cut in rng.integers(0, len(inner), 400)]
    agree(records("<", bodies, rng), PCAP["<"], DAY_MARK["<"])
    agree(blocks("<", [blocks("<", [body]) for body in bodies]), PCAPNG["<"], BLOCK_MARK["<"])


@pytest.mark.parametrize("octet", [0, 6, 12, 0x53, 0x65, 0xFF])
def test_one_octet_for_ever_ends(octet):
    data = bytes([octet]) * 100_000
    for order in "<>":
        agree(data, PCAP[order], DAY_MARK[order])
        agree(data, PCAPNG[order], BLOCK_MARK[order])
        agree(data, PCAP[order], Mark({0: octet}))


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.sampled_from([3, 20, 90, 400]), st.integers(1, 400), st.data())
def test_any_octets_changed_give_the_plain_loops_records(seed, most, count, data):
    rng = np.random.default_rng(seed)
    order = data.draw(st.sampled_from("<>"))
    bodies = bodies_of(rng, count, most)
    for whole, shape, mark in (
        (records(order, bodies, rng), PCAP[order], DAY_MARK[order]),
        (blocks(order, bodies), PCAPNG[order], BLOCK_MARK[order]),
    ):
        octets = bytearray(whole)
        for _ in range(data.draw(st.integers(0, 4))):
            at = int(rng.integers(0, len(octets)))
            match data.draw(st.integers(0, 3)):
                case 0:
                    octets[at : at + 4] = struct.pack(order + "I", int(rng.choice(HOSTILE)))
                case 1:
                    del octets[at : at + int(rng.integers(1, 40))]
                case 2:
                    octets[at:at] = octets[at : at + 60] * int(rng.integers(1, 20))
                case _:
                    octets[at] ^= 1 << int(rng.integers(0, 8))
            if len(octets) < 4:
                break
        agree(bytes(octets), shape, mark)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 17])
def test_data_shorter_than_a_record_has_none_or_one(size):
    for shape in (PCAP["<"], PCAPNG[">"]):
        agree(bytes(size), shape, None)
