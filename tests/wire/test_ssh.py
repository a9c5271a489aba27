from __future__ import annotations

from .dissecting import over_tcp, told


def test_greeting_is_told_on_any_port():
    found = over_tcp(2222, b"SSH-2.0-OpenSSH_9.6 Debian-2\r\n")
    values = {"version": "2.0", "software": "OpenSSH_9.6", "comment": "Debian-2"}
    assert (told(found, "ssh"), found.defect) == (values, "")


def test_greeting_that_does_not_end_is_a_defect():
    assert "does not end" in over_tcp(22, b"SSH-2.0-" + b"a" * 400).defect


def test_binary_packets_are_payload():
    assert over_tcp(22, bytes(40)).protocols == "ip:tcp"
