"""A UDP scan of the lab's name server, an echo service, and closed ports of a kernel."""

from __future__ import annotations

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import UNPRIVILEGED, scan

pytestmark = pytest.mark.live


def test_services_are_open_and_the_kernel_s_refusals_closed(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, "-sU", "-p", "7,53,54,161", targets="10.77.0.12")
    assert found.code == 0, found.stderr
    asked = {("10.77.0.12", port): state for port, state in (
        (7, "open"), (53, "open"), (54, "closed"), (161, "closed"))}
    assert found.ports == asked
    proven = {event["port"]: event["reason"] for event in found.of("port")}
    assert proven[53] == proven[7] == "udp-response"
    assert all(len(event["frames"]) == 2 for event in found.of("port"))


@pytest.mark.parametrize("prefix", [[], UNPRIVILEGED], ids=["by packets", "without rights"])
def test_tcp_and_udp_of_both_families_in_one_command(make_lab, prefix):  # noqa: F811
    lab = make_lab("harbour")
    method = "-sTU" if prefix else "-sSU"
    found = scan(lab, method, "-p", "T:22,53,U:7,53-55", prefix=prefix,
                 targets="10.77.0.12 10.77.0.16 fd77::16")
    assert found.code == 0, found.stderr
    states = {(e["addr"], e["protocol"], e["port"]): e["state"] for e in found.of("port")}
    opened = {("10.77.0.12", "tcp", 53), ("10.77.0.12", "udp", 7), ("10.77.0.12", "udp", 53),
              ("10.77.0.16", "tcp", 22), ("fd77::16", "tcp", 22)}
    assert {key for key, state in states.items() if state == "open"} == opened
    assert {state for key, state in states.items() if key not in opened} == {"closed"}
    assert len(states) == 3 * (2 + 4)
    grades = {(e["protocol"], e["grade"]) for e in found.of("port") if e["state"] == "open"}
    assert grades == {("tcp", "handshake"), ("udp", "data")}
    assert found.of("end")[0]["hosts_up"] == 3
    assert found.of("run")[0]["method"] == ("connect+udp" if prefix else "syn+udp")
    if prefix:
        assert not any(e.get("frames") for e in found.of("port")), "sockets see no frames"


def test_refusal_of_a_firewall_is_filtered_without_rights_too(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, "-sU", "-p", "9,53", prefix=UNPRIVILEGED, targets="10.77.0.14")
    assert {(e["state"], e["reason"]) for e in found.of("port")} == {
        ("filtered", "admin-prohibited")}
