"""Protocols whose first words are text: SSH, FTP, SMTP, POP3, IMAP, NNTP, Redis and others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from .facts import Facts
from .text import decode, is_text

_SSH: Final = re.compile(rb"(?:[^\n]{0,255}\n){0,20}?SSH-([0-9.]{1,5})-([^\r\n]{0,253})")
_MAIL: Final = re.compile(
    r"(?i)\b(?:e?smtps?|mail|lmtp|postfix|sendmail|exim|mta|mx|imail|webshield|ftgate|groupwise|domino|mercury)"
    r"|smtp|mail server")
_FTP: Final = re.compile(r"(?i)ftp|file transfer|filezilla|\bjd\b|wu-|nas\b")
_PROMPT: Final = re.compile(
    r"(?i)(?:login|logon|user ?name|user|host ?name|password|passwd|account)[^\n]{0,40}[:>]?\s*$")
_ERRORS: Final = re.compile(
    r"(?i)\berr(?:or)?\b|unknown.?(?:server.)?command|invalid command|bad request|huh\?")
"""What servers of lines say of a question they don't know; its last word is no prompt."""
_NOTICE: Final = re.compile(r"(?i)\(c\) copyright|\bcopyright \(c\)")
_CONSOLE: Final = re.compile(r"(?i)\btelnet\b|management console|configuration menu")


def parse(data: bytes) -> Facts | None:
    """Return the protocol a text greeting speaks, or None."""
    ssh = _SSH.match(data) if b"SSH-" in data[:8192] else None
    if ssh:
        software, _, comment = decode(ssh[2]).partition(" ")
        return Facts("ssh", {
            "ssh.software": software, "ssh.comment": comment, "ssh.banner": decode(ssh[2])}, 1.0)
    for start, read in _STARTS:
        if data.startswith(start):
            facts = read(data)
            if facts:
                return facts
    if data.startswith((b"220", b"421", b"530", b"554")) and data[3:4] in (b" ", b"-"):
        return _two_twenty(data)
    return _telnet(data)


def _two_twenty(data: bytes) -> Facts:
    """Tell SMTP from FTP, which greet alike; without a sign of either FTP is the likelier."""
    lines = [line[4:].strip() for line in decode(data[:8192]).splitlines() if line[:3].isdigit()]
    text = " ".join(line for line in lines if line)
    if _MAIL.search(text) and not _FTP.search(text.split("@")[0]):
        return Facts("smtp", {"smtp.greeting": text}, 0.95)
    return Facts("ftp", {"ftp.greeting": text}, 0.95 if _FTP.search(text) else 0.6)


def _telnet(data: bytes) -> Facts | None:
    """Return Telnet by its option bytes or by its prompt (RFC 854)."""
    negotiates = len(data) > 2 and data[0] == 0xFF and 0xFA <= data[1] <= 0xFE
    plain = re.sub(rb"\xff[\xfb-\xfe].|\xff\xfa[^\xff]{0,64}\xff\xf0", b"", data[:8192], flags=re.S)
    text = decode(plain.replace(b"\x00", b"")).strip()
    asks = is_text(plain) and not _ERRORS.search(text[:512])
    if negotiates:
        return Facts("telnet", {"telnet.text": text}, 0.95)
    if asks and (_PROMPT.search(text) or _CONSOLE.search(text)):
        return Facts("telnet", {"telnet.text": text}, 0.7)
    # A screen that only says whose it is: likely, but no reason to ask nothing else.
    return Facts("telnet", {"telnet.text": text}, 0.5) if asks and _NOTICE.search(text) else None


def _line(name: str, field: str, skip: int = 0) -> Callable[[bytes], Facts | None]:
    def read(data: bytes) -> Facts | None:
        return Facts(name, {field: decode(data[skip:8192].split(b"\n", 1)[0]).strip()})
    return read


def _imap(data: bytes) -> Facts | None:
    text = decode(data[:8192].split(b"\n", 1)[0]).strip()
    return Facts("imap", {"imap.greeting": text[5:].lstrip()}, 0.95)


def _dict(data: bytes) -> Facts | None:
    return _line("dict", "dict.greeting", 4)(data) if b"<auth" in data or b"dictd" in data else None


def _stats(data: bytes) -> Facts | None:
    found = re.search(rb"\nversion: \"?([0-9.]{1,20})", data[:8192])
    return Facts("beanstalk", {"beanstalk.version": decode(found[1])}) if found else None


