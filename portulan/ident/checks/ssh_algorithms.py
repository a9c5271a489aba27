"""What an SSH server offers: algorithms, its fingerprint HASSH, its host keys."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Final

from portulan.ident.text import decode

from .script import Place, Say, Script, Told, check

KEXINIT, ECDH_INIT, ECDH_REPLY = 20, 30, 31
OURS: Final = b"SSH-2.0-Portulan\r\n"
LISTS: Final = (
    "kex", "host keys", "ciphers", "ciphers back", "macs", "macs back", "compression",
    "compression back",
)
"""The first eight name lists of KEXINIT (RFC 4253 section 7.1)."""
HOST_KEYS: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
"""One of each family that servers have keys of."""
KEX: Final = "curve25519-sha256"
#: Words of algorithms that are broken or nearly so, and why.
WEAK: Final = {
    "group1-sha1": "1024-bit Diffie-Hellman", "group-exchange-sha1": "SHA-1",
    "group14-sha1": "SHA-1", "ssh-dss": "DSA", "arcfour": "RC4", "3des": "64-bit blocks",
    "blowfish": "64-bit blocks", "cast128": "64-bit blocks", "-cbc": "CBC", "hmac-md5": "MD5",
    "none": "no protection",
}
NAMES_MAX: Final = 200
PACKET_MAX: Final = 64 << 10
#: A point of the curve: the handshake ends before its secret would be needed.
POINT: Final = (9).to_bytes(32, "little")


@check("ssh-algorithms", services=("ssh",), connections=len(HOST_KEYS), octets=256 << 10,
       seconds=12)
def ssh_algorithms(place: Place) -> Script:
    """Exchange greetings and offers, then see each kind of host key; nobody logs in."""
    told: list[Told] = []
    offers: dict[str, list[str]] = {}
    for number, kind in enumerate(HOST_KEYS):
        if number and kind not in offers.get("host keys", ()) and not (
                kind.startswith("rsa") and "ssh-rsa" in offers.get("host keys", ())):
            continue
        greeting = yield Say(enough=lambda data: b"\n" in data, fresh=True)
        rest = yield Say(OURS + packet(our_offer(kind)), enough=has_packets(greeting, 1))
        data = after_greeting(greeting + rest)
        payloads = packets(data)
        if not payloads or payloads[0][:1] != bytes([KEXINIT]):
            return told
        if not offers:
            offers = read_offer(payloads[0])
            told += describe(offers)
        if KEX not in offers["kex"] or kind not in offers["host keys"]:
            continue
        reply = yield Say(packet(bytes([ECDH_INIT]) + string(POINT)), enough=has_packets(b"", 1))
        key = host_key(packets(reply))
        if key:
            told.append(Told(key))
    return told


def our_offer(host_key_kind: str) -> bytes:
    """Return our KEXINIT, which wants one kind of host key."""
    lists = [KEX, host_key_kind, *["aes128-ctr"] * 2, *["hmac-sha2-256"] * 2, *["none"] * 2, "", ""]
    joined = b"".join(string(each.encode()) for each in lists)
    return bytes([KEXINIT]) + bytes(16) + joined + bytes(5)


def string(octets: bytes) -> bytes:
    """Return a string with its length (RFC 4251 section 5)."""
    return struct.pack(">I", len(octets)) + octets


def packet(payload: bytes) -> bytes:
    """Return a binary packet before encryption (RFC 4253 section 6)."""
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def packets(data: bytes) -> list[bytes]:
    """Return the payloads of the whole packets in `data`."""
    found: list[bytes] = []
    at = 0
    while at + 5 <= len(data) and len(found) < 8:
        size, padding = struct.unpack_from(">IB", data, at)
        if not padding + 1 <= size <= PACKET_MAX or at + 4 + size > len(data):
            break
        found.append(data[at + 5 : at + 4 + size - padding])
        at += 4 + size
    return found


def has_packets(before: bytes, count: int) -> Callable[[bytes], bool]:
    """Return what tells whether so many packets came, `before` them what was said already."""
    def enough(data: bytes) -> bool:
        whole = before + data
        return len(packets(after_greeting(whole) if before else whole)) >= count
    return enough


def after_greeting(data: bytes) -> bytes:
    """Return what follows the line that begins with SSH- (others may stand before it)."""
    at = 0 if data.startswith(b"SSH-") else data.find(b"\nSSH-") + 1
    end = data.find(b"\n", at)
    return data[end + 1 :] if end >= 0 else b""


def read_offer(payload: bytes) -> dict[str, list[str]]:
    """Return the name lists of a KEXINIT; those cut short are empty."""
    offers, at = {}, 17
    for name in LISTS:
        size = int.from_bytes(payload[at : at + 4], "big")
        text = decode(payload[at + 4 : at + 4 + min(size, PACKET_MAX)])
        offers[name] = [each for each in text.split(",") if each][:NAMES_MAX]
        at += 4 + size
    return offers


def describe(offers: dict[str, list[str]]) -> list[Told]:
    """Return what an offer says: its fingerprint, its algorithms, those that are weak."""
    joined = ";".join(",".join(offers[name]) for name in (
        "kex", "ciphers back", "macs back", "compression back"))
    told = [Told(f"HASSH {hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()}")]
    for name in ("kex", "host keys", "ciphers back", "macs back"):
        told.append(Told(f"{name.removesuffix(' back')}: {', '.join(offers[name])}"))
    weak = {
        f"{each} ({why})" for name in LISTS[:6] for each in offers[name]
        for word, why in WEAK.items() if (each == word if word == "none" else word in each)}
    if weak:
        told.append(Told(f"weak: {', '.join(sorted(weak))}", "warning"))
    return told


def host_key(payloads: list[bytes]) -> str:
    """Return kind and SHA-256 fingerprint of the host key in a reply, as ssh-keygen writes it."""
    for payload in payloads:
        if payload[:1] == bytes([ECDH_REPLY]) and len(payload) > 9:
            size = int.from_bytes(payload[1:5], "big")
            blob = payload[5 : 5 + size]
            length = int.from_bytes(blob[:4], "big")
            if len(blob) == size and 0 < length <= 64:
                digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
                return f"host key {decode(blob[4 : 4 + length])} SHA256:{digest}"
    return ""
