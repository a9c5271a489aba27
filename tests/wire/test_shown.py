from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire import DNS, TCP, UDP, IPv4, tcp_options
from portulan.wire.dissect import dissect
from portulan.wire.shown import (
    ROWS_MAX,
    Table,
    dissection_parts,
    packet_html,
    packet_text,
    tree,
    tree_html,
    value_text,
)
from portulan.wire.tcp import mss

HOSTILE = "<script>alert(1)</script>\x1b[2J"


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen, self.open = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_packet_being_made_is_filled_and_stars_what_was_given():
    text = packet_text(IPv4(dst="10.0.0.1") / TCP(dport=80) / b"xxx")
    assert "    ip.dst = 10.0.0.1  *\n" in text
    assert "    ip.total_length = 43\n" in text


def test_set_of_packets_shows_the_first_and_how_many():
    text = packet_text(IPv4(dst="10.0.0.0/28") / UDP(dport=(1, 5)))
    assert text.startswith("ip/udp, 80 packets")
    assert "ip.dst = 10.0.0.0 and 15 more  *" in text and "udp.dport = 1 and 4 more  *" in text


def test_options_are_told_apart_from_payload():
    text = packet_text(IPv4() / TCP() / tcp_options(mss(1460)) / b"x")
    assert "  options, 4 bytes: 020405b4\n  payload, 1 bytes: 78" in text


def test_long_payload_is_cut():
    assert packet_text(IPv4() / bytes(2000)).endswith("00…")


def test_hostile_name_is_harmless_as_text_and_as_html():
    octets = (IPv4() / UDP(dport=53) / DNS.query("a" * len(HOSTILE))).pack()
    octets = octets.replace(b"a" * len(HOSTILE), HOSTILE.encode())
    found = dissect(octets, 101)
    text = tree("x", dissection_parts(found))
    html = tree_html(HOSTILE, dissection_parts(found))
    assert "script" in text and "\x1b" not in text
    assert "script" not in Tags(html).seen and "<script" not in html


def test_html_of_a_packet_closes_what_it_opens():
    page = Tags(packet_html(IPv4() / UDP() / b"<b>"))
    assert not page.open and page.seen == {
        "div", "b", "details", "summary", "table", "tr", "th", "td", "p"}


@given(st.binary(max_size=80), st.sampled_from([1, 101, 113, 276, 127, 0]))
def test_any_octets_make_a_tree(octets, link_type):
    parts = list(dissection_parts(dissect(octets, link_type)))
    Tags(tree_html("h", iter(parts)))
    assert tree("h", iter(parts)).isprintable() or "\n" in tree("h", iter(parts))


def ports(count):
    mask = np.arange(count) % 2 == 1
    return np.ma.masked_array(np.arange(count, dtype=np.uint16), mask)


def test_short_table_has_every_row_and_nothing_for_a_missing_value():
    assert repr(Table({"tcp.dport": ports(2)})) == "tcp.dport\n0\n\n[2 rows]"


def test_long_table_shows_both_ends_and_the_count():
    lines = repr(Table({"tcp.dport": ports(5000)})).splitlines()
    assert len(lines) == ROWS_MAX + 3
    assert (lines[1], lines[-3], lines[-1]) == ("0", "4998", "[5,000 rows]")


def test_table_without_rows_or_columns_is_shown():
    assert repr(Table()) == "\n[0 rows]"
    assert repr(Table({"tcp.dport": ports(0)})) == "tcp.dport\n[0 rows]"


def test_table_of_hostile_texts_is_harmless():
    column = np.ma.masked_array(np.array([HOSTILE, "=" * 500], object), [False, False])
    table = Table({"dns.qname": column})
    assert "\x1b" not in repr(table) and max(map(len, repr(table).splitlines())) <= 60
    assert Tags(table._repr_html_()).seen == {"table", "tr", "th", "td"}


@pytest.mark.parametrize(("name", "value", "text"), [
    ("ip.protocol", 6, "6 (TCP)"), ("ip.protocol", 250, "250"), ("ip6.next_header", 58,
                                                                  "58 (ICMPV6)"),
    ("vlan.ethertype", 0x86DD, "0x86dd (IPV6)"), ("tcp.checksum", 7, "0x0007"),
    ("tcp.sport", 6, "6"), ("dns.a", ["1.2.3.4", "5.6.7.8"], "1.2.3.4, 5.6.7.8"),
    ("dns.qname", "a", "a"), ("ospf.type", 6, "6")])
def test_value_is_written_as_people_do(name, value, text):
    assert value_text(name, value) == text
