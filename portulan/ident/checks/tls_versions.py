"""Which old versions of TLS a server still takes, asked by hellos made by hand."""

from __future__ import annotations

import struct
from typing import Final

from .script import Place, Say, Script, Told, check

VERSIONS: Final = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1"}
"""Those that RFC 7568 and RFC 8996 forbid."""
#: What servers of that time took (IANA, tls-parameters): with and without forward secrecy.
CIPHERS: Final = (
    0xC014, 0xC013, 0xC00A, 0xC009, 0x0039, 0x0033, 0x0035, 0x002F, 0xC012, 0x0016, 0x000A,
    0x0005, 0x0004,
)
WEAK: Final = {0x0004: "RC4 with MD5", 0x0005: "RC4", 0x000A: "3DES", 0x0016: "3DES",
               0xC012: "3DES"}
HANDSHAKE, ALERT, SERVER_HELLO = 0x16, 0x15, 2


@check("tls-versions", secure_only=True, connections=3, octets=96 << 10, seconds=10)
def tls_versions(place: Place) -> Script:
    """Say a hello of each old version, and see which are taken; nothing is agreed on."""
    taken, weak = [], set()
    for number, name in VERSIONS.items():
        answer = yield Say(hello(number, place.host), enough=chosen_known, fresh=True, plain=True)
        version, cipher = chosen(answer)
        if version == number:
            taken.append(name)
            weak |= {WEAK[cipher]} if cipher in WEAK else set()
    told = [Told(f"takes {', '.join(taken)}, which may not be used any more", "warning")]
    told += [Told(f"agrees to {name}", "warning") for name in sorted(weak)]
    return told if taken else [Told("takes no version older than TLS 1.2")]


def hello(version: int, host: str) -> bytes:
    """Return a ClientHello of one version (RFC 5246 section 7.4.1.2, RFC 6101 section 5.6.1.2)."""
    ciphers = struct.pack(f">{len(CIPHERS)}H", *CIPHERS)
    body = struct.pack(">H", version) + bytes(32) + b"\0"
    body += struct.pack(">H", len(ciphers)) + ciphers + b"\x01\0"
    if version > 0x0300:
        extensions = _server_name(host) + bytes.fromhex("000a00080006001d00170018") + (
            bytes.fromhex("000b00020100"))
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", HANDSHAKE, version, len(message)) + message


def _server_name(host: str) -> bytes:
    name = host.rpartition(":")[0] or host
    if name.startswith("[") or name.replace(".", "").isdigit() or not name.isascii():
        return b""  # RFC 6066 section 3: no literal addresses
    octets = name.encode()[:200]
    entry = b"\0" + struct.pack(">H", len(octets)) + octets
    return struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry


def chosen_known(data: bytes) -> bool:
    """Tell whether the answer has said what it takes, or that it takes nothing."""
    return len(data) >= 7 and (data[0] != HANDSHAKE or chosen(data)[0] != 0 or len(data) > 4096)


def chosen(data: bytes) -> tuple[int, int]:
    """Return version and cipher of a ServerHello; zeros where there is none."""
    if len(data) < 46 or data[0] != HANDSHAKE or data[5] != SERVER_HELLO:
        return 0, 0
    at = 44 + data[43]
    if at + 2 > len(data):
        return 0, 0
    return int.from_bytes(data[9:11], "big"), int.from_bytes(data[at : at + 2], "big")
