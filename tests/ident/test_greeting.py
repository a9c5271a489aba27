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
    (b"OK 9\n---\nx: 1\nversion: 1.2\n", "beanstalk"), (b"OK 1.1.20+ds\n", "gearman"),
    (b"UNKNOWN COMMAND\n", "clamd"), (b"huh? Invalid command\n", "lcdproc"),
    (b"ERR UNKNOWN_COMMAND Unknown+server+commandUSER\r\n", "gearman"),
    (b"500 OOPS: vsftpd: x\r\n", "ftp"), (b"Password required, but none set", "telnet"),
], ids=lambda v: v if isinstance(v, str) else "reply")
def test_greeting_tells_its_protocol(data, name):
    assert parse(data).name == name


def test_noise_tells_nothing():
    assert parse(b"\x00\x01\x02hello") is None


@pytest.mark.parametrize("data", [
    b"error: bad user\r\n", b"ERR unknown command 'login'\r\n", b"invalid command: account\n",
], ids=["error", "unknown", "invalid"])
def test_error_that_ends_in_a_prompt_s_word_is_no_telnet(data):
    assert parse(data) is None


@pytest.mark.parametrize(("data", "field", "text"), [
    (b"# munin node at h\nmunins node on h version: 2.0.73\n", "munin.version", "2.0.73"),
    (b'INFO {"server_id":"x","version":"2.9.10"}\r\n', "nats.version", "2.9.10"),
    (b'{"class":"VERSION","release":"3.22"}\r\n', "gpsd.version", "3.22"),
], ids=["munin", "nats", "gpsd"])
def test_version_is_taken_out_of_its_line(data, field, text):
    assert parse(data).fields[field] == text


def test_screen_with_a_copyright_alone_is_telnet_with_little_confidence():
    facts = parse(b"Toy-3000  (c) Copyright 2016 Toy Makers")
    assert (facts.name, facts.sure) == ("telnet", 0.5)
