from portulan.drive.step import Known, Step, Tally
from portulan.scan.sweep import Mark


def test_nothing_known_begins_at_the_beginning():
    known = Known.nothing()
    assert (len(known.answers), known.mark, known.sent) == (0, Mark(1, 0), 0)


def test_step_of_events_alone_keeps_no_progress():
    step = Step([])
    assert (step.phase, step.answers, step.mark) == (None, None, None)


def test_tallies_share_nothing():
    one, other = Tally(), Tally()
    one.up["10.0.0.1"] = "reset"
    assert other.up == {}
