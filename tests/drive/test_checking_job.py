from __future__ import annotations

from portulan.drive.checking_job import CheckingJob
from portulan.drive.step import Step
from portulan.ident.checks import Say, Told, check
from portulan.record import End, Note, Service

from . import talkers
from .plans import events_of, plan


@check("greeting", services=("thing",))
def greeting(place):
    """Listen to what is said."""
    return [Told((yield Say(enough=lambda data: b"\n" in data)).decode().strip(), "warning")]


class Canned:
    stopped = False

    def __init__(self, *events):
        self.events = events

    def stop(self):
        self.stopped = True

    def steps(self):
        for event in self.events:
            yield Step([event])


def end(reason="done"):
    return End(reason=reason, hosts_up=1, open=1, sent=5, received=5, drops=0, elapsed_s=0.5)


def service(port, name="thing"):
    return Service(addr="127.0.0.1", port=port, protocol="tcp", name=name)


def checked(*events, known=()):
    return events_of(CheckingJob(Canned(*events), plan("127.0.0.1"), [greeting], known))


def test_services_are_looked_at_before_the_end():
    with talkers.serving(talkers.greet(b"ahoy\n")) as [port]:
        events = checked(service(port), end())
    note = Note(addr="127.0.0.1", text="ahoy", level="warning", port=port, protocol="tcp",
                check="greeting")
    assert events[:2] == [service(port), note]
    assert isinstance(events[-1], End)


def test_other_services_and_a_scan_cut_off_are_left_alone():
    assert checked(service(9, name="other"), end())[1:] != []
    assert not any(isinstance(e, Note) for e in checked(service(9, name="other"), end()))
    assert not any(isinstance(e, Note) for e in checked(service(9), end("interrupted")))


def test_what_an_earlier_run_told_is_not_asked_again():
    note = Note(addr="127.0.0.1", text="x", port=9, protocol="tcp", check="greeting")
    assert not any(isinstance(e, Note) for e in checked(end(), known=[service(9), note]))
