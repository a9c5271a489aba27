from __future__ import annotations

import numpy as np
import pytest

import portulan.wire as wire
from portulan.drive.findings import SILENT_LISTED_MAX, Findings
from portulan.drive.packets import Found
from portulan.record import Port
from portulan.scan.sweep import Mark
from portulan.scan.syn import SynKind
from portulan.scan.udp import UdpKind
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from tests.scan.crafting import KEY, NET4, SPORT, frames_of, mixed_paths, mixed_space, sent_by

SPACE = mixed_space([(6, 22), (6, 80)], [(6, 80)], hosts=4)
KIND = SynKind(SPACE, mixed_paths(SPACE), key=KEY, sport=SPORT)
FIRST = "10.9.1.0"


class Evidence:
    """Keeps frames in a list; numbers count from 1."""

    def __init__(self):
        self.kept = []

    def write(self, frames, interface):
        first = len(self.kept) + 1
        self.kept += [(interface, octets) for octets in frames]
        return first


def findings(evidence=None, *, space=SPACE, kind=KIND, every=False, names=None):
    return Findings(space, kind, evidence=evidence, names=names or {}, every_state=every)


def found(answers, frames=None, interface="eth0"):
    count = len(answers)
    return Found(
        answers, np.full(count, 2_500), np.full(count, 10**18), frames or wire.Frames.empty(),
        Mark(1, 0), 0.5, 1, 1, interface)


def answered(states, *, soft=False):
    index = np.array(list(states), np.int64)
    return Answers.of(index, state=np.array(list(states.values()), np.uint8),
                      reason=Reason.SYN_ACK, time_ns=0, ttl=64, soft=soft)


def heard(probes, *, ethernet):
    frames = frames_of([probe.wrap(probe.tcp()) for probe in probes.values()], ethernet=ethernet)
    return KIND.read(frames), wire.Frames(
        frames.buffer, frames.offset, frames.length, frames.wire_length,
        frames.time_ns + 2 * 10**18, frames.link_type)


def test_host_is_told_once_before_its_ports():
    made = findings()
    one = made.events(found(answered({0: State.OPEN, 1: State.CLOSED})))
    two = made.events(found(answered({2: State.OPEN})))
    assert [type(event).__name__ for event in one] == ["Host", "Port"]
    assert (one[0].addr, one[0].state, one[1].port, one[1].rtt_us) == (FIRST, "up", 22, 2)
    assert [event.addr for event in two] == ["10.9.1.1", "10.9.1.1"]
    assert made.events(found(answered({3: State.CLOSED}))) == []
    assert (made.open, made.hosts_up) == (2, 2)


def test_word_of_a_third_party_makes_no_host():
    made = findings(every=True)
    events = made.events(found(answered({0: State.FILTERED}, soft=True)))
    assert [type(event).__name__ for event in events] == ["Port"]
    assert made.hosts_up == 0


def test_names_the_user_gave_are_told():
    made = findings(names={(4, NET4): ("web.example",)})
    [host, _] = made.events(found(answered({0: State.OPEN})))
    assert host.names == ["web.example"]


@pytest.mark.parametrize("ethernet", [True, False])
def test_frames_named_are_the_probe_and_its_reply(ethernet):
    evidence = Evidence()
    probes = {k: v for k, v in sent_by(KIND, np.arange(8)).items() if bool(v.ethernet) == ethernet}
    answers, frames = heard(probes, ethernet=ethernet)
    events = findings(evidence).events(found(answers, frames))
    ports = [event for event in events if hasattr(event, "port")]
    assert len(ports) == len(probes) > 1
    for event, (at, probe) in zip(ports, probes.items(), strict=True):
        out, back = (evidence.kept[number - 1][1] for number in event.frames)
        assert out == probe.octets
        assert back == frames[list(probes).index(at)]


def test_reply_by_another_kind_of_link_is_an_answer_without_frames():
    # Out by a tunnel, back by Ethernet: no exception, the other proofs stay right.
    evidence = Evidence()
    probes = sent_by(KIND, np.arange(8))
    replies = [wire.Ethernet().pack()[:12] + b"\x08\x00" + probe.wrap(probe.tcp())[
        14 if probe.ethernet else 0:] for probe in probes.values()]
    frames = frames_of(replies)
    answers = KIND.read(frames)
    assert len(answers) == len(probes)
    events = findings(evidence).events(found(answers, frames))
    proven = {(e.addr, e.port): e.frames for e in events if hasattr(e, "port")}
    for at, probe in probes.items():
        asked = SPACE.probes(np.array([at]))
        numbers = proven[str(probe.ip.dst), int(asked.port[0])]
        assert bool(numbers) == bool(probe.ethernet)
        if numbers:
            assert evidence.kept[numbers[0] - 1][1] == probe.octets
    assert len(evidence.kept) == 2 * sum(bool(numbers) for numbers in proven.values())


