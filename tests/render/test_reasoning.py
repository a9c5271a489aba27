from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.record import Host, Os, Service
from portulan.render.exchange import Rung
from portulan.render.reasoning import explain_host, explain_port
from portulan.wire.arp import ARP
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import LinkType
from portulan.wire.icmp import ICMP
from portulan.wire.icmpv6 import ICMPv6
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.sctp import SCTP
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

from .exchanges import THEM, US, error_pair, ours, port, rung, tcp_pair, theirs, udp_probe

TCP_CASES = [
    ("open", "syn-ack", tcp_pair()),
    ("closed", "reset", tcp_pair(told="RA", told_seq=0)),
    ("unfiltered", "reset", tcp_pair("A", "R", ack=55, told_seq=55, told_ack=0)),
    ("closed", "reset", tcp_pair("F", "RA", told_ack=8)),
    ("closed", "reset", tcp_pair("", "RA", told_ack=7)),
    ("closed", "reset", tcp_pair("FPU", "RA", told_ack=8)),
    ("filtered", "host-unreach", error_pair(1, transport=TCP(sport=61_000, dport=80, flags="S"))),
    ("filtered", "port-unreach", error_pair(3, transport=TCP(sport=61_000, dport=80, flags="S"))),
]


@pytest.mark.parametrize(("state", "reason", "rungs"), TCP_CASES, ids=range(len(TCP_CASES)))
def test_true_exchange_bears_its_state_out_and_no_other(state, reason, rungs):
    found = explain_port(port(state, reason), rungs)
    assert found.proven, [claim for claim in found.claims if not claim.holds]
    assert found.claims[-1].text == f"so the state is {state}"
    for other in {"open", "closed", "filtered", "unfiltered"} - {state}:
        assert not explain_port(port(other, reason), rungs).proven


@pytest.mark.parametrize("rungs", [
    tcp_pair(told_ack=9),
    tcp_pair("A", "R", ack=55, told_seq=56),
    [tcp_pair()[0], rung(4, theirs(TCP(sport=81, dport=61_000, flags="SA", ack=8)))],
    [tcp_pair()[0],
     rung(4, theirs(TCP(sport=80, dport=61_000, flags="SA", ack=8), src="192.0.2.8"))],
    [tcp_pair()[0], rung(4, theirs(TCP(sport=80, dport=61_000, flags="SA", ack=8, checksum=1)))],
    [tcp_pair()[0], rung(4, theirs(TCP(sport=80, dport=61_000, flags="SA", ack=8)), ms=1)],
], ids=["wrong ack", "wrong reset", "other port", "other host", "wrong sum", "too early"])
def test_reply_that_does_not_fit_is_no_proof(rungs):
    assert not explain_port(port(), rungs).proven


def test_window_of_a_reset_counts_for_a_window_scan_only():
    rungs = tcp_pair("A", "R", ack=55, told_seq=55, told_ack=0, window=100)
    assert explain_port(port("open", "reset"), rungs, method="window").proven
    assert explain_port(port("unfiltered", "reset"), rungs, method="ack").proven


def test_datagram_from_the_port_proves_a_udp_service():
    rungs = [udp_probe(), rung(4, theirs(UDP(sport=80, dport=61_000) / b"hi"))]
    assert explain_port(port("open", "udp-response", "udp"), rungs).proven


@pytest.mark.parametrize(("code", "src", "state"), [
    (3, THEM, "closed"), (3, "192.0.2.254", "filtered"), (13, THEM, "filtered"),
])
def test_udp_port_is_closed_by_the_hosts_own_word_only(code, src, state):
    found = explain_port(port(state, "port-unreach", "udp"), error_pair(code, src=src))
    assert found.proven, found.claims
    itself = any("the host itself" in claim.text for claim in found.claims)
    assert itself == (src == THEM)


def test_error_about_another_packet_is_no_proof():
    other = ours(UDP(sport=61_001, dport=80) / b"hello").pack()
    rungs = [udp_probe(), rung(4, theirs(ICMP.unreachable(3, other[:28])))]
    assert not explain_port(port("closed", "port-unreach", "udp"), rungs).proven


def test_checksum_left_to_the_card_is_no_fault():
    reply = bytearray(tcp_pair()[1].octets)
    segment = bytes(reply[20:36]) + b"\0\0" + bytes(reply[38:])
    pseudo = sum(int.from_bytes(bytes(reply[at : at + 2]), "big") for at in range(12, 20, 2))
    partial = pseudo + 6 + len(segment)
    reply[36:38] = ((partial & 0xFFFF) + (partial >> 16)).to_bytes(2, "big")
    found = explain_port(port(), [tcp_pair()[0], Rung(4, 4_000_000, bytes(reply), LinkType.RAW)])
    assert found.proven
    assert any("network card" in claim.text for claim in found.claims)


def test_arp_answer_must_name_the_address_and_come_to_us():
    asked = Ethernet(dst=1, src=2) / ARP.request(sha=2, spa="10.0.0.1", tpa="10.0.0.2")
    host = Host(addr="10.0.0.2", state="up", reason="arp-response")

    def proven(reply):
        told = Ethernet(dst=2, src=3) / reply
        return explain_host(host, [
            rung(1, asked, link=LinkType.ETHERNET), rung(2, told, link=LinkType.ETHERNET)]).proven

    assert proven(ARP(operation=2, sha=3, spa="10.0.0.2", tha=2, tpa="10.0.0.1"))
    assert not proven(ARP(operation=2, sha=3, spa="10.0.0.3", tha=2, tpa="10.0.0.1"))
    assert not proven(ARP(operation=2, sha=3, spa="10.0.0.2", tha=9, tpa="10.0.0.1"))


