"""What a time server says of itself."""

from __future__ import annotations

import re
from typing import Final

from portulan.ident.text import decode

from .script import Place, Say, Script, Told, check

_CLIENT: Final = bytes([0x23]) + bytes(47)
_READ_VARIABLES: Final = bytes.fromhex("160200010000000000000000")
"""Mode 6, read variables (RFC 9327 section 4): it changes nothing."""
_WORTH: Final = ("version", "system", "processor", "refid", "stratum")


@check("ntp-info", services=("ntp",), transport="udp")
def ntp_info(place: Place) -> Script:
    """Ask for the time, and for the system variables that are told to anybody."""
    told = []
    answer = yield Say(_CLIENT, enough=lambda data: len(data) >= 48)
    if len(answer) >= 48 and answer[0] & 7 == 4:
        source = answer[12:16]
        name = decode(source).strip("\0") if answer[1] <= 1 else ".".join(map(str, source))
        told.append(Told(f"stratum {answer[1]}, reference {name or 'none'}"))
    more = yield Say(_READ_VARIABLES, enough=lambda data: len(data) >= 12)
    if len(more) > 12 and more[0] & 7 == 6 and not more[1] & 0x40:
        text = decode(more[12 : 12 + int.from_bytes(more[10:12], "big")])
        found = dict(re.findall(r'(\w{1,20})="?([^",\r\n]{1,100})', text))
        worth = [f"{name} {found[name]}" for name in _WORTH if name in found]
        if worth:
            told.append(Told(f"tells anybody: {', '.join(worth)}"))
    return told
