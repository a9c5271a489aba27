from __future__ import annotations

import threading

from portulan.drive.checking import Checking, Visit
from portulan.ident.checks import Check, Place, Say, Told, check
from portulan.record import Service

from . import talkers


def visit(port, *checks, addr="127.0.0.1", name="thing"):
    service = Service(addr=addr, port=port, protocol="tcp", name=name)
    return Visit(Place(service, f"{addr}:{port}"), (addr, port), checks)


def made(script, **words) -> Check:
    return check(script.__name__, services=("thing",), **words)(script)


def run(*visits):
    return list(Checking(visits).found())


def hello(place):
    answer = yield Say(b"hello\n", enough=lambda data: data.endswith(b"\n"))
    return [Told(answer.decode())]


def listens(place):
    return [Told((yield Say(enough=lambda data: b"\n" in data)).decode())]


def greedy(place):
    for _ in range(9):
        yield Say(b"x", fresh=True)
    return [Told("never")]


def raises(place):
    yield Say(b"x")
    raise RuntimeError("a defect of its own")


def test_what_is_said_is_answered_and_told():
    with talkers.serving(talkers.greet(b"welcome\r\n")) as [port]:
        [found] = run(visit(port, made(listens)))
    assert (found.told, found.ended) == ([Told("welcome\r\n")], "")


def test_a_closed_port_answers_nothing():
    with talkers.serving(talkers.greet(b"")) as [port]:
        pass
    [found] = run(visit(port, made(hello)))
    assert (found.told, found.ended) == ([Told("")], "")


def test_more_connections_or_bytes_than_declared_cut_a_check_off():
    with talkers.serving(talkers.greet(b"x" * 5000)) as [port]:
        connections, octets = run(
            visit(port, made(greedy, connections=2), made(listens, octets=1000)))
    assert (connections.told, connections.ended) == ((), "more than 2 connections wanted")
    assert (octets.told, octets.ended) == ((), "more than 1000 bytes came")


def test_time_that_runs_out_cuts_a_check_off():
    with talkers.serving(talkers.greet(b"")) as [port]:
        [found] = run(visit(port, made(listens, seconds=0.2)))
    assert found.ended == "0.2 seconds were not enough"


def test_a_defect_of_one_check_leaves_the_others_alone():
    with talkers.serving(talkers.greet(b"welcome\r\n")) as [port]:
        first, second = run(visit(port, made(raises), made(listens)))
    assert first.ended == "RuntimeError: a defect of its own"
    assert second.told == [Told("welcome\r\n")]


def test_stop_ends_what_is_under_way():
    with talkers.serving(talkers.greet(b"")) as [port]:
        checking = Checking([visit(port, made(listens, seconds=30)) for _ in range(200)])
        threading.Timer(0.3, checking.stop).start()
        assert len(list(checking.found())) < 200
