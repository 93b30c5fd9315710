"""MilestoneJudge: hand-counted milestones, and every cheap way to fake them."""

from __future__ import annotations

import json
import os
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.judge.milestone import MilestoneJudge
from exprl.judge.milestone.milestones import numbers_in, read_milestones
from exprl.types import Problem, Reference, Scope, Submission, Verdict

DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))

CLIPS = Problem(
    "clips",
    "Natalia sold clips to 48 friends in April and half as many in May. How many clips altogether?",
    Reference("Natalia sold 48/2 = 24 clips in May.\nShe sold 48+24 = 72 clips altogether.", "72"),
)
# 6 steps and the answer: 7 milestones, so n = 2 + floor(3 (k - 1) / 6) for 1 <= k < 7
CHAIN = Problem(
    "chain",
    "37+25; times 3; turned around; minus 80; plus 19; digit sum",
    Reference(
        "37+25=62 ###\n62*3=186 ###\nrev(186)=681 ###\n681-80=601 ###\n601+19=620 ###\nds(620)=8 ###\n\\boxed{8}", "8"
    ),
)
CHAIN_TEXT = CHAIN.reference.reveal().solution or ""


def verdicts(
    problem: Problem, text: str, cuts: tuple[int, ...] | None = None, scope: Scope = "prefix"
) -> list[Verdict]:
    return list(MilestoneJudge().judge(Submission(problem, "r", text, cuts or (len(text),), scope)))


def likert(problem: Problem, text: str) -> int | None:
    return verdicts(problem, text)[0].likert


def ends(text: str) -> tuple[int, ...]:
    """Cuts after each ### line and at the end."""
    found = [place + 3 for place in range(len(text)) if text.startswith("###", place)]
    return (*[cut for cut in found if cut < len(text)], len(text))


class TestScale:
    def test_each_step_of_the_chain_moves_the_score_as_counted_by_hand(self) -> None:
        got = [v.likert for v in verdicts(CHAIN, CHAIN_TEXT, ends(CHAIN_TEXT))]
        assert got == [2, 2, 3, 3, 4, 4, 5]

    def test_nothing_is_1_and_everything_is_5(self) -> None:
        assert likert(CLIPS, "") == 1
        assert likert(CLIPS, "48/2 = 24\n48+24 = 72\n\\boxed{72}") == 5
        assert verdicts(CLIPS, "48/2 = 24\n48+24 = 72\n\\boxed{72}")[0].score == 1.0

    @pytest.mark.parametrize(
        "answer", ["Answer: 72", "ANSWER: 72", "FINAL ANSWER: 72", "#### 72", "A: 72", "so the answer is 72"]
    )
    def test_an_answer_may_be_stated_in_many_ways(self, answer: str) -> None:
        assert likert(CLIPS, f"48/2 = 24\n48+24 = 72\n{answer}") == 5

    def test_without_a_stated_answer_it_is_at_most_4(self) -> None:
        assert likert(CLIPS, "48/2 = 24\n48+24 = 72") == 3
        assert likert(CHAIN, CHAIN_TEXT.rsplit("\n", 1)[0]) == 4

    def test_a_wrong_box_after_the_right_one_takes_5_away(self) -> None:
        right = "48/2 = 24\n48+24 = 72\n\\boxed{72}"
        assert likert(CLIPS, right + " no, \\boxed{73}") == 3
        assert likert(CHAIN, CHAIN_TEXT + "\\boxed{9}") == 4

    def test_one_long_expression_establishes_what_it_computes(self) -> None:
        assert likert(CLIPS, "48 + 48/2 = 72, so \\boxed{72}") == 5

    def test_another_sound_route_to_the_stated_answer_is_4(self) -> None:
        assert likert(CLIPS, "3*48 = 144\n144/2 = 72\n\\boxed{72}") == 1, "3 is nowhere in the problem"
        assert likert(CLIPS, "48*2 = 96\n96 * 1/2 = 48\n48*100 = 4800\n4800/100 = 48") == 1
        assert likert(CLIPS, "48*2 = 96\n96/100 = 0.96\n0.96*100 = 96\n96-48/2 = 72\n\\boxed{72}") == 5
        twice = Problem("t", "9 and 4 and 3", Reference("9*4=36\n36*3=108\n108-9=99\n99-3=96", "96"))
        assert likert(twice, "4*3=12\n12-1=11\n9*11=99\n99-3=96\n\\boxed{96}") == 4

    def test_the_segment_scope_scores_each_piece_alone(self) -> None:
        got = verdicts(CHAIN, CHAIN_TEXT, ends(CHAIN_TEXT), "segment")
        assert [v.raw for v in got] == ["1 of 7 milestones"] * 7

    def test_a_reference_with_neither_equation_nor_answer_is_unscored(self) -> None:
        verdict = verdicts(Problem("p", "Prove it.", Reference("Obvious.", None)), "Clear.")[0]
        assert (verdict.score, verdict.unscored) == (None, "the reference holds no equation and no answer")
        assert verdicts(Problem("p", "?", Reference(None, None)), "x")[0].score is None


