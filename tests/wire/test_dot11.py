from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.dissect import dissect

A, B, C = (bytes.fromhex(f"0200000000{n:02x}") for n in (1, 2, 3))
BEACON = bytes.fromhex("80000000") + b"\xff" * 6 + B + B + b"\x30\x02" + bytes(12) + b"\0\4cafe"


def data(control="0801", qos=b"", snap="aaaa03000000 0800", body=b""):
    return bytes.fromhex(control) + bytes(2) + A + B + C + bytes(2) + qos + bytes.fromhex(
        snap) + (wire.IPv4() / wire.UDP(dport=9) / body).pack()


def test_beacon_names_its_network():
    found = dissect(BEACON, 105)
    assert (found.get("wlan.ssid"), found.get("wlan.transmitter")) == ("cafe", "02:00:00:00:00:02")
    assert (found.get("wlan.sequence"), found.brief) == (35, "802.11 beacon cafe")


@pytest.mark.parametrize("frame", [
    data(), data("8801", b"\0\0"), data("8881", bytes(6)), data("0803", bytes(6)),
], ids=["plain", "qos", "qos-ht", "four-addresses"])
def test_data_in_clear_is_looked_into(frame):
    assert dissect(frame, 105).protocols == "wlan:llc:snap:ip:udp"


def test_protected_data_is_payload():
    assert dissect(data("0841"), 105).protocols == "wlan"


def test_acknowledgment_has_one_address():
    found = dissect(bytes.fromhex("d4000000") + A, 105)
    assert (found.get("wlan.receiver"), found.get("wlan.transmitter")) == (
        "02:00:00:00:00:01", None)


@given(st.binary(max_size=60))
def test_any_octets_are_read(octets):
    found = dissect(octets, 105)
    assert found.payload_at <= found.payload_end <= len(octets)


def test_frame_cut_anywhere_is_a_defect_until_its_sequence():
    for cut in range(24):
        assert dissect(BEACON[:cut], 105).defect
