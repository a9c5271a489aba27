from __future__ import annotations

import io

import pytest
from rich.console import Console

from portulan.cli.relay_table import ROWS_MAX, seconds_text, size_text, table
from portulan.sockets.ledger import Line


def shown(lines, total=9):
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(table(lines, total, 110.0))
    return console.file.getvalue()


def line(client="10.0.0.1:5", active_s=100.0):
    made = Line(client=client, local="l", protocol="tcp", started_ns=0, now_s=100.0)
    made.active_s = active_s
    return made


def test_row_tells_who_how_long_and_how_much():
    made = line()
    made.target, made.tls = "10.0.0.2:80", "TLSv1.3"
    made.up.count, made.down.count = 17, 3 << 30
    text = shown([made])
    for word in ("1 connections of 9", "10.0.0.1:5", "10.0.0.2:80", "10 s", "17 B", "3 GiB",
                 "TLSv1.3"):
        assert word in text


def test_of_many_those_that_spoke_last_are_shown():
    text = shown([line(f"client-{at:03d}", at) for at in range(100)], 100)
    assert "client-099" in text and "client-000" not in text
    assert text.count("client-") == ROWS_MAX


def test_hostile_name_reaches_no_terminal():
    text = shown([line("\x1b[2J[bold]\u202e")])
    assert "\x1b" not in text and "\u202e" not in text and "[bold]" in text


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (61, "1:01"),
                                               (605, "10:05"), (7201, "2:00:01")])
def test_age_is_short(seconds, text):
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"),
                                            (5 << 40, "5 TiB")])
def test_size_has_a_binary_unit(size, text):
    assert size_text(size) == text
