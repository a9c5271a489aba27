from __future__ import annotations

import ipaddress
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.link.netlink import Answer, attribute
from portulan.link.routes import Entry, Routes, _entries, _hops, neighbours

NAMESPACE = f"ptl-routes-{os.getpid()}"

SETUP = """
link set lo up
link add va type veth peer name vap
link add vb type veth peer name vbp
link set va up
link set vap up
link set vb mtu 1400
link set vb up
link set vbp up
addr add 10.0.0.1/24 brd + dev va
addr add 10.1.0.1/16 dev vb
addr add 10.1.0.2/16 dev vb
addr add fd01::1/64 dev va nodad
addr add fd02::1/64 dev vb nodad
addr add 2001:db8::1/64 dev va nodad
route add default via 10.0.0.254
route add 10.2.0.0/16 via 10.1.0.9 dev vb
route add blackhole 10.2.3.0/24
route add unreachable 10.2.4.0/24
route add prohibit 10.2.5.0/24
route add throw 10.2.6.0/24
route add 10.2.7.0/24 dev vb src 10.1.0.2 mtu 1200
route add 172.16.0.0/12 via 10.1.0.9 dev vb metric 50
route add 172.16.0.0/12 via 10.0.0.9 dev va metric 10
route add 10.9.0.0/16 nexthop via 10.0.0.7 dev va nexthop via 10.1.0.7 dev vb
route add 10.8.0.0/16 via inet6 fd02::9 dev vb
route add local 10.79.0.0/16 dev lo
route add 10.3.128.0/17 via 10.1.0.33 dev vb table 100
route add default via fd01::fe dev va
route add fd03::/32 via fd02::9 dev vb
route add fd03:0:0:7::/64 dev va
route add unreachable fd03:0:0:8::/64
route add anycast fd05::5/128 dev va
route add blackhole fd03:0:0:9::/64
neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev va nud permanent
neigh add fd01::fe lladdr 02:00:00:00:00:fd dev va nud permanent
neigh add 10.0.0.33 dev va nud failed
"""

CHILD = """
import dataclasses, json, sys
from portulan.link.routes import Routes, neighbours
from portulan.errors import UsageError
routes = Routes.load()
def row(route):
    if route is None: return None
    held = dataclasses.asdict(route)
    return held | {"loopback": route.loopback, "on_link": route.on_link, "refused": route.refused}
work = json.load(sys.stdin)
def source(family, where):
    route = routes.lookup(where, family)
    return routes.source_for(route, where) if route else None
print(json.dumps({
    "lookup": [row(routes.lookup(where, family, interface=index))
               for family, where, index in work.get("lookup", [])],
    "ranges": [[(first, count, row(route)) for first, count, route in routes.lookup_ranges(*item)]
               for item in work.get("ranges", [])],
    "sources": [source(*item) for item in work.get("sources", [])],
    "neighbours": [(*key, mac.hex(":")) for key, mac in neighbours().items()],
    "entries": [dataclasses.asdict(entry) for entry in routes.entries],
}))
"""


def number(text: str) -> int:
    return int(ipaddress.ip_address(text))


def ip(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ip", "-n", NAMESPACE, *words], capture_output=True, text=True, check=False, **options,
    )


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    if not shutil.which("ip"):
        pytest.skip("needs iproute2's ip")
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("needs a kernel with IPv6")
    made = subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("needs CAP_NET_ADMIN and CAP_SYS_ADMIN to make a network namespace")
    try:
        # A router answers for its subnet's anycast address, fd01:: (RFC 4291 section 2.6.1).
        forward = "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
        subprocess.run(["ip", "netns", "exec", NAMESPACE, "sh", "-c", forward], check=True)
        for line in SETUP.strip().splitlines():
            family = ["-6"] if line.startswith("route add default via fd") else []
            done = ip(*family, *line.split())
            assert done.returncode == 0, (line, done.stderr)
        yield NAMESPACE
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def inside(name: str, **work: list[Any]) -> Any:
    done = subprocess.run(
        ["ip", "netns", "exec", name, sys.executable, "-c", CHILD],
        input=json.dumps(work), capture_output=True, text=True, check=True,
    )
    return json.loads(done.stdout)


def told(where: str) -> dict[str, Any] | None:
    done = ip("-j", "route", "get", where)
    return json.loads(done.stdout)[0] if done.returncode == 0 and done.stdout else None


def addresses() -> list[str]:
    """Edges of every prefix in the set-up, their outer neighbours, and some of the middle."""
    draw = random.Random(7)
    found = {"0.0.0.0", "8.8.8.8", "255.255.255.255", "127.0.0.1", "127.9.9.9", "10.0.0.255"}
    for word in SETUP.split():
        if "/" not in word or word.startswith("/"):
            continue
        net = ipaddress.ip_interface(word).network
        first, last = int(net[0]), int(net[-1])
        middle = [draw.randint(first, last) for _ in range(2)]
        for value in (first - 1, first, first + 1, last - 1, last, last + 1, *middle):
            found.add(str(type(net[0])(value)))
    return sorted(found)


