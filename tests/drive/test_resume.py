"""What log and journal say together: nothing twice, nothing lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from portulan.drive.resume import agree, host_numbers, last_of_each
from portulan.drive.step import Known
from portulan.record import Port
from portulan.scan.sweep import Mark
from portulan.scan.verdict import LISTED, Answers, Reason, State
from portulan.target.ranges import Range
from portulan.target.space import TCP, Space

ADDRESSES = ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"]
PORTS = 5
SPACE = Space.hosts([Range(4, 10 << 24, len(ADDRESSES))], [(TCP, port) for port in range(PORTS)])
ONLY_OPEN = np.isin(np.arange(len(State)), LISTED)
EVERY = np.ones_like(ONLY_OPEN)
ALL_UP = np.arange(len(ADDRESSES))
MARK = Mark(2, 7)
REASONS = {State.OPEN: Reason.SYN_ACK, State.CLOSED: Reason.RESET,
           State.FILTERED: Reason.ADMIN_PROHIBITED}


def log(rows: dict[int, State], mark: Mark = MARK) -> Known:
    states = np.array(list(rows.values()), np.uint8)
    return Known(Answers.of(
        np.array(list(rows), np.int64), state=states,
        reason=np.array([REASONS[state] for state in rows.values()], np.uint8),
        time_ns=0, soft=states == State.FILTERED,
    ), mark, 99)


def event(index: int, state: str, reason: str = "syn-ack", tries: int = 1) -> Port:
    return Port(addr=ADDRESSES[index // PORTS], port=index % PORTS, protocol="tcp", state=state,
                reason=reason, tries=tries)


def states(known: Known) -> dict[int, int]:
    assert len(np.unique(known.answers.index)) == len(known.answers)
    return dict(zip(known.answers.index.tolist(), known.answers.state.tolist(), strict=True))


def test_an_event_that_the_log_lacks_is_known_and_not_found_twice():
    known = agree(log({0: State.CLOSED}), SPACE, up=ALL_UP, ports=[event(7, "open")],
                  listed=ONLY_OPEN)
    assert states(known) == {0: State.CLOSED, 7: State.OPEN}
    assert (known.mark, known.sent) == (MARK, 99)


def test_an_answer_whose_event_is_lost_is_asked_again_from_the_beginning():
    known = agree(log({0: State.CLOSED, 7: State.OPEN}), SPACE, up=ALL_UP, ports=[],
                  listed=ONLY_OPEN)
    assert states(known) == {0: State.CLOSED}
    assert known.mark == Mark(1, 0)


def test_a_firm_answer_of_a_host_without_event_is_asked_again():
    known = agree(log({0: State.CLOSED, 5: State.CLOSED}), SPACE, up=np.array([1]), ports=[],
                  listed=ONLY_OPEN)
    assert states(known) == {5: State.CLOSED}


def test_a_third_party_word_needs_no_host_event():
    known = agree(log({0: State.FILTERED}), SPACE, up=np.array([], np.int64), ports=[],
                  listed=ONLY_OPEN)
    assert states(known) == {0: State.FILTERED}
    assert known.mark == MARK


def test_with_every_port_listed_a_closed_one_without_event_is_asked_again():
    known = agree(log({0: State.CLOSED}), SPACE, up=ALL_UP, ports=[], listed=EVERY)
    assert states(known) == {}


def test_silence_that_was_shown_is_soft_and_proves_no_try():
    known = agree(Known.nothing(), SPACE, up=ALL_UP, listed=EVERY,
                  ports=[event(3, "filtered", "no-response", tries=0)])
    assert states(known) == {3: State.FILTERED}
    assert known.answers.soft.all()
    assert known.answers.try_no.tolist() == [1]


def test_the_later_row_of_the_log_counts():
    both = Answers.concat([log({4: State.FILTERED}).answers, log({4: State.CLOSED}).answers])
    known = agree(Known(both, MARK, 0), SPACE, up=ALL_UP, ports=[], listed=ONLY_OPEN)
    assert states(known) == {4: State.CLOSED}
    assert not known.answers.soft.any()


def test_events_outside_of_the_space_are_left_alone():
    strangers = [Port(addr="192.0.2.1", port=1, protocol="tcp", state="open", reason="syn-ack"),
                 Port(addr="10.0.0.1", port=99, protocol="tcp", state="open", reason="syn-ack"),
                 Port(addr="10.0.0.1", port=1, protocol="ip", state="open", reason="syn-ack")]
    known = agree(Known.nothing(), SPACE, up=ALL_UP, ports=strangers, listed=ONLY_OPEN)
    assert states(known) == {}


def test_hosts_are_numbered_and_strangers_are_not():
    assert host_numbers(SPACE, ["10.0.0.2", "10.0.0.9", "::1"]).tolist() == [2, -1, -1]
    assert host_numbers(SPACE, []).tolist() == []


@given(st.lists(st.integers(0, 5)))
def test_last_of_each_names_every_value_once_at_its_last_place(values):
    last = last_of_each(np.array(values, np.int64)).tolist()
    assert sorted(last) == sorted({value: at for at, value in enumerate(values)}.values())


OPEN_OR_CLOSED = st.dictionaries(
    st.integers(0, SPACE.size - 1), st.sampled_from([State.OPEN, State.CLOSED]))


@given(OPEN_OR_CLOSED, st.data())
def test_any_cut_leaves_each_open_port_either_shown_or_asked_again(truth, data):
    shown = {i for i, state in truth.items() if state == State.OPEN and data.draw(st.booleans())}
    logged = {i: state for i, state in truth.items() if data.draw(st.booleans())}
    known = agree(log(logged), SPACE, up=ALL_UP, ports=[event(i, "open") for i in shown],
                  listed=ONLY_OPEN)
    found = states(known)
    assert {i for i, state in found.items() if state == State.OPEN} == shown
    assert all(truth[i] == state for i, state in found.items())
    lost = any(state == State.OPEN and i not in shown for i, state in logged.items())
    assert known.mark == (Mark(1, 0) if lost else MARK)
