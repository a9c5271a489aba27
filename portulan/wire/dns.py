"""DNS, multicast DNS and LLMNR: the header, questions and answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from portulan.errors import UsageError
from portulan.wire.address import Ip4, Ip6
from portulan.wire.header import Header, Packet
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, number_at, text_of
from portulan.wire.layout import u1, u4, u16

NAME_MAX_OCTETS = 255
"""RFC 1035 section 2.3.4."""
JUMPS_MAX = 32
"""Compression pointers followed in one name; each must point before the one it is read from."""
NAMES_MAX_CHARS = 65_536
"""What the names of one message may expand to: pointers make a bomb of 64 KiB of records."""
_POINTER = 0xC0
_ROOT = "."


class DnsType(IntEnum):
    """Types of records (IANA, dns-parameters), as far as their data is read."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    DS = 43
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    SVCB = 64
    HTTPS = 65
    AXFR = 252
    ANY = 255


_RCODES = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented",
           5: "refused"}
_TYPE_NAMES = {int(member): member.name for member in DnsType}
_LISTS = {DnsType.A: "a", DnsType.AAAA: "aaaa", DnsType.CNAME: "cname", DnsType.PTR: "ptr"}
_NUMBERS_BEFORE: dict[int, int] = {
    DnsType.NS: 0, DnsType.CNAME: 0, DnsType.PTR: 0, DnsType.MX: 2, DnsType.SRV: 6,
}
"""Octets of 16-bit numbers before the name, for types whose data is a name."""


class DNS(Header, udp=(53, 5353, 5355)):
    """DNS (RFC 1035 section 4.1.1), multicast DNS (RFC 6762) and LLMNR (RFC 4795).

    id: tells one question from others
    qr: 0 question, 1 answer
    opcode: 0 query, 4 notify, 5 update
    aa: 1 if the server owns the name
    tc: 1 if the message was cut
    rd: 1 if recursion is wanted
    ra: 1 if recursion is to be had
    z: zero
    ad: 1 if the data is authentic (RFC 4035)
    cd: 1 if checking is disabled (RFC 4035)
    rcode: 0 no error, 2 server failure, 3 no such name, 5 refused
    questions: how many
    answer_count: how many
    authority_count: how many
    additional_count: how many
    """

    id: u16 = 0
    qr: u1 = 0
    opcode: u4 = 0
    aa: u1 = 0
    tc: u1 = 0
    rd: u1 = 1
    ra: u1 = 0
    z: u1 = 0
    ad: u1 = 0
    cd: u1 = 0
    rcode: u4 = 0
    questions: u16 = 1
    answer_count: u16 = 0
    authority_count: u16 = 0
    additional_count: u16 = 0

    qname = Told("name of the first question, without the last dot")
    qtype = Told("type of the first question, as a number", int)
    qclass = Told("class of the first question; 1 is Internet", int)
    answers = Told("answer records as text: name, type, time to live, data", list)
    a = Told("IPv4 addresses in all records", list)
    aaaa = Told("IPv6 addresses in all records", list)
    cname = Told("canonical names in all records", list)
    ptr = Told("names pointed to in all records", list)

    @classmethod
    def query(cls, name: str, kind: str | int = "A", *, id: int | None = None) -> Packet:
        """Return the question for a name's records of a kind: A, AAAA, MX, TXT, ..."""
        header = cls() if id is None else cls(id=id)
        return header / (_name_octets(name) + _kind_number(kind).to_bytes(2, "big") + b"\0\1")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell questions and records."""
        reader = _Reader(octets[:end], at, at + self.size)
        reader.take_questions(self.questions)
        reader.take_records(self.answer_count, answers=True)
        reader.take_records(self.authority_count + self.additional_count, answers=False)
        return Inside(min(reader.at, end), end, told=reader.told, brief=self._brief(reader.told),
                      defect=reader.defect)

    def _brief(self, told: dict[str, Value]) -> str:
        if self.qr and "qname" not in told:  # as multicast DNS announces
            return f"DNS answer {', '.join(_texts(told, 'answers')[:2])}".rstrip()
        kind = told.get("qtype", 0)
        name = _TYPE_NAMES.get(kind, f"type {kind}") if isinstance(kind, int) else ""
        asked = f"DNS {'answer' if self.qr else 'query'} {name} {told.get('qname', '')}"
        if not self.qr:
            return asked
        found = [*_texts(told, "a"), *_texts(told, "aaaa"), *_texts(told, "cname")]
        error = _RCODES.get(self.rcode, f"rcode {self.rcode}") if self.rcode else ""
        return f"{asked} = {error or ' '.join(found[:4]) or f'{self.answer_count} records'}"


def _name_octets(name: str) -> bytes:
    """Return a name as labels (RFC 1035 section 3.1); international ones as they are written."""
    labels = [label.encode() for label in name.rstrip(".").split(".")] if name.strip(".") else []
    octets = b"".join(bytes([len(label)]) + label for label in labels if len(label) < 64) + b"\0"
    if not all(0 < len(label) < 64 for label in labels) or len(octets) > NAME_MAX_OCTETS:
        raise UsageError("not a domain name", text=name, hint="labels have 1 to 63 octets")
    return octets


def _kind_number(kind: str | int) -> int:
    number = DnsType.__members__.get(kind.upper(), -1) if isinstance(kind, str) else kind
    if not 0 <= number < 1 << 16:
        raise UsageError("no such kind of record", text=str(kind),
                         hint=f"write a number, or {', '.join(DnsType.__members__)}")
    return int(number)


class DNSOverTCP(Header, name="dns_tcp", tcp=53):
    """The length before each DNS message on TCP (RFC 1035 section 4.2.2).

    length: of the message [bytes]
    """

    length: u16 = 0

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the message, if its segment holds all of it."""
        start = at + self.size
        whole = 12 <= self.length <= end - start
        defect = "" if whole else f"message of {self.length} bytes is not whole in this segment"
        return Inside(start, min(end, start + self.length), DNS if whole else None, defect=defect)


