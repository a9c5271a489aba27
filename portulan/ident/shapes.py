"""Protocols told by the shape of their reply: fixed octets, and a length field that must agree.

A shape is a pattern at the start of the reply and, where the protocol counts its octets, where
the count stands. Groups of the pattern become fields: `(?P<vendor>...)` of pptp is `pptp.vendor`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from .facts import Facts
from .text import decode

LOOKED_AT_MAX: Final = 4096
"""Octets that patterns look at: shapes are told by their beginning."""
FIELD_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Count:
    """Say where a reply counts its octets: the count plus `more` is the reply's length."""

    at: int
    size: int
    more: int = 0
    order: Literal["big", "little"] = "big"
    mask: int = (1 << 32) - 1

    def agrees(self, data: bytes) -> bool:
        """Tell whether the count is that of `data`."""
        told = int.from_bytes(data[self.at : self.at + self.size], self.order) & self.mask
        return told + self.more == len(data)


@dataclass(frozen=True, slots=True)
class Shape:
    """Name a protocol by pattern and count; `only` bounds it to one transport."""

    name: str
    pattern: bytes
    count: Count | None = None
    sure: float = 0.9
    only: str = ""


def parse(data: bytes, transport: str = "tcp") -> Facts | None:
    """Return the first protocol whose shape `data` has, or None."""
    head = data[:LOOKED_AT_MAX]
    for shape in _by_first()[data[0]] if data else ():
        if shape.only and shape.only != transport:
            continue
        found = _compiled(shape.pattern).match(head)
        if found and (shape.count is None or shape.count.agrees(data)):
            return Facts(shape.name, _texts(shape.name, found), shape.sure)
    return None


def _texts(name: str, found: re.Match[bytes]) -> dict[str, str]:
    """Return the groups as fields; versions that are numbers become text."""
    groups = {key: value for key, value in found.groupdict().items() if value}
    texts = {}
    if "build" in groups:
        major, minor, *build = groups.pop("build")
        texts["version"] = f"{major}.{minor}.{int.from_bytes(bytes(build), 'big')}"
    if "vsnnum" in groups:
        number = int(groups.pop("vsnnum"))
        # From 18 on the second octet is whole; before, it was two halves (11.2.0.4.0).
        texts["version"] = (
            f"{number >> 24}.{number >> 16 & 255}.{number >> 12 & 15}" if number >> 24 >= 18 else
            f"{number >> 24}.{number >> 20 & 15}.{number >> 16 & 15}.{number >> 8 & 255}"
            f".{number & 255}")
    texts |= {key: decode(value[:FIELD_MAX]).strip("\0 \r\n") for key, value in groups.items()}
    return {f"{name}.{key}": text for key, text in texts.items()}


