from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from portulan.render.picture import BARS_MAX, POINTS_MAX, Picture, Series, bar, short, spark, ticks

NUMBERS = st.floats(0, 1e15, allow_nan=False)


def tree(picture):
    return etree.fromstring(picture.svg().encode())


def test_bars_are_drawn_to_scale_with_their_numbers():
    root = tree(Picture("Who", x="bytes", bars=[("a", 100), ("b", 50), ("c", 0)]))
    widths = [float(each.get("width")) for each in root.iterfind(".//{*}g/{*}rect")]
    assert widths[0] == 2 * widths[1]
    assert widths[2] == 0
    assert "100" in "".join(root.itertext())


def test_more_bars_than_fit_are_counted():
    root = tree(Picture("Who", x="bytes", bars=[(str(n), n) for n in range(BARS_MAX + 7)]))
    assert len(root.findall(".//{*}g")) == BARS_MAX
    assert "7 more" in "".join(root.itertext())


def test_points_stay_inside_and_are_thinned_out():
    points = [(float(n), float(n % 7)) for n in range(3 * POINTS_MAX)]
    root = tree(Picture("Rate", series=[Series("x", points), Series("y", points[:5], "dots")]))
    places = root.find(".//{*}polyline").get("points").split(" ")
    assert len(places) == POINTS_MAX
    assert all(0 <= float(number) <= 860 for place in places for number in place.split(","))
    assert root.find(".//{*}path") is not None


def test_hostile_labels_stay_text():
    label = "</text><script>alert(1)</script>\x1b[2J\u202e&\""
    for picture in (Picture(label, x=label, bars=[(label, 1)]),
                    Picture(label, x=label, y=label, series=[Series(label, [(0, 1)])] * 2)):
        root = tree(picture)
        assert not root.findall(".//{*}script")
        assert "\x1b" not in picture.html()
        assert "<script" not in picture.html()


def test_sparks_and_bars_of_text():
    assert spark([]) == ""
    assert spark([0, 0]) == "▁▁"
    assert bar(1, 1000, 10) == "▏"
    assert bar(0, 5, 10) == bar(5, 0, 10) == ""
    assert bar(9, 5, 10) == "█" * 10
    assert [short(n) for n in (0, 999, 1500, 2e6, 3e9)] == ["0", "999", "1.5 k", "2 M", "3 G"]


@given(NUMBERS, NUMBERS)
def test_ticks_are_within_their_range_and_few(one, two):
    low, high = min(one, two), max(one, two)
    found = ticks(low, high)
    assert len(found) <= 12
    assert all(low - 1e-6 * high <= each <= high * (1 + 1e-6) + 1e-9 for each in found)


@given(st.lists(st.tuples(st.text(max_size=20), NUMBERS), max_size=9),
       st.lists(st.tuples(NUMBERS, NUMBERS), max_size=9))
def test_any_numbers_make_a_document(bars, points):
    tree(Picture("t", bars=bars))
    tree(Picture("t", series=[Series("s", points)]))
