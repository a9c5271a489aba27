from __future__ import annotations

from portulan.record import Hop
from portulan.render.paths import path_lines, path_rows, tree_rows
from portulan.render.text import plain

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


def path(*addrs):
    last = len(addrs)
    return [Hop(target=addrs[-1] or "silent", ttl=ttl, addr=addr, rtt_us=100 * ttl if addr else 0,
                state="reached" if ttl == last and addr else "expired" if addr else "silent")
            for ttl, addr in enumerate(addrs, 1)]


def test_tree_has_shared_routers_once_and_chains_in_one_line():
    paths = [path("r1", "r2", "r3", "h1"), path("r1", "r2", "r3", "h2"), path("r1", "s2", "h3"),
             path("r1", "s2", "", "", "")]
    assert [plain(line) for line in tree_rows(paths)] == [
        "this machine",
        "`- r1  0.10 ms",
        "   |- r2 > r3  0.30 ms",
        "   |  |- h1  0.40 ms",
        "   |  `- h2  0.40 ms",
        "   `- s2  0.20 ms",
        "      |- h3  0.30 ms",
        "      `- *",
    ]


def test_long_and_hostile_chain_of_a_tree_keeps_to_the_width():
    chain = path(*(f"2001:db8:{n:x}::{n:x}" for n in range(30)), "\x1b[2J" + "x" * 90)
    lines = [plain(line) for line in tree_rows([chain, chain[:9]])]
    assert len(lines) > 10
    assert all(len(line) <= 80 and line.isprintable() for line in lines)


def test_hostile_name_neither_reaches_the_terminal_nor_breaks_the_width():
    hop = Hop(target="::1", ttl=1, addr="::1", state="reached", name="\x1b[2J" + "é\u202e" * 90,
              others=["::2"], loss=0.5, rtt_us=999_000)
    for line in path_lines([hop]):
        assert len(line) <= 80
        assert line.isprintable()
