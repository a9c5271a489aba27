from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.target.hosts import Word, parse_host
from portulan.target.ports import PortSet, parse_ports
from portulan.target.targets import parse_targets, read_lines

PORTS = parse_ports("1-3")
NAMES = {
    "web.example": ["2001:db8::7", "192.0.2.7", "192.0.2.8"],
    "six.example": ["2001:db8::9"],
    "odd.example": ["192.0.2.7; rm"],
}


def parse(*specs, **options):
    options = {"ports": PORTS, "resolve": lambda name: NAMES.get(name, []), **options}
    return parse_targets(specs, **options)


def shown(targets):
    return [f"{block.range} {block.ports}" for block in targets.blocks]


def probes(targets):
    return Counter(
        (block.range.family, number, key) for block in targets.blocks
        for number in range(block.range.start, block.range.stop) for key in block.ports.packed())


texts = st.builds(
    lambda low, span, ports: f"10.0.0.{low}-{min(low + span, 255)}{ports}",
    st.integers(0, 40), st.integers(0, 30), st.sampled_from(["", "", ":2,5", ":U:53", ":1-3"]))


def meant(specs, ports):
    found = set()
    for text in specs:
        spec = parse_host(text)
        for item in spec.ranges:
            found |= {(item.family, number, key) for number in range(item.start, item.stop)
                      for key in (spec.ports or ports).packed()}
    return found


@given(st.lists(texts, min_size=1, max_size=6), st.lists(texts, max_size=4))
def test_overlaps_give_each_probe_once_and_exclusions_win(specs, exclude):
    holes = {
        (family, number, key) for text in exclude
        for family, number, key in meant(
            [text], PortSet.of(tcp=range(1, 6), udp=[53]))}
    wanted = meant(specs, PORTS) - holes
    try:
        targets = parse(*specs, exclude=exclude)
    except UsageError:
        assert not wanted
        return
    found = probes(targets)
    assert set(found) == wanted and set(found.values()) <= {1}
    assert targets.probe_count == len(wanted)
    assert targets.host_count == len({number for _, number, _ in wanted})


def test_overlap_is_split_and_its_ports_united():
    assert shown(parse("10.0.0.0/30", "10.0.0.2-5:80")) == [
        "10.0.0.0/31 T:1-3", "10.0.0.2/31 T:1-3,80", "10.0.0.4/31 T:80"]


def test_neighbours_with_equal_ports_are_one_block():
    assert shown(parse("10.0.0.0/25", "10.0.0.128/25:1-3", "10.0.0.5")) == ["10.0.0.0/24 T:1-3"]


def test_name_means_its_first_ipv4_address_and_keeps_its_name():
    targets = parse("WEB.example", "web.example:22")
    assert shown(targets) == ["192.0.2.7 T:1-3,22"]
    assert list(targets.names.values()) == [("web.example",)]
    assert targets.unused == {"web.example": ("192.0.2.8", "2001:db8::7")}


def test_family_chooses_addresses_of_names_and_refuses_others():
    assert shown(parse("web.example", family=6)) == ["2001:db8::7 T:1-3"]
    with pytest.raises(UsageError, match="leave it or -6 out"):
        parse("10.0.0.1", family=6)
    with pytest.raises(UsageError, match="no IPv4 address"):
        parse("six.example", family=4)


def test_excluded_name_excludes_all_its_addresses():
    targets = parse("192.0.2.6-9", "2001:db8::7-2001:db8::8", exclude=["web.example"])
    assert shown(targets) == ["192.0.2.6 T:1-3", "192.0.2.9 T:1-3", "2001:db8::8 T:1-3"]


def test_excluded_port_leaves_the_host():
    assert shown(parse("10.0.0.0/31", exclude=["10.0.0.1:2"])) == [
        "10.0.0.0 T:1-3", "10.0.0.1 T:1,3"]


def test_net_around_a_name():
    assert shown(parse("web.example/30")) == ["192.0.2.4/30 T:1-3"]
    with pytest.raises(UsageError, match="/104"):
        parse("six.example/64")


def test_zone_is_kept_and_two_are_refused():
    assert list(parse("fe80::1%eth0").zones.values()) == ["eth0"]
    with pytest.raises(UsageError, match="two interfaces"):
        parse("fe80::1%eth0", "fe80::1%eth1")


def test_a_name_is_resolved_once():
    asked = []
    parse("a.example:1", "a.example:2", exclude=["b.example"],
          resolve=lambda name: asked.append(name) or [f"10.0.0.{len(asked)}"])
    assert asked == ["a.example", "b.example"]


@pytest.mark.parametrize(("specs", "exclude", "says"), [
    ([], [], "no target"),
    (["10.0.0.1"], ["10.0.0.0/8"], "every target is excluded"),
    (["nope.example"], [], "no address is known"),
    (["odd.example"], [], "the resolver gave no address"),
    (["10.0.0.1"], ["10.0.0.300"], "--exclude: octet 300"),
    ([Word("10.0.0.300", "hosts.txt:3")], [], "hosts.txt:3: octet 300"),
])
def test_wrong_targets_say_why(specs, exclude, says):
    with pytest.raises(UsageError, match=says):
        parse(*specs, exclude=exclude)


def test_no_port_at_all_is_said():
    with pytest.raises(UsageError, match="no port to ask"):
        parse("10.0.0.1", ports=PortSet())


def test_lines_know_their_place():
    words = read_lines("10.0.0.1 a # comment\r\n\n# b\n\tc#d", "list")
    assert words == [Word("10.0.0.1", "list:1"), Word("a", "list:1"), Word("c", "list:4")]


def test_empty_file_is_said():
    with pytest.raises(UsageError, match="list: no target"):
        parse(*read_lines("# nothing\n", "list"), where="list")
