from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.record import Host, Note, Port
from portulan.render.gather import gather
from portulan.render.layout import cells, clip, layout
from portulan.render.terminal import STYLES

from .runs import KILLED, PATH, RUN, SMALL, hostile, opened, texts, wide


def lines(events, **options):
    return ["".join(text for text, _ in line) for line in layout(gather(events), **options)]


@given(text=texts, width=st.integers(40, 200))
@settings(deadline=None)
def test_no_line_is_wider_than_asked(text, width):
    for line in lines(hostile(text), width=width)[:-4]:
        assert cells(line) <= width


@given(st.text(max_size=50), st.integers(1, 40))
def test_clipped_text_fits_and_says_that_it_was_cut(text, width):
    cut = clip(text, width)
    assert cells(cut) <= width
    assert cut == text or cut.endswith("…")


def test_wide_characters_take_two_cells_and_combining_none():
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert clip("日本語", 4) == "日…"


def test_every_style_has_a_colour():
    for events in (SMALL, KILLED, wide(20), hostile("x")):
        assert {style for line in layout(gather(events)) for _, style in line} <= STYLES.keys()


def test_few_hosts_have_a_table_each_and_many_a_line_each():
    assert sum("FRAMES" in line for line in lines(wide(12))) == 12
    assert sum("FRAMES" in line for line in lines(wide(13))) == 1


def test_many_hosts_are_counted_by_port_with_a_bar():
    assert "  80/tcp    http?          ████████████████████████  300 hosts" in lines(wide(300))


def test_hosts_over_the_limit_are_counted_and_said_to_be_elsewhere():
    shown = lines(wide(300), limit=50, elsewhere="in the chart")
    assert "… and 250 more hosts: in the chart" in shown
    assert sum(line.startswith("  10.79.") for line in shown) == 50
    assert not any("more host" in line for line in lines(wide(300)))


def test_a_crowd_of_closed_ports_is_counted_and_a_few_are_listed():
    def closed(count):
        return [opened("10.0.0.1", 1), *(
            Port(addr="10.0.0.1", port=n, protocol="tcp", state="closed", reason="reset")
            for n in range(100, 100 + count))]

    assert "  not shown: 26 closed/tcp" in lines(closed(26))
    assert sum("closed" in line for line in lines(closed(25))) == 25


def test_open_ports_are_listed_however_many():
    events = [opened("10.0.0.1", n) for n in range(1, 99)]
    assert sum("/tcp" in line for line in lines(events)) == 98


def test_hosts_that_are_only_up_are_listed_too():
    up = [Host(addr=f"10.0.0.{n}", state="up", reason="echo-reply") for n in range(1, 30)]
    assert sum("10.0.0." in line for line in lines(up)) == 29
    assert sum("10.0.0." in line for line in lines([RUN, up[0]])) == 2  # the target, the host


def test_hosts_that_are_down_are_only_counted():
    assert not any("10.0.0.3" in line for line in lines(SMALL))


def crowd(ports):
    return [
        event for n in range(1, 15) for event in (
            *(opened(f"10.0.0.{n}", port, 1, 2) for port in ports),
            Host(addr=f"10.0.0.{n}", state="up", reason="syn-ack", names=["long" * 20],
                 rest={"tcp": {"closed": 990, "filtered": 1}}),
        )
    ]


def test_crowded_line_keeps_its_open_ports_before_its_name():
    shown = lines(crowd([22, 80, 443, 3389, 8080]), width=80)
    assert sum("22, 80, 443, 3389, 8080" in line for line in shown) == 14
    assert max(map(cells, shown)) <= 80
    assert not any("FRAMES" in line for line in shown)


def test_what_a_crowd_leaves_out_is_one_sum():
    assert "  not shown: 13,860 closed/tcp, 14 filtered/tcp" in lines(crowd([22]))


def test_drops_and_an_early_end_are_shown_as_warnings():
    styles = {style for line in layout(gather(KILLED)) for _, style in line}
    assert "warning" in styles


def test_long_note_is_wrapped():
    note = Note(addr="10.0.0.1", text="word " * 35)
    shown = [line for line in lines([note]) if "word" in line]
    assert len(shown) > 1
    assert max(map(len, shown)) <= 80


def test_way_to_a_host_is_shown_below_its_ports():
    up = Host(addr="10.0.0.2", state="up", reason="syn-ack")
    shown = lines([up, opened("10.0.0.2", 80), *PATH])
    assert "  way: 192.0.2.1, *, 192.0.2.3" in [line.rstrip() for line in shown]
