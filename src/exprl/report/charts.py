"""Charts as inline SVG, drawn by hand from numbers.

No plotting library, no script: a chart is a string of a few kilobytes that is sharp at any size, takes its colours
from the page's style sheet (classes `c0`, `c1`, ..., so that dark mode and a colour-blind-safe palette live in one
place), and shows its values under the pointer by CSS alone. Lines of an arm also differ by marker, for eyes that see
no colour.

A gap (None) breaks a line; it is never drawn as 0. Labels are escaped.

    >>> line_chart([Series("base", 0, [1, 2], [0.0, 0.5])], Frame(x=Axis("k", 1, 2), y=Axis("pass@k", 0, 1)))[:4]
    '<svg'
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from exprl.report.scales import Axis, short
from exprl.report.visible import escaped

__all__ = ["Frame", "Series", "Svg", "Weight", "line_chart", "strip", "swatch", "whisker"]

_LEFT, _RIGHT, _BOTTOM = 56.0, 14.0, 44.0
_HOVERS = 32
_PALETTE = 7

Weight = Literal["bold", "thin", "faint"]


class Svg(str):
    """Markup made here, of numbers and escaped labels: templates insert it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `ys` (None = gap) over ascending `xs`, with an optional interval [lows, highs] as a band.

    `colour` is a place in the palette (0 = base, grey). Thin lines are single seeds, faint ones stand for comparison;
    only bold lines answer to the pointer.
    """

    name: str
    colour: int
    xs: Sequence[float]
    ys: Sequence[float | None]
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()
    weight: Weight = "bold"
    markers: bool = False

    @property
    def css(self) -> str:
        """The class that colours it."""
        return _css(self.colour)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the lines: axes, a heading, and labelled regions [from, to) of the x axis (the two stages).

    Width and height are in pixels of an undistorted view: a small chart shown small keeps its letters readable.
    """

    x: Axis
    y: Axis
    title: str = ""
    regions: Sequence[tuple[float, float, str]] = ()
    width: float = 520.0
    height: float = 300.0

    @property
    def top(self) -> float:
        """Where the drawing begins, below the heading and the names of the regions."""
        return 42.0 if self.regions else 26.0


def line_chart(series: Sequence[Series], frame: Frame) -> Svg:
    """Lines with bands, axes, ticks and values under the pointer."""
    placed = replace(
        frame,
        x=replace(frame.x, start=_LEFT, end=frame.width - _RIGHT),
        y=replace(frame.y, start=frame.height - _BOTTOM, end=frame.top),
    )
    box = f"0 0 {frame.width:.0f} {frame.height:.0f}"
    parts = [
        f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escaped(_says(frame))}">',
        *_axes(placed),
        *(_band(s, placed) for s in series if s.lows),
        *(_line(s, placed) for s in sorted(series, key=lambda s: s.weight == "bold")),
        *_hovers([s for s in series if s.weight == "bold"], placed),
        "</svg>",
    ]
    return Svg("".join(parts))


def strip(cells: Sequence[tuple[float, str]], colour: int) -> Svg:
    """A row of cells, each (share in [0, 1], what it says under the pointer); neighbours merge where there are many."""
    count = len(cells)
    css = _css(colour)
    parts = [f'<svg class="strip" viewBox="0 0 {count} 1" preserveAspectRatio="none" aria-hidden="true">']
    parts += [f'<rect class="empty" width="{count}" height="1"/>']
    if count <= 200:
        parts += [_cell(i, 0.92, share, css, says) for i, (share, says) in enumerate(cells)]
    else:
        parts += [_cell(start, width, share, css, "") for start, width, share in _merged(cells) if share > 0]
    return Svg("".join([*parts, "</svg>"]))


