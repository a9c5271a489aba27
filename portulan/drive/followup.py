"""What follows a job: more work on what it found, told before its `end` event.

A follow-up looks at every event that passes, and does its work when the job is done; it is a job
itself, so that one can follow another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import msgspec

from portulan.drive.clock import Clock
from portulan.drive.discovering import Steps
from portulan.drive.plan import Plan
from portulan.drive.step import Step
from portulan.record import AnyEvent, End


class Stoppable(Protocol):
    """Work that can be ended from another thread."""

    def stop(self) -> None:
        """End soon, with what is known."""
        ...


class FollowUp(ABC):
    """A job with work behind it; `known` are events of an earlier run of the same job."""

    def __init__(self, job: Steps, plan: Plan, known: Sequence[AnyEvent] = ()) -> None:
        self._job, self._plan = job, plan
        self._under_way: Stoppable | None = None
        self._began = Clock.now()
        for event in known:
            self._note(event)

    @abstractmethod
    def _note(self, event: AnyEvent) -> None:
        """Remember what the work needs of an event."""

    @abstractmethod
    def _work(self, end: End) -> Iterator[Step]:
        """Do the work; what can be stopped meanwhile is `_under_way`."""

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._job.stopped

    def stop(self) -> None:
        """End soon, with what is known."""
        self._job.stop()
        if self._under_way is not None:
            self._under_way.stop()

    def steps(self) -> Generator[Step, None, None]:
        """Yield the job's steps, and the work's before the `end` event."""
        steps = self._job.steps()
        try:
            for step in steps:
                for event in step.events:
                    self._note(event)
                end = next((each for each in step.events if isinstance(each, End)), None)
                if end is None or end.reason != "done":
                    yield step
                    continue
                yield from self._work(end)
                yield Step([
                    self._ended(each) if isinstance(each, End) else each for each in step.events])
        finally:
            if self._under_way is not None:
                self._under_way.stop()
            steps.close()

    def _ended(self, end: End) -> End:
        """Return the end with the time of the work in it, and as cut off if it was stopped."""
        return msgspec.structs.replace(
            end, reason="interrupted" if self.stopped else end.reason,
            elapsed_s=round((Clock.now() - self._began) / 1e9, 3))
