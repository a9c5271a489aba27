from __future__ import annotations

from portulan.render.text import ascii_only, render

from .golden import check
from .runs import KILLED, SMALL, hostile, wide


def test_small_run_is_as_kept():
    check("small.txt", "".join(render(SMALL)))


def test_wide_run_is_as_kept():
    check("wide.txt", "".join(render(wide(40), width=80, limit=5)))


def test_every_host_is_listed():
    assert sum(line.startswith("  10.79.") for line in render(wide(300))) == 300


def test_ascii_report_has_ascii_alone():
    for events in (SMALL, KILLED, wide(30), hostile("日本語é")):
        assert "".join(render(events, unicode=False)).isascii()


def test_our_signs_keep_their_width_in_ascii():
    assert ascii_only("…·█━─") == "~|#=-"
    assert ascii_only("é") == "\\xe9"
