from __future__ import annotations

from portulan.drive import naming
from portulan.drive.naming import named_paths
from portulan.record import Hop


def path(target, *addrs):
    return [Hop(target=target, ttl=ttl, addr=addr, state="expired" if addr else "silent")
            for ttl, addr in enumerate(addrs, 1)]


def test_hops_get_names_in_order_and_each_address_is_asked_once(monkeypatch):
    asked = []

    def names(addresses, server):
        asked.extend(addresses)
        assert server == "there"
        return [(addr, f"r{addr[-1]}.example") for addr in addresses if addr != "192.0.2.3"]

    monkeypatch.setattr(naming, "reverse_names", names)
    paths = [path("a", "192.0.2.1", "", "192.0.2.1"), path("b", "192.0.2.1", "192.0.2.3")]
    found = [[hop.name for hop in hops] for hops in named_paths(paths, "there")]
    assert found == [["r1.example", "", "r1.example"], ["r1.example", ""]]
    assert asked == ["192.0.2.1", "192.0.2.3"]


def test_paths_are_taken_while_names_are_waited_for(monkeypatch):
    monkeypatch.setattr(naming, "reverse_names", lambda *_: [])
    taken = []

    def paths():
        for target in "abc":
            taken.append(target)
            yield path(target, "192.0.2.1")

    assert [hops[0].target for hops in named_paths(paths())] == ["a", "b", "c"]
    assert taken == ["a", "b", "c"]
