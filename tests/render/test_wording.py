from __future__ import annotations

import pytest
from msgspec.structs import replace

from portulan.record import Os, Port, Service
from portulan.render import wording
from portulan.render.gather import gather

from .runs import END, KILLED, PATH, RUN, SMALL

PORT = Port(addr="::1", port=80, protocol="tcp", state="open", reason="syn-ack", frames=[3, 4])


@pytest.mark.parametrize(("us", "text"), [
    (0, ""), (-5, ""), (4, "0.00 ms"), (421, "0.42 ms"), (12503, "12.5 ms"), (250_400, "250 ms"),
    (3_000_000, "3000 ms"),
])
def test_round_trip_time_is_short(us, text):
    assert wording.rtt(us) == text


@pytest.mark.parametrize(("seconds", "text"), [
    (0.0, "0.00 s"), (0.871, "0.87 s"), (59.94, "59.9 s"), (59.99, "1 min 0 s"),
    (125, "2 min 5 s"), (3599.9, "1 h 0 min"), (11_040, "3 h 4 min"),
])
def test_duration_is_read_at_a_glance(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "1 s"), (3.4, "3 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (125.2, "2 min 5 s"),
])
def test_remaining_time_has_no_false_decimals(seconds, text):
    assert wording.remaining(seconds) == text


def test_plural_counts_with_thousands():
    assert wording.plural(1, "host") == "1 host"
    assert wording.plural(65536, "host") == "65,536 hosts"
    assert wording.plural(2, "address", "addresses") == "2 addresses"


def test_port_table_name_never_looks_like_a_finding():
    assert wording.service(PORT, None) == "http?"
    found = Service(addr="::1", port=80, protocol="tcp", name="ssh", product="x", tls=True)
    assert wording.service(PORT, found) == "ssh (TLS) x"


@pytest.mark.parametrize(("asked", "shown"), [
    ("T:1-1000", "1-1000"), ("22,80", "22,80"), ("T:22,80-1000 U:53", "923: T:22,80-1000 U:53"),
    ("T:22,80,100-120", "23: 22,80,100-120"), ("", ""), ("T:x,1", "x,1"),
])
def test_ports_asked_are_counted_where_that_helps(asked, shown):
    assert wording.ports(replace(RUN, ports=asked)) == shown


def test_port_groups_count_for_each_protocol():
    assert wording.port_groups("T:22,80-90 U:53,67-68 S:1") == [
        ("tcp", 12, "22,80-90"), ("udp", 3, "53,67-68"), ("sctp", 1, "1")]


def test_port_without_a_usual_service_has_no_guess():
    assert wording.guess(54321, "tcp") == ""


def test_system_names_its_vendor_once():
    assert wording.system(Os(addr="x", family="Linux", vendor="Debian", generation="6.x")) == (
        "Debian Linux 6.x")
    assert wording.system(Os(addr="x", family="IOS", product="Cisco IOS", vendor="Cisco")) == (
        "Cisco IOS")


def test_frames_are_listed_in_order():
    assert wording.frames(PORT) == "3,4"


def test_outcome_of_each_end():
    assert wording.outcome(gather(SMALL)) == "complete"
    assert "no end" in wording.outcome(gather(KILLED))
    failed = replace(END, reason="error", error="disk full")
    assert wording.outcome(gather([failed])) == "incomplete: stopped by an error: disk full"
    stopped = replace(END, reason="interrupted")
    assert wording.outcome(gather([stopped])) == "incomplete: interrupted"


def test_summary_says_who_when_how_and_how_well():
    rows = dict(wording.summary(gather(SMALL)))
    assert rows["Targets"] == "10.0.0.0/29, www.example.org"
    assert rows["Hosts"] == "3 up of 8"
    assert rows["Packets"] == "8,123 sent, 3,012 received, 0 dropped by the kernel"
    assert rows["Missed"] == "about 0.1 (0.0 to 1.2)"
    assert rows["Method"].startswith("SYN scan - CAP_NET_RAW")


def test_method_named_by_its_reason_is_not_said_twice():
    named = replace(RUN, method="connect", why="connect scan: no CAP_NET_RAW")
    assert wording.method(gather([named])) == "Connect scan: no CAP_NET_RAW"


def test_many_targets_are_counted():
    assert wording.shorten_list(list("abcde"), 3) == "a, b, c and 2 more"


def test_way_names_the_routers_and_ends_with_the_last_that_answered():
    (host,) = gather(PATH).hosts
    assert wording.path(host) == "192.0.2.1, *, 192.0.2.3"
    (host,) = gather([*PATH[:2], replace(PATH[1], ttl=3)]).hosts
    assert wording.path(host) == "192.0.2.1"
    (host,) = gather(PATH[3:]).hosts
    assert wording.path(host) == ""
