from __future__ import annotations

import struct

from portulan.ident.checks.smb_dialects import (
    DIALECTS,
    framed,
    framed_whole,
    negotiate,
    read,
    smb_dialects,
)

from .places import levels, place, tell, texts

SMB = place("microsoft-ds", port=445)


def answer(dialect, mode):
    header = b"\xfeSMB" + struct.pack("<HHI", 64, 0, 0) + b"\0\0" + bytes(50)
    return framed(header[:64] + struct.pack("<HHH", 65, mode, dialect) + bytes(58))


def test_a_request_names_one_dialect_and_is_whole():
    for number in DIALECTS:
        message = negotiate(number)
        assert message[:4] == b"\xfeSMB"
        assert message[100:102] == number.to_bytes(2, "little")
        assert framed_whole(framed(message))
        assert not framed_whole(framed(message)[:-1])
    place_of_contexts, count = struct.unpack_from("<IH", negotiate(0x0311), 92)
    assert (place_of_contexts % 8, count) == (0, 1)
    assert negotiate(0x0311)[place_of_contexts : place_of_contexts + 2] == b"\x01\0"


def test_dialects_and_missing_signing_are_told():
    told = tell(smb_dialects, SMB, *[answer(number, 1) for number in DIALECTS], b"")
    assert texts(told)[0] == "dialects: 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1"
    assert levels(told) == ["info", "warning"]


def test_signing_that_must_be_and_smb_1_are_told():
    old = framed(b"\xffSMB\x72" + bytes(28) + struct.pack("<H", 0) + bytes(20))
    told = tell(smb_dialects, SMB, answer(0x0202, 3), b"", b"", b"", b"", old)
    assert texts(told)[:2] == ["dialects: 2.0.2", "messages must be signed"]
    assert levels(told) == ["info", "info", "warning"]


def test_refusals_have_no_dialect():
    assert read(b"") == (0, 0)
    refused = bytearray(answer(0x0202, 1))
    refused[12:16] = b"\x0d\0\0\xc0"
    assert read(bytes(refused)) == (0, 0)
