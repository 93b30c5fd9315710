"""Axes and SVG: round ticks, gaps that stay gaps, labels that stay labels, curves that stay small."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.report.charts import Frame, Series, line_chart, strip, whisker
from exprl.report.scales import MAX_POINTS, Axis, short, thin_out, ticks
from exprl.report.visible import escaped, visible

FRAME = Frame(x=Axis("k", 1, 16, "log2"), y=Axis("pass@k", 0, 1))
floats = st.floats(-1e6, 1e6, allow_nan=False)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.0, 0.05) == [0.0, 0.01, 0.02, 0.03, 0.04, 0.05]
    assert ticks(3.0, 3.0) == [3.0]


@given(low=st.floats(-1e3, 1e3), width=st.floats(1e-3, 1e6))
def test_ticks_are_few_and_ascending(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    assert len(marks) <= 12
    assert marks == sorted(set(marks))


def test_a_log_axis_marks_powers_of_two_at_equal_distances() -> None:
    axis = Axis("k", 1, 16, "log2", 0, 400)
    assert axis.ticks() == [1, 2, 4, 8, 16]
    assert [axis.at(k) for k in axis.ticks()] == [0, 100, 200, 300, 400]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (1234, "1,234"), (0.00001, "1.0e-05"), (16, "16"), (2.5e6, "2.5M")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


@given(st.lists(st.one_of(st.none(), floats), min_size=1, max_size=2000), st.integers(1, 400))
def test_a_thinned_curve_has_few_points_and_keeps_its_range(ys: list[float | None], limit: int) -> None:
    xs, thin = thin_out(range(len(ys)), ys, limit)
    assert len(xs) == len(thin) <= min(limit, len(ys))
    known, kept = [y for y in ys if y is not None], [y for y in thin if y is not None]
    assert bool(known) == bool(kept)
    if known:
        assert min(known) - 1e-6 <= min(kept)
        assert max(kept) <= max(known) + 1e-6


def test_a_long_curve_is_brought_to_the_mean_of_neighbours() -> None:
    xs, ys = thin_out([0, 1, 2, 3], [1.0, 3.0, None, None], 2)
    assert (xs, ys) == ([0.5, 2.5], [2.0, None])
    assert len(thin_out(range(1000), [0.0] * 1000)[0]) <= MAX_POINTS


def test_a_gap_breaks_the_line_and_is_not_drawn_as_zero() -> None:
    chart = line_chart([Series("process", 1, [1, 2, 4], [0.5, None, 1.0])], FRAME)
    path = re.search(r'<path class="line bold c1" d="([^"]*)"', chart)
    assert path is not None
    assert path[1].count("M") == 2
    bottom = FRAME.height - 44
    assert str(bottom) not in path[1]


def test_a_chart_is_well_formed_and_escapes_its_labels() -> None:
    series = [Series('<b>&"', 1, [1, 2], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3], markers=True)]
    chart = line_chart(series, Frame(FRAME.x, FRAME.y, "</svg><script>", [(1, 2, "<i>"), (2, 16, "II")]))
    ElementTree.fromstring(chart)
    assert "<script" not in chart
    assert "<b>" not in chart
    assert 'class="band c1"' in chart


def test_a_chart_says_its_values_under_the_pointer() -> None:
    chart = line_chart([Series("process", 1, [1, 16], [0.25, 0.75])], FRAME)
    assert ">k 16<" in chart
    assert ">process 0.75<" in chart


def test_an_arm_past_the_palette_takes_a_colour_again_but_never_the_bases() -> None:
    assert [Series("", colour, (), ()).css for colour in (0, 1, 6, 7, 8)] == ["c0", "c1", "c6", "c1", "c2"]


def test_a_strip_says_each_cell_and_merges_neighbours_where_there_are_many() -> None:
    few = strip([(1.0, "a & b: seed 0 at step 3"), (0.0, "c: never right")], 1)
    ElementTree.fromstring(few)
    assert "<title>a &amp; b: seed 0 at step 3</title>" in few
    assert few.count("cell none") == 1
    many = strip([(1.0, "x")] * 1000 + [(0.5, "y")] * 1000, 1)
    assert many.count('class="cell') == 2


def test_a_whisker_stays_inside_its_cell() -> None:
    ElementTree.fromstring(whisker(0.5, -1.0, 2.0, 3))
    assert 'x1="4.0" x2="96.0"' in whisker(0.5, -1.0, 2.0, 3)


def test_unseen_characters_are_made_visible_and_line_breaks_stay() -> None:
    assert visible("a\u202eb\u200b\x00\ud800\tc\r\n") == "a⟨U+202E⟩b⟨U+200B⟩⟨U+0000⟩⟨U+D800⟩\tc\n"
    assert escaped("<\"'&>") == "&lt;&quot;&#x27;&amp;&gt;"


@given(st.text())
def test_visible_text_can_always_be_written(text: str) -> None:
    visible(text).encode("utf-8")
