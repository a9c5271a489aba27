"""Protocols that greet in text."""

from __future__ import annotations

import pytest

from portulan.ident.greeting import parse


@pytest.mark.parametrize(("data", "name"), [
    (b"SSH-2.0-toy_1 c\r\n", "ssh"), (b"220 h ESMTP toy\r\n", "smtp"),
    (b"220 h FTP server ready\r\n", "ftp"), (b"+OK hi\r\n", "pop3"), (b"* OK hi\r\n", "imap"),
    (b"+PONG\r\n", "redis"), (b"VERSION 1.6\r\n", "memcached"), (b"RFB 003.008\n", "vnc"),
    (b"\xff\xfd\x18\xff\xfb\x01", "telnet"), (b"host login: ", "telnet"),
    (b"220 h dictd 1.1 <auth.mime>\r\n", "dict"), (b":h NOTICE * :hi\r\n", "irc"),
    (b"OK 9\n---\nx: 1\nversion: 1.2\n", "beanstalk"),
], ids=lambda v: v if isinstance(v, str) else "reply")
def test_greeting_tells_its_protocol(data, name):
    assert parse(data).name == name


def test_noise_tells_nothing():
    assert parse(b"\x00\x01\x02hello") is None
