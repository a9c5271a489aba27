from __future__ import annotations

from portulan.ident.checks.ntp_info import ntp_info

from .places import place, tell, texts

NTP = place("ntp", port=123, protocol="udp")


def test_stratum_reference_and_variables_are_told():
    time = bytes([0x24, 2, 0, 0]) + bytes(8) + bytes([10, 9, 0, 1]) + bytes(32)
    text = b'version="ntpd 4.2.8", system="Linux/6.1", stratum=2'
    variables = b"\x16\x82\0\x01" + bytes(6) + len(text).to_bytes(2, "big") + text
    assert texts(tell(ntp_info, NTP, time, variables)) == [
        "stratum 2, reference 10.9.0.1",
        "tells anybody: version ntpd 4.2.8, system Linux/6.1, stratum 2"]


def test_a_reference_clock_has_a_name():
    time = bytes([0x24, 1, 0, 0]) + bytes(8) + b"GPS\0" + bytes(32)
    assert texts(tell(ntp_info, NTP, time)) == ["stratum 1, reference GPS"]


def test_silence_and_errors_tell_nothing():
    assert tell(ntp_info, NTP, b"", b"\x16\xc2\0\x01" + bytes(20)) == []