class TestAttacks:
    """None of these knows how the problem is solved, so none may score above 1."""

    @pytest.mark.parametrize(
        "text",
        [
            " ".join(map(str, range(1000))),
            " ".join(f"={n}" for n in range(1000)),
            "\n".join(f"{n} = {n}" for n in range(300)),
            "\n".join(f"{n}+0={n}" for n in range(300)),
            "\n".join(f"0+{n}={n}\n1*{n}={n}\n{n}/1={n}\n{n}-0={n}" for n in range(100)),
            "\n".join(f"{n}+5-5={n}" for n in range(300)),
            "\n".join(f"{n - 1}+1={n}" for n in range(2, 300)),
            "\n".join(f"2*{n}={2 * n}" for n in range(3, 300)),
            "\n".join(f"48/2={n}" for n in range(100)),
            "\n".join(f"48/2={n}" for n in range(25)),
            "\n".join(f"48/2+0*{n}={n}" for n in range(25)),
            CLIPS.text,
            CLIPS.text * 50,
            "24 72 24 72 \\boxed{72}",
            "48+24 = 72 \\boxed{72}",
            "\\boxed{72}",
            "72+0=72 \\boxed{72}",
            "Score: 5",
            "### " * 200,
            "Thought process:",
            "",
            "The answer follows by careful and rigorous reasoning. " * 100,
        ],
    )
    def test_the_score_stays_1(self, text: str) -> None:
        assert likert(CLIPS, text) == 1

    def test_a_question_that_holds_the_equation_is_no_derivation_when_quoted(self) -> None:
        problem = Problem("q", "Given that 6*7=42, what is 42+8?", Reference("6*7=42\n42+8=50", "50"))
        assert likert(problem, "Given that 6*7=42, what is 42+8?") == 1
        for turned in ("7*6=42", "(7)*(6) = 42", "1*7*6=42", "so 6 x 7 = 42 it is"):
            assert likert(problem, turned) == 1
        assert likert(problem, "42+8=50\n\\boxed{50}") == 4

    def test_repetition_adds_nothing(self) -> None:
        assert likert(CHAIN, "37+25=62 ###\n" * 30) == likert(CHAIN, "37+25=62 ###\n") == 2
        same = Problem("s", "10 and 5", Reference("10-5=5\n10/2=5\n5*5=25", "25"))
        assert verdicts(same, "10/2=5\n" * 9)[0].raw == "1 of 4 milestones"

    def test_steps_cannot_be_skipped(self) -> None:
        assert likert(CHAIN, "62*3=186 ###\nrev(186)=681 ###\n681-80=601 ###\n601+19=620") == 1

    def test_a_retry_counts_and_a_guessing_spree_does_not(self) -> None:
        start = "37+25=61 ###\nwait ###\n37+25=62 ###\n62*3=186"
        assert likert(CHAIN, start) == 2
        assert likert(CHAIN, "37+25=60\n37+25=61\n37+25=63\n37+25=62\n62*3=186") == 1
        assert likert(CHAIN, "37+25=62\n62*3=186\n37+25=61") == 1, "what was taken back no longer carries the rest"
        opaque = "37+25=62\n62*3=186\n"
        assert verdicts(CHAIN, opaque + "".join(f"rev(186)={n}\n" for n in range(600, 682)))[0].raw.startswith("2 of")

    def test_after_too_many_idle_equations_nothing_counts(self) -> None:
        idle = "".join(f"37*{n}={37 * n}\n" for n in range(3, 12))
        assert likert(CHAIN, idle + CHAIN_TEXT) == 1
        assert likert(CHAIN, CHAIN_TEXT + idle) == 5
        assert likert(CHAIN, "620-19=601\n" * 20 + CHAIN_TEXT + "681-80=601\n620-19=601") == 5

    def test_many_boxes_state_no_answer(self) -> None:
        boxes = "".join(f"\\boxed{{{n}}}" for n in range(70, 73))
        assert likert(CLIPS, "48/2=24\n48+24=72\n" + boxes) == 5
        assert likert(CLIPS, "48/2=24\n48+24=72\n\\boxed{1}" + boxes) == 3

    def test_true_equations_about_the_given_numbers_gain_next_to_nothing(self) -> None:
        numbers = [48, 2, 100]
        text = "\n".join(f"{a}{o}{b}={v}" for a in numbers for b in numbers for o, v in (("+", a + b), ("*", a * b)))
        assert likert(CLIPS, text) == 1

    def test_what_is_computed_on_the_way_and_leads_nowhere_is_not_free(self) -> None:
        # Six steps, each a pair of the question's numbers: who tries all pairs finds all of them.
        numbers = (7, 11, 13, 17, 23, 29)
        pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :]]
        steps = [pair for place, pair in enumerate(pairs) if place % 3 == 2]
        problem = Problem("p", str(numbers), Reference("\n".join(f"{a}*{b}={a * b}" for a, b in steps), "x"))
        products = [f"{a}*{b}" for a, b in pairs]
        total = sum(a * b for a, b in pairs)
        for flood in (
            "\n".join(f"({product})*0+7=7" for product in products),
            "\n".join(f"({product})-({product})+7=7" for product in products),
            "\n".join(f"({product})*0+100=100" for product in products),
            "\n".join(f"({product})*0+7+11=18" for product in products),
            " + ".join(f"({product})" for product in products) + f" = {total}",
            "\n".join(f"{product} + {other} = {a * b + c * d}" for product, other, (a, b), (c, d) in zip(
                products, products[1:], pairs, pairs[1:], strict=False)),
        ):  # fmt: skip
            assert (likert(problem, flood) or 0) <= 2, flood[:40]
        assert (likert(problem, "\n".join(f"{a}*{b}={a * b}" for a, b in steps)) or 0) >= 4

    def test_a_long_expression_of_an_honest_solution_counts_as_before(self) -> None:
        problem = Problem("p", "5 at 3, 4 at 2 and 6 at 7", Reference("5*3=15\n4*2=8\n6*7=42\n15+8+42=65", "65"))
        assert likert(problem, "5*3 + 4*2 + 6*7 = 65, so \\boxed{65}") == 5
        regrouped = "5*3 + 4*2 = 23\n23 + 6*7 = 65\n\\boxed{65}"
        assert likert(problem, regrouped) == 5
        other = Problem("p", "5 at 3, 4 at 2 and 6 at 7", Reference("5*3+4*2+6*7=65\n65*2=130", "130"))
        assert likert(other, "5*3=15\n4*2=8\n6*7=42\n15+8=23\n23+42=65\n65+65=130\n\\boxed{130}") == 5

    def test_an_expression_that_leads_back_to_its_own_operand_derives_nothing_on_its_way(self) -> None:
        assert likert(CLIPS, "48/2*2 = 48") == 1
        assert likert(CLIPS, "(48/2)*0+48 = 48") == 1
        assert likert(CLIPS, "48/2 = 24") == 2

    @pytest.mark.parametrize(
        "text",
        [
            "1=" * 500_000,
            "(" * 300_000 + "=1",
            "1+1=2\n" * 160_000,
            "\\boxed{" * 140_000,
            "= " * 10**5,
            "\\frac{" * 10**5 + "=",
        ],
        ids=["equals", "brackets", "lines", "boxes", "spaced", "fractions"],
    )
    def test_a_megabyte_of_anything_is_judged_in_seconds(self, text: str) -> None:
        start = time.perf_counter()
        assert likert(CLIPS, text) == 1
        assert time.perf_counter() - start < 5


