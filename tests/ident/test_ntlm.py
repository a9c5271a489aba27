"""What SMB answers tell before a login."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.ntlm import challenge, smb


def made(version: bytes = b"\x06\x01\0\0\0\0\0\x0f", computer: str = "TOY") -> bytes:
    name = computer.encode("utf-16-le")
    pairs = struct.pack("<HH", 1, len(name)) + name + bytes(4)
    head = b"NTLMSSP\0\x02\0\0\0" + bytes(28) + struct.pack("<HHI", len(pairs), len(pairs), 56)
    return head + version + pairs


def test_challenge_tells_version_and_computer():
    assert challenge(b"around" + made()) == {"version": "6.1.0", "computer": "TOY"}


def test_challenge_cut_off_tells_nothing_wrong():
    assert all(set(challenge(made()[:size])) <= {"version", "computer"} for size in range(80))


def test_negotiation_tells_dialect_and_server():
    header = b"\0\0\0\x80\xfeSMB" + bytes(60)
    body = struct.pack("<HHHH", 65, 1, 0x311, 0) + b"A" * 16 + bytes(40)
    assert smb(header + body).fields == {"smb.dialect": "3.1.1", "smb.guid": "41" * 16}


def test_old_session_setup_names_samba():
    text = "Unix\0Samba 3.6.25\0HOME\0".encode("utf-16-le")
    assert smb(b"\0\0\0\x60\xffSMB\x73" + bytes(28) + text).fields["smb.native"] == "Samba 3.6.25"


@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(data):
    smb(b"\0\0\0\x60\xfeSMB" + data)
    smb(b"\0\0\0\x60\xffSMB\x73" + data)
    challenge(b"NTLMSSP\0\x02\0\0\0" + data)
