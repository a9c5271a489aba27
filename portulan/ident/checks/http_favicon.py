"""The icon of a web application, by its hash: the same in every copy of it."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from .script import Place, Say, Script, Told, check
from .web import Answer, get, whole

_C1, _C2, _LOW = 0xCC9E_2D51, 0x1B87_3593, 0xFFFF_FFFF
ICON_LEAST: Final = 16


@check("http-favicon", services=("http",), octets=512 << 10)
def http_favicon(place: Place) -> Script:
    """Hash /favicon.ico as search engines for devices do: MurmurHash3 of its Base64 lines."""
    answer = Answer((yield Say(get(place, "/favicon.ico"), enough=whole)))
    icon = answer.body
    text = answer.header("content-type").startswith("text/")
    if answer.status != 200 or text or len(icon) < ICON_LEAST:
        return []
    number = murmur3(base64.encodebytes(icon))
    signed = number - (1 << 32) if number >> 31 else number
    return [Told(f"mmh3 {signed}, sha256 {hashlib.sha256(icon).hexdigest()}")]


def murmur3(data: bytes) -> int:
    """Return MurmurHash3 (x86, 32 bits) with seed 0, by Austin Appleby, public domain."""
    value, whole_end = 0, len(data) & ~3
    for at in range(0, whole_end, 4):
        value ^= _mixed(int.from_bytes(data[at : at + 4], "little"))
        value = (value << 13 | value >> 19) & _LOW
        value = (value * 5 + 0xE654_6B64) & _LOW
    value ^= _mixed(int.from_bytes(data[whole_end:], "little"))
    value ^= len(data)
    value = ((value ^ value >> 16) * 0x85EB_CA6B) & _LOW
    value = ((value ^ value >> 13) * 0xC2B2_AE35) & _LOW
    return value ^ value >> 16


def _mixed(word: int) -> int:
    word = word * _C1 & _LOW
    return (word << 15 | word >> 17) * _C2 & _LOW
