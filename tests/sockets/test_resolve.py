from __future__ import annotations

import socket

import pytest

from portulan.sockets import resolve as room
from portulan.sockets.resolve import resolve


def test_addresses_come_in_order_each_once(monkeypatch):
    def answer(name, port, **_):
        assert name == "host.example"
        return [(2, 1, 6, "", ("10.0.0.2", 0)), (10, 1, 6, "", ("fd00::1", 0, 0, 0)),
                (2, 1, 6, "", ("10.0.0.2", 0))]

    monkeypatch.setattr(room.socket, "getaddrinfo", answer)
    assert resolve("host.example") == ["10.0.0.2", "fd00::1"]


@pytest.mark.parametrize("error", [
    socket.gaierror(-2, "unknown"), UnicodeError("label too long"), socket.gaierror(-3, "again")])
def test_name_without_address_is_empty_not_an_error(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(room.socket, "getaddrinfo", fail)
    assert resolve("nobody.example") == []


@pytest.mark.parametrize("name", ["a..b", "x" * 70, "-" * 300, "\udcff", "a\0b"])
def test_odd_name_is_empty_not_an_error(name):
    assert resolve(name) == []


def test_localhost_is_this_machine():
    assert set(resolve("localhost")) & {"127.0.0.1", "::1"}
