from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from portulan.cli import main
from portulan.record import Hop


def test_this_machine_is_shown_as_a_path_of_one_hop(capsys):
    main(["trace", "-q", "1", "127.0.0.1"])
    title, hop = capsys.readouterr().out.splitlines()
    assert title == "127.0.0.1"
    assert hop.split()[:2] == ["1", "127.0.0.1"]


def test_names_are_asked_only_when_wanted(capsys, monkeypatch):
    monkeypatch.setattr("portulan.drive.naming.reverse_names",
                        lambda addresses, server: [(addr, f"by.{server}") for addr in addresses])
    main(["trace", "-q", "1", "127.0.0.1"])
    assert "by." not in capsys.readouterr().out
    main(["trace", "-q", "1", "--dns-server", "192.0.2.53", "127.0.0.1"])
    assert "127.0.0.1 by.192.0.2.53" in capsys.readouterr().out


def test_terminal_is_left_with_each_path_once():
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "portulan", "trace", "-q", "1", "127.0.0.1"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"},
    ) as process:
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
        assert process.wait(30) == 0
    os.close(ours)
    assert b"127.0.0.1" in written and written.rstrip().endswith(b"\x1b[?25h")


def _read(file):
    try:
        return os.read(file, 65536)
    except OSError:  # the other side is closed
        return b""


def test_interrupted_trace_leaves_what_it_knows(capsys, monkeypatch):
    def trace(hosts, options, watch):
        watch([[Hop(target=hosts[0], ttl=1, addr="192.0.2.1", state="expired")]])
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("portulan.drive.tracing.trace", trace)
    with pytest.raises(SystemExit) as caught:
        main(["trace", "127.0.0.1"])
    assert caught.value.code == 130
    assert "192.0.2.1" in capsys.readouterr().out


def test_tree_shows_all_targets_below_this_machine(capsys):
    main(["trace", "-q", "1", "--tree", "127.0.0.1", "127.0.0.2"])
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["this", "machine"], ["|-", "127.0.0.1"], ["`-", "127.0.0.2"]]


def test_json_is_a_hop_event_a_line(capfdbinary):
    main(["trace", "-q", "1", "--json", "127.0.0.1", "127.0.0.1"])
    (line,) = capfdbinary.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["type"], event["ttl"], event["state"]) == ("hop", 1, "reached")


@pytest.mark.parametrize(("words", "said"), [
    (["-4", "-6", "127.0.0.1"], "leave nothing"),
    (["-6", "127.0.0.1"], "no address"),
    ([], "HOST"),
    (["-q", "0", "127.0.0.1"], "-q"),
    (["--dns-server", "name", "127.0.0.1"], "--dns-server"),
    (["-I", "-T", "127.0.0.1"], "no ports"),
    (["--tree", "--json", "127.0.0.1"], "--tree"),
    (["-I", "-p", "80", "127.0.0.1"], "no ports"),
])
def test_wrong_words_are_refused_in_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        main(["trace", *words])
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert said in err
    assert len(err.splitlines()) == 1
