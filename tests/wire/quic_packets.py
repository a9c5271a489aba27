"""QUIC Initial packets, protected as RFC 9001 says: the inverse of what the product does."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portulan.wire.quic_initial import V1, client_keys


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + (0x4000 | offset).to_bytes(2, "big") + (
        0x4000 | len(data)).to_bytes(2, "big") + data


def initial(
    frames: bytes, *, version: int = V1, dcid: bytes = b"8 octets", scid: bytes = b"me",
    token: bytes = b"",
) -> bytes:
    """Return a client's packet that carries frames, padded to what the RFC asks for."""
    first = 0xC3 if version == V1 else 0xD3
    frames += bytes(max(0, 1162 - len(frames)))
    number = (2).to_bytes(4, "big")
    length = 0x4000 | len(number) + len(frames) + 16
    header = b"".join([
        bytes((first,)), version.to_bytes(4, "big"), bytes((len(dcid),)), dcid,
        bytes((len(scid),)), scid, bytes((len(token),)), token, length.to_bytes(2, "big")])
    keys = client_keys(version, dcid)
    nonce = (int.from_bytes(keys.iv, "big") ^ 2).to_bytes(12, "big")
    sealed = AESGCM(keys.key).encrypt(nonce, frames, header + number)
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(sealed[:16])
    covered = bytes(a ^ b for a, b in zip(number, mask[1:5], strict=True))
    return bytes((first ^ mask[0] & 0x0F,)) + header[1:] + covered + sealed
