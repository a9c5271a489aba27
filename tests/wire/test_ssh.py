from __future__ import annotations

from portulan.wire.fingerprint import md5

from .dissecting import over_tcp, told


def test_greeting_is_told_on_any_port():
    found = over_tcp(2222, b"SSH-2.0-OpenSSH_9.6 Debian-2\r\n")
    values = {"version": "2.0", "software": "OpenSSH_9.6", "comment": "Debian-2"}
    assert (told(found, "ssh"), found.defect) == (values, "")


def test_greeting_that_does_not_end_is_a_defect():
    assert "does not end" in over_tcp(22, b"SSH-2.0-" + b"a" * 400).defect


def test_binary_packets_are_payload():
    assert over_tcp(22, bytes(40)).protocols == "ip:tcp"


def offer(kex, *, ciphers=("aes", "aes-s"), macs=("mac", "mac-s")):
    lists = [kex, "ssh-ed25519", *ciphers, *macs, "none", "none,zlib", "", ""]
    body = bytes((20,)) + bytes(16) + b"".join(
        len(each).to_bytes(4, "big") + each.encode() for each in lists) + bytes(5)
    return (len(body) + 5).to_bytes(4, "big") + b"\x04" + body + bytes(4)


def test_offer_with_a_clients_mark_has_a_clients_fingerprint():
    found = over_tcp(22, b"SSH-2.0-me\r\n" + offer("curve25519-sha256,ext-info-c"))
    assert found.protocols == "ip:tcp:ssh:ssh"
    values = told(found, "ssh")
    assert values["hassh"] == md5("curve25519-sha256,ext-info-c;aes;mac;none")
    assert "hassh_server" not in values and values["ciphers_server"] == ["aes-s"]
    assert found.defect == ""


def test_offer_with_a_servers_mark_has_a_servers_fingerprint():
    values = told(over_tcp(22, offer("a,kex-strict-s-v00@openssh.com")), "ssh")
    assert values["hassh_server"] == md5("a,kex-strict-s-v00@openssh.com;aes-s;mac-s;none,zlib")
    assert "hassh" not in values


def test_offer_without_a_mark_has_both():
    assert {"hassh", "hassh_server"} <= told(over_tcp(2222, offer("a")), "ssh").keys()


def test_offer_cut_anywhere_is_a_defect():
    whole = offer("a,ext-info-c")
    for cut in range(30, len(whole)):
        assert over_tcp(22, whole[:cut]).defect
