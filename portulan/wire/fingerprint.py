"""Fingerprints of hellos: JA3, JA3S and JA4 of TLS, HASSH of SSH.

JA3 and HASSH are what Salesforce published, JA4 (client) what FoxIO published under BSD-3-Clause.
GREASE values (RFC 8701) are left out, as they change at random.

>>> ja3({"hello_version": 771, "ciphers": [0x1301, 0x0A0A], "extensions": [0, 10], "groups": [29]})
'771,4865,0-10,29,'
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from portulan.wire.inside import Value

_SNI, _ALPN = 0, 16
_JA4_VERSIONS: Final = {
    0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10", 0x300: "s3", 0x002: "s2",
    0xFEFF: "d1", 0xFEFD: "d2", 0xFEFC: "d3",
}
_JA4_NOTHING: Final = "0" * 12


def ja3(told: Mapping[str, Value]) -> str:
    """Return a client hello's JA3: version, ciphers, extensions, groups, point formats."""
    lists = [numbers(told, name) for name in ("ciphers", "extensions", "groups", "point_formats")]
    return ",".join([str(told.get("hello_version", 0)), *("-".join(map(str, each))
                                                          for each in lists)])


def ja3s(told: Mapping[str, Value]) -> str:
    """Return a server hello's JA3S before it is hashed: version, cipher, extensions."""
    extensions = "-".join(map(str, numbers(told, "extensions")))
    return f"{told.get('hello_version', 0)},{told.get('cipher', 0)},{extensions}"


def ja4(told: Mapping[str, Value], *, transport: str = "t", first_alpn: bytes = b"") -> str:
    """Return a client hello's JA4; `transport` is `t` for TCP, `q` for QUIC."""
    ciphers, extensions = numbers(told, "ciphers"), numbers(told, "extensions")
    offered = numbers(told, "versions") or numbers(told, "hello_version")
    version = _JA4_VERSIONS.get(max(offered, default=0), "00")
    name = "d" if _SNI in extensions else "i"
    counts = f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}"
    rest = _hex(sorted(set(extensions) - {_SNI, _ALPN}))
    signatures = _hex(numbers(told, "signatures"))
    behind = f"{rest}_{signatures}" if signatures else rest
    return "_".join([
        f"{transport}{version}{name}{counts}{_ends(first_alpn)}",
        _short_hash(_hex(sorted(ciphers))),
        _short_hash(behind) if extensions else _JA4_NOTHING,
    ])


def hassh(lists: Iterable[str]) -> str:
    """Return the HASSH of one side's lists: key exchange, ciphers, MACs, compression."""
    return md5(";".join(lists))


def md5(text: str) -> str:
    """Return a hash that names, and protects nothing."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def numbers(told: Mapping[str, Value], name: str) -> list[int]:
    """Return a hello's numbers without GREASE, which has the form 0x?A?A."""
    value = told.get(name, [])
    listed = value if isinstance(value, list) else [value]
    return [each for each in listed if isinstance(each, int) and not _grease(each)]


def _grease(number: int) -> bool:
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def _hex(values: Iterable[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else _JA4_NOTHING


def _ends(protocol: bytes) -> str:
    """Return first and last character of a protocol's name; of its hex digits if it has others."""
    if not protocol:
        return "00"
    ends = bytes((protocol[0], protocol[-1]))
    if ends.isalnum():
        return ends.decode("ascii")
    digits = protocol.hex()
    return digits[0] + digits[-1]
