from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire import (
    ARP,
    DNS,
    ICMP,
    SCTP,
    TCP,
    UDP,
    VLAN,
    Ethernet,
    ICMPv6,
    IPv4,
    IPv6,
    tcp_options,
)
from portulan.wire.craft_text import LENGTH_MAX_CHARS, header_names, parse_packet, recipes
from portulan.wire.tcp import NOP, SACK_OK, mss, wscale

SAME = {
    'IPv4(dst="10.9.0.2")/TCP(dport=80, flags="S")/b"hello"':
        IPv4(dst="10.9.0.2") / TCP(dport=80, flags="S") / b"hello",
    ' Ethernet / VLAN(id=7) /ARP.who_has("10.9.0.2")':
        Ethernet() / VLAN(id=7) / ARP.who_has("10.9.0.2"),
    'IPv4()/ICMP.echo(id=7, seq=1)/"한국"': IPv4() / ICMP.echo(id=7, seq=1) / "한국".encode(),
    'IPv6(src="::1", dst="::1")/ICMPv6.neighbour_solicitation("::2", mac="02:00:00:00:00:01")':
        IPv6(src="::1", dst="::1") / ICMPv6.neighbour_solicitation("::2", mac="02:00:00:00:00:01"),
    'IPv4()/TCP()/tcp_options(mss(1460), SACK_OK, NOP, wscale(7))':
        IPv4() / TCP() / tcp_options(mss(1460), SACK_OK, NOP, wscale(7)),
    'IPv4()/ICMP.unreachable(3, IPv4()/UDP())':
        IPv4() / ICMP.unreachable(3, (IPv4() / UDP()).pack()),
    'IPv4()/UDP()/DNS.query("a.example", "MX", id=9)':
        IPv4() / UDP() / DNS.query("a.example", "MX", id=9),
    'IPv4()/SCTP(sport=0x10)/(b"x" * 3)/hex("00 ff")': IPv4() / SCTP(sport=16) / b"xxx\0\xff",
    'IPv4(ttl=1)/\nbytes.fromhex("00")': IPv4(ttl=1) / b"\0",
}


@pytest.mark.parametrize("text", SAME)
def test_text_makes_the_packet_that_python_makes(text):
    assert parse_packet(text) == SAME[text]


def test_set_in_text_is_the_set():
    packet = parse_packet('IPv4(dst="10.9.0.0/28")/TCP(dport=[80, (90, 92)])')
    assert len(packet[IPv4].sets["dst"]) == 16
    assert len(packet[TCP].sets["dport"]) == 4


@pytest.mark.parametrize(("text", "said"), [
    ('Tcp(dport=3)', "column 1: no such header: 'Tcp' - did you mean TCP?"),
    ('IPv4(dst="10.9.0.1", tttl=3)', "column 22: IPv4 has no field tttl"),
    ('IPv4()/TCP(dport=70000)', "column 18: does not fit 16 bits"),
    ('IPv4(dst="1.2.3.400")', "column 10: not an IPv4 address"),
    ('  IPv4()/Foo()', "column 10: no such header"),
    ('IPv4()/"한국"/Foo()', "column 13: no such header"),
    ('IPv4()/\nFoo()', "column 9: no such header"),
    ('IPv4()/ICMP.ech()', "column 8: ICMP has no ech"),
    ('IPv4()/ICMP.parse(b"")', "column 8: ICMP has no parse"),
    ('IPv4("10.0.0.1")', "column 6: fields are given by name"),
    ('IPv4(', "column 5"), ('', "column 1"), ('IPv4()//TCP()', "not allowed"),
    ('b"x"/IPv4()', "begins with a header"), ('(1, 2)', "not a layer"),
    ('IPv4(**{"ttl": 3})', "write name=value"), ('IPv4(ttl=1.5)', "not allowed"),
    ('IPv4()/(b"x" * 99999)', "more than 65535 bytes"),
    ('IPv4()/(b"x" * b"y")', "only octets are multiplied"),
    ('__import__("os").system("true")', "cannot be called"),
    ('IPv4()/open("x")', "no such header: 'open'"),
    ('IPv4.__subclasses__()', "has no __subclasses__"),
    ('IPv4()/TCP().fill(1)', "cannot be called"), ('IPv4(ttl=(lambda: 1)())', "cannot be called"),
    ('IPv4(ttl=[x for x in (1, 2)])', "not allowed"), ('IPv4()/f"{1}"', "not allowed"),
    ('IPv4()/tcp_options(mss(99999))', "does not fit"), ('IPv4()/hex("0g")', "non-hexadecimal"),
    ('IPv4()/ICMP.echo(idd=1)', "idd"), ('IPv4(ttl=1, ttl=2)', "column 17: ttl is given twice"),
])
def test_text_that_is_no_packet_is_refused_with_its_place(text, said):
    with pytest.raises(UsageError) as caught:
        parse_packet(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith("packet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [
    "(" * 5000, "IPv4()" + "/IPv4()" * 5000, "IPv4(ttl=" + "-" * 5000 + "1)", "IPv4()\0",
    "x" * (LENGTH_MAX_CHARS + 1), "IPv4(ttl=" + "[" * 90 + "]" * 90 + ")",
])
def test_monstrous_text_is_refused(text):
    with pytest.raises(UsageError):
        parse_packet(text)


@given(st.one_of(st.text(max_size=40), st.text("IPv4()/TCP(dport=1,.'\"[b]*-:{}", max_size=40)))
def test_any_text_is_a_packet_or_one_clear_line(text):
    try:
        parse_packet(text)
    except UsageError as error:
        assert "\n" not in str(error)


def test_every_header_can_be_named():
    assert {"Ethernet", "ARP", "IPv4", "IPv6", "TCP", "UDP", "ICMP", "ICMPv6", "DNS", "SCTP",
            "GRE", "DHCP"} <= set(header_names())
    assert recipes(ARP) == ["request", "who_has", "is_at"]


def test_name_that_is_no_domain_is_refused():
    for wrong in ("a" * 64, "a..b", ".".join(["a" * 63] * 5)):
        with pytest.raises(UsageError, match="not a domain name"):
            DNS.query(wrong)
    with pytest.raises(UsageError, match="kind of record"):
        DNS.query("a.example", "nonsense")
    assert DNS.query(".").pack()[12:] == b"\0\0\1\0\1"


@pytest.mark.parametrize(("name", "meant"), [
    ("IP", "IPv4"), ("Ether", "Ethernet"), ("Dot1Q", "VLAN"), ("tcp", "TCP")])
def test_name_of_another_tool_gets_ours_as_a_hint(name, meant):
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        parse_packet(f"{name}()")


def test_warning_of_python_about_a_text_is_not_shown():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(UsageError):
            parse_packet("TCP(dport=1and 2)")
    assert not seen