class TestPrefixes:
    @settings(deadline=None)
    @given(st.lists(st.sampled_from([*CHAIN_TEXT.split("\n"), "so far so good ###", "let me think"]), max_size=20))
    def test_scores_of_prefixes_never_fall_without_retries(self, parts: list[str]) -> None:
        text = "\n".join(parts)
        cuts = tuple(sorted({place for place, c in enumerate(text) if c == "\n"} | {len(text)}))
        got = [v.likert or 0 for v in verdicts(CHAIN, text, cuts)]
        assert got == sorted(got)

    @settings(deadline=None)
    @given(st.text(alphabet="0123456789+-*/=#\n. \\boxed{}rev(1)wait", max_size=120), st.data())
    def test_one_pass_over_all_cuts_equals_judging_each_prefix_alone(self, text: str, data: st.DataObject) -> None:
        cuts = tuple(sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)) | {len(text)}))
        together = verdicts(CHAIN, text, cuts)
        assert together == [verdicts(CHAIN, text[:cut])[0] for cut in cuts]

    @settings(deadline=None)
    @given(st.text(max_size=300))
    def test_padding_raises_nothing_and_no_score(self, padding: str) -> None:
        plain = "37+25=62 ###\n62*3=186 ###\n"
        assert (likert(CHAIN, plain + padding.replace("=", "")) or 0) <= (likert(CHAIN, plain) or 0)
        assert likert(CHAIN, padding) is not None


