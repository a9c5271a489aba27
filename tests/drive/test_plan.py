from __future__ import annotations

import pytest

from portulan.drive.outline import describe
from portulan.drive.plan import ScopeNeeded, fingerprint, make_plan, take_aim
from portulan.drive.request import (
    PUBLIC_MAX,
    RATE_PRIVATE_PPS,
    RATE_PUBLIC_PPS,
    Request,
)
from portulan.drive.ways import Unreached, Way, Ways
from portulan.errors import PrivilegeError, UsageError
from portulan.link.rights import Rights
from portulan.scan.pace import TIMING
from portulan.target.permutation import Shard
from portulan.target.ranges import Range
from portulan.target.space import Space

NAMES = {"two.example": ["10.0.0.7", "10.0.0.8"]}


def rights(raw=True, packet=True):
    return Rights(
        net_raw=raw, net_admin=False, net_bind_service=False, packet_sockets=packet,
        ping_sockets=False, ping_groups=(1, 0), files_soft=1024, files_hard=1024,
        unprivileged_port_start=1024, ephemeral_ports=(32768, 60999), foreign_network=False,
        net_raw_bounded=False, no_new_privileges=False, interpreter="/usr/bin/python3",
        interpreter_nosuid=False)


def aim(*targets, **words):
    request = Request(targets=[(text, "target") for text in targets], **words)
    return take_aim(request, lambda name: NAMES.get(name, []))


def ways_to(it, kind="routed", **words):
    return Ways(tuple(Way(item, "eth9", 9, kind, 1, **words) for item in it.targets.ranges))


