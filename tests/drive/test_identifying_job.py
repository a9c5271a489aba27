from __future__ import annotations

import threading

import pytest

from portulan.drive.identifying import DIALOGUES_MAX
from portulan.drive.identifying_job import SILENT_ASKED_MAX, Identifying, dialogues
from portulan.drive.step import Step
from portulan.record import End, Host, Note, Port, Service

from . import talkers
from .plans import events_of, job, plan


def end(reason="done"):
    return End(reason=reason, hosts_up=1, open=1, sent=5, received=5, drops=0, elapsed_s=0.5)


class Canned:
    """A job that yields what it is given."""

    def __init__(self, *events):
        self.events, self.stopped = events, False

    def stop(self):
        self.stopped = True

    def steps(self):
        for event in self.events:
            yield Step([event])


def port(number, protocol="tcp", state="open", addr="127.0.0.1"):
    return Port(addr=addr, port=number, protocol=protocol, state=state, reason="syn-ack")


def named(*events, known=(), **words):
    words.setdefault("identify", True)
    return events_of(Identifying(Canned(*events), plan("127.0.0.1", **words), known))


def test_open_ports_of_a_scan_get_their_services_before_its_end():
    with talkers.serving(talkers.greet(talkers.SSH)) as [ssh]:
        words = {"ports": f"1,{ssh}", "discover": False, "identify": True}
        scan = Identifying(job("127.0.0.1", **words), plan("127.0.0.1", **words))
        events = events_of(scan)
    kinds = [type(event) for event in events]
    assert kinds[-1] is End and kinds.count(Service) == 1
    [service] = [event for event in events if isinstance(event, Service)]
    assert (service.port, service.product) == (ssh, "OpenSSH")


def test_closed_and_foreign_ports_are_not_asked():
    events = named(port(1, state="closed"), port(2, protocol="sctp"), end())
    assert [type(event) for event in events] == [Port, Port, End]


def test_what_an_earlier_run_named_is_not_asked_again():
    service = Service(addr="127.0.0.1", port=9, protocol="tcp", name="discard")
    assert not any(isinstance(e, Service) for e in named(end(), known=[port(9), service]))


def test_port_of_an_earlier_run_without_a_name_is_asked():
    with talkers.serving(talkers.greet(talkers.SSH)) as [ssh]:
        events = named(end(), known=[port(ssh)])
    assert [event.product for event in events if isinstance(event, Service)] == ["OpenSSH"]


def test_interrupted_scan_names_nothing():
    assert [type(e) for e in named(port(9), end("interrupted"))] == [Port, End]


def test_host_is_asked_for_by_the_name_the_user_gave():
    seen = []

    def keep(conn, stop):
        conn.settimeout(3)
        seen.append(conn.recv(4096))
        conn.sendall(talkers.NGINX)

    host = Host(addr="127.0.0.1", state="up", reason="user-set", names=["shop.test"])
    with talkers.serving(keep) as [web]:
        named(host, port(web), end())
    assert any(f"Host: shop.test:{web}".encode() in data for data in seen)


def test_many_silent_datagram_ports_are_a_firewall_and_left_alone():
    silent = [port(n, "udp", "open|filtered") for n in range(1, SILENT_ASKED_MAX + 2)]
    wrapped = Identifying(Canned(), plan("127.0.0.1", identify=True), silent)
    assert wrapped._aims() == []
    wrapped = Identifying(Canned(), plan("127.0.0.1", identify=True), silent[:3])
    assert [aim.port for aim in wrapped._aims()] == [1, 2, 3]


@pytest.mark.parametrize(("rate_pps", "at_once"), [
    (0, DIALOGUES_MAX), (1e9, DIALOGUES_MAX), (400, 10), (1, 1)])
def test_rate_bounds_the_dialogues_at_once(rate_pps, at_once):
    assert dialogues(rate_pps) == at_once


def test_host_whose_time_is_up_has_a_note_of_what_was_not_asked():
    with talkers.serving(talkers.silent, count=3) as ports:
        events = named(*map(port, ports), end(), host_timeout_s=0.4)
    [note] = [event for event in events if isinstance(event, Note)]
    assert note.text == "services: 3 open ports not asked to the end, its time was up"
    assert isinstance(events[-1], End)


def test_stop_ends_naming_as_interrupted():
    with talkers.serving(talkers.silent, count=2) as ports:
        wrapped = Identifying(Canned(*map(port, ports), end()), plan("127.0.0.1", identify=True))
        timer = threading.Timer(0.3, wrapped.stop)
        timer.start()
        events = events_of(wrapped)
        timer.join()
    assert events[-1].reason == "interrupted"
