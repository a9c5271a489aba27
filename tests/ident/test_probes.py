from __future__ import annotations

from portulan.ident.probes import BY_NAME, GREETERS, PRINTERS, TABLE, order, usual


def test_names_are_unique_and_every_probe_says_where_it_is_defined():
    assert len(BY_NAME) == len(TABLE)
    assert all(probe.source and (probe.body or probe.tls) for probe in TABLE)


def test_usual_port_is_asked_its_own_first():
    assert order(6379)[0].name == "redis-ping"
    assert order(8009)[0].name == "ajp13"
    assert [probe.name for probe in order(40_000)][:2] == ["http-get", "tls"]


def test_order_asks_each_once_and_some_on_their_ports_alone():
    for port in (1, 80, 102, 502, 2404, 5555, 9600, 44_818):
        names = [probe.name for probe in order(port)]
        assert len(names) == len(set(names))
        assert {"adb", "iec-104", "fins", "bitcoin"} & set(names) == {
            probe.name for probe in usual(port) if probe.usual_only}


def test_printers_are_asked_nothing():
    assert all(order(port) == [] for port in PRINTERS)


def test_host_is_filled_in():
    assert b"\r\nHost: [::1]:80\r\n" in BY_NAME["http-get"].filled("[::1]:80")


def test_contact_is_told_and_cannot_leave_its_place():
    told = BY_NAME["http-get"].filled("x", "noc@example.org\r\nX: (y)")
    assert b"Portulan; noc@example.orgX: y)\r\nAccept" in told
    assert b"(compatible; Portulan)\r\n" in BY_NAME["http-get"].filled("x")


def test_ports_are_ports():
    assert all(0 < port < 65_536 for probe in TABLE for port in probe.ports)
    assert all(0 < port < 65_536 for port in GREETERS)
