"""What a QUIC Initial packet carries: anybody on the path can decrypt it (RFC 9001 section 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from portulan.wire.inside import number_at

V1: Final = 1
V2: Final = 0x6B3343CF
_SALTS: Final = {
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
"""RFC 9001 section 5.2, RFC 9369 section 3.3.1."""
_LABELS: Final = {V1: "quic", V2: "quicv2"}
_TAG_OCTETS: Final = 16
_SAMPLE_OCTETS: Final = 16
FRAMES_MAX: Final = 512
"""Frames of one packet that are walked; padding counts once."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What one side's Initial packets are protected with."""

    key: bytes
    iv: bytes
    header: bytes


def client_keys(version: int, dcid: bytes) -> Keys:
    """Return the client's keys; `dcid` is the one of its first packet."""
    secret = _expand(_extract(_SALTS[version], dcid), "client in", 32)
    label = _LABELS[version]
    return Keys(*(_expand(secret, f"{label} {name}", size)
                  for name, size in (("key", 16), ("iv", 12), ("hp", 16))))


def crypto_octets(version: int, dcid: bytes, packet: bytes, number_offset: int) -> bytes:
    """Return the start of the handshake in a client's Initial, empty if it is not one.

    `packet` is one whole packet, its protected packet number at `number_offset`.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sample = packet[number_offset + 4 : number_offset + 4 + _SAMPLE_OCTETS]
    if version not in _SALTS or len(sample) < _SAMPLE_OCTETS:
        return b""
    keys = client_keys(version, dcid)
    # Header protection is one AES block, for which ECB is what the RFC says (section 5.4.3).
    ecb = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor()  # noqa: S305
    mask = ecb.update(sample)
    first = packet[0] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(
        packet[number_offset : number_offset + size], mask[1:], strict=False))
    header = bytes((first,)) + packet[1:number_offset] + number
    nonce = (int.from_bytes(keys.iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    sealed = packet[number_offset + size :]
    if len(sealed) < _TAG_OCTETS:
        return b""
    try:
        return _assembled(AESGCM(keys.key).decrypt(nonce, sealed, header))
    except InvalidTag:
        return b""


def varint(octets: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a variable-length number and where the next octet is (RFC 9000 section 16).

    A number that is not whole is -1.
    """
    size = 1 << (octets[at] >> 6) if at < end else 1
    if at + size > end:
        return -1, end
    return number_at(octets, at, size) & ((1 << 8 * size - 2) - 1), at + size


def _assembled(frames: bytes) -> bytes:
    """Return the octets of all CRYPTO frames from the first on, up to a gap."""
    found, reach = bytearray(), 0
    for offset, data in sorted(_crypto_frames(frames)):
        if offset > reach:
            break
        found += data[reach - offset :]
        reach = max(reach, offset + len(data))
    return bytes(found)


def _crypto_frames(frames: bytes) -> Iterator[tuple[int, bytes]]:
    at, end = 0, len(frames)
    for _ in range(FRAMES_MAX):
        while at < end and frames[at] == 0:
            at += 1
        if at >= end:
            return
        kind = frames[at]
        at += 1
        if kind in (2, 3):
            at = _behind_ack(frames, at, end, counts=kind == 3)
        elif kind == 6:
            offset, at = varint(frames, at, end)
            length, at = varint(frames, at, end)
            if offset < 0 or length < 0 or at + length > end:
                return
            yield offset, frames[at : at + length]
            at += length
        elif kind != 1:
            return  # no other frame may be in an Initial, but a close


def _behind_ack(frames: bytes, at: int, end: int, *, counts: bool) -> int:
    _, at = varint(frames, at, end)
    _, at = varint(frames, at, end)
    ranges, at = varint(frames, at, end)
    _, at = varint(frames, at, end)
    for _ in range(2 * min(max(ranges, 0), end - at) + (3 if counts else 0)):
        _, at = varint(frames, at, end)
    return at


def _extract(salt: bytes, secret: bytes) -> bytes:
    import hmac

    return hmac.digest(salt, secret, "sha256")


def _expand(secret: bytes, label: str, size: int) -> bytes:
    """Return HKDF-Expand-Label of at most one hash (RFC 8446 section 7.1)."""
    import hmac

    name = b"tls13 " + label.encode("ascii")
    info = size.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
    return hmac.digest(secret, info + b"\1", "sha256")[:size]
