from __future__ import annotations

import numpy as np
import pytest

from portulan.traffic.shapes import HEAD_OCTETS, TCP_SHAPES, UDP_SHAPES, applications


def heads(octets):
    return np.frombuffer(octets[:HEAD_OCTETS].ljust(HEAD_OCTETS, b"\0"), np.uint8).reshape(1, -1)


def name(protocol, fwd=b"", rev=b"", sport=40000, dport=9999):
    number = {"tcp": 6, "udp": 17, "icmp": 1}[protocol]
    (found,) = applications((heads(fwd), heads(rev)), np.array([number]), np.array([sport]),
                            np.array([dport])).tolist()
    return found


@pytest.mark.parametrize(("fwd", "rev", "dport", "wanted"), [
    (bytes.fromhex("1603010200010001fc0303"), b"", 9999, "tls"),
    (b"GET / HTTP/1.1\r\n", b"", 9999, "http"), (b"", b"HTTP/1.0 200 OK", 9999, "http"),
    (b"OPTIONS * HTTP/1.1", b"", 9999, "http"), (b"OPTIONS sip:a@b", b"", 9999, "sip"),
    (b"SSH-2.0-x", b"SSH-2.0-y", 9999, "ssh"), (b"EHLO me\r\n", b"220 hello", 9999, "smtp"),
    (b"USER me\r\n", b"220 hello", 9999, "ftp"), (b"", b"220 hello", 21, "ftp"),
    (b"", b"220 hello", 25, "smtp"), (b"", b"220 hello", 9999, None),
    (b"", b"+OK ready", 9999, "pop3"), (b"", b"* OK ready", 9999, "imap"),
    (b"*1\r\n$4\r\nPING", b"", 9999, "redis"), (b"\x05\x01\0", b"\x05\0", 9999, "socks"),
    (bytes.fromhex("00000054fe534d4240"), b"", 9999, "smb"),
    (bytes.fromhex("001d 1234 0100 0001 0000 0000 0000"), b"", 9999, "dns"),
    (bytes.fromhex("101000044d515454"), b"", 9999, "mqtt"),
    (b"whatever", b"", 873, "rsync?"), (b"whatever", b"", 9999, None), (b"", b"", 22, None)])
def test_tcp_is_named_by_its_first_octets(fwd, rev, dport, wanted):
    assert name("tcp", fwd, rev, dport=dport) == wanted


@pytest.mark.parametrize(("fwd", "dport", "wanted"), [
    (bytes.fromhex("1234 0100 0001 0000 0000 0000"), 53, "dns"),
    (bytes.fromhex("1234 0100 0001 0000 0000 0000"), 9999, "dns"),
    (bytes.fromhex("0000 0000 0001 0000 0000 0000"), 5353, "mdns"),
    (bytes.fromhex("c300000001081234"), 9999, "quic"),
    (bytes.fromhex("0101060012345678"), 67, "dhcp"),
    (bytes.fromhex("000100002112a442"), 9999, "stun"), (bytes.fromhex("23000000"), 123, "ntp"),
    (bytes.fromhex("302902010004"), 161, "snmp"), (b"M-SEARCH * HTTP/1.1", 1900, "ssdp"),
    (b"\xff" * 16, 514, "syslog?"), (b"\xff" * 16, 9999, None)])
def test_udp_is_named_by_its_first_octets(fwd, dport, wanted):
    assert name("udp", fwd, dport=dport) == wanted


def test_who_spoke_first_does_not_matter():
    assert name("tcp", b"220 hello", b"EHLO me") == "smtp"


def test_other_protocols_have_no_application():
    assert name("icmp", b"GET / HTTP/1.1", dport=80) is None


@pytest.mark.parametrize("shape", [*TCP_SHAPES, *UDP_SHAPES], ids=lambda shape: shape.head)
def test_shape_looks_at_octets_that_are_kept(shape):
    for pattern in filter(None, (shape.head, shape.answer)):
        size = len(pattern) - 1 if pattern.startswith("'") else len(pattern.split())
        assert 0 < size <= HEAD_OCTETS
