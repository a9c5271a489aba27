from __future__ import annotations

from portulan.drive import discovering
from portulan.drive.discovering import Discovering
from portulan.record import End, Host

from .plans import events_of, job


def test_hosts_that_are_up_get_names_before_the_end(monkeypatch):
    monkeypatch.setattr(discovering, "reverse_names",
                        lambda addresses, server: [(addresses[0], f"by.{server}")])
    events = events_of(Discovering(job("127.0.0.1", method="ping"), "server"))
    named = [event for event in events if isinstance(event, Host)][-1]
    assert (named.addr, named.state, named.names) == ("127.0.0.1", "up", ["by.server"])
    assert isinstance(events[-1], End)


def test_neighbours_tell_their_own_names_and_each_name_stands_once(monkeypatch):
    asked = []
    monkeypatch.setattr(discovering, "reverse_names", lambda addresses, server: [
        ("192.0.2.1", "web"), ("192.0.2.9", "far")])
    monkeypatch.setattr(discovering, "own_names", lambda addresses: asked.append(addresses) or [
        ("192.0.2.1", "web"), ("192.0.2.1", "web.local")])
    run = Discovering(job("127.0.0.1", method="ping"))
    for addr, mac in (("192.0.2.1", "02:00:00:00:00:01"), ("192.0.2.9", ""), ("fe80::1", "02:00")):
        run._up[addr] = Host(addr=addr, state="up", reason="arp-response", mac=mac)
        run._near.update([addr] if mac else [])
    named = {event.addr: event.names for event in run._named()}
    assert asked == [["192.0.2.1"]]
    assert named == {"192.0.2.1": ["web", "web.local"], "192.0.2.9": ["far"]}


def test_a_stopped_job_asks_for_no_names(monkeypatch):
    monkeypatch.setattr(discovering, "reverse_names", lambda *_: 1 / 0)
    run = Discovering(job("127.0.0.1", method="ping"))
    run.stop()
    events = events_of(run)
    assert run.stopped
    assert events[-1].reason == "interrupted"
