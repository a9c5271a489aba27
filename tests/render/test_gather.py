from __future__ import annotations

import pytest
from msgspec.structs import replace

from portulan.record import Host, Note, Port, Service
from portulan.render import renderer
from portulan.render.gather import address_key, gather

from .runs import END, KILLED, PATH, RUN, SMALL, opened


def test_host_named_twice_keeps_what_the_later_leaves_out():
    host = gather(SMALL).hosts[0]
    assert (host.addr, host.mac) == ("10.0.0.1", "52:54:00:12:34:56")
    assert host.rest["tcp"]["closed"] == 995


def test_ports_in_any_order_come_sorted_by_protocol_and_number():
    hosts = gather(SMALL).hosts
    assert [p.port for p in hosts[0].sorted_ports()] == [22, 80, 443]
    assert [p.protocol for p in hosts[1].sorted_ports()] == ["tcp", "udp"]


def test_port_told_twice_keeps_the_later():
    later = Port(addr="::1", port=1, protocol="tcp", state="closed", reason="reset")
    host = gather([opened("::1", 1), later]).hosts[0]
    assert host.sorted_ports() == [later]


@pytest.mark.parametrize(("state", "expected"), [("closed", "up"), ("filtered", "unknown")])
def test_port_without_host_event_is_up_only_if_something_answered(state, expected):
    port = Port(addr="10.0.0.9", port=1, protocol="tcp", state=state, reason="reset")
    assert gather([port]).hosts[0].state == expected


def test_host_event_after_ports_decides_the_state():
    events = [opened("10.0.0.9", 1), Host(addr="10.0.0.9", state="unknown", reason="user-set")]
    assert gather(events).hosts[0].state == "unknown"


def test_addresses_sort_by_value_with_nonsense_last():
    mixed = ["x", "::2", "10.0.0.10", "fe80::1%eth0", "10.0.0.9", "::1"]
    expected = ["10.0.0.9", "10.0.0.10", "::1", "::2", "fe80::1%eth0", "x"]
    assert sorted(mixed, key=address_key) == expected


def test_run_without_end_is_incomplete_and_counts_for_itself():
    found = gather(KILLED)
    assert (found.complete, found.hosts_up, found.open) == (False, 3, 4)


def test_resumed_run_forgets_the_earlier_end_and_keeps_the_first_start():
    again = replace(RUN, started="2026-11-22T00:00:00Z", resumes=1)
    found = gather([RUN, END, again])
    assert found.end is None
    assert found.run is not None
    assert (found.run.started, found.run.resumes) == (RUN.started, 1)


@pytest.mark.parametrize("started", ["", "yesterday", "2026-11-21T10:00:00"])
def test_start_that_cannot_be_read_is_none(started):
    assert gather([replace(RUN, started=started)]).started is None


def test_counts_add_listed_and_unlisted_ports():
    assert gather(SMALL).counts() == {
        "open": 4, "open|filtered": 1, "closed": 1994, "filtered": 1002,
    }


def test_open_ports_rank_by_hosts_then_by_number():
    ranked = [("tcp", 22, 2), ("tcp", 80, 1), ("tcp", 443, 1)]
    assert gather(SMALL).top_open(10) == ranked
    assert gather(SMALL).top_open(2) == ranked[:2]


def test_hops_belong_to_their_target_by_distance():
    (host,) = gather([*PATH, *PATH[:1]]).hosts
    assert (host.addr, list(host.path)) == ("10.0.0.2", [1, 2, 3, 4])


def test_counts_of_two_protocols_told_apart_are_kept_together():
    tcp = Host(addr="::1", state="up", reason="reset", rest={"tcp": {"closed": 9}})
    udp = Host(addr="::1", state="up", reason="reset", rest={"udp": {"closed": 4}})
    later = Host(addr="::1", state="up", reason="reset", rest={"tcp": {"closed": 8}})
    [host] = gather([tcp, udp, later]).hosts
    assert host.rest == {"tcp": {"closed": 8}, "udp": {"closed": 4}}


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".xml"])
def test_note_about_the_run_is_no_host_and_told_by_every_format(suffix):
    note = Note(addr="", text="10.9.0.1 left out: no <way>", level="warning")
    events = [*SMALL[:1], note, *SMALL[1:]]
    found = gather(events)
    assert [host.addr for host in found.hosts] == [host.addr for host in gather(SMALL).hosts]
    text = b"".join(
        part if isinstance(part, bytes) else part.encode() for part in renderer(suffix)(events)
    ).decode()
    assert "left out: no " in text
    assert "<way>" not in text or suffix == ".txt"


def test_open_is_graded_by_what_the_port_showed_and_a_service_is_the_most():
    ports = [opened("::1", 22), opened("::1", 80), Port(
        addr="::1", port=53, protocol="udp", state="open", reason="udp-response", grade="data")]
    ports[:2] = [replace(port, grade="handshake") for port in ports[:2]]
    [host] = gather([*ports, Service(addr="::1", port=22, protocol="tcp", name="ssh")]).hosts
    assert [host.grade(port) for port in ports] == ["protocol", "handshake", "data"]
    closed = Port(addr="::1", port=1, protocol="tcp", state="closed", reason="reset")
    assert not host.grade(closed)


def test_verdict_told_again_by_a_resumed_run_is_one_note():
    note = Note(addr="::1", text="a filter")
    [host] = gather([note, RUN, note, Note(addr="::1", text="another")]).hosts
    assert [each.text for each in host.notes] == ["a filter", "another"]
