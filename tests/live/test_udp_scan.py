"""A UDP scan of the lab's name server, an echo service, and closed ports of a kernel."""

from __future__ import annotations

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import scan

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