def compare(name: str) -> int:
    """Compare each answer with `ip route get`, in the middle of stretches too."""
    asked = [where for where in addresses() if where.split(".")[0:2] != ["10", "9"]]
    numbers = [(4 if "." in where else 6, number(where), 0) for where in asked]
    answers = inside(name, lookup=numbers, sources=[(f, n) for f, n, _ in numbers])
    rows = zip(asked, answers["lookup"], answers["sources"], strict=True)
    for where, ours, source in rows:
        theirs = told(where)
        if theirs is None:
            assert ours is None or ours["refused"], (where, ours)
            continue
        assert ours is not None, (where, theirs)
        here = theirs.get("type") == "local"
        assert ours["interface"] == ("lo" if here else theirs["dev"]), (where, ours, theirs)
        assert ours["kind"] == theirs.get("type", "unicast"), (where, ours, theirs)
        gateway = theirs.get("gateway") or theirs.get("via", {}).get("host")
        assert ours["gateway"] == (number(gateway) if gateway else None), (where, ours, theirs)
        assert source == number(theirs["prefsrc"]), (where, ours, theirs)
    return len(asked)


@pytest.mark.live
def test_lookup_of_many_addresses_is_what_ip_says(namespace: str) -> None:
    assert compare(namespace) > 140


@pytest.mark.live
def test_lookup_with_policy_rules_is_what_ip_says(namespace: str) -> None:
    rules = [
        "to 10.3.0.0/16 lookup 100 pref 90", "to 10.4.4.0/24 unreachable pref 91",
        "from 10.1.0.2 lookup 100 pref 92",
    ]
    try:
        for rule in rules:
            assert ip("rule", "add", *rule.split()).returncode == 0
        compare(namespace)
        work = [[4, number("10.3.0.0"), 65536], [4, number("10.4.3.0"), 3 * 256]]
        policy, refused = inside(namespace, ranges=work)["ranges"]
    finally:
        for rule in rules:
            ip("rule", "del", *rule.split())
    assert [(count, route["gateway"], route["table"]) for _, count, route in policy] == [
        (32768, number("10.0.0.254"), 254), (32768, number("10.1.0.33"), 100),
    ]
    # A rule's "unreachable" gives ENETUNREACH, as if there were no route.
    assert [route and route["kind"] for _, _, route in refused] == ["unicast", None, "unicast"]


@pytest.mark.live
def test_lookup_ranges_over_several_routes_splits_at_their_edges(namespace: str) -> None:
    (found,) = inside(namespace, ranges=[[4, number("10.2.2.0"), 6 * 256]])["ranges"]
    shown = [
        (str(ipaddress.ip_address(first)), count, *((route["kind"], route["mtu"]) if route else ()))
        for first, count, route in found
    ]
    assert shown == [
        ("10.2.2.0", 256, "unicast", 1400),
        ("10.2.3.0", 256, "blackhole", 0),
        ("10.2.4.0", 256, "unreachable", 0),
        ("10.2.5.0", 256, "prohibit", 0),
        ("10.2.6.0", 256),  # "throw" leaves the table, past its default route too
        ("10.2.7.0", 256, "unicast", 1200),
    ]


@pytest.mark.live
def test_lookup_of_own_and_anyip_addresses_is_loopback(namespace: str) -> None:
    work = [(4, number(where), 0) for where in ("10.0.0.1", "10.79.3.4", "127.0.0.9")]
    work += [(6, number(where), 0) for where in ("::1", "fd02::1", "fd01::")]
    for route in inside(namespace, lookup=work)["lookup"]:
        assert (route["interface"], route["loopback"], route["on_link"]) == ("lo", True, False)


@pytest.mark.live
def test_lookup_of_an_anycast_route_by_hand_leaves_by_its_interface(namespace: str) -> None:
    (route,) = inside(namespace, lookup=[(6, number("fd05::5"), 0)])["lookup"]
    shown = (route["kind"], route["interface"], route["loopback"], route["on_link"])
    assert shown == ("anycast", "va", False, True)


@pytest.mark.live
def test_lookup_multicast_is_no_route(namespace: str) -> None:
    work = [(4, number("224.0.0.1"), 0), (6, number("ff02::1"), 0), (6, number("ff02::1"), 2)]
    assert inside(namespace, lookup=work)["lookup"] == [None] * 3


@pytest.mark.live
def test_lookup_link_local_uses_the_interface_asked_for(namespace: str) -> None:
    listing = {link["ifname"]: link["ifindex"] for link in json.loads(ip("-j", "link").stdout)}
    work = [(6, number("fe80::1234"), listing[name]) for name in ("va", "vb")]
    found = inside(namespace, lookup=work)["lookup"]
    assert [route["interface"] for route in found] == ["va", "vb"]
    assert all(route["on_link"] for route in found)


