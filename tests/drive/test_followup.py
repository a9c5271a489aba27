from __future__ import annotations

import pytest

from portulan.drive.followup import FollowUp
from portulan.drive.step import Step
from portulan.record import End, Note

from .plans import plan


def end(reason="done"):
    return End(reason=reason, hosts_up=1, open=1, sent=5, received=5, drops=0, elapsed_s=99.0)


class Canned:
    def __init__(self, *events):
        self.events, self.stopped, self.closed = events, False, False

    def stop(self):
        self.stopped = True

    def steps(self):
        try:
            for event in self.events:
                yield Step([event])
        finally:
            self.closed = True


class Work:
    stops = 0

    def stop(self):
        self.stops += 1


class Counting(FollowUp):
    """Tells how many events it saw."""

    def __init__(self, job, known=()):
        self.seen, self.work = 0, Work()
        super().__init__(job, plan("127.0.0.1"), known)

    def _note(self, event):
        self.seen += 1

    def _work(self, end):
        self._under_way = self.work
        yield Step([Note(addr="", text=f"{self.seen} events")])


NOTE = Note(addr="", text="hello")


def told(followup):
    return [event for step in followup.steps() for event in step.events]


def test_the_work_is_done_before_the_end_and_its_time_counted():
    job = Canned(NOTE, end())
    first, second, last = told(Counting(job, known=[NOTE]))
    assert (first, second.text) == (NOTE, "3 events")
    assert (last.reason, last.elapsed_s < 9) == ("done", True)
    assert job.closed


@pytest.mark.parametrize("reason", ["interrupted", "error"])
def test_a_job_that_was_cut_off_has_no_work_behind_it(reason):
    assert told(Counting(Canned(end(reason)))) == [end(reason)]


def test_stop_reaches_the_job_and_the_work_and_is_told():
    followup = Counting(Canned(end()))
    steps = followup.steps()
    next(steps)
    followup.stop()
    assert followup.stopped
    assert followup.work.stops == 1
    [last] = next(steps).events
    assert last.reason == "interrupted"


def test_follow_ups_follow_each_other():
    texts = [event.text for event in told(Counting(Counting(Canned(NOTE, end()))))
             if isinstance(event, Note)]
    assert texts == ["hello", "2 events", "3 events"]


def test_who_reads_no_further_ends_the_work():
    followup = Counting(Canned(end()))
    steps = followup.steps()
    next(steps)
    steps.close()
    assert followup.work.stops == 1
