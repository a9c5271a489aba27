"""Which dialects of SMB a server takes, and whether it wants messages signed."""

from __future__ import annotations

import struct
from typing import Final

from .script import Place, Say, Script, Told, check

DIALECTS: Final = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
_SMB1: Final = b"\xffSMB\x72" + bytes(4) + b"\x18\x01\x28" + bytes(12) + bytes.fromhex(
    "0000fffeffff0000") + b"\0" + b"\x0c\0" + b"\x02NT LM 0.12\0"
"""Negotiate of the old protocol ([MS-CIFS] section 2.2.4.52)."""


@check("smb-dialects", services=("microsoft-ds", "netbios-ssn", "smb"), connections=6,
       octets=32 << 10, seconds=12)
def smb_dialects(place: Place) -> Script:
    """Negotiate each dialect by itself; no session is set up."""
    taken, signed = [], None
    for number, name in DIALECTS.items():
        answer = yield Say(framed(negotiate(number)), enough=framed_whole, fresh=True)
        chosen, mode = read(answer)
        if chosen == number:
            taken.append(name)
            signed = bool(mode & 2)
    told = []
    if taken:
        told.append(Told(f"dialects: {', '.join(taken)}"))
        told.append(Told("messages must be signed") if signed else Told(
            "messages need not be signed: they can be changed on the way", "warning"))
    answer = yield Say(framed(_SMB1), enough=framed_whole, fresh=True)
    if answer[4:9] == b"\xffSMB\x72" and len(answer) > 39 and answer[37:39] == b"\0\0":
        told.append(Told("takes SMB 1, which may not be used any more", "warning"))
    return told


def framed(message: bytes) -> bytes:
    """Return a message in its frame ([MS-SMB2] section 2.1)."""
    return struct.pack(">I", len(message)) + message


def framed_whole(data: bytes) -> bool:
    """Tell whether a whole frame came."""
    return len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big")


def negotiate(dialect: int) -> bytes:
    """Return a NEGOTIATE request for one dialect ([MS-SMB2] section 2.2.3)."""
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + bytes(16)
    contexts = b""
    if dialect == 0x0311:
        # Preauthentication integrity with SHA-512 must be there ([MS-SMB2] section 2.2.3.1.1).
        data = struct.pack("<HHH", 1, 32, 1) + bytes(32)
        contexts = struct.pack("<HHI", 1, len(data), 0) + data
    offset = 64 + 36 + 2
    padding = -offset % 8
    place = struct.pack("<IHH", offset + padding, 1, 0) if contexts else bytes(8)
    body = struct.pack("<HHHHI", 36, 1, 1, 0, 0) + bytes(16) + place + struct.pack("<H", dialect)
    return header + body + (bytes(padding) + contexts if contexts else b"")


def read(answer: bytes) -> tuple[int, int]:
    """Return dialect and security mode of a NEGOTIATE response; zeros where it is none."""
    message = answer[4:]
    if len(message) < 70 or message[:4] != b"\xfeSMB" or message[12:14] != b"\0\0":
        return 0, 0
    if message[8:12] != bytes(4):
        return 0, 0
    return int.from_bytes(message[68:70], "little"), int.from_bytes(message[66:68], "little")
