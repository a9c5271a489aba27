from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.record import Connection, Host, Note, Os, Port, Service
from portulan.store.findings import Findings, address_key, merge_hosts

from .samples import end_event, open_port, run_event

UP = Host(addr="10.0.0.1", state="up", reason="arp", mac="02:00:00:00:00:01", names=["a"])


def test_no_events_are_no_findings() -> None:
    found = Findings.of([])
    assert (found.run, found.end, found.hosts, found.ports, found.notes) == (None, None, {}, {}, [])


def test_later_host_completes_the_earlier() -> None:
    later = Host(addr="10.0.0.1", state="up", reason="syn-ack", vendor="Acme", rtt_us=5)
    assert Findings.of([UP, later]).hosts["10.0.0.1"] == Host(
        addr="10.0.0.1", state="up", reason="syn-ack", mac="02:00:00:00:00:01", names=["a"],
        vendor="Acme", rtt_us=5)


def test_rest_is_replaced_not_added() -> None:
    old = Host(addr="10.0.0.1", state="up", reason="", rest={"tcp": {"closed": 9, "filtered": 1}})
    new = Host(addr="10.0.0.1", state="up", reason="", rest={"tcp": {"closed": 10}})
    assert merge_hosts(old, new).rest == {"tcp": {"closed": 10}}
    assert merge_hosts(new, UP).rest == {"tcp": {"closed": 10}}


def test_last_event_of_a_port_wins_per_protocol() -> None:
    closed = Port(addr="10.0.0.1", port=53, protocol="tcp", state="closed", reason="reset")
    udp = Port(addr="10.0.0.1", port=53, protocol="udp", state="open", reason="udp-response")
    found = Findings.of([closed, udp, open_port(53)])
    assert found.ports == {
        ("10.0.0.1", 53, "tcp"): open_port(53), ("10.0.0.1", 53, "udp"): udp}


def test_each_kind_goes_to_its_table() -> None:
    service = Service(addr="10.0.0.1", port=1, protocol="tcp", name="http")
    system = Os(addr="10.0.0.1", family="Linux")
    note = Note(addr="10.0.0.1", text="says everything is open")
    found = Findings.of([run_event(), UP, service, system, note, note, end_event()])
    assert found.services == {("10.0.0.1", 1, "tcp"): service}
    assert (found.systems, found.notes) == ({"10.0.0.1": system}, [note, note])
    assert (found.run, found.end, found.hosts_up()) == (run_event(), end_event(), 1)


def test_resumed_run_is_open_again() -> None:
    found = Findings.of([run_event("a"), end_event(), run_event("b"), open_port(1)])
    assert (found.run, found.end) == (run_event("b"), None)


def test_open_ports_are_sorted_as_numbers() -> None:
    events = [open_port(80, "10.0.0.10"), open_port(443, "10.0.0.9"), open_port(8, "10.0.0.9")]
    closed = Port(addr="10.0.0.1", port=1, protocol="tcp", state="closed", reason="reset")
    assert [(port.addr, port.port) for port in Findings.of([*events, closed]).open_ports()] == [
        ("10.0.0.9", 8), ("10.0.0.9", 443), ("10.0.0.10", 80)]


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_keys_sort_as_ipv4_addresses_do(
    one: ipaddress.IPv4Address, two: ipaddress.IPv4Address
) -> None:
    assert (address_key(str(one)) < address_key(str(two))) == (one < two)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_keys_sort_as_ipv6_addresses_do(
    one: ipaddress.IPv6Address, two: ipaddress.IPv6Address
) -> None:
    assert (address_key(f"{one}%eth0") < address_key(str(two))) == (one < two)


@given(st.text())
def test_any_text_has_a_key_of_16_bytes(text: str) -> None:
    assert len(address_key(text)) == 16


@pytest.mark.parametrize("text", ["", "host", "1.2.3", "1.2.3.256", "1.2.3.x", "::g", "1..2.3"])
def test_nonsense_sorts_last(text: str) -> None:
    assert address_key(text) == b"\xff" * 16


def test_connections_are_kept_in_the_order_of_their_ends() -> None:
    ended = [
        Connection(client=f"10.0.0.1:{port}", local="10.0.0.2:80", protocol="tcp", started="",
                   elapsed_s=0.1, received=0, sent=0, closed="end")
        for port in (3, 1, 2)]
    assert Findings.of(ended).connections == ended
