from __future__ import annotations

import subprocess
import sys

import pytest

from portulan.api import open_chart
from portulan.drive import tracing_job
from portulan.drive.outline import describe
from portulan.drive.tracing_job import Tracing
from portulan.record import End, Hop, Host, Note
from portulan.target.space import Space
from tests.lab.fixtures import make_lab  # noqa: F401

from .plans import events_of, job, listening, plan
from .test_tracing import ROUTERS4, ROUTERS6


@pytest.fixture
def traced(monkeypatch):
    """Paths of three hops to whatever is asked; what was asked, and how."""
    asked = []

    def trace(hosts, options, *, ports, stopped):
        for host in hosts:
            asked.append((host, options.manner, ports.get(host)))
            yield [*(Hop(target=host, ttl=n, addr=f"192.0.2.{n}", state="expired")
                     for n in (1, 2)), Hop(target=host, ttl=3, addr=host, state="reached")]

    monkeypatch.setattr(tracing_job, "trace", trace)
    return asked


def run(*targets, known=(), **words):
    return events_of(Tracing(job(*targets, **words), plan(*targets, **words), known))


def test_hosts_that_are_up_get_their_paths_before_the_end(traced):
    with listening(1) as (port,):
        events = run("127.0.0.1", ports=str(port))
    assert traced == [("127.0.0.1", "tcp", port)]
    hops = [event for event in events if isinstance(event, Hop)]
    assert [hop.ttl for hop in hops] == [1, 2, 3]
    assert [event.hops for event in events if isinstance(event, Host)][-1] == 2
    assert isinstance(events[-1], End)


def test_plan_names_the_trace():
    assert describe(plan("127.0.0.1"), Space([]))["tracing"] == "none"
    said = describe(plan("127.0.0.1", traceroute=True), Space([]))["tracing"]
    assert "time to live" in said


@pytest.mark.live
def test_scan_of_a_host_behind_twelve_routers_keeps_them(make_lab, tmp_path):  # noqa: F811
    lab = make_lab("twelve")
    words = ["scan", "-p", "22", "--traceroute", "--json", "10.83.100.2", "fd83:100::2"]
    done = lab.run([sys.executable, "-m", "portulan", *words], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    chart = open_chart("last")
    assert {target: [hop.addr for hop in hops] for target, hops in chart.paths().items()} == {
        "10.83.100.2": [*ROUTERS4, "10.83.100.2"], "fd83:100::2": [*ROUTERS6, "fd83:100::2"]}
    assert {host.hops for host in chart.hosts} == {12}


def test_host_without_an_answering_port_is_asked_by_udp(traced):
    run("127.0.0.1", method="ping")
    assert traced == [("127.0.0.1", "udp", None)]


def test_path_known_from_an_earlier_run_is_not_asked_again(traced):
    known = [Hop(target="127.0.0.1", ttl=1, addr="127.0.0.1", state="reached")]
    run("127.0.0.1", method="ping", known=known)
    assert not traced


def test_stopped_job_traces_nothing(traced):
    stopped = Tracing(job("127.0.0.1", method="ping"), plan("127.0.0.1", method="ping"))
    stopped.stop()
    events = events_of(stopped)
    assert not traced
    assert (stopped.stopped, events[-1].reason) == (True, "interrupted")


def test_trace_that_cannot_be_is_a_note(monkeypatch):
    def fail(*_, **__):
        raise OSError("No Sockets")
        yield

    monkeypatch.setattr(tracing_job, "trace", fail)
    events = run("127.0.0.1", method="ping")
    assert any(isinstance(e, Note) and e.text == "no trace: no sockets" for e in events)
    assert events[-1].reason == "done"