def _chargen(data: bytes) -> Facts | None:
    return Facts("chargen", {}, 0.9) if data[1:20] == bytes(range(34, 53)) else None


def _ok(data: bytes) -> Facts | None:
    """Read Gearman's version, or beanstalkd's statistics."""
    found = re.match(rb"OK ([0-9]{1,3}\.[0-9.]{1,20})[+~0-9a-z.-]{0,20}\r?\n", data)
    return Facts("gearman", {"gearman.version": decode(found[1])}) if found else _stats(data)


def _unknown(name: str, sure: float) -> Callable[[bytes], Facts | None]:
    """Return a reader of an error that a protocol has words of its own for."""
    return lambda data: Facts(name, {}, sure)


def _munin(data: bytes) -> Facts | None:
    """Read a node's greeting, and the version behind it if that was asked for."""
    found = _MUNIN.search(data[:8192])
    return Facts("munin", {"munin.version": decode(found[1])} if found else {}, 0.98)


_MUNIN: Final = re.compile(rb"^munins node on \S{1,255} version: ([0-9][0-9A-Za-z.]{0,30})", re.M)


def _json(name: str, field: str, key: bytes) -> Callable[[bytes], Facts | None]:
    """Return a reader that takes one text out of a JSON object on the first line."""
    wanted = re.compile(rb'"' + key + rb'" ?: ?"([^"\\\n]{1,60})"')

    def read(data: bytes) -> Facts | None:
        found = wanted.search(data[:4096])
        return Facts(name, {field: decode(found[1])} if found else {}, 0.95)
    return read


def _irc(data: bytes) -> Facts | None:
    text = decode(data[:8192])
    if re.match(r":?\S+ (?:NOTICE|\d{3}|ERROR) ", text):
        return Facts("irc", {"irc.text": text}, 0.95)
    return None


_STARTS: Final[tuple[tuple[bytes, Callable[[bytes], Facts | None]], ...]] = (
    (b"220 ", _dict), (b"+PONG", _line("redis", "redis.reply")),
    (b"-NOAUTH", _line("redis", "redis.reply")), (b"-DENIED Redis", _line("redis", "redis.reply")),
    (b"-ERR unknown command", _line("redis", "redis.reply")),
    (b"+OK", _line("pop3", "pop3.greeting", 3)), (b"-ERR", _line("pop3", "pop3.greeting", 4)),
    (b"* OK", _imap), (b"* PREAUTH", _imap), (b"* BYE", _imap),
    (b"200 ", _line("nntp", "nntp.greeting", 4)), (b"201 ", _line("nntp", "nntp.greeting", 4)),
    (b"RFB 00", _line("vnc", "vnc.protocol", 4)),
    (b"@RSYNCD: ", _line("rsync", "rsync.protocol", 9)),
    (b"( success ( ", _line("svn", "svn.greeting")),
    (b"VERSION ", _line("memcached", "memcached.version", 8)),
    (b"# munin node at ", _munin),
    (b"OK MPD ", _line("mpd", "mpd.protocol", 7)),
    (b"Zookeeper version: ", _line("zookeeper", "zookeeper.version", 19)), (b"OK ", _ok),
    (b"Tarantool ", _line("tarantool", "tarantool.version", 10)),
    (b"500 OOPS: ", _line("ftp", "ftp.greeting", 4)),
    (b"ERR UNKNOWN_COMMAND Unknown+server+command", _unknown("gearman", 0.9)),
    (b"UNKNOWN COMMAND\n", _unknown("clamd", 0.75)), (b"huh? ", _unknown("lcdproc", 0.9)),
    (b"connect LCDproc ", _line("lcdproc", "lcdproc.version", 16)),
    (b"munins node on ", _munin), (b"ClamAV ", _line("clamd", "clamd.version", 7)),
    (b"INFO {", _json("nats", "nats.version", b"version")),
    (b" !\"#$%", _chargen), (b"!\"#$%", _chargen),
    (b"<stream:stream", _line("xmpp", "xmpp.stream")),
    (b"<?xml version='1.0'?><stream:", _line("xmpp", "xmpp.stream")),
    (b"ERROR :", _irc), (b":", _irc), (b"NOTICE ", _irc),
    (b'{"class":"VERSION"', _json("gpsd", "gpsd.version", b"release")),
    (b"CONNECTED\n", _line("stomp", "stomp.reply")),
    (b"-ERR unknown", _line("redis", "redis.reply")),
)
