from __future__ import annotations

import pytest

import portulan.api.identifying as api
from portulan.errors import UsageError
from portulan.record import Port, Service
from tests.drive import talkers


def test_identify_names_what_runs_behind_places():
    with talkers.serving(talkers.greet(talkers.SSH)) as [port]:
        [service] = api.identify(f"127.0.0.1:{port}")
    assert (service.product, service.version, service.port) == ("OpenSSH", "9.2p1", port)


def test_closed_port_is_unknown_in_a_list_and_a_state_as_an_event():
    [service] = api.identify("127.0.0.1:1")
    assert (service.name, service.info) == ("unknown", "closed")
    [event] = api.identify_events(api.aims_of(["127.0.0.1:1"]))
    assert isinstance(event, Port) and event.state == "closed"


@pytest.mark.parametrize(("place", "aims"), [
    ("10.0.0.1:22", [("10.0.0.1", 22, "tcp")]),
    ("10.0.0.1:22,U:53", [("10.0.0.1", 22, "tcp"), ("10.0.0.1", 53, "udp")]),
    ("udp://10.0.0.1:53", [("10.0.0.1", 53, "udp")]),
    ("[::1]:22", [("::1", 22, "tcp")]),
    ("localhost:22", [("127.0.0.1", 22, "tcp")]),
])
def test_places_are_read(place, aims, monkeypatch):
    monkeypatch.setattr(api, "resolve", lambda host: [
        {"localhost": "127.0.0.1"}.get(host, host)])
    assert [(a.addr, a.port, a.protocol) for a in api.aims_of([place])] == aims


def test_name_is_what_the_host_is_asked_for(monkeypatch):
    monkeypatch.setattr(api, "resolve", lambda host: ["127.0.0.1"])
    assert api.aims_of(["shop.test:80"])[0].name == "shop.test"


@pytest.mark.parametrize("place", [
    "", "10.0.0.1", "10.0.0.1:", ":22", "::1", "fe80::1:22", "[::1]", "[::1", "10.0.0.1:http!",
    "10.0.0.1:S:22", "tls://10.0.0.1:22", "10.0.0.1:70000",
    "10.0.0.1:" + "9" * 5_000, "10.0.0.1:\u0662\u0662",
])
def test_wrong_place_is_one_clear_line(place):
    with pytest.raises(UsageError) as error:
        api.aims_of([place])
    assert "\n" not in str(error.value)


def test_unknown_interface_is_refused():
    with pytest.raises(UsageError, match="no such interface"):
        api.aims_of(["[fe80::1%nosuch0]:22"])


def test_each_port_is_asked_once():
    assert len(api.aims_of(["127.0.0.1:22", "127.0.0.1:22,22"])) == 1


def test_service_of_a_silent_port_says_so():
    assert isinstance(api.event_of(_silent()), Service) and api.event_of(_silent()).info


def test_silence_by_design_is_explained():
    assert "whose key" in api.event_of(_silent(51_820, "udp")).info
    assert api.event_of(_silent(51_821, "udp")).info == "said nothing"


def _silent(port=22, protocol="tcp"):
    from portulan.drive.identifying import Aim, Identified
    from portulan.ident.dialogue import Outcome

    return Identified(Aim("10.0.0.1", port, protocol), Outcome("silent", None, None, (), (), 3), 0)
