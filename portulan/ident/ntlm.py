"""What SMB, and NTLM inside it, tell before anybody logs in ([MS-SMB2], [MS-NLMP] section 2.2.1.2).

An NTLM challenge names the system's version, the computer and its domain. Samba says 6.1 and
build 0, which no Windows ever was; impacket's server has a name for itself made of one letter.
"""

from __future__ import annotations

import struct
from typing import Final

from .facts import Facts

_CHALLENGE: Final = b"NTLMSSP\0\x02\0\0\0"
_NAMES: Final = {1: "computer", 2: "domain", 3: "dns_computer", 4: "dns_domain"}
PAIRS_MAX: Final = 16
_DIALECTS: Final = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1",
                    0x02FF: "2.???"}


def challenge(data: bytes) -> dict[str, str]:
    """Return what an NTLM challenge anywhere in `data` tells: version, computer, domain."""
    at = data.find(_CHALLENGE)
    if at < 0 or at + 48 > len(data):
        return {}
    told = {}
    if at + 56 <= len(data) and data[at + 55] == 15:
        major, minor, build = struct.unpack_from("<BBH", data, at + 48)
        told["version"] = f"{major}.{minor}.{build}"
    size, _, offset = struct.unpack_from("<HHI", data, at + 40)
    return told | _pairs(data[at + offset : at + offset + size])


def _pairs(data: bytes) -> dict[str, str]:
    told, at = {}, 0
    for _ in range(PAIRS_MAX):
        if at + 4 > len(data):
            break
        kind, size = struct.unpack_from("<HH", data, at)
        if kind in _NAMES:
            told[_NAMES[kind]] = data[at + 4 : at + 4 + size].decode("utf-16-le", "replace")
        at += 4 + size
    return {name: text[:64] for name, text in told.items() if text}


def smb(data: bytes) -> Facts | None:
    """Read an SMB answer behind its four octets of session: dialect, server, NTLM's challenge."""
    if data[4:8] not in (b"\xffSMB", b"\xfeSMB"):
        return None
    fields = {f"ntlm.{name}": text for name, text in challenge(data[:4096]).items()}
    # A negotiation's answer: dialect at 4, the server's GUID at 8 of the body.
    if data[4:8] == b"\xfeSMB" and len(data) >= 96 and data[16:18] == b"\0\0":
        dialect = int.from_bytes(data[72:74], "little")
        fields["smb.dialect"] = _DIALECTS.get(dialect, f"{dialect:#06x}")
        fields["smb.guid"] = data[76:92].hex()
    elif data[4:8] == b"\xffSMB":
        fields |= _native(data)
    return Facts("smb", fields, 0.98)


def _native(data: bytes) -> dict[str, str]:
    """Return the system and LAN manager that an SMB1 session setup names ([MS-CIFS] 2.2.4.53.2)."""
    if len(data) < 40 or data[8] != 0x73:
        return {}
    # Texts may begin at an odd octet: both readings are looked through.
    texts = "".join(data[at:1024].decode("utf-16-le", "ignore") for at in (36, 37))
    at = texts.find("Samba ")
    return {"smb.native": texts[at : at + 60].split("\0")[0]} if at >= 0 else {}
