"""Traces are cut where the rule says, and no character is lost."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exprl.config import SegmentConfig
from exprl.errors import ConfigError
from exprl.segment import WHITE, split
from exprl.types import Segment

RULES = ["marker", "paragraph", "line", "heading"]

# Characters that the rules look at, with ones that they must not stumble over; and any text but lone surrogates.
LIKELY = st.text(st.sampled_from(list("###\n\n\r \tab`~é🙂零\u00a0\u2028\ufffd")), max_size=60)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TEXTS = LIKELY | ANY


def cut(text: str, rule: str = "marker", **settings: object) -> list[str]:
    return [text[s.start : s.end] for s in split(text, SegmentConfig(rule=rule, **settings))]


def test_a_marker_closes_the_segment_that_it_ends():
    assert cut("a = 3 ### b = 4 ### so 7") == ["a = 3 ###", " b = 4 ###", " so 7"]


def test_a_text_without_markers_is_one_segment():
    assert cut("a = 3") == ["a = 3"]


def test_an_empty_text_has_no_segments():
    assert split("", SegmentConfig()) == ()


def test_spans_are_half_open_character_spans():
    assert split("ä###b", SegmentConfig()) == (Segment(0, 4), Segment(4, 5))


@pytest.mark.parametrize("tail", ["", " ", "\n", " \r\n\t\n"])
def test_white_space_after_the_last_marker_makes_no_segment(tail: str):
    assert cut("one###two###" + tail) == ["one###", "two###" + tail]


def test_a_longer_run_of_the_marker_is_not_a_marker():
    assert cut("#### Step\n##### x\n###### y") == ["#### Step\n##### x\n###### y"]


def test_a_shorter_run_is_not_a_marker():
    assert cut("## Step ### two") == ["## Step ###", " two"]


def test_markers_without_content_between_them_make_no_segments():
    assert cut("a### ###\n###b") == ["a### ###\n###", "b"]


def test_a_marker_that_opens_the_text_is_not_a_segment():
    assert cut("### Step 1\nx\n### Step 2\ny") == ["### Step 1\nx\n###", " Step 2\ny"]


def test_a_text_of_markers_alone_is_one_segment():
    assert cut("### ###") == ["### ###"]


def test_a_marker_of_several_characters_is_found_wherever_it_stands():
    assert cut("x<step>y<step><step>z", marker="<step>") == ["x<step>", "y<step><step>", "z"]


def test_a_marker_may_be_any_text():
    assert cut("x§§y§§§z", marker="§§") == ["x§§", "y§§§z"]


def test_paragraphs_end_after_their_blank_lines():
    assert cut("a\nb\n\n \n  c\r\n\r\nd\n", "paragraph") == ["a\nb\n\n \n", "  c\r\n\r\n", "d\n"]


def test_a_single_crlf_is_not_a_blank_line():
    assert cut("a\r\nb", "paragraph") == ["a\r\nb"]


def test_lines_end_after_lf_crlf_and_cr():
    assert cut("a\nb\r\nc\rd", "line") == ["a\n", "b\r\n", "c\r", "d"]


def test_blank_lines_join_the_line_before():
    assert cut("\na\n\n \nb\n", "line") == ["\na\n\n \n", "b\n"]


def test_headings_open_segments():
    assert cut("intro\n# One\nx\n###### Six\n####### seven\n#hash\n", "heading") == [
        "intro\n",
        "# One\nx\n",
        "###### Six\n####### seven\n#hash\n",
    ]


def test_a_heading_may_be_empty_and_indented_by_three():
    assert cut("a\n   ##\nb\n    # code", "heading") == ["a\n", "   ##\nb\n    # code"]


def test_comments_in_fenced_code_are_not_headings():
    assert cut("# A\n```python\n# comment\n```\n# B\n~~~~\n# no\n~~~\n# no\n~~~~\n# C", "heading") == [
        "# A\n```python\n# comment\n```\n",
        "# B\n~~~~\n# no\n~~~\n# no\n~~~~\n",
        "# C",
    ]


def test_a_token_budget_cuts_at_the_ends_of_tokens():
    ends = np.array([2, 4, 6, 8, 10])
    spans = split("0123456789", SegmentConfig(rule="tokens", token_budget=2), token_ends=ends)
    assert spans == (Segment(0, 4), Segment(4, 8), Segment(8, 10))


def test_tokens_that_share_a_character_do_not_make_empty_segments():
    spans = split("a🙂b", SegmentConfig(rule="tokens", token_budget=1), token_ends=np.array([1, 2, 2, 2, 3, 3]))
    assert spans == (Segment(0, 1), Segment(1, 2), Segment(2, 3))


def test_a_token_budget_without_tokens_says_what_is_missing():
    with pytest.raises(ConfigError, match="token_ends"):
        split("text", SegmentConfig(rule="tokens"))


def test_tokens_of_another_text_are_refused():
    with pytest.raises(ValueError, match="end at character 3, the text at 4"):
        split("text", SegmentConfig(rule="tokens"), token_ends=np.array([3]))


def test_the_cap_merges_the_neighbours_with_the_smallest_joint_length():
    assert cut("aaaa\nb\ncc\ndddd\n", "line", max_segments=3) == ["aaaa\n", "b\ncc\n", "dddd\n"]


def test_the_cap_takes_the_leftmost_pair_on_a_tie():
    assert cut("a\nb\nc\nd\n", "line", max_segments=3) == ["a\nb\n", "c\n", "d\n"]


def test_a_cap_of_one_gives_the_whole_text():
    assert cut("a\nb\nc\n", "line", max_segments=1) == ["a\nb\nc\n"]


def test_many_short_lines_are_merged_quickly():
    assert len(cut("ab\n" * 20_000, "line", max_segments=16)) == 16


@given(TEXTS, st.sampled_from(RULES), st.integers(1, 6))
@example("\r\n\r\n", "paragraph", 1)
def test_the_spans_join_to_the_text(text: str, rule: str, most: int):
    spans = split(text, SegmentConfig(rule=rule, max_segments=most))
    assert "".join(text[s.start : s.end] for s in spans) == text
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert all(s.start < s.end for s in spans)
    assert len(spans) <= most


@given(TEXTS, st.sampled_from(RULES))
def test_every_segment_says_something(text: str, rule: str):
    pieces = cut(text, rule, max_segments=1000)
    assert len(pieces) <= 1 or all(piece.strip(WHITE) for piece in pieces)


@given(TEXTS, st.sampled_from(RULES))
def test_a_crlf_is_never_torn(text: str, rule: str):
    assert not any(a.endswith("\r") and b.startswith("\n") for a, b in pairwise(cut(text, rule, max_segments=1000)))


@given(TEXTS)
def test_repeating_the_last_marker_changes_no_count(text: str):
    assert len(cut(text + "x ###\n###\n", max_segments=1000)) == len(cut(text + "x ###", max_segments=1000))


@given(LIKELY, st.integers(1, 5))
def test_merging_is_what_the_rule_says_step_by_step(text: str, most: int):
    pieces = cut(text, "line", max_segments=1000)
    while len(pieces) > most:
        joint = [len(a) + len(b) for a, b in pairwise(pieces)]
        i = joint.index(min(joint))
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    assert cut(text, "line", max_segments=most) == pieces


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 5))
def test_a_token_budget_never_splits_a_token(widths: list[int], budget: int):
    ends = np.cumsum(widths)
    text = "x" * int(ends[-1])
    spans = split(text, SegmentConfig(rule="tokens", token_budget=budget, max_segments=1000), token_ends=ends)
    assert {s.end for s in spans} <= set(ends.tolist())
    assert sum(s.end - s.start for s in spans) == len(text)


def test_cutting_and_credit_load_neither_torch_nor_transformers():
    code = (
        "import sys, exprl.segment, exprl.tokens, exprl.rewards, exprl.advantages; "
        "print(sorted({'torch', 'transformers', 'tokenizers'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
