from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.lab.services import dns_answer
from portulan.sockets import mdns
from portulan.sockets.mdns import answer, own_names, question

from .test_names import server


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(mdns, "WAIT_S", 0.3)


def test_host_that_answers_for_its_address_has_a_name():
    with server({"printer": ["127.0.0.1"], "other": ["127.0.0.2"]}) as where:
        port = int(where.partition("#")[2])
        assert list(own_names(["127.0.0.1"], port=port)) == [("127.0.0.1", "printer.lab")]


def test_silent_and_closed_hosts_cost_their_time_once(monkeypatch):
    waited = []
    whole = mdns._heard
    monkeypatch.setattr(mdns, "_heard", lambda *words: waited.append(1) or whole(*words))
    addresses = [f"127.0.0.{n}" for n in range(1, 100)]
    assert list(own_names(addresses, port=9)) == []
    assert len(waited) == mdns.TRIES


def test_answer_must_be_to_our_question():
    told = dns_answer({"web": ["192.0.2.1"]})(question("192.0.2.1", 7))
    assert answer(told, "192.0.2.1", 7) == "web.lab"
    assert answer(told, "192.0.2.1", 8) == ""
    assert answer(told, "192.0.2.2", 7) == ""
    assert answer(question("192.0.2.1", 7), "192.0.2.1", 7) == ""


@given(st.binary(max_size=200))
def test_any_octets_are_no_fault(data):
    assert isinstance(answer(data, "192.0.2.1", 7), str)
    assert isinstance(answer(question("192.0.2.1", 7) + data, "192.0.2.1", 7), str)