def test_rest_counts_what_is_not_listed():
    made = findings()
    made.events(found(answered({0: State.OPEN, 2: State.CLOSED, 3: State.CLOSED})))
    rest = {host.addr: (host.state, host.rest) for part in made.rest(asked=None, stopped=False)
            for host in part}
    assert rest[FIRST] == ("up", {"tcp": {"filtered": 1}})
    assert rest["10.9.1.1"] == ("up", {"tcp": {"closed": 2}})
    assert rest["10.9.1.2"] == ("unknown", {"tcp": {"filtered": 2}})
    assert len(rest) == 8


def test_after_a_stop_silence_is_no_result():
    made = findings()
    made.events(found(answered({0: State.OPEN, 2: State.CLOSED})))
    [[host]] = made.rest(asked=None, stopped=True)
    assert (host.addr, host.rest) == ("10.9.1.1", {"tcp": {"closed": 1}})
    assert list(findings(every=True).rest(asked=None, stopped=True)) == []


def test_host_that_was_given_up_is_told_and_its_silence_is_no_result():
    made = findings()
    made.events(found(answered({0: State.OPEN, 1: State.CLOSED, 2: State.CLOSED})))
    told = [h for part in made.rest(asked=None, stopped=False, timed_out=np.array([0, 3]))
            for h in part]
    by_addr = {host.addr: (host.timed_out, host.rest) for host in told}
    assert by_addr[FIRST] == (True, {"tcp": {"closed": 1}})
    assert by_addr["10.9.1.1"] == (False, {"tcp": {"closed": 1, "filtered": 1}})
    assert by_addr["10.9.1.3"] == (True, {})
    every = findings(every=True)
    told = [e for part in every.rest(asked=None, stopped=False, timed_out=np.array([0]))
            for e in part]
    assert [e.addr for e in told if getattr(e, "timed_out", False)] == [FIRST]
    assert FIRST not in [e.addr for e in told if isinstance(e, Port)]


def test_silent_udp_ports_have_a_likelihood_that_falls_with_the_host_s_silence():
    space = Space.hosts([Range(4, NET4, 2)], [(17, port) for port in range(50, 60)])
    kind = UdpKind(space, mixed_paths(space), key=KEY, sport=SPORT)
    made = findings(space=space, kind=kind)
    made.events(found(answered({at: State.CLOSED for at in range(10) if at not in (3, 4)})))
    likely = {(e.addr, e.port): e.likelihood for part in made.rest(asked=None, stopped=False)
              for e in part if isinstance(e, Port)}
    one, other = (str(wire.Ip4(NET4 + host)) for host in (0, 1))
    assert len(likely) == 12
    assert likely[one, 53] > likely[one, 54] > 0
    assert likely[one, 53] > likely[other, 53] > likely[other, 50] > 0


def test_silence_that_means_filtered_has_no_likelihood():
    told = [e for part in findings(every=True).rest(asked=None, stopped=False) for e in part]
    assert {e.likelihood for e in told if isinstance(e, Port)} == {0.0}


def test_every_state_tells_each_silent_port_once():
    made = findings(every=True)
    told = made.events(found(answered({0: State.OPEN, 2: State.CLOSED})))
    silent = [event for part in made.rest(asked=None, stopped=False) for event in part]
    ports = [(e.addr, e.port) for e in (*told, *silent) if hasattr(e, "port")]
    assert len(ports) == len(set(ports)) == SPACE.size
    assert {event.state for event in silent} == {"filtered"}


def test_silence_of_others_shards_is_not_told():
    made = findings(every=True)
    silent = [e for part in made.rest(asked=lambda index: index % 2 == 0, stopped=False)
              for e in part]
    assert len(silent) == SPACE.size // 2


def test_late_firm_answer_replaces_the_soft_one_in_counts():
    made = findings()
    made.events(found(answered({0: State.FILTERED}, soft=True)))
    made.events(found(answered({0: State.CLOSED})))
    rest = [h for part in made.rest(asked=None, stopped=False) for h in part if h.addr == FIRST]
    assert rest[0].rest == {"tcp": {"closed": 1, "filtered": 1}}


def test_silent_hosts_of_a_large_range_are_not_told_one_by_one():
    space = Space.hosts([Range(4, NET4, SILENT_LISTED_MAX + 1)], [(6, 80)])
    assert list(findings(space=space).rest(asked=None, stopped=False)) == []
    down = [host.addr for part in findings(space=space).down() for host in part]
    assert len(down) == SILENT_LISTED_MAX + 1
