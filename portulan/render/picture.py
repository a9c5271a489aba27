"""Pictures of numbers: bars, lines and points as SVG of their own, and as text for a terminal.

Pure: numbers in, text out. An SVG names no other file and runs no script; every label is escaped.

>>> spark([1, 5, 2])
'▂█▄'
>>> bar(3, 4, 8)
'██████'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, log10
from typing import Final, Literal

from portulan.errors import printable

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 20, 48, 44
BAR_HEIGHT: Final = 26
LABEL_MAX: Final = 40
"""Characters of a label; the whole text stands in the bar's title."""
BARS_MAX: Final = 40
POINTS_MAX: Final = 20_000
"""Points of one series; more are thinned out evenly, first and last stay."""
COLOURS: Final = ("#1f6f8b", "#c8553d", "#5b8e3e", "#8a5fa8")
SPARKS: Final = "▁▂▃▄▅▆▇█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Series:
    """Points of one colour."""

    name: str
    points: Sequence[tuple[float, float]]
    shape: Literal["line", "dots"] = "line"


@dataclass(frozen=True)
class Picture:
    """What is drawn: either bars or series on two axes."""

    title: str
    x: str = ""
    y: str = ""
    bars: Sequence[tuple[str, float]] = ()
    series: Sequence[Series] = field(default_factory=tuple)

    def svg(self) -> str:
        """Return a whole SVG document."""
        return _bars_svg(self) if self.bars else _plot_svg(self)

    def html(self) -> str:
        """Return a page that shows the picture and nothing else."""
        title = escape(printable(self.title, 200))
        return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
                f"<title>{title}</title></head><body style=\"margin:2rem;font-family:sans-serif\">"
                f"{self.svg()}</body></html>\n")


def spark(values: Sequence[float]) -> str:
    """Return one character a value, from low to high; the lowest there is for nothing."""
    most = max(values, default=0)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[round(steps * value / most) if most > 0 else 0] for value in values)


def bar(value: float, most: float, width: int) -> str:
    """Return a bar of at most `width` cells, in eighths of a cell."""
    if most <= 0 or value <= 0:
        return ""
    eighths = max(1, round(8 * width * min(value / most, 1.0)))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def short(value: float) -> str:
    """Return a number as people say it: `1.2 M`."""
    for limit, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.4g}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, about so many."""
    span = high - low
    if span < 1e-9 * max(abs(low), abs(high), 1e-280):  # steps would be lost in rounding
        return [low]
    raw = span / count
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = -(-low // step) * step
    return [first + step * n for n in range(int((high - first) / step + 1e-9) + 1)]


def _text(label: str) -> str:
    return escape(printable(label, 200))


def _document(height: float, body: str, title: str) -> str:
    words = escape(printable(title, 200))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" font-family="sans-serif" font-size="12" role="img">'
        f'<title>{words}</title><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{LEFT}" y="26" font-size="16" fill="#222">{words}</text>{body}</svg>\n')


def _bars_svg(picture: Picture) -> str:
    rows = list(picture.bars[:BARS_MAX])
    most = max((value for _, value in rows), default=0) or 1
    left, room = 260, WIDTH - 260 - 90
    parts = []
    for at, (label, value) in enumerate(rows):
        y = TOP + at * BAR_HEIGHT
        whole = escape(printable(label, 400))
        shown = escape(printable(label, LABEL_MAX))
        width = max(1.0, room * value / most) if value > 0 else 0
        parts.append(
            f'<g><title>{whole}: {value:,.6g}</title>'
            f'<text x="{left - 8}" y="{y + 17}" text-anchor="end" fill="#333">{shown}</text>'
            f'<rect x="{left}" y="{y + 4}" width="{width:.1f}" height="{BAR_HEIGHT - 8}" '
            f'fill="{COLOURS[0]}"/><text x="{left + width + 6:.1f}" y="{y + 17}" '
            f'fill="#555">{short(value)}</text></g>')
    left_out = len(picture.bars) - len(rows)
    height = TOP + len(rows) * BAR_HEIGHT + BOTTOM
    note = f"{picture.x} · {left_out} more" if left_out else picture.x
    parts.append(f'<text x="{left}" y="{height - 16}" fill="#555">{_text(note)}</text>')
    return _document(height, "".join(parts), picture.title)


def _plot_svg(picture: Picture) -> str:
    every = [point for series in picture.series for point in series.points]
    x_low, x_high = _range([x for x, _ in every])
    y_low, y_high = _range([0.0, *(y for _, y in every)])
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return (LEFT + across * (x - x_low) / (x_high - x_low),
                TOP + down * (1 - (y - y_low) / (y_high - y_low)))

    parts = []
    for value in ticks(y_low, y_high):
        _, y = place(x_low, value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'stroke="#ddd"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
                     f'fill="#555">{short(value)}</text>')
    for value in ticks(x_low, x_high, 8):
        x, _ = place(value, y_low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
                     f'fill="#555">{short(value)}</text>')
    for number, series in enumerate(picture.series):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(x, y) for x, y in _thinned(series.points)]
        parts.append(_drawn(places, series.shape, colour))
        if len(picture.series) > 1:
            parts.append(f'<text x="{WIDTH - RIGHT}" y="{26 + 14 * number}" text-anchor="end" '
                         f'fill="{colour}">{escape(printable(series.name, LABEL_MAX))}</text>')
    parts.append(f'<text x="{LEFT + across / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle" '
                 f'fill="#555">{_text(picture.x)}</text>'
                 f'<text x="{LEFT}" y="{TOP - 8}" fill="#555">{_text(picture.y)}</text>')
    return _document(HEIGHT, "".join(parts), picture.title)


def _drawn(places: Sequence[tuple[float, float]], shape: str, colour: str) -> str:
    if shape == "dots":
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
        return (f'<path d="{path}" stroke="{colour}" stroke-width="3" stroke-linecap="round" '
                'fill="none"/>')
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    if len(points) <= POINTS_MAX:
        return points
    step = (len(points) - 1) / (POINTS_MAX - 1)
    return [points[round(step * n)] for n in range(POINTS_MAX)]
