"""Services of the lab's hosts named by `-sV`, by packets and without any right."""

from __future__ import annotations

import json

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import PORTULAN, UNPRIVILEGED, scan

pytestmark = pytest.mark.live

SERVICES = {
    ("10.77.0.10", 22): "ssh", ("10.77.0.10", 80): "http", ("10.77.0.10", 443): "http",
    ("10.77.0.11", 21): "ftp", ("10.77.0.11", 25): "smtp", ("10.77.0.11", 110): "pop3",
    ("10.77.0.11", 143): "imap", ("10.77.0.12", 53): "domain", ("10.77.0.12", 7): "echo",
}


@pytest.mark.parametrize("prefix", [[], UNPRIVILEGED], ids=["by packets", "without rights"])
def test_services_of_the_lab_are_named(make_lab, prefix):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, "-sV", "-p", "7,21,22,25,53,80,110,143,443",
                 targets="10.77.0.10 10.77.0.11 10.77.0.12", prefix=prefix)
    assert found.code == 0, found.stderr
    named = {(e["addr"], e["port"]): e["name"] for e in found.of("service")}
    assert named == SERVICES
    inside = [event for event in found.of("service") if event.get("tls")]
    assert [event["port"] for event in inside] == [443]
    assert inside[0]["handshake"]["certificates"]
    assert found.events[-1]["type"] == "end"


def test_datagram_services_and_single_ports_are_named(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, "-sU", "-sV", "-p", "U:7,53,161", targets="10.77.0.12")
    assert {e["port"]: e["name"] for e in found.of("service")} == {7: "echo", 53: "domain"}
    done = lab.run([*PORTULAN, "banner", "10.77.0.10:22,23", "--json"], stdout=-1)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(e["type"], e["port"]) for e in events} == {("service", 22), ("port", 23)}
