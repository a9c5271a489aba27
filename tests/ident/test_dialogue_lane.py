from __future__ import annotations

import pytest

from portulan.ident.dialogue_lane import HEARD_MAX, NEXT, Lane, LaneEvent, LaneState
from portulan.ident.probes import LISTEN


def lane(state=LaneState.OPENING):
    return Lane(1, LISTEN, False, 0, 0, 10, state=state)


@pytest.mark.parametrize("state", LaneState)
@pytest.mark.parametrize("event", LaneEvent)
def test_every_transition_is_the_table_s_or_refused(state, event):
    one = lane(state)
    if NEXT[state][event] is None:
        with pytest.raises(ValueError, match=event.name):
            one.move(event)
    else:
        one.move(event)
        assert one.state == NEXT[state][event]


def test_whoever_is_over_stays_over():
    assert {each for each in NEXT[LaneState.OVER] if each is not None} == {LaneState.OVER}


def test_hearing_stops_at_the_limit():
    one = lane()
    assert not one.hear(b"x", 5)
    assert one.hear(b"y" * (HEARD_MAX + 5), 6)
    assert len(one.heard) == HEARD_MAX and one.first_ns == 5


def test_forgetting_makes_room_for_the_next_answer():
    one = lane()
    one.hear(b"abc", 5)
    assert one.forget() == b"abc" and not one.heard and one.first_ns == 0
