from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire import bpf
from portulan.wire.filter import compile_filter

STATION, ACCESS_POINT, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
PLAIN, RADIOTAP = 105, 127
UDP = b"\xaa\xaa\x03\0\0\0\x08\0" + (
    wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=5, dport=53) / b"x").pack()


def frame(control: int, flags: int = 0, body: bytes = b"", pad: int = 0) -> bytes:
    ends = b"".join(wire.Mac.of(each).packed for each in (ACCESS_POINT, STATION, OTHER))
    qos = bytes(2) if control & 0x88 == 0x88 else b""
    return bytes([control, flags, 0, 0]) + ends + bytes(2) + qos + bytes(pad) + body


def tapped(octets: bytes, fields: str = "00000800 00000000") -> bytes:
    return bytes.fromhex(fields) + octets


def accepts(text: str, octets: bytes, link: int = PLAIN) -> bool:
    found = compile_filter(text, link)
    verdict = found.match(octets)
    assert found.mask(wire.Frames.of([octets], link_type=link)).tolist() == [verdict]
    assert bool(bpf.run(found.program(), octets)) == verdict
    return verdict


@pytest.mark.parametrize("text", [
    "type mgt", "subtype beacon", "type mgt subtype beacon", "wlan type 0 subtype 0x80",
    "dir nods", "wlan src 02:00:00:00:00:01", "ether dst 02:00:00:00:00:02", "wlan[0] = 0x80",
    "wlan addr3 02:00:00:00:00:03", "wlan host 02-00-00-00-00-01", "not ip", "len > 20",
])
def test_beacon_is_found_by_its_header_behind_radiotap_or_not(text):
    assert accepts(text, frame(0x80, body=bytes(12)))
    assert accepts(text, tapped(frame(0x80, body=bytes(12))), RADIOTAP)
    assert not accepts(f"not ({text})", frame(0x80, body=bytes(12)))


@pytest.mark.parametrize("text", [
    "ip", "udp port 53", "host 10.9.0.1", "ip[8] = 64", "udp[2:2] = 53", "type data", "llc",
    "ip and dir tods and wlan src 02:00:00:00:00:01", 'udp.dport == 53', "ether proto 0x800",
])
@pytest.mark.parametrize("control", [0x08, 0x88], ids=["plain", "qos"])
def test_carried_packet_is_found_behind_headers_of_any_size(text, control):
    octets = frame(control, 1, UDP)
    found = compile_filter(text, PLAIN)
    assert found.match(octets)
    for fields in ("00000800 00000000", "00000c00 04000000 00000000",
                   "00001000 01000000" + "00" * 8):
        assert compile_filter(text, RADIOTAP).match(tapped(octets, fields))
    assert not found.match(frame(0x80, body=UDP))


def test_padding_that_radiotap_tells_is_passed():
    octets = frame(0x88, 1, UDP, pad=2)
    assert accepts("udp port 53", tapped(octets, "00000c00 02000000 20000000"), RADIOTAP)
    assert not accepts("udp port 53", tapped(octets, "00000c00 02000000 00000000"), RADIOTAP)
    timed = "00001400 03000000" + "00" * 8 + "20000000"
    assert accepts("udp port 53", tapped(octets, timed), RADIOTAP)


def test_stations_of_a_relayed_frame_are_the_third_and_fourth():
    octets = frame(0x08, 3, wire.Mac.of("02:00:00:00:00:04").packed)
    assert accepts("wlan src 02:00:00:00:00:04 and wlan dst 02:00:00:00:00:03", octets)
    assert accepts("wlan ra 02:00:00:00:00:02 and wlan ta 02:00:00:00:00:01", octets)
    assert accepts("wlan addr4 02:00:00:00:00:04", octets)


@pytest.mark.parametrize(("text", "link", "reason"), [
    ("type mgt", 1, "Ethernet has no types"), ("wlan ra 02:00:00:00:00:01", 1, "no such address"),
    ("type bogus", PLAIN, "no such type of frame.*mgt, ctl, data"),
    ("subtype bogus", PLAIN, "no such subtype"), ("type ctl subtype beacon", PLAIN, "rts, cts"),
    ("dir up", PLAIN, "no such direction"), ("type 3", PLAIN, "no other bits"),
    ("type", PLAIN, "a name or a number"), ("geneve", PLAIN, "not on 802.11"),
    ("wlan[0] = ip[0]", PLAIN, "octets of the link"), ("vlan", RADIOTAP, "no VLAN"),
    ("ip protochain 6", PLAIN, "protochain cannot"),
])
def test_what_cannot_be_asked_is_one_line_with_its_place(text, link, reason):
    with pytest.raises(UsageError, match=f"(?s)column.*{reason}"):
        compile_filter(text, link)
