from __future__ import annotations

import errno
import socket
import time

import pytest

from portulan.sockets import instant as room
from portulan.sockets.connects import Outcome, Probe
from portulan.sockets.instant import SILENT_MAX, Instant


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        yield listening


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ask(instant, probes):
    """Outcomes with names, for they come as bare tuples."""
    told, later = instant.ask(probes)
    return [Outcome(*one) for one in told], later


@pytest.mark.parametrize("threads", [1, 3])
def test_every_probe_has_its_outcome_once(server, threads):
    port, closed = server.getsockname()[1], free_port()
    probes = [Probe(at, 1, ("127.0.0.1", port if at % 9 == 0 else closed)) for at in range(500)]
    with Instant(time.monotonic_ns, threads=threads) as instant:
        outcomes, later = ask(instant, probes)
    assert later == []
    assert sorted(outcome.at for outcome in outcomes) == list(range(500))
    assert all(outcome.error == (0 if outcome.at % 9 == 0 else errno.ECONNREFUSED)
               for outcome in outcomes)
    assert all(outcome.rtt_ns >= 0 for outcome in outcomes)


def test_both_families_in_one_batch(server):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        probes = [
            Probe(0, 1, server.getsockname()),
            Probe(1, 1, ("::1", six.getsockname()[1], 0, 0), socket.AF_INET6),
            Probe(2, 1, server.getsockname()),
        ]
        with Instant(time.monotonic_ns, threads=1) as instant:
            outcomes, later = ask(instant, probes)
    assert [(o.at, o.error) for o in outcomes] == [(0, 0), (1, 0), (2, 0)]
    assert later == []


def test_silent_ports_are_left_to_the_poller():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        hold = [socket.socket() for _ in range(3)]
        for sock in hold:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        time.sleep(0.05)
        probes = [Probe(at, 1, full.getsockname()) for at in range(SILENT_MAX + 20)]
        with Instant(time.monotonic_ns, threads=1) as instant:
            assert instant.works
            outcomes, later = ask(instant, probes)
            assert not instant.works
            assert outcomes == []
            assert [probe.at for probe in later] == list(range(len(probes)))
        for sock in hold:
            sock.close()


def test_no_descriptor_leaves_probes_for_later(monkeypatch, server):
    def none(*_):
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(room.socket, "socket", none)
    with Instant(time.monotonic_ns, threads=1) as instant:
        outcomes, later = ask(instant, [Probe(0, 1, server.getsockname())])
    assert (outcomes, len(later)) == ([], 1)


def test_own_peer_is_closed(monkeypatch, server):
    monkeypatch.setattr(room, "is_own_peer", lambda sock: True)
    with Instant(time.monotonic_ns, threads=1) as instant:
        [outcome], _ = ask(instant, [Probe(0, 1, server.getsockname())])
    assert outcome.error == errno.ECONNREFUSED


def test_nothing_asked_nothing_told():
    with Instant(time.monotonic_ns) as instant:
        assert instant.ask([]) == ([], [])