def _shape(name: str, pattern: bytes, count: Count | None = None, *, sure: float = 0.9,
           only: str = "") -> Shape:
    return Shape(name, pattern, count, sure, only)


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Return a pattern, compiled when a reply first needs it: a hundred cost a tenth of a start."""
    return re.compile(pattern, re.DOTALL)


def _first(shape: Shape) -> set[int]:
    """Return the octets a reply of this shape may begin with; a wrong guess tells nothing."""
    literal = _LITERAL.match(shape.pattern)
    if not literal or b"|" in shape.pattern.split(b"(")[0]:
        return set(range(256))
    begins = re.compile(literal[1], re.DOTALL).match
    return {octet for octet in range(256) if begins(bytes([octet]))}


_LITERAL: Final = re.compile(
    rb"(\\x[0-9a-f]{2}|\\0|\[[^\]]+\]|\\[^a-z0-9]|[^(\[.\\])(?![?*{])")
_B2, _L4, _B4 = Count(2, 2), Count(0, 4, order="little"), Count(0, 4, 4)
_SHAPES: Final = (
    # Data bases and queues.
    _shape("oracle-tns", rb"..\0\0[\x02\x04\x05\x0b]\0?.*?(?:\(VSNNUM=(?P<vsnnum>\d{6,10})\))",
           Count(0, 2)),
    _shape("oracle-tns", rb"..\0\0[\x02\x04\x05\x0b].\0\0", Count(0, 2)),
    _shape("ms-sql-s", rb"\x04\x01..\0.\x01?\0.*?\xff(?P<build>.{4})", _B2),
    _shape("mongodb", rb".{4}.{4}.{4}(?:\x01\0\0\0|\xdd\x07\0\0).*\x02version\0.{4}"
           rb"(?P<version>\d[0-9A-Za-z.+-]{1,30})\0", _L4),
    _shape("mongodb", rb".{4}.{4}.{4}(?:\x01\0\0\0|\xdd\x07\0\0)", _L4),
    _shape("cassandra", rb"[\x81-\x85][\x00-\x0f]..?[\x00\x02\x03\x06]\0\0", Count(5, 4, 9)),
    _shape("kafka", rb"\0\0..\0\0..\0[\x00\x23]\0\0\0[\x01-\x7f]\0[\x00-\x03]\0[\x00-\x1f]", _B4),
    _shape("clickhouse", rb"\0\x0aClickHouse"), _shape("clickhouse", rb"\x02.\0\0\0.DB::"),
    _shape("mysqlx", rb"\x05\0\0\0\x0b\x08\x05\x1a\0"),
    _shape("bolt", rb"\0\0[\x00-\x08][\x01-\x06]$", sure=0.7, only="tcp"),
    _shape("drda", rb"..\xd0[\x00-\x03]..", Count(0, 2), sure=0.8),
    _shape("firebird", rb"\0\0\0\x5c\0{16}", sure=0.75),
    _shape("http", rb"\0\0[\0-\x60]\x04[\0\x01]\0\0\0\0(?:\0[\x01-\x08]|\0\0)", only="tcp"),
    _shape("http", rb"\0\0[\0-\x60]\x07\0\0\0\0\0\0\0\0\0\0\0", only="tcp"),
    _shape("mqtt", rb"\x90\x03..[\0-\x02].*\$SYS/broker/version(?P<broker>[\x20-\x7e]{3,60})"),
    _shape("mqtt", rb"[\x30-\x3d].{1,2}\0\x13\$SYS/broker/version(?P<broker>[\x20-\x7e]{3,60})"),
    _shape("firebird", rb"\0\0\0\x03(?:\0\0|\xff\xff).{2}\0\0\0.\0\0\0."),
    _shape("elasticsearch-transport", rb"ES\0\0..", Count(2, 4, 6)),
    _shape("amqp", rb"\x01\0\0....\0\x0a\0\x0a\0\x09.*?\x07productS.{4}(?P<product>[A-Za-z][A-Za-z "
           rb"-]{1,30}).*?\x07versionS.{4}(?P<version>\d[0-9A-Za-z.+-]{1,20})"),
    _shape("amqp", rb"\x01\0\0....\0\x0a\0\x0a\0\x09"),
    _shape("gearman", rb"\0RES\0\0\0."), _shape("memcached", rb"\x81[\x00-\x20]..[\x00-\x20]\0",
           Count(8, 4, 24)),
    _shape("redis", rb"\$\d+\r\n# Server\r\nredis_version:(?P<version>[0-9.]{3,12})"),
    # Files, remote calls and desktops.
    _shape("rpcbind", rb"[\x80].{3}.{4}\0\0\0\x01\0\0\0[\x00\x01]\0\0\0", Count(0, 4, 4,
           mask=0x7FFFFFFF)),
    _shape("rpcbind", rb".{4}\0\0\0\x01\0\0\0[\x00\x01]\0\0\0[\x00-\x06]\0\0\0", only="udp"),
    _shape("msrpc", rb"\x05[\x00\x01][\x02\x03\x0c\x0d]\x03\x10\0\0\0", Count(8, 2,
           order="little")),
    _shape("netbios-ssn", rb"(?:\x82\0\0\0|\x83\0\0\x01[\x80-\x8f])$"),
    _shape("netbios-ns", rb"..[\x84\x85]\0\0\0\0\x01\0\0\0\0\x20[A-P]{32}\0\0[\x20\x21]\0\x01"),
    _shape("x11", rb"\x01.(?:\x0b\0|\0\x0b).{36}"
           rb"(?P<vendor>[A-Za-z][\x20-\x7e]{3,60})"),
    _shape("x11", rb"\0.(?:\x0b\0\0\0|\0\x0b\0\0)..(?P<reason>[\x20-\x7e]{4,})"),
    _shape("sane-port", rb"\0\0\0\0\x01\0\0[\x02\x03]$", only="tcp"),
    _shape("spice", rb"REDQ\x02\0\0\0"), _shape("teamviewer", rb"\x17\x24[\x0a-\x11]\x20"),
    _shape("adb", rb"(?:CNXN|AUTH)[\x00-\x03]\0\0[\x00\x01]"),
    _shape("ajp13", rb"AB\0[\x01-\xff][\x03-\x09]"), _shape("distccd", rb"DONE0000000[1-3]"),
    _shape("git", rb"[0-9a-f]{4}(?:ERR |[0-9a-f]{40} |version [12])"),
    _shape("epmd", rb"\0\0\x11\x11(?:name |$)"), _shape("perforce", rb"....?\0\0\0xfiles\0"),
    _shape("ndmp", rb"\x80\0\0.{9}\0\0\x05\x02"), _shape("cvspserver", rb"cvs \[pserver"),
    # Control of machines.
    _shape("iso-tsap", rb"\x03\0..[\x06-\x20]\xd0.{5}[\xc0-\xc2][\x01-\x10]", _B2),
    _shape("s7comm", rb"\x03\0..\x02\xf0\x80\x32[\x01-\x07]", _B2),
    _shape("modbus", rb"..\0\0\0.[\x00-\xff]\x2b\x0e.{5}\0.(?P<vendor>[\x20-\x7e]+)\x01."
           rb"(?P<product>[\x20-\x7e]+)\x02.(?P<version>[\x20-\x7e]+)", Count(4, 2, 6)),
    _shape("modbus", rb"..\0\0\0[\x03-\xff].(?:[\x01-\x04\x11\x2b].|[\x81-\x84\x91\xab]"
           rb"[\x01-\x0b]$)", Count(4, 2, 6), sure=0.85),
    _shape("bacnet", rb"\x81[\x00\x0a\x0b]..\x01", _B2),
    _shape("ethernetip", rb"[\x63\x65\x04]\0..\0{0,4}.{4}\0\0\0\0", Count(2, 2, 24, "little")),
    _shape("dnp3", rb"\x05\x64[\x05-\xff][\x00-\x7f]"),
    _shape("iec-104", rb"\x68\x04[\x0b\x83\x43]\0\0\0"), _shape("fins", rb"FINS\0\0\0"),
    _shape("knx", rb"\x06\x10\x02[\x02\x04\x06\x0c]", Count(4, 2)),
    _shape("ipmi", rb"\x06\0\xff[\x06\x07]"),
    _shape("nrpe", rb"\0[\x02\x03]\0\x02.{4}\0[\x00-\x03]NRPE v(?P<version>[0-9.]{3,8})"),
    _shape("nrpe", rb"\0[\x02\x03]\0\x02.{4}\0[\x00-\x03][\x20-\x7e]{4}"),
    # Tunnels, keys, addresses, calls.
    _shape("pptp", rb"\0\x9c\0\x01\x1a\x2b\x3c\x4d\0\x02.{18}(?P<host>.{64})(?P<vendor>.{64})$"),
    _shape("l2tp", rb"\xc8\x02..", _B2, only="udp"), _shape("l2tp", rb"\xc8\x02.{10}\x80\x08", _B2),
    _shape("isakmp", rb".{8}(?!\0{8}).{8}[\x01\x0b\x21\x22\x28\x29\x2b\x00][\x10\x20][\x02\x04\x05"
           rb"\x06\x22-\x25]", Count(24, 4)),
    _shape("stun", rb"\x01[\x01\x11\x13]..\x21\x12\xa4\x42.{12}.*?\x80\x22\0."
           rb"(?P<software>[\x20-\x7e]{2,60})", Count(2, 2, 20)),
    _shape("stun", rb"\x01[\x01\x11\x13]..\x21\x12\xa4\x42", Count(2, 2, 20)),
    _shape("dhcps", rb"\x02\x01\x06.{233}\x63\x82\x53\x63"),
    _shape("wireguard", rb"\x02\0\0\0.{88}$", only="udp"),
    _shape("dtls", rb"[\x14-\x16]\xfe[\xfd\xff]\0\0"),
    _shape("quic", rb"[\x80-\xff]\0\0\0\0[\x00-\x14].{0,41}(?:\0\0\0\x01|\x6b\x33\x43\xcf"
           rb"|\xff\0\0.)", only="udp"),
    _shape("tftp", rb"\0(?:\x03\0\x01|\x05\0[\x00-\x08][\x20-\x7e]*\0$|\x06[a-z]+\0\d+\0)",
           only="udp"),
    _shape("rip", rb"\x02[\x01\x02]\0\0(?:\0\x02|\0\0)(?:.{18})(?:.{20})*$", only="udp"),
    _shape("nat-pmp", rb"\0[\x80-\x82]\0[\x00-\x05].{4}(?:.{4}|.{8})$", sure=0.8, only="udp"),
    _shape("slp", rb"\x02[\x01-\x0b]..", Count(2, 3), sure=0.85),
    _shape("xdmcp", rb"\0\x01\0[\x05\x06]", Count(4, 2, 6)),
    _shape("coap", rb"[\x50-\x78](?:[\x40-\x5f]|[\x80-\x8f]|[\xa0-\xa5]|\0)..", sure=0.7,
           only="udp"),
    _shape("mdns", rb"\0\0\x84\0\0\0\0[\x01-\x40]\0.\0.[\x01-\x3f]"),
    _shape("socks4", rb"\0[\x5a-\x5d].{6}$", sure=0.8, only="tcp"),
    _shape("mqtt", rb"\x20[\x02-\x7f][\x00\x01][\x80-\x9f]", Count(1, 1, 2)),
    _shape("wsdd", rb"<\?xml[^>]*>.{0,800}/ws/2005/04/discovery"),
    _shape("mumble", rb"\0(?P<build>\x01[\x02-\x05][\x00-\x0a]).{20}$", only="udp"),
    # Games, coins, media.
    _shape("minecraft", rb"..?\0..?\{.{0,2000}?\"version\":\{[^}]*\"name\":\"(?P<version>[^\"]"
           rb"{1,40})\""),
    _shape("minecraft", rb"\xff\0.\0\xa7\0"),
    _shape("steam", rb"\xff\xff\xff\xff(?:I[\x02-\x1f]|A.{4}$)"),
    _shape("quake3", rb"\xff\xff\xff\xff(?:statusResponse|infoResponse|disconnect)"),
    _shape("bitcoin", rb"\xf9\xbe\xb4\xd9version\0.*?/Satoshi:(?P<version>[0-9.]+)/"),
    _shape("bitcoin", rb"\xf9\xbe\xb4\xd9[a-z]+\0"), _shape("bittorrent-dht", rb"d1:[rey]"),
    _shape("bittorrent-tracker", rb"d(?:14:failure reason|8:complete|8:interval)"),
    _shape("rtmp", rb"\x03.{4}(?:\0{4}|[\x00-\x09].{3}).{1528}"),
    # Text that no greeting rule reads.
    _shape("spamd", rb"SPAMD/(?P<protocol>[0-9.]{1,5}) \d+ "),
    _shape("guacd", rb"\d{1,2}\.(?:args|error),\d{1,3}\."),
    _shape("tinc", rb"0 [A-Za-z0-9_]{1,64} 17(?:\.(?P<protocol>\d))?\n"),
    _shape("printer", rb"[^\n]{0,80}(?:unknown printer|no such (?:printer|queue)|Printer .{1,60} "
           rb"not found|your host does not have line printer access)"),
    _shape("gdb", rb"\+?\$(?:PacketSize=|qXfer|QStartNoAckMode)"),
    _shape("qmp", rb"\{\"QMP\": ?\{\"version\""),
    _shape("svdrp", rb"220 [^\r\n]{1,60} SVDRP VideoDiskRecorder (?P<version>[0-9.]{1,12})"),
    _shape("openwire", rb"\0\0..\x01ActiveMQ\0\0\0"),
    _shape("zmtp", rb"\xff\0{7}[\x00\x01]\x7f"),
    _shape("barrier", rb"\0\0\0[\x0b\x0c](?:Barrier|Synergy)\0\x01\0"),
    _shape("icap", rb"ICAP/1\.0 \d{3}"), _shape("ident", rb"\d+ ?, ?\d+ ?: ?(?:USERID|ERROR)"),
    _shape("asterisk-ami", rb"Asterisk Call Manager/(?P<version>[0-9.]+)"),
    _shape("freeswitch-event", rb"Content-Type: auth/request"),
    _shape("teamspeak-query", rb"TS3\n?\r"), _shape("hddtemp", rb"\|/dev/[a-z]+\|"),
    _shape("managesieve", rb"\"IMPLEMENTATION\" \"(?P<software>[^\"]{2,60})\""),
    _shape("ganglia", rb"<\?xml[^>]*>\s*<!DOCTYPE GANGLIA_XML"),
    _shape("dbus", rb"REJECTED (?:EXTERNAL|DBUS|ANONYMOUS)"), _shape("jetdirect", rb"@PJL "),
    _shape("elasticsearch-transport", rb"This is not an? HTTPS? port"),
    _shape("clickhouse", rb"HTTP/1\.[01] 400 Bad Request\r\n\r\nPort \d+ is for clickhouse"),
    _shape("nut", rb"(?:VER |ERR )(?:UNKNOWN-COMMAND|Network UPS)"),
    _shape("gopher", rb"[013hi][^\t\r\n]{0,100}\t[^\t\r\n]{0,100}\t[^\t\r\n]{1,80}\t\d{1,5}\r?\n"),
    _shape("finger", rb"(?:Login(?: name)?: \S+|Login +Name +T)"),
    _shape("zookeeper", rb"This ZooKeeper instance is not|imok$"),
    _shape("daytime", rb"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,? "
           rb"[A-Z][a-z]+ +\d+,? [0-9: A-Z-]+\r?\n$"),
    _shape("daytime", rb"\d{1,2} [A-Z][A-Za-z]{2} \d{4} \d\d:\d\d:\d\d [A-Z]{2,5}\r?\n$"),
    _shape("epmd", rb"\0\0[\x04-\xff].(?:name \S{1,200} at port \d{1,5}\n)+$"),
    _shape("nessus", rb"< (?:NTP|OTP)/[0-9.]+ >"),
)


@cache
def _by_first() -> tuple[tuple[Shape, ...], ...]:
    """Return the shapes by the octet that a reply begins with."""
    firsts = [(shape, _first(shape)) for shape in _SHAPES]
    return tuple(
        tuple(shape for shape, first in firsts if octet in first) for octet in range(256))
