from __future__ import annotations

import pytest

import portulan
from portulan.errors import UsageError


@pytest.mark.parametrize("manner", ["udp", "tcp"])
def test_paths_are_hops_by_address(manner):
    paths = portulan.trace("127.0.0.1 127.0.0.2", manner=manner, queries=1)
    assert sorted(paths) == ["127.0.0.1", "127.0.0.2"]
    assert [hop.state for hop in paths["127.0.0.2"]] == ["reached"]


def test_names_are_asked_at_the_given_server(monkeypatch):
    monkeypatch.setattr("portulan.drive.naming.reverse_names",
                        lambda addresses, server: [(addr, server) for addr in addresses])
    (hop,) = portulan.trace("127.0.0.1", queries=1, server="192.0.2.53")["127.0.0.1"]
    assert hop.name == "192.0.2.53"


def test_name_without_an_address_is_refused():
    with pytest.raises(UsageError):
        portulan.trace("999.0.0.1")