REFUSED = {
    "rate below zero": (["10.0.0.1"], {"max_rate": -1.0}, "--max-rate"),
    "rate without end": (["10.0.0.1"], {"max_rate": float("inf")}, "--max-rate"),
    "rate no number": (["10.0.0.1"], {"max_rate": float("nan")}, "--max-rate"),
    "retries": (["10.0.0.1"], {"retries": 16}, "0 to 15"),
    "timing": (["10.0.0.1"], {"timing": 6}, "-T"),
    "contact": (["10.0.0.1"], {"contact": "\u00e9" * 101}, "200 bytes"),
    "udp": (["10.0.0.1"], {"ports": "U:53"}, "TCP"),
    "sctp": (["10.0.0.1"], {"ports": "S:53,T:1"}, "TCP"),
    "tcp in a UDP scan": (["10.0.0.1"], {"ports": "53,T:1", "method": "udp"}, "-sS"),
    "protocol 256": (["10.0.0.1"], {"ports": "256", "method": "protocols"}, "255"),
    "hosts and ports": (["10.0.0.1"], {"method": "ping", "also": ["udp"]}, "alone"),
    "two ways to ask TCP": (["10.0.0.1"], {"method": "syn", "also": ["ack"]}, "same protocol"),
    "port": (["10.0.0.1"], {"ports": "70000"}, "70000"),
    "nobody": ([], {}, "no target"),
    "multicast": (["10.0.0.1", "239.1.1.1"], {}, "239.1.1.1"),
    "multicast 6": (["ff02::1"], {}, "ff02::1"),
    "broadcast": (["255.255.255.255"], {}, "broadcast"),
    "reserved": (["240.0.0.1"], {}, "240.0.0.1"),
    "unspecified": (["::"], {}, "unspecified"),
    "shard": (["10.0.0.1"], {"shard": "3/2"}, "--shard"),
    "scope": (["10.0.0.1"], {"scope": "allow 10.1.0.0/16\n", "scope_where": "s.txt"}, "10.0.0.1"),
    "scope in part": (["10.1.255.0/23"], {"scope": "allow 10.1.0.0/16\ndeny 10.1.254.9\n"},
                      "10.1.254.9"),
    "many public": (["8.0.0.0/15"], {}, "131,072 public"),
    "family": (["10.0.0.1"], {"family": 6}, "IPv6"),
    "name unknown": (["nobody.example"], {}, "nobody.example"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusal_is_one_line_with_what_and_what_to_do(what):
    targets, words, word = REFUSED[what]
    with pytest.raises(UsageError) as refused:
        aim(*targets, **words)
    line = str(refused.value)
    assert word in line
    assert "\n" not in line
    assert refused.value.where or refused.value.text


def test_many_public_addresses_go_with_scope_or_confirmation():
    net = f"8.0.0.0/{32 - (PUBLIC_MAX.bit_length())}"
    with pytest.raises(ScopeNeeded):
        aim(net)
    assert aim(net, confirmed=True).public == 2 * PUBLIC_MAX
    assert aim(net, scope="allow 8.0.0.0/8\n").public == 2 * PUBLIC_MAX
    assert aim("8.0.0.0/16").public == PUBLIC_MAX
    # A confirmation is no way around a scope.
    with pytest.raises(UsageError, match="scope"):
        aim(net, confirmed=True, scope="allow 9.0.0.0/8\n")


@pytest.mark.parametrize(("target", "words", "rate"), [
    ("10.0.0.1", {}, RATE_PRIVATE_PPS), ("8.8.8.8", {}, RATE_PUBLIC_PPS),
    ("127.0.0.1", {}, RATE_PRIVATE_PPS), ("fd00::1", {}, RATE_PRIVATE_PPS),
    ("8.8.8.8", {"max_rate": 5.0}, 5.0), ("10.0.0.1", {"max_rate": 0.0}, 0.0),
    ("10.0.0.1", {"timing": 1}, TIMING[1].rate_pps), ("8.8.8.8", {"timing": 5}, RATE_PUBLIC_PPS),
    ("8.8.8.8", {"timing": 0}, TIMING[0].rate_pps),
])
def test_rate_follows_the_kind_of_target(target, words, rate):
    assert aim(target, **words).rate_pps == rate


def test_public_targets_are_warned_about():
    assert any("be sure that you may" in note for note in aim("8.8.8.8").notes)
    assert not aim("10.0.0.1").notes


def test_name_with_more_addresses_is_noted():
    found = aim("two.example")
    assert found.targets.ranges == (Range(4, 0x0A000007),)
    assert any("two.example" in note and "10.0.0.8" in note for note in found.notes)


@pytest.mark.parametrize(("asked", "may", "method"), [
    ("auto", rights(), "syn"), ("auto", rights(raw=False), "connect"),
    ("auto", rights(packet=False), "connect"), ("syn", rights(), "syn"),
    ("connect", rights(), "connect"), ("connect", rights(raw=False), "connect"),
    ("ping", rights(), "ping"), ("ping", rights(raw=False), "ping"),
])
def test_method_follows_wish_and_rights(asked, may, method):
    it = aim("10.0.0.1", method=asked)
    plan = make_plan(it, ways_to(it), may)
    assert plan.method == method
    assert plan.why
    if not (may.net_raw and may.packet_sockets) and asked != "connect":
        assert "CAP_NET_RAW" in plan.why


def test_syn_without_right_names_it():
    it = aim("10.0.0.1", method="syn")
    with pytest.raises(PrivilegeError, match="CAP_NET_RAW"):
        make_plan(it, ways_to(it), rights(raw=False))


def test_nobody_reachable_is_refused_somebody_is_noted():
    it = aim("10.0.0.0/30", "10.9.0.1")
    lost = (Unreached(Range(4, 0x0A090001), "no way"),)
    with pytest.raises(UsageError, match="cannot be reached"):
        make_plan(it, Ways((), lost), rights())
    some = Ways((Way(Range(4, 0x0A000000, 4), "eth9", 9, "routed", 1),), lost)
    assert any("10.9.0.1 left out: no way" in note for note in make_plan(it, some, rights()).notes)
    many = (*(Unreached(Range(4, n), "no way") for n in range(25)),)
    notes = make_plan(it, Ways(some.reached, many), rights()).notes
    assert notes[-1] == "15 more ranges left out"


def test_description_counts_this_shard():
    it = aim("10.0.0.0/30", ports="1-10", shard="2/4", seed=9, max_rate=5.0)
    told = describe(make_plan(it, ways_to(it), rights()), it.space())
    assert (told["hosts"], told["probes"], told["shard"], told["seed"]) == (4, 10, "2/4", 9)
    assert told["at_least_s"] == 2.0


def test_fingerprint_changes_exactly_when_the_order_or_the_probes_do():
    def of(count=4, ports=((6, 80),), seed=1, shard=None, start=9):
        space = Space.hosts([Range(4, start, count)], ports)
        return fingerprint(space, seed, shard or Shard(1, 1))

    same = of()
    assert same == of()
    different = [of(count=5), of(ports=((6, 81),)), of(ports=((6, 80), (6, 81))), of(seed=2),
                 of(shard=Shard(1, 2)), of(shard=Shard(2, 2)), of(start=8)]
    assert len({same, *different}) == 8


def test_flags_of_ones_own_mean_a_scan_by_packets_and_no_closer_look():
    it = aim("10.0.0.1", tcp_flags=3)
    plan = make_plan(it, ways_to(it), rights())
    assert (plan.method, plan.why) == ("syn", "SYN scan with flags FS, as asked")
    assert describe(plan, it.space())["controls"] == "none"
    with pytest.raises(PrivilegeError):
        make_plan(it, ways_to(it), rights(raw=False))
    with pytest.raises(UsageError, match="--scanflags"):
        aim("10.0.0.1", tcp_flags=3, method="udp")


def test_probes_that_no_one_answers_are_noted():
    it = aim("10.0.0.1", tcp_flags=4)
    assert any("reset" in note for note in make_plan(it, ways_to(it), rights()).notes)


def test_udp_is_asked_through_sockets_where_no_frames_may_be_sent():
    it = aim("10.0.0.1", method="connect", also=["udp"])
    plan = make_plan(it, ways_to(it), rights(raw=False))
    assert (plan.method, [leg.raw for leg in plan.legs]) == ("connect+udp", [False, False])
    assert "CAP_NET_RAW" in plan.why
    for method in ("sctp", "protocols"):
        other = aim("10.0.0.1", method=method)
        with pytest.raises(PrivilegeError, match="CAP_NET_RAW"):
            make_plan(other, ways_to(other), rights(raw=False))


def test_spaces_of_joined_methods_part_the_probes_by_protocol():
    it = aim("10.0.0.0/30", ports="1-4,U:9", method="syn", also=["udp"], shard="1/3")
    assert [space.size for space in it.spaces()] == [4 * 4, 4 * 5]
    assert it.probes == sum(it.shard.size(space.size) for space in it.spaces())
    assert sum(space.size for space in it.spaces()) == it.space().size
