from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import ExitStack

import pytest

from portulan.cli import flows_live
from portulan.cli.flows import Lines
from portulan.cli.flows_live import _Board
from portulan.link.packet import PacketLink
from portulan.traffic.flows import FlowTable
from portulan.traffic.names import Names
from portulan.wire import Frames
from tests.link.conformance import send_all
from tests.link.namespace import inside, namespace
from tests.traffic.traffic import packets

__all__ = ["namespace"]
COMMAND = [sys.executable, "-m", "portulan", "flows"]


@pytest.mark.live
def test_the_live_table_is_that_of_the_capture_it_kept(namespace, tmp_path):
    kept = tmp_path / "kept.pcapng"
    sent = [octets for octets, _, _ in packets(5, 300)]
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, *COMMAND, "-e", "vb", "--count", str(len(sent)),
         "--duration", "20", "-w", str(kept), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "listening on vb" in process.stderr.readline()
    with inside(namespace):
        link = PacketLink("va", rx=False)
    with link:
        send_all(link, Frames.of(sent))
    live, told = process.communicate(timeout=40)
    assert f"{len(sent)} packets, 0 dropped" in told
    offline = subprocess.run(
        [*COMMAND, str(kept), "--json"], capture_output=True, text=True, check=True).stdout
    assert live == offline
    assert sum(json.loads(line)["packets_fwd"] + json.loads(line)["packets_rev"]
               for line in live.splitlines()) <= len(sent)


@pytest.mark.parametrize(("words", "reason"), [
    ([], "name captures, or interfaces"), (["-e", "lo", "x.pcap"], "name captures, or interfaces"),
    (["x.pcap", "--duration", "3"], "read to their end"), (["-e", "none"], "no such interface"),
])
def test_what_cannot_be_watched_is_one_line(words, reason):
    run = subprocess.run([*COMMAND, *words], capture_output=True, check=False, text=True)
    assert run.returncode == 2
    assert reason in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_a_terminal_sees_the_greatest_flows_and_what_passes_now(monkeypatch):
    from rich.console import Console

    class Clock:
        time = 0

        @classmethod
        def now(cls):
            return cls.time

    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **words: Console(
        file=screen, force_terminal=True, width=120, height=8, **words))
    monkeypatch.setattr("portulan.drive.clock.Clock", Clock)
    table = FlowTable([Names()])
    with ExitStack() as stack:
        board = _Board(table, Lines(long=False), by="bytes", stack=stack)
        table.add(Frames.of([octets for octets, _, _ in packets(5, 300)]))
        board.show()
        assert "flows" not in screen.getvalue()  # it is not time yet
        Clock.time += flows_live.REFRESH_NS
        board.show()
        shown = screen.getvalue()
    assert f"{len(table):,} flows" in shown
    assert "kB/s" in shown
    assert shown.count("tcp ") + shown.count("udp ") <= 8