@pytest.mark.parametrize(("hop_limit", "good"), [(255, True), (254, False)])
def test_neighbours_answer_must_not_have_crossed_a_router(hop_limit, good):
    asked = IPv6(src="fe80::1", dst="fe80::2", hop_limit=255) / ICMPv6.neighbour_solicitation(
        "fe80::2", mac=2)
    told = IPv6(src="fe80::2", dst="fe80::1", hop_limit=hop_limit) / (
        ICMPv6.neighbour_advertisement("fe80::2", mac=3))
    host = Host(addr="fe80::2", state="up", reason="nd-response")
    assert explain_host(host, [rung(1, asked), rung(2, told)]).proven == good


def test_echo_reply_must_repeat_our_numbers():
    host = Host(addr=THEM, state="up", reason="echo-reply")
    asked = rung(1, ours(ICMP.echo(id=7, seq=1)))
    for seq in (1, 2):
        found = explain_host(host, [asked, rung(2, theirs(ICMP.echo_reply(id=7, seq=seq)))])
        assert found.proven == (seq == 1)


def test_service_and_system_are_told_with_what_named_them():
    service = Service(addr=THEM, port=80, protocol="tcp", name="http", product="nginx",
                      version="1.22", rule="nginx", confidence=0.9, banner="HTTP/1.1\x1b[2J")
    found = explain_port(port(), [], service=service)
    assert found.named == (
        "Named: http nginx 1.22 (rule nginx, 90% sure), which said: HTTP/1.1\\x1b[2J")
    system = Os(addr=THEM, family="Linux", confidence=0.5, evidence=["window", "options"])
    host = explain_host(Host(addr=THEM, state="up", reason="reset"), [], systems=[system])
    assert host.named == "Named: Linux (50% sure), by: window, options"


def sctp(chunk):
    head = SCTP(sport=80, dport=61_000, tag=1)
    return [rung(3, ours(SCTP(sport=61_000, dport=80) / bytes([1, 0, 0, 4]))),
            rung(4, theirs(head / bytes([chunk, 0, 0, 4])))]


@pytest.mark.parametrize(("protocol", "rungs", "state", "reason"), [
    ("sctp", sctp(2), "open", "init-ack"),
    ("sctp", sctp(6), "closed", "abort"),
    ("sctp", error_pair(2), "closed", "proto-unreach"),
    ("sctp", error_pair(2, src="192.0.2.254"), "filtered", "proto-unreach"),
    ("ip", error_pair(2), "closed", "proto-unreach"),
    ("ip", error_pair(3), "open", "port-unreach"),
    ("ip", error_pair(13), "filtered", "admin-prohibited"),
    ("ip", tcp_pair(), "open", "proto-response"),
])
def test_sctp_and_protocols_are_judged_by_their_own_tables(protocol, rungs, state, reason):
    found = explain_port(port(state, reason, protocol), rungs)
    assert found.proven, [claim for claim in found.claims if not claim.holds]


@pytest.mark.parametrize(("mark", "good"), [(77, True), (78, False)])
def test_probe_without_content_is_known_by_its_mark(mark, good):
    probe = IPv4(src=US, dst=THEM, protocol=47, identification=77)
    quoted = IPv4(src=US, dst=THEM, protocol=47, identification=mark)
    rungs = [rung(3, probe / b""), rung(4, theirs(ICMP.unreachable(2, (quoted / b"").pack())))]
    assert explain_port(port("closed", "proto-unreach", "ip"), rungs).proven == good


def test_scan_of_several_protocols_names_the_one_of_the_port():
    found = explain_port(port("open|filtered", "no-response"), [], method="fin+udp")
    assert "FIN" in found.asked
    assert "datagram" in explain_port(
        port("open|filtered", "no-response", "udp"), [], method="fin+udp").asked


def test_packets_that_the_chart_names_and_the_evidence_lacks_are_missed():
    for rungs in ([], tcp_pair()[:1]):
        found = explain_port(port(frames=[3, 4]), rungs)
        assert not found.proven
        assert "packet 4" in found.claims[0].text or "packet 3, 4" in found.claims[0].text
    assert explain_port(port(frames=[3, 4]), tcp_pair()).proven


def test_without_packets_the_runs_method_says_what_was_sent():
    found = explain_port(port("open|filtered", "no-response"), [], method="fin")
    assert "FIN" in found.asked and not found.claims
    assert "silently drops" in found.why.text or "drops such a segment" in found.why.text


@given(st.lists(st.binary(max_size=90), max_size=3), st.sampled_from([
    LinkType.RAW, LinkType.ETHERNET]), st.sampled_from(["tcp", "udp", "sctp", "ip"]))
def test_any_octets_are_judged_without_a_fault(packets, link, protocol):
    rungs = [Rung(n, n, octets, link) for n, octets in enumerate(packets, 1)]
    for probe in ([], tcp_pair()[:1]):
        found = explain_port(port(protocol=protocol), [*probe, *rungs])
        assert isinstance(found.proven, bool)
