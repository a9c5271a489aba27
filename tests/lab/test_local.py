from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.lab.local import first_unprivileged_port, localize
from portulan.lab.scenario import load
from portulan.lab.truth import truth


def test_harbour_for_anybody_keeps_services_and_shifts_low_ports():
    plan = localize(load("harbour"))
    web = plan.hosts["web"]
    assert web.addresses == ("127.77.0.10",)
    assert [service.port for service in web.services] == [8022, 8080, 8443]
    assert plan.targets[0] == "127.77.0.10" and "127.77.0.17" not in plan.targets
    assert plan.ports == "1024,3000,8000-9023"


def test_harbour_with_the_right_to_low_ports_keeps_them():
    plan = localize(load("harbour"), first_port=1)
    assert [service.port for service in plan.hosts["web"].services] == [22, 80, 443]


def test_no_firewall_stands_in_a_local_truth():
    assert {row.state for row in truth(localize(load("harbour")))} == {"open", "closed"}


def test_two_ports_never_fall_on_one():
    for name in ("harbour", "firewalls", "router"):
        for host in localize(load(name)).hosts.values():
            keys = [(service.port, service.protocol) for service in host.services]
            assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", ["anyip16", "lossy", "ipv6"])
def test_a_scenario_that_loopback_cannot_hold_is_refused(name):
    with pytest.raises(UsageError, match="needs network namespaces"):
        localize(load(name))


def test_first_unprivileged_port_is_a_port():
    assert 0 <= first_unprivileged_port() <= 65535