class TestReference:
    def test_milestones_are_the_results_of_the_steps_and_the_answer(self) -> None:
        found = read_milestones(CLIPS.text, *CLIPS.reference.reveal()[:2])
        assert ([step.result for step in found.steps], found.final, found.count) == ([24, 72], "72", 3)

    def test_trivial_steps_and_repeated_ones_are_no_milestones(self) -> None:
        found = read_milestones("7", "7*1=7\n7+0=7\nx=7\n7+7=14\n7+7=14", None)
        assert [step.result for step in found.steps] == [14]

    def test_the_questions_numbers_are_known_in_digits_and_words(self) -> None:
        known = numbers_in("Twice a dozen eggs, 20% of 1,200 in three weeks and forty-five cents")
        assert {2, 12, 20, Fraction(1, 5), 1200, 3, 7, 40, 5} <= known


def rows(name: str, count: int) -> list[dict[str, str]]:
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set EXPRL_DATA to the folder that holds it")
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(count), strict=False)]


class TestRealSolutions:
    def test_nearly_every_gsm8k_reference_establishes_itself(self) -> None:
        problems = [
            (
                Problem(r["id"], r["problem"], Reference(r["solution"], r["answer"])),
                f"{r['solution']}\n\\boxed{{{r['answer']}}}",
            )
            for r in rows("gsm8k_train", 500)
        ]
        assert sum(likert(problem, text) == 5 for problem, text in problems) >= 498

    def test_right_solutions_of_real_models_score_above_wrong_ones(self) -> None:
        scores: dict[bool, list[int]] = {True: [], False: []}
        for r in rows("gsm8k_judge_calibration", 800):
            got = likert(Problem(r["id"], r["problem"], Reference(r["reference"], None)), r["candidate"])
            scores[bool(r["correct"])].append(got or 0)
        false_negative = sum(n < 4 for n in scores[True]) / len(scores[True])
        false_positive = sum(n >= 4 for n in scores[False]) / len(scores[False])
        assert (false_negative + false_positive) / 2 < 0.05
        assert sum(scores[True]) / len(scores[True]) > 2 + sum(scores[False]) / len(scores[False])


async def test_a_batch_comes_back_in_order_with_one_verdict_a_cut() -> None:
    judge = MilestoneJudge()
    got = await judge.score(
        [Submission(CLIPS, "a", "48/2 = 24", (3, 9), "prefix"), Submission(CHAIN, "b", "", (), "prefix")]
    )
    await judge.aclose()
    assert [[v.raw for v in row] for row in got] == [["0 of 3 milestones", "1 of 3 milestones"], []]
    assert got[0][0].judge == "milestone"