@pytest.mark.live
def test_lookup_bound_to_an_interface_leaves_by_it(namespace: str) -> None:
    index = next(
        link["ifindex"] for link in json.loads(ip("-j", "link").stdout) if link["ifname"] == "vb"
    )
    (route, nowhere) = inside(
        namespace, lookup=[(4, number("8.8.8.8"), index), (4, number("8.8.8.8"), 9999)],
    )["lookup"]
    assert route["interface"] == "vb"
    assert nowhere is None


@pytest.mark.live
def test_source_for_ipv6_follows_the_destination_within_a_route(namespace: str) -> None:
    asked = ["fd09::1", "2001:db8:9::1", "fd02::77", "fd03:0:0:7::1"]
    found = inside(namespace, sources=[(6, number(where)) for where in asked])["sources"]
    for where, source in zip(asked, found, strict=True):
        theirs = told(where)
        assert theirs is not None
        assert source == number(theirs["prefsrc"]), (where, theirs)
    assert found[0] != found[1]  # ULA and global leave by the same default route


@pytest.mark.live
def test_neighbours_hold_known_macs_only(namespace: str) -> None:
    found = {(where, family): mac for _, where, family, mac in inside(namespace)["neighbours"]}
    assert found[number("10.0.0.254"), 4] == "02:00:00:00:00:fe"
    assert found[number("fd01::fe"), 6] == "02:00:00:00:00:fd"
    assert (number("10.0.0.33"), 4) not in found


@pytest.mark.live
def test_entries_hold_both_paths_and_both_metrics(namespace: str) -> None:
    entries = inside(namespace)["entries"]
    paths = [e["interface"] for e in entries if e["destination"] == number("10.9.0.0")]
    metrics = [e["metric"] for e in entries if e["destination"] == number("172.16.0.0")]
    assert sorted(paths) == ["va", "vb"]
    assert sorted(metrics) == [10, 50]


def test_lookup_of_loopback_is_this_machine() -> None:
    routes = Routes.load()
    route = routes.lookup(0x7F000001)
    assert route is not None
    assert route.loopback
    assert not route.refused
    assert route.source == 0x7F000001
    assert routes.source_for(route, 0x7F000001) == 0x7F000001


def test_lookup_ranges_over_all_of_ipv4_has_no_gap_and_no_equal_neighbours() -> None:
    found = Routes.load().lookup_ranges(4, 0, 1 << 32)
    at = 0
    for first, count, _ in found:
        assert first == at
        at += count
    assert at == 1 << 32
    assert all(one[2] != two[2] for one, two in pairwise(found))


def test_lookup_ranges_of_nothing_is_nothing() -> None:
    assert Routes.load().lookup_ranges(4, 5, 0) == []


def test_lookup_link_local_without_interface_is_the_users_error() -> None:
    with pytest.raises(UsageError, match=r"fe80::1.*%"):
        Routes.load().lookup(number("fe80::1"), 6)


def test_neighbours_keys_are_index_address_family() -> None:
    for (index, _, family), mac in neighbours().items():
        assert index > 0
        assert family in (4, 6)
        assert len(mac) == 6


def entry(destination: int, prefix_length: int) -> Entry:
    return Entry(
        family=4, destination=destination, prefix_length=prefix_length, kind="unicast", table=254,
        metric=0, interface="x", index=1, gateway=None, gateway_family=0, source=None,
    )


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=20))
def test_edges_of_any_tables_bound_every_prefix(prefixes: list[tuple[int, int]]) -> None:
    nets = [(at >> (32 - length) << (32 - length), length) for at, length in prefixes]
    edges = Routes([], [entry(*net) for net in nets], [])._edges[4]
    assert edges == sorted(set(edges))
    assert (edges[0], edges[-1]) == (0, 1 << 32)
    for start, length in nets:
        assert start in edges
        assert start + (1 << (32 - length)) in edges


@given(st.binary(max_size=120))
def test_hops_of_any_bytes_end_without_error(data: bytes) -> None:
    assert len(_hops(Answer(bytes(12), {9: data}))) <= len(data) // 8 + 1


def test_entries_with_two_hops_make_two() -> None:
    hop = attribute(5, bytes([10, 0, 0, 7]))
    paths = b"".join(struct.pack("=HBBi", 8 + len(hop), 0, 0, index) + hop for index in (3, 4))
    header = struct.pack("=BBBBBBBBI", 2, 16, 0, 0, 254, 4, 0, 1, 0)
    found = _entries(Answer(header, {1: bytes([10, 9, 0, 0]), 9: paths}), {3: "va", 4: "vb"})
    assert [(each.interface, each.gateway) for each in found] == [
        ("va", 0x0A000007), ("vb", 0x0A000007),
    ]
