from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from rich.console import Console

from portulan.record import Progress
from portulan.render.terminal import lines, progress, render

from .golden import check
from .runs import ATTACKS, KILLED, SMALL, hostile, shown, texts, wide

SGR = re.compile(r"\x1b\[[0-9;]*m")


def test_small_run_at_80_columns_is_as_kept():
    check("small.terminal.txt", "".join(render(SMALL, chart="/charts/20261121-100000-abcd")))


def test_killed_run_in_ascii_is_as_kept():
    check("killed.terminal.txt", "".join(render(KILLED, chart="/my charts/x", unicode=False)))


def test_colours_are_styles_alone_and_change_no_word():
    plain = "".join(render(SMALL))
    coloured = "".join(render(SMALL, color=True))
    assert "\x1b[1;32mopen" in coloured
    assert SGR.sub("", coloured).split() == plain.split()
    assert "\x1b" not in plain


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_reaches_the_terminal(attack):
    assert not shown("".join(render(hostile(attack), chart=attack)))
    assert not shown(SGR.sub("", "".join(render(hostile(attack), chart=attack, color=True))))


@given(texts)
@settings(max_examples=60, deadline=None)
def test_any_text_stays_text(text):
    assert not shown(SGR.sub("", "".join(render(hostile(text), color=True))))


@pytest.mark.parametrize("markup", ["[red]x[/red]", "[link=http://a]x[/link]", "[/]", ":smile:"])
def test_markup_is_shown_as_it_was_sent(markup):
    assert markup in "".join(render(hostile(markup), color=True))


def test_many_hosts_are_cut_at_fifty_and_point_at_the_chart():
    output = "".join(render(wide(300), chart="/charts/x"))
    assert "250 more hosts: all of them are in the chart" in output
    assert "tcpdump -nr /charts/x/evidence.pcapng" in output


def test_no_frames_no_evidence_line():
    assert "tcpdump" not in "".join(render(hostile("x")[:2], chart="/charts/x"))


def test_console_without_a_terminal_gets_no_colours():
    out = io.StringIO()
    console = Console(file=out, width=80)
    for line in lines(SMALL):
        console.print(line, soft_wrap=True)
    assert out.getvalue() == "".join(render(SMALL))


@pytest.mark.parametrize(("done", "bar"), [(0, 0), (0.5, 10), (1, 20), (7, 20), (-1, 0)])
def test_progress_bar_fills_with_what_is_done(done, bar):
    event = Progress(done=done, sent=1234, received=5, rate_pps=9999.6, eta_s=3)
    text = progress(event).plain
    assert text.count("━") == bar
    assert "3 s left · 10,000/s · 1,234 sent · 5 received" in text


def test_progress_fits_its_width_and_encoding():
    event = Progress(done=0.3, sent=10**9, received=10**9, rate_pps=1e9, eta_s=1e6)
    text = progress(event, width=60, unicode=False, found="\x1b[2Jmany").plain
    assert len(text) <= 60
    assert text.isascii()
    assert "\x1b" not in text
