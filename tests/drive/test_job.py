from __future__ import annotations

import pytest

from portulan.errors import PeerError
from portulan.record import End, Host, Port, Progress, Run

from .plans import events_of, job, listening


def test_run_comes_first_and_end_last_with_what_was_found():
    with listening() as ports:
        events = events_of(job("127.0.0.1", ports=",".join(map(str, (*ports, 1)))))
    run, end = events[0], events[-1]
    assert isinstance(run, Run)
    assert isinstance(end, End)
    assert (run.method, run.probes, run.seed) == ("connect", 4, 7)
    found = {event.port: event.state for event in events if isinstance(event, Port)}
    assert found == dict.fromkeys(ports, "open")
    assert (end.reason, end.open, end.hosts_up) == ("done", 3, 1)
    hosts = [event for event in events if isinstance(event, Host)]
    assert [host.reason for host in hosts] == ["localhost-response"] * 2
    assert hosts[-1].rest == {"tcp": {"closed": 1}}


def test_hosts_only_asks_no_port():
    events = events_of(job("127.0.0.1", "127.0.0.2", method="ping"))
    assert [event.addr for event in events if isinstance(event, Host)] == [
        "127.0.0.1", "127.0.0.2"]
    assert not [event for event in events if isinstance(event, Port)]
    assert events[-1].sent == 0


def test_every_state_tells_all_ports_once():
    with listening() as ports:
        events = events_of(job("127.0.0.1", ports=f"1-50,{ports[0]}", every_state=True))
    told = [event.port for event in events if isinstance(event, Port)]
    assert sorted(told) == [*range(1, 51), ports[0]]


@pytest.mark.parametrize("count", [2, 3])
def test_shards_together_find_everything_once(count):
    with listening() as ports:
        told = [
            event.port for n in range(1, count + 1)
            for event in events_of(job("127.0.0.1", ports=f"1-40,{','.join(map(str, ports))}",
                                       every_state=True, shard=f"{n}/{count}"))
            if isinstance(event, Port)
        ]
    assert sorted(told) == [*range(1, 41), *ports]


def test_stop_ends_with_what_is_known():
    under_way = job("127.0.0.1", ports="1-60000", max_rate=2000.0, every_state=True)
    events = []
    for step in under_way.steps():
        events += step.events
        if any(isinstance(event, Port) for event in step.events):
            under_way.stop()
    assert under_way.stopped
    assert events[-1].reason == "interrupted"
    told = [event for event in events if isinstance(event, Port)]
    assert 0 < len(told) < 60_000
    assert not [event for event in told if event.reason == "no-response"]


def test_leaving_the_steps_early_ends_the_threads():
    import threading

    steps = job("127.0.0.1", ports="1-60000", max_rate=2000.0).steps()
    for step in steps:
        if step.progress:
            break
    steps.close()
    for thread in threading.enumerate():
        if thread.name == "portulan-drive":
            thread.join(5)
            assert not thread.is_alive()


def test_error_of_the_driving_thread_is_told_by_the_end_and_raised(monkeypatch):
    from portulan.drive import job as room

    class Broken:
        def __init__(self, *_, **__):
            pass

        def run(self):
            raise PeerError("the interface went away")

        def close(self):
            pass

    monkeypatch.setattr(room, "ConnectSweep", Broken)
    events = []
    with pytest.raises(PeerError):
        for step in job("127.0.0.1", ports="1-5").steps():
            events += step.events
    assert (events[-1].reason, events[-1].error) == ("error", "the interface went away")


def test_progress_never_goes_back():
    events = []
    for step in job("127.0.0.1", ports="1-3000", max_rate=2000.0).steps():
        events += [step.progress] if step.progress else []
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert done[-1] == 1.0
