from __future__ import annotations

from collections import Counter

import pytest

from portulan.errors import LimitError
from portulan.lab.scenario import bundled, load
from portulan.lab.truth import Expected, alive, describe, truth


def test_harbour_open_ports_are_its_services_that_no_rule_hides():
    found = [row for row in truth(load("harbour")) if row.state == "open"]
    assert Counter(row.addr.rsplit(".")[-1] for row in found) == {
        "10": 3, "11": 4, "12": 4, "13": 2, "14": 1, "15": 3, "16": 2,
    }
    assert Expected("10.77.0.12", 53, "udp", "open") in found


def test_every_tcp_port_of_every_living_target_has_one_row():
    rows = list(truth(load("harbour"), "1-50"))
    tcp = [(row.addr, row.port) for row in rows if row.protocol == "tcp"]
    assert len(tcp) == len(set(tcp)) == 7 * 50
    assert not any(row.addr in ("10.77.0.17", "10.77.0.1") for row in rows)


def test_a_host_that_is_down_is_listed_as_such():
    hosts = alive(load("harbour"))
    assert hosts["10.77.0.17"] is False and sum(hosts.values()) == 7


def test_a_rule_on_the_way_hides_what_is_behind_it():
    rows = {(row.addr, row.port): row.state for row in truth(load("router"), "23")}
    assert rows["10.82.1.2", 23] == "filtered"
    assert rows["10.82.0.2", 23] == rows["10.82.2.2", 23] == "open"


def test_anyip_every_address_has_its_rows():
    rows = list(truth(load("anyip16")))
    assert len({row.addr for row in rows}) == len(rows) == 65536
    assert {(row.port, row.state) for row in rows} == {(80, "open")}


def test_an_answer_sheet_too_long_is_refused_before_it_is_made():
    with pytest.raises(LimitError):
        list(truth(load("anyip16"), "1-1000"))


@pytest.mark.parametrize("name", bundled())
def test_the_map_names_every_host_and_service(name):
    plan = load(name)
    text = describe(plan)
    for host, spec in plan.hosts.items():
        assert host in text
        assert all(f"{s.port}/{s.protocol}" in text for s in spec.services)
