from __future__ import annotations

import pytest

from portulan.scan import payload_bodies as bodies


def parsed(octets):
    """Read one BER value; return (tag, content or list of values, rest)."""
    tag, size, at = octets[0], octets[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(octets[2:at], "big")
    assert len(octets) >= at + size
    body, inner = octets[at : at + size], []
    if not tag & 0x20:
        return tag, body, octets[at + size :]
    while body:
        *value, body = parsed(body)
        inner.append(tuple(value))
    return tag, inner, octets[at + size :]


@pytest.mark.parametrize("octets", [
    bodies.snmp_get(0), bodies.snmp_get(1), bodies.snmp_v3_discovery(), bodies.cldap_root(),
    bodies.kerberos_as_request(),
], ids=["v1", "v2c", "v3", "cldap", "kerberos"])
def test_ber_bodies_nest_without_rest(octets):
    _, inner, rest = parsed(octets)
    assert inner
    assert rest == b""


def test_snmp_asks_sysdescr_by_public():
    _, [version, community, (pdu, fields)], _ = parsed(bodies.snmp_get(1))
    assert (version, community, pdu) == ((2, b"\1"), (4, b"public"), 0xA0)
    [(_, [name, value])] = fields[3][1]
    assert (name, value) == ((6, bytes([0x2B, 6, 1, 2, 1, 1, 1, 0])), (5, b""))


@pytest.mark.parametrize(("value", "octets"), [
    (0, "020100"), (127, "02017f"), (128, "02020080"), (65_507, "020300ffe3"),
])
def test_integers_are_shortest_and_never_negative(value, octets):
    assert bodies.integer(value).hex() == octets


def test_long_value_has_a_long_length():
    assert bodies.ber(4, bytes(300))[:4].hex() == "0482012c"


@pytest.mark.parametrize(("octets", "at"), [(bodies.ike_v1(), 24), (bodies.ike_v2(), 24)])
def test_ike_lengths_lead_through_the_payloads_to_the_end(octets, at):
    assert int.from_bytes(octets[at : at + 4], "big") == len(octets)
    following, at = octets[16], 28
    while following:
        following, at = octets[at], at + int.from_bytes(octets[at + 2 : at + 4], "big")
    assert at == len(octets)


def test_dtls_and_l2tp_and_slp_say_their_own_length():
    hello, opening, service = bodies.dtls_hello(), bodies.l2tp_open(), bodies.slp_request()
    assert int.from_bytes(hello[11:13], "big") == len(hello) - 13
    assert int.from_bytes(hello[14:17], "big") == len(hello) - 25
    assert int.from_bytes(opening[2:4], "big") == len(opening)
    assert int.from_bytes(service[2:5], "big") == len(service)


def test_dns_query_has_one_question_to_its_end():
    assert bodies.dns_query("a.bc", 16, group=3).hex() == (
        "000000000001000000000000" "0161" "026263" "00" "0010" "0003")
    assert len(bodies.node_status()) == 50
