from __future__ import annotations

import socket
import threading

import pytest

from portulan.drive import identifying
from portulan.drive.identifying import Aim, Identification, Limits, udp_probes
from portulan.ident.dialogue import MS, Manner

from . import talkers

QUICK = Manner(budget_ns=1_500 * MS, patience_ns=600 * MS, answer_ns=500 * MS)


def found(*aims, **words):
    return {each.aim.port: each for each in
            Identification(aims, limits=Limits(**words)).found()}


def aims(ports):
    return [Aim("127.0.0.1", port) for port in ports]


def test_services_are_named_side_by_side():
    with (talkers.serving(talkers.greet(talkers.SSH)) as [ssh],
          talkers.serving(talkers.answer_http) as [web],
          talkers.serving(talkers.inside_tls(talkers.answer_http)) as [tls]):
        got = found(*aims([ssh, web, tls]))
    assert {port: each.outcome.verdict.product for port, each in got.items()} == {
        ssh: "OpenSSH", web: "nginx", tls: "nginx"}
    assert got[tls].outcome.tls.certificates and got[tls].outcome.tls.version.startswith("TLS")
    assert got[web].outcome.tls is None and got[ssh].outcome.connections == 1


def test_closed_port_is_told_as_closed():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert found(Aim("127.0.0.1", port))[port].outcome.state == "closed"


def test_datagram_service_is_named():
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)

        def answer():
            while not stop.is_set():
                try:
                    data, peer = sock.recvfrom(2048)
                except TimeoutError:
                    continue
                if b"\x07version\x04bind" in data:
                    told = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0d\x0cdnsmasq-2.90"
                    sock.sendto(data[:2] + b"\x84\x00\0\1\0\1\0\0\0\0" + data[12:] + told, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        port = sock.getsockname()[1]
        try:
            got = found(Aim("127.0.0.1", port, "udp"))[port]
        finally:
            stop.set()
            thread.join()
    assert (got.outcome.verdict.product, got.outcome.verdict.version) == ("dnsmasq", "2.90")


def test_datagram_port_that_icmp_refuses_is_closed():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert found(Aim("127.0.0.1", port, "udp"))[port].outcome.state == "closed"


@pytest.mark.parametrize("kind", ["silent", "drip", "endless_lines", "flood", "long_line",
                                  "no_window"])
def test_tarpit_ends_within_its_budget_and_memory(kind):
    with talkers.serving(getattr(talkers, kind)) as [port]:
        got = found(Aim("127.0.0.1", port), manner=QUICK)[port]
    assert got.elapsed_ns <= 1_900 * MS
    assert sum(len(reply.data) for reply in got.outcome.replies) <= 2 << 20


def test_time_of_a_host_ends_all_its_dialogues_and_every_port_is_told():
    with (talkers.serving(talkers.silent, count=12) as ports,
          talkers.serving(talkers.greet(talkers.SSH)) as [ssh]):
        got = found(*aims([*ports, ssh]), host_timeout_s=1.0, per_host=4)
    assert set(got) == {*ports, ssh}
    assert {got[port].outcome.state for port in ports} <= {"stopped", "silent"}


def test_host_that_is_silent_on_all_ports_is_given_up(monkeypatch):
    monkeypatch.setattr(identifying, "MUTE_MAX", 3)
    brief = Manner(budget_ns=200 * MS, greet_ns=20 * MS, patience_ns=50 * MS, answer_ns=50 * MS)
    with talkers.serving(talkers.silent, count=9) as ports:
        got = found(*aims(ports), per_host=1, manner=brief)
    states = [each.outcome.state for each in got.values()]
    assert states.count("silent") == 3 and states.count("stopped") == 6


def test_a_host_s_share_bounds_its_dialogues():
    at_once, most = [0], [0]
    lock = threading.Lock()

    def count(conn, stop):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        talkers.pause(0.1)
        with lock:
            at_once[0] -= 1
        conn.sendall(talkers.SSH)

    with talkers.serving(count, count=9) as ports:
        got = found(*aims(ports), per_host=3)
    assert len(got) == 9 and most[0] <= 3


def test_stopping_tells_every_port():
    with talkers.serving(talkers.silent, count=3) as ports:
        run = Identification(aims(ports))
        timer = threading.Timer(0.3, run.stop)
        timer.start()
        got = list(run.found())
        timer.join()
    assert {each.aim.port for each in got} == set(ports)


def test_no_aims_is_nothing():
    assert list(Identification([]).found()) == []


def test_host_is_written_as_clients_write_it():
    assert Aim("::1", 80).host == "[::1]:80"
    assert Aim("10.0.0.1", 80, name="shop.example").host == "shop.example:80"
    assert Aim("fe80::1", 80, scope_id=2).address == ("fe80::1", 80, 0, 2)


def test_usual_datagram_port_is_asked_its_own_first_and_each_once():
    assert udp_probes(123)[0].name == "ntp-v4"
    names = [probe.name for probe in udp_probes(40_000)]
    assert names[0] == "dns" and len(names) == len(set(names))
