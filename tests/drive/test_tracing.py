from __future__ import annotations

import errno
import json
import subprocess
import sys

import pytest

from portulan.drive import tracing
from portulan.drive.tracing import TraceOptions, trace
from portulan.sockets.hops import HopSockets
from tests.lab.fixtures import make_lab  # noqa: F401

ROUTERS4 = [f"10.83.{n}.2" for n in range(12)]
ROUTERS6 = ["fd83::2", *(f"fd83:{n:x}::2" for n in range(1, 12))]


def traced(lab, *words):
    done = lab.run([sys.executable, "-m", "portulan", "trace", "--json", *words],
                   stdout=subprocess.PIPE, text=True)
    paths: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        event = json.loads(line)
        paths.setdefault(event["target"], []).append(event["addr"])
    return paths


@pytest.mark.live
def test_path_over_twelve_routers_equals_the_truth(make_lab):  # noqa: F811
    lab = make_lab("twelve")
    goals4, goals6 = ["10.83.100.2", "10.83.100.3"], ["fd83:100::2", "fd83:100::3"]
    truth = {g: [*ROUTERS4, g] for g in goals4} | {g: [*ROUTERS6, g] for g in goals6}
    assert traced(lab, *goals4, *goals6) == truth
    lab.run(["sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"])
    assert traced(lab, "-I", *goals4, *goals6) == truth
    for port in ("22", "23"):  # open, and closed
        assert traced(lab, "-T", "-p", port, *goals4, *goals6) == truth
    assert traced(lab, "-m", "3", goals4[0]) == {goals4[0]: ROUTERS4[:3]}


def test_this_machine_is_one_hop_away():
    paths = list(trace(["127.0.0.1"], TraceOptions(queries=1)))
    assert [(hop.ttl, hop.addr, hop.state) for path in paths for hop in path] == [
        (1, "127.0.0.1", "reached")]


def test_watcher_sees_paths_grow(monkeypatch):
    monkeypatch.setattr(tracing, "WATCH_NS", 0)
    seen = []
    options = TraceOptions(queries=1, hops_max=2, wait_ns=50_000_000)
    paths = list(trace(["127.0.0.1"], options, seen.append))
    assert paths[0][0].state == "reached"
    assert seen and all(isinstance(paths, list) for paths in seen)
    assert seen[-1] == []  # nothing is under way any more


def test_stopped_trace_ends_at_once_without_its_paths():
    assert not list(trace(["127.0.0.1"], TraceOptions(queries=1), stopped=lambda: True))


def test_a_host_is_asked_at_its_own_port(monkeypatch):
    asked = []
    monkeypatch.setattr(
        HopSockets, "open",
        lambda self, host, addr, *, port=0: asked.append((addr, port)) or whole(self, host, addr))
    list(trace(["127.0.0.1"], TraceOptions(queries=1), ports={"127.0.0.1": 22}))
    assert asked[-1] == ("127.0.0.1", 22)


whole = HopSockets.open


def test_a_host_without_a_route_does_not_end_the_trace_of_others(monkeypatch):
    def opened(self, host, addr, *, port=0):
        if addr == "198.51.100.7":
            raise OSError(errno.ENETUNREACH, "no route")
        whole(self, host, addr, port=port)

    monkeypatch.setattr(HopSockets, "open", opened)
    paths = list(trace(["198.51.100.7", "127.0.0.1"], TraceOptions(queries=1)))
    assert [(p[0].target, p[0].state, p[0].mark) for p in paths] == [
        ("198.51.100.7", "unreachable", "!N"), ("127.0.0.1", "reached", "")]
