from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.target.hosts import TEXT_MAX, parse_host


@pytest.mark.parametrize(("text", "ranges"), [
    ("10.0.0.1", "10.0.0.1"),
    ("10.0.0.7/24", "10.0.0.0/24"),
    ("0.0.0.0/0", "0.0.0.0/0"),
    ("10.0.0.*", "10.0.0.0/24"),
    ("10.0.0.-", "10.0.0.0/24"),
    ("10.0.0.250-", "10.0.0.250-10.0.0.255"),
    ("10.0.0.-1", "10.0.0.0/31"),
    ("10.0.0.1-20", "10.0.0.1-10.0.0.20"),
    ("10.0.0.5-10.0.1.7", "10.0.0.5-10.0.1.7"),
    ("10.0.0-1.1,5,4", "10.0.0.1 10.0.0.4/31 10.0.1.1 10.0.1.4/31"),
    ("10-11.*.*.*", "10.0.0.0/7"),
    ("10.0,2.*.*", "10.0.0.0/16 10.2.0.0/16"),
    ("::1", "::1"),
    ("2001:db8::1:7/112", "2001:db8::1:0/112"),
    ("2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"),
    ("::ffff:10.0.0.1", "::ffff:a00:1"),
    ("[::1]/127", "::/127"),
])
def test_addresses_give_these_ranges(text, ranges):
    assert " ".join(map(str, parse_host(text).ranges)) == ranges


@pytest.mark.parametrize(("text", "name", "ports"), [
    ("Name.Example", "name.example", None),
    ("host_1.example.", "host_1.example.", None),
    ("bücher.example", "xn--bcher-kva.example", None),
    ("host:22,80", "host", "T:22,80"),
    ("host:U:53,T:1-3", "host", "T:1-3 U:53"),
    ("https://host:8443/x?y#z", "host", "T:8443"),
    ("https://user:word@host/", "host", "T:443"),
    ("ssh://host", "host", "T:22"),
    ("3com.example", "3com.example", None),
])
def test_names_and_urls_give_name_and_ports(text, name, ports):
    spec = parse_host(text)
    assert spec.name == name and not spec.ranges
    assert (str(spec.ports) if spec.ports else None) == ports


def test_address_with_ports_zone_or_prefix():
    assert str(parse_host("[2001:db8::1]:22").ports) == "T:22"
    assert str(parse_host("10.0.0.0/24:80").ports) == "T:80"
    assert str(parse_host("http://[::1]:81/").ports) == "T:81"
    assert parse_host("fe80::1%eth0").zone == "eth0"
    assert parse_host("[fe80::1%eth0]:22").zone == "eth0"
    assert parse_host("name/24").prefix == 24


def test_ports_without_prefix_go_to_the_given_protocols_but_urls_mean_tcp():
    both = ("tcp", "udp")
    assert str(parse_host("h:53", protocols=both).ports) == "T:53 U:53"
    assert str(parse_host("http://h:53", protocols=both).ports) == "T:53"


@pytest.mark.parametrize(("text", "says"), [
    ("10.0.0.300", "octet 300 is above 255"),
    ("10.0.0.0/33", "prefix length must be from 0 to 32"),
    ("10.0.0.0/", "prefix length"),
    ("10.0.0.9-3", "9-3 runs backwards"),
    ("10.0.0.9-10.0.0.3", "write 10.0.0.3-10.0.0.9"),
    ("10.0.0", "four octets"),
    ("1234", "four octets"),
    ("1.2.3.4.5", "four octets"),
    ("010.0.0.1", "leading zero"),
    ("10.0.0.1,,2", "write 1-20 or 1,5"),
    ("10.0.0.1-2/24", "not an IPv4 net"),
    ("10.0.0.1-10.0.0.2/24", "cannot have a prefix"),
    ("*.*.*.1", "131072 ranges"),
    ("0x7f.0x1", "neither an address nor a host name"),
    ("a..b", "neither an address nor a host name"),
    ("-rf", "neither an address nor a host name"),
    ("a b", "blanks"),
    ("a\x1b[2J", "control"),
    ("\u202eevil", "control"),
    ("x" * 254, "253 characters"),
    ("x" * 3000, "2048 characters"),
    ("", "2048 characters"),
    (":80", "253 characters"),
    ("host:", "no port"),
    ("host:70000", "no such port"),
    ("gopherx://h/", "unknown service"),
    ("2001:db8::/64", "/104"),
    ("::1-::ffff:ffff:ffff", "/104"),
    ("::2-::1", "write ::1-::2"),
    ("::1/129", "0 to 128"),
    ("dead:beef:1", "not an IPv6 address"),
    ("fe80::1%", "interface name"),
    ("fe80::/120%eth0", "prefix length"),
    ("fe80::1%eth0/120", "goes with one address"),
    ("[::1", "bracket"),
    ("[10.0.0.1]:80", "brackets"),
])
def test_wrong_text_says_what_where_and_what_to_do(text, says):
    with pytest.raises(UsageError) as caught:
        parse_host(text, where="hosts.txt:7")
    line = str(caught.value)
    assert line.startswith("hosts.txt:7: ") and says in line
    assert line.isprintable() and len(line) < 500


@given(st.one_of(
    st.text(max_size=60),
    st.text("0123456789.,-*/:[]%abfxn", max_size=40),
    st.from_regex(r"[0-9*,.-]{1,6}(\.[0-9*,-]{1,6}){3}(/[0-9]{1,3})?(:[0-9]{1,5})?"),
    st.from_regex(r"[a-z]{1,6}://[^ ]{0,30}", fullmatch=True),
    st.from_regex(r"\[?[0-9a-f:]{2,20}(%[a-z]{1,4})?\]?(/[0-9]{1,3})?", fullmatch=True),
))
def test_any_text_gives_a_target_or_usage_error(text):
    try:
        spec = parse_host(text)
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert len(text) <= TEXT_MAX
    assert bool(spec.name) != bool(spec.ranges)
    for item in spec.ranges:
        assert 0 <= item.start < item.stop <= 1 << (32 if item.family == 4 else 128)
