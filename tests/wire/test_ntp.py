from __future__ import annotations

import pytest

from portulan.wire.ntp import NTP, UNIX_EPOCH_S

from .dissecting import over_udp, told


@pytest.mark.parametrize("unix_s", [0x8000_0000, 1_800_000_000, 2_085_978_500], ids=str)
def test_time_sent_is_told_in_unix_time_across_eras(unix_s):
    stamp = (unix_s + UNIX_EPOCH_S & 0xFFFF_FFFF) << 32 | 1 << 31
    found = over_udp(123, NTP(mode=4, stratum=2, transmit_time=stamp).pack())
    assert told(found, "ntp") == {"transmit_ns": unix_s * 10**9 + 500_000_000}


def test_control_message_is_payload():
    assert over_udp(123, b"\x16" + bytes(11)).protocols == "ip:udp"


def test_message_cut_short_is_a_defect():
    assert over_udp(123, NTP().pack()[:40]).defect.startswith("ntp: cut short")
