from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.link.pcap import PcapWriter
from portulan.wire.dissect import dissect
from portulan.wire.sctp import SCTP

from .dissecting import told


def test_chunks_are_told_in_order_with_their_padding():
    chunks = bytes.fromhex("0a000005 61000000 00000004")
    found = dissect((wire.IPv4() / SCTP(sport=5, dport=9) / chunks).pack(), 228)
    assert told(found, "sctp") == {"chunks": [10, 0]}
    assert (found.get("sctp.dport"), found.defect) == (9, "")


def test_chunk_of_no_length_ends_the_walk():
    found = dissect((wire.IPv4() / SCTP() / bytes(400)).pack(), 228)
    assert found.defect == "sctp: chunk 1 has length 0"


def test_first_data_chunk_and_tag_are_told():
    init = bytes.fromhex("01000014 0000abcd") + bytes(12)
    data = bytes.fromhex("00030011 00000007 0002 0000 0000002e 61000000")
    found = told(dissect((wire.IPv4() / SCTP() / init / data).pack(), 228), "sctp")
    assert found == {"chunks": [1, 0], "init_tag": 0xABCD, "tsn": 7, "stream": 2,
                     "payload_protocol": 46}


def reference(octets):
    """CRC32c bit by bit (RFC 9260 appendix A)."""
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return (value ^ 0xFFFFFFFF).to_bytes(4, "little")


@given(st.integers(0, 0xFFFFFFFF), st.binary(max_size=70))
def test_checksum_of_a_made_packet_is_the_castagnoli_crc(tag, chunks):
    octets = (SCTP(sport=5, dport=9, tag=tag) / chunks).pack()
    assert octets[8:12] == reference(octets[:8] + bytes(4) + octets[12:])


def test_checksum_that_was_given_stays():
    assert (SCTP(checksum=7) / b"x").pack()[8:12] == bytes([0, 0, 0, 7])


def test_checksums_of_a_set_are_each_their_own():
    packet = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / SCTP(sport=5, dport=(1, 40)) / bytes(20)
    for number, octets in enumerate(wire.build(packet), 1):
        alone = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / SCTP(sport=5, dport=number) / bytes(20)
        assert octets == alone.pack()


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_checksum_is_good_to_tshark(tmp_path):
    init = bytes([1, 0, 0, 20]) + bytes(4) + bytes([0, 0, 255, 255, 0, 1, 0, 1]) + bytes(4)
    with PcapWriter(tmp_path / "a.pcap", link_type=101) as writer:
        writer.write(wire.build(wire.IPv4() / SCTP(sport=(1, 3), dport=9) / init))
    said = subprocess.run(
        ["tshark", "-n", "-r", tmp_path / "a.pcap", "-o", "sctp.checksum:CRC-32C", "-T", "fields",
         "-e", "sctp.checksum.status"], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == ["1"] * 3