def _texts(told: dict[str, Value], name: str) -> list[str]:
    found = told.get(name, [])
    return [str(each) for each in found] if isinstance(found, list) else []


@dataclass(slots=True)
class _Reader:
    """Walks a message record by record; the first defect ends it."""

    octets: bytes
    base: int
    at: int
    told: dict[str, Value] = field(default_factory=dict)
    defect: str = ""
    expanded: int = 0

    def take_questions(self, count: int) -> None:
        for index in range(min(count, ITEMS_MAX)):
            name = self._name()
            if not self._has(4):
                return
            if index == 0:
                kind, space = number_at(self.octets, self.at, 2), number_at(
                    self.octets, self.at + 2, 2)
                # The top bit asks for a unicast answer in multicast DNS (RFC 6762 section 5.4).
                self.told.update(qname=name, qtype=kind, qclass=space & 0x7FFF)
            self.at += 4

    def take_records(self, count: int, *, answers: bool) -> None:
        for _ in range(min(count, ITEMS_MAX)):
            name = self._name() if not self.defect else ""
            if not self._has(10):
                return
            kind = number_at(self.octets, self.at, 2)
            ttl_s = number_at(self.octets, self.at + 4, 4)
            size = number_at(self.octets, self.at + 8, 2)
            self.at += 10
            if not self._has(size):
                return
            data = self._data(kind, size)
            if kind in _LISTS and data:
                self._add(_LISTS[DnsType(kind)], data)
            if answers:
                shown = _TYPE_NAMES.get(kind, f"TYPE{kind}")
                self._add("answers", f"{name} {shown} {ttl_s} {data}")
            self.at += size
        if count > ITEMS_MAX:
            self.defect = self.defect or f"more than {ITEMS_MAX} records: {count}"

    def _add(self, name: str, text: str) -> None:
        there = self.told.setdefault(name, list[str]())
        if isinstance(there, list):
            there.append(text)  # type: ignore[arg-type]  # lists made here hold texts

    def _has(self, size: int) -> bool:
        if self.at + size > len(self.octets):
            self.defect = self.defect or "message cut short"
        return not self.defect

    def _data(self, kind: int, size: int) -> str:
        at, octets = self.at, self.octets
        if (kind, size) == (DnsType.A, 4):
            return str(Ip4(number_at(octets, at, 4)))
        if (kind, size) == (DnsType.AAAA, 16):
            return str(Ip6(number_at(octets, at, 16)))
        before = _NUMBERS_BEFORE.get(kind, size)
        if before < size:
            numbers = (number_at(octets, at + offset, 2) for offset in range(0, before, 2))
            return " ".join([*map(str, numbers), self._name_at(at + before)])
        if kind == DnsType.TXT:
            return _strings(octets[at : at + size])
        return f"{size} bytes"

    def _name_at(self, at: int) -> str:
        return self._read(at)[0]

    def _name(self) -> str:
        found, self.at = self._read(self.at)
        return found

    def _read(self, at: int) -> tuple[str, int]:
        found, end, defect = read_name(self.octets, at, self.base)
        self.expanded += len(found)
        if self.expanded > NAMES_MAX_CHARS:
            defect = defect or "names expand to more than a message may hold"
        self.defect = self.defect or defect
        return found, end


def read_name(octets: bytes, at: int, base: int) -> tuple[str, int, str]:
    """Return a name, the byte where it ends, and a defect if it has one.

    It starts at byte `at` of a message that starts at `base`. Labels are joined by dots; dots and
    backslashes in them, and what is not printable ASCII, are escaped (RFC 1035 section 5.1).
    """
    labels: list[str] = []
    end, jumps, size, limit = 0, 0, 0, len(octets)
    while at < limit:
        length = octets[at]
        if length >= _POINTER:
            target = base + (number_at(octets, at, 2) & 0x3FFF)
            end = end or at + 2
            jumps += 1
            if at + 2 > limit or target >= at or jumps > JUMPS_MAX:
                return ".".join(labels), min(end, limit), "bad pointer in a name"
            at = target
        elif length == 0:
            return ".".join(labels) or _ROOT, end or at + 1, ""
        else:
            size += length + 1
            if length > 63 or at + 1 + length > limit or size > NAME_MAX_OCTETS:
                return ".".join(labels), end or at, "bad label in a name"
            labels.append(_label(octets[at + 1 : at + 1 + length]))
            at += 1 + length
    return ".".join(labels), end or limit, "name cut short"


def _label(octets: bytes) -> str:
    return "".join(
        chr(each) if 32 < each < 127 and each not in b".\\" else f"\\{each:03d}" for each in octets
    )


def _strings(octets: bytes) -> str:
    """Return the strings of a TXT record, quoted."""
    found, at = [], 0
    while at < len(octets):
        found.append('"' + text_of(octets[at + 1 : at + 1 + octets[at]]) + '"')
        at += 1 + octets[at]
    return " ".join(found)