def whisker(value: float, low: float, high: float, colour: int) -> Svg:
    """A point with its interval on [0, 1], to stand in a table cell."""
    css = _css(colour)
    x, a, b = (4 + 92 * min(1.0, max(0.0, v)) for v in (value, low, high))
    return Svg(
        f'<svg class="whisker {css}" viewBox="0 0 100 10" aria-hidden="true">'
        f'<line class="rail" x1="4" x2="96" y1="5" y2="5"/>'
        f'<line class="range" x1="{a:.1f}" x2="{b:.1f}" y1="5" y2="5"/><circle cx="{x:.1f}" cy="5" r="3.2"/></svg>'
    )


def swatch(colour: int) -> Svg:
    """The legend's sample of a line."""
    css = _css(colour)
    line = f'<path class="line bold {css}" d="M1 7H27"/>'
    return Svg(f'<svg class="swatch" viewBox="0 0 28 14" aria-hidden="true">{line}{_marker(14, 7, colour, css)}</svg>')


def _css(colour: int) -> str:
    return f"c{colour if colour < _PALETTE else 1 + (colour - 1) % (_PALETTE - 1)}"


def _says(frame: Frame) -> str:
    return f"{frame.title + ': ' if frame.title else ''}{frame.y.label} over {frame.x.label}"


def _axes(frame: Frame) -> Iterable[str]:
    x, y = frame.x, frame.y
    yield f'<text class="title" x="{_LEFT}" y="13">{escaped(frame.title)}</text>'
    for value in y.ticks():
        at = f"{y.at(value):.1f}"
        yield f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{at}" y2="{at}"/>'
        yield f'<text class="tick" x="{x.start - 6}" y="{at}" text-anchor="end" dy=".32em">{short(value)}</text>'
    for value in x.ticks():
        at = f"{x.at(value):.1f}"
        yield f'<line class="mark" x1="{at}" x2="{at}" y1="{y.start}" y2="{y.start + 4}"/>'
        yield f'<text class="tick" x="{at}" y="{y.start + 17}" text-anchor="middle">{short(value)}</text>'
    yield f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{y.start}" y2="{y.start}"/>'
    across, up = (x.start + x.end) / 2, (y.start + y.end) / 2
    yield f'<text class="label" x="{across}" y="{frame.height - 6}" text-anchor="middle">{escaped(x.label)}</text>'
    turned = f'transform="rotate(-90 13 {up})"'
    yield f'<text class="label" x="13" y="{up}" text-anchor="middle" {turned}>{escaped(y.label)}</text>'
    yield from _regions(frame)


def _regions(frame: Frame) -> Iterable[str]:
    for index, (start, end, name) in enumerate(frame.regions):
        a, b = frame.x.at(start), frame.x.at(end)
        if index:
            yield f'<line class="divide" x1="{a:.1f}" x2="{a:.1f}" y1="{frame.top - 14}" y2="{frame.y.start}"/>'
        at = f'x="{(a + b) / 2:.1f}" y="{frame.top - 6}"'
        yield f'<text class="region" {at} text-anchor="middle">{escaped(name)}</text>'


def _band(series: Series, frame: Frame) -> str:
    known = [(x, lo, hi) for x, lo, hi in zip(series.xs, series.lows, series.highs, strict=True)
             if lo is not None and hi is not None]  # fmt: skip
    upper = [f"{frame.x.at(x):.1f} {frame.y.at(hi):.1f}" for x, _, hi in known]
    lower = [f"{frame.x.at(x):.1f} {frame.y.at(lo):.1f}" for x, lo, _ in reversed(known)]
    return f'<path class="band {series.css}" d="M{"L".join(upper + lower)}Z"/>' if known else ""


def _line(series: Series, frame: Frame) -> str:
    drawn = ""
    pen_down = False
    dots = []
    for x, y in zip(series.xs, series.ys, strict=True):
        if y is not None:
            at = (frame.x.at(x), frame.y.at(y))
            # A point between two gaps is a line of no length, which a round cap still shows.
            drawn += f"{'L' if pen_down else 'M'}{at[0]:.1f} {at[1]:.1f}{'' if pen_down else 'h0'}"
            dots += [_marker(*at, series.colour, series.css)] if series.markers else []
        pen_down = y is not None
    path = f'<path class="line {series.weight} {series.css}" d="{drawn}"/>' if drawn else ""
    return path + "".join(dots)


