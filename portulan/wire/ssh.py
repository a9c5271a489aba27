"""SSH: the greeting, and what both sides offer for the key exchange."""

from __future__ import annotations

from functools import partial

from portulan.wire.fingerprint import hassh
from portulan.wire.header import Header
from portulan.wire.inside import Inside, Lazy, Told, Value, number_at, text_of

GREETING_MAX_OCTETS = 255
"""RFC 4253 section 4.2, line end included."""
PACKET_MAX_OCTETS = 35_000
"""RFC 4253 section 6.1: more is no packet."""
_KEXINIT = 20
_LISTS_AT = 22
"""Length, padding length, message number and cookie come before the lists."""
_LISTS = (
    "kex", "host_keys", "ciphers_client", "ciphers_server", "macs_client", "macs_server",
    "compression_client", "compression_server",
)
_CLIENT_MARKS = ("ext-info-c", "kex-strict-c-v00@openssh.com")
_SERVER_MARKS = ("ext-info-s", "kex-strict-s-v00@openssh.com")


class SSH(Header, tcp=22, anywhere=True):
    """The greeting of SSH (RFC 4253 section 4.2) and KEXINIT; it has no fixed octets.

    Either side's offer looks alike but for the marks that newer programs put into it (RFC 8308);
    without a mark both fingerprints are told, and the packet's direction says which one counts.
    """

    version = Told("of the protocol; 2.0")
    software = Told("who greets")
    comment = Told("what the software adds")
    kex = Told("key exchange methods that the sender offers", list)
    host_keys = Told("host key algorithms that the sender offers", list)
    ciphers_client = Told("ciphers offered for client to server", list)
    ciphers_server = Told("ciphers offered for server to client", list)
    macs_client = Told("message authentication offered for client to server", list)
    macs_server = Told("message authentication offered for server to client", list)
    compression_client = Told("compression offered for client to server", list)
    compression_server = Told("compression offered for server to client", list)
    hassh = Told("fingerprint of the client's offer")
    hassh_server = Told("fingerprint of the server's offer")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a greeting or an offer begins here."""
        return octets.startswith(b"SSH-", at, end) or _offers(octets, at, end)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell version and software, or what is offered."""
        if _offers(octets, at, end):
            return _offer(octets, at, end)
        line, ended, _ = octets[at : min(end, at + GREETING_MAX_OCTETS)].partition(b"\n")
        greeting, _, comment = text_of(line.rstrip(b"\r")).partition(" ")
        _, version, software = [*greeting.split("-", 2), "", ""][:3]
        told = {"version": version, "software": software, "comment": comment}
        defect = "" if ended else "the greeting does not end"
        stop = min(at + len(line) + len(ended), end)
        more = SSH if _offers(octets, stop, end) else None
        return Inside(stop, end, more, told=told, brief=f"SSH {greeting}", defect=defect)


def _offers(octets: bytes, at: int, end: int) -> bool:
    """Say whether KEXINIT begins here: not many other streams have 20 at their sixth octet."""
    if end - at < _LISTS_AT + 5 or octets[at + 5] != _KEXINIT:
        return False
    size, padding = number_at(octets, at, 4), octets[at + 4]
    first = number_at(octets, at + _LISTS_AT, 4)
    return (
        _LISTS_AT < size <= PACKET_MAX_OCTETS and padding >= 4 and 0 < first < size
        and chr(octets[at + _LISTS_AT + 4]).isprintable()
    )


def _offer(octets: bytes, at: int, end: int) -> Inside:
    size = number_at(octets, at, 4)
    stop = at + 4 + size
    where, last = at + _LISTS_AT, min(stop - octets[at + 4], end)
    told: dict[str, Value] = {}
    joined: dict[str, str] = {}
    defect = "" if stop <= end else f"packet of {size} bytes is not whole in this segment"
    for name in _LISTS:
        length = number_at(octets[:last], where, 4)
        if where + 4 + length > last:
            return Inside(min(stop, end), end, told=told, brief="SSH offer",
                          defect=defect or f"list {name} of {length} bytes is cut short")
        joined[name] = octets[where + 4 : where + 4 + length].decode("latin-1")
        told[name] = [text_of(each) for each in octets[where + 4 : where + 4 + length].split(b",")]
        where += 4 + length
    sides = _sides(joined["kex"].split(","))
    made = {
        "hassh" if side == "client" else "hassh_server": partial(_hassh, joined, side)
        for side in sides
    }
    brief = f"SSH {' or '.join(sides)} offer"
    return Inside(min(stop, end), end, told=Lazy(told, made), brief=brief, defect=defect)


def _sides(methods: list[str]) -> tuple[str, ...]:
    if any(mark in methods for mark in _CLIENT_MARKS):
        return ("client",)
    if any(mark in methods for mark in _SERVER_MARKS):
        return ("server",)
    return ("client", "server")


def _hassh(joined: dict[str, str], side: str) -> str:
    return hassh([joined["kex"], *(
        joined[f"{name}_{side}"] for name in ("ciphers", "macs", "compression"))])
