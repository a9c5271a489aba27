"""SCTP and IP protocol scans of the lab's kernels and of a small SCTP stack, beside nmap's."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest

from tests.lab.fixtures import harbour, make_lab  # noqa: F401

from .scanning import differences, nmaps, scan

pytestmark = pytest.mark.live

TWIN = {4: "10.77.0.16", 6: "fd77::16"}


@contextmanager
def sctp_on(lab, host, family, *ports):
    argv = [sys.executable, "-m", "tests.live.sctp_server", str(family), *map(str, ports)]
    with lab.exec(host, argv, stdin=-1, stdout=-1, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        yield
        server.stdin.close()


@pytest.mark.parametrize("family", [4, 6])
def test_sctp_ports_are_open_or_closed_as_their_stack_says_and_nmap_agrees(harbour, family):  # noqa: F811
    asked = ["-sY", "-p", "7,9,36412,38412", "-Pn"]
    target = TWIN[family]
    with sctp_on(harbour, "twin", family, 9, 36412):
        found = scan(harbour, *asked, targets=target)
        wanted = nmaps(harbour, *asked, targets=[target])
    assert found.code == 0, found.stderr
    assert found.ports == {
        (target, 7): "closed", (target, 9): "open", (target, 36412): "open",
        (target, 38412): "closed"}
    assert not differences(found.ports, wanted)
    assert {e["reason"] for e in found.of("port")} == {"init-ack", "abort"}
    assert all(len(e["frames"]) == 2 and e["protocol"] == "sctp" for e in found.of("port"))


def test_host_without_sctp_says_so_for_each_port(harbour):  # noqa: F811
    for target in TWIN.values():
        found = scan(harbour, "-sY", "-p", "7,9", targets=target)
        assert {e["reason"] for e in found.of("port")} == {"proto-unreach"}
        assert {*found.ports.values()} == {"closed"}


@pytest.mark.parametrize("family", [4, 6])
def test_protocols_are_as_nmap_finds_them(harbour, family):  # noqa: F811
    # Few closed ones: Linux sends six ICMP errors at once, then one a second.
    numbers = "1,2,6,17,47,132,200" if family == 4 else "1,6,17,47,58,132"
    target = TWIN[family]
    found = scan(harbour, "-sO", "-p", numbers, targets=target)
    assert found.code == 0, found.stderr
    wanted = nmaps(harbour, "-sO", "-p", numbers, targets=[target])
    assert len(found.ports) == len(numbers.split(","))
    assert found.ports == wanted
    proven = [e for e in found.of("port") if e["state"] in ("open", "closed")]
    assert all(len(e["frames"]) == 2 and e["protocol"] == "ip" for e in proven)


def test_extension_headers_of_ipv6_are_known_to_the_kernel(harbour):  # noqa: F811
    found = scan(harbour, "-sO", "-p", "0,43,44,60", targets=TWIN[6])
    assert found.ports == {(TWIN[6], number): "open" for number in (0, 43, 44, 60)}
