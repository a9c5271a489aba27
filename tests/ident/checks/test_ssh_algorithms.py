from __future__ import annotations

import struct

from portulan.ident.checks.ssh_algorithms import (
    KEXINIT,
    LISTS,
    after_greeting,
    packet,
    packets,
    ssh_algorithms,
    string,
)

from .places import levels, place, tell, texts

GREETING = b"SSH-2.0-OpenSSH_9.2p1\r\n"


def offer(**lists):
    words = {"kex": "curve25519-sha256", "host keys": "ssh-ed25519", "ciphers": "aes128-ctr",
             "macs": "hmac-sha2-256", **lists}
    joined = b"".join(
        string(words.get(name, words.get(name.removesuffix(" back"), "none")).encode())
        for name in LISTS)
    return packet(bytes([KEXINIT]) + bytes(16) + joined + bytes(13))


def reply(kind=b"ssh-ed25519"):
    blob = string(kind) + string(bytes(32))
    return packet(b"\x1f" + string(blob) + string(bytes(32)) + string(b"signature"))


def test_packets_are_framed_to_whole_blocks_and_read_again():
    for size in range(20):
        framed = packet(bytes(size))
        assert len(framed) % 8 == 0
        assert framed[4] >= 4
        assert packets(framed + framed + b"\0\0") == [bytes(size)] * 2
    assert packets(struct.pack(">IB", 1 << 30, 4) + bytes(99)) == []


def test_offer_fingerprint_and_host_key_are_told():
    told = tell(ssh_algorithms, place("ssh", port=22), GREETING, offer(), reply())
    assert texts(told)[0].startswith("HASSH ")
    assert "host keys: ssh-ed25519" in texts(told)
    assert texts(told)[-1].startswith("host key ssh-ed25519 SHA256:")
    assert set(levels(told)) == {"info"}


def test_weak_algorithms_are_named_with_the_reason():
    told = tell(ssh_algorithms, place("ssh"), GREETING, offer(
        kex="diffie-hellman-group1-sha1", ciphers="3des-cbc,aes128-ctr,none"))
    [warning] = [each.text for each in told if each.level == "warning"]
    for each in ("group1-sha1 (1024-bit", "3des-cbc (64-bit", "none (no protection)"):
        assert each in warning
    assert "aes128" not in warning


def test_the_offer_may_come_with_the_greeting_or_after_other_lines():
    told = tell(ssh_algorithms, place("ssh"), b"welcome\r\n" + GREETING + offer(), b"", reply())
    assert texts(told)[-1].startswith("host key ssh-ed25519")
    assert after_greeting(b"x\r\nSSH-2.0-y\r\nrest") == b"rest"


def test_a_server_that_hangs_up_tells_nothing():
    assert tell(ssh_algorithms, place("ssh"), GREETING, b"") == []
