from __future__ import annotations

from portulan.record import Hop
from portulan.render.paths import path_lines, path_rows

PATH = [
    Hop(target="192.0.2.9", ttl=1, addr="192.0.2.1", state="expired", rtt_us=420),
    Hop(target="192.0.2.9", ttl=2, addr="", state="silent", loss=1.0),
    Hop(target="192.0.2.9", ttl=3, addr="192.0.2.9", state="reached", rtt_us=900, loss=0.333),
]


def test_path_is_a_line_a_hop_with_a_star_for_silence():
    lines = list(path_lines(PATH))
    assert [line.split() for line in lines] == [
        ["192.0.2.9"], ["1", "192.0.2.1", "0.42", "ms"], ["2", "*"],
        ["3", "192.0.2.9", "0.90", "ms", "33%", "lost"]]


def test_path_that_does_not_reach_its_target_says_why():
    end = Hop(target="192.0.2.9", ttl=2, addr="192.0.2.1", state="unreachable", mark="!H")
    assert list(path_lines([PATH[0], end]))[-1].strip() == (
        "not reached: 192.0.2.1 says unreachable (!H)")
    assert "silence" in list(path_lines(PATH[:2]))[-1]
    assert not list(path_lines([]))


def test_path_still_asked_has_no_verdict_yet():
    lines = ["".join(part for part, _ in line) for line in path_rows(PATH[:2], going=True)]
    assert lines[-1].strip() == "..."
    assert "not reached" not in "".join(lines)


def test_hostile_name_neither_reaches_the_terminal_nor_breaks_the_width():
    hop = Hop(target="::1", ttl=1, addr="::1", state="reached", name="\x1b[2J" + "é\u202e" * 90,
              others=["::2"], loss=0.5, rtt_us=999_000)
    for line in path_lines([hop]):
        assert len(line) <= 80
        assert line.isprintable()