def _marker(x: float, y: float, colour: int, css: str) -> str:
    shapes = (
        "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0Z",
        "M-3 -3H3V3H-3Z",
        "M0-4L4 3.2H-4Z",
        "M0-4.4L4.4 0L0 4.4L-4.4 0Z",
        "M0 4L4-3.2H-4Z",
        "M-1.4-4.2H1.4V-1.4H4.2V1.4H1.4V4.2H-1.4V1.4H-4.2V-1.4H-1.4Z",
        "M-2-4H2L4.2 0L2 4H-2L-4.2 0Z",
    )
    return f'<path class="dot {css}" transform="translate({x:.1f} {y:.1f})" d="{shapes[colour % len(shapes)]}"/>'


def _hovers(series: Sequence[Series], frame: Frame) -> Iterable[str]:
    marks = sorted({x for s in series for x, y in zip(s.xs, s.ys, strict=True) if y is not None})
    stride = -(-len(marks) // _HOVERS) or 1
    marks = marks[::stride]
    pixels = [frame.x.at(x) for x in marks]
    edges = [frame.x.start, *((a + b) / 2 for a, b in pairwise(pixels)), frame.x.end]
    for mark, at, left, right in zip(marks, pixels, edges, edges[1:], strict=False):
        lines = [(s.css, f"{s.name} {short(value)}") for s in series if (value := _near(s, mark)) is not None]
        yield _hover(at, left, right, frame, [("", f"{frame.x.label} {short(mark)}"), *lines])


def _near(series: Series, x: float) -> float | None:
    place = bisect_left(series.xs, x)
    near = [i for i in (place - 1, place) if 0 <= i < len(series.xs)]
    best = min(near, key=lambda i: abs(series.xs[i] - x), default=None)
    gap = (series.xs[-1] - series.xs[0]) / max(1, len(series.xs) - 1) if series.xs else 0.0
    return series.ys[best] if best is not None and abs(series.xs[best] - x) <= gap + 1e-9 else None


def _hover(at: float, left: float, right: float, frame: Frame, lines: Sequence[tuple[str, str]]) -> str:
    width = 16 + 7.8 * max(len(text) for _, text in lines)
    box = at + 8 if at + 8 + width <= frame.width else max(0.0, at - 8 - width)
    rows = "".join(f'<text class="{css}" x="{box + 8:.1f}" y="{frame.top + 16 + 15 * i:.1f}">{escaped(text)}</text>'
                   for i, (css, text) in enumerate(lines))  # fmt: skip
    top, height = frame.top, frame.y.start - frame.top
    return (
        f'<g class="hit"><rect class="zone" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{height}"/>'
        f'<g class="tip"><line x1="{at:.1f}" x2="{at:.1f}" y1="{frame.top}" y2="{frame.y.start}"/>'
        f'<rect x="{box:.1f}" y="{top + 1}" width="{width:.1f}" height="{15 * len(lines) + 8}" rx="4"/>{rows}</g></g>'
    )


def _cell(start: int, width: float, share: float, css: str, says: str) -> str:
    title = f"<title>{escaped(says)}</title>" if says else ""
    css = css if share > 0 else "none"
    opacity = f' fill-opacity="{0.3 + 0.7 * share:.2f}"' if 0 < share < 1 else ""
    return f'<rect class="cell {css}" x="{start + 0.04}" width="{width}" height="1"{opacity}>{title}</rect>'


def _merged(cells: Sequence[tuple[float, str]]) -> list[tuple[int, float, float]]:
    runs: list[tuple[int, float, float]] = []
    for index, (share, _) in enumerate(cells):
        if runs and runs[-1][2] == share:
            start, width, _ = runs.pop()
            runs.append((start, width + 1, share))
        else:
            runs.append((index, 1.0, share))
    return runs
