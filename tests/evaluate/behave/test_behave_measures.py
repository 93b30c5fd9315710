"""Gained, lost, net, variety of approaches, agreement: by numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from exprl.evaluate.behave.agreement import Rated, agreements, kappa
from exprl.evaluate.behave.annotation import Annotation
from exprl.evaluate.behave.measure import Change, Measured, Tally, measure, spread
from exprl.evaluate.behave.result import Compared, Report
from exprl.evaluate.behave.taxonomy import BEHAVIOUR_NAMES

IDS = ["p", "q", "r"]
MISSING = Annotation(why="no reply")


def shows(*behaviours: str, archetype: str = "counting") -> Annotation:
    return Annotation(frozenset(behaviours), archetype)


def one_seed(**rows: list[Annotation]) -> list[tuple[str, Annotation]]:
    return [(question, annotation) for question, annotations in rows.items() for annotation in annotations]


def change(measured: Measured | None, name: str = "hedging") -> Change:
    assert measured is not None
    return next(change for change in measured.changes if change.behaviour == name)


HEDGES, PLAIN = shows("hedging"), shows()


def test_a_problem_is_gained_if_its_share_rises_and_lost_if_it_falls() -> None:
    base = Tally.of([one_seed(p=[PLAIN, PLAIN], q=[HEDGES, PLAIN], r=[HEDGES, HEDGES])], IDS)
    other = Tally.of([one_seed(p=[HEDGES, PLAIN], q=[HEDGES, HEDGES], r=[HEDGES, PLAIN])], IDS)
    found = change(measure(base, other, bootstrap=200))
    assert (found.gained, found.lost, found.net.value, found.problems) == (2, 1, 1.0, 3)
    assert (found.base.value, found.other.value) == (0.5, pytest.approx(2 / 3))
    assert found.difference.value == pytest.approx(1 / 6)
    assert found.difference.low <= found.difference.value <= found.difference.high
    assert not found.stands, "three problems show nothing"


def test_shares_are_averaged_over_seeds_and_equal_ones_are_equal_whatever_the_rounding() -> None:
    third = [HEDGES, PLAIN, PLAIN]
    base = Tally.of([one_seed(p=third)], ["p"])
    other = Tally.of([one_seed(p=third), one_seed(p=third), one_seed(p=third)], ["p"])
    assert (change(measure(base, other, bootstrap=50)).gained, change(measure(base, other, bootstrap=50)).lost) == (
        0,
        0,
    )
    mixed = Tally.of([one_seed(p=[HEDGES] * 3), one_seed(p=[PLAIN] * 3)], ["p"])
    assert change(measure(base, mixed, bootstrap=50)).other.value == 0.5


def test_a_rollout_without_an_annotation_is_left_out_and_never_shows_nothing() -> None:
    base = Tally.of([one_seed(p=[HEDGES, MISSING], q=[MISSING, MISSING], r=[PLAIN])], IDS)
    other = Tally.of([one_seed(p=[HEDGES], q=[HEDGES], r=[PLAIN])], IDS)
    found = change(measure(base, other, bootstrap=50))
    assert found.problems == 2, "q has no annotation of the base"
    assert found.base.value == 0.5
    assert base.missing == {"no reply": 3}
    assert measure(Tally.of([one_seed(p=[MISSING])], ["p"]), Tally.of([one_seed(p=[PLAIN])], ["p"])) is None


def test_a_change_in_all_of_many_problems_stands() -> None:
    ids = [f"p{i}" for i in range(40)]
    base = Tally.of([[(name, PLAIN) for name in ids]], ids)
    other = Tally.of([[(name, HEDGES) for name in ids]], ids)
    measured = measure(base, other, bootstrap=200)
    assert change(measured).stands
    assert change(measured).net == (40.0, 40.0, 40.0)
    assert not change(measured, "redo").stands
    assert change(measured, "redo").difference.high > 0, "0 of 40 is not 0 for sure"
    compared = Compared("llm", "s", "a stage1", 40, 1, 40, 40, {}, measured)
    assert "hedging more often than the base (+100.0% of rollouts, net +40 of 40 problems)" in compared.words
    assert "no difference in the other 8" in compared.words


def test_few_problems_are_called_few_and_a_difference_inside_its_interval_none() -> None:
    base = Tally.of([one_seed(p=[PLAIN], q=[PLAIN], r=[PLAIN])], IDS)
    other = Tally.of([one_seed(p=[HEDGES], q=[PLAIN], r=[PLAIN])], IDS)
    compared = Compared("lexical", "s", "a", 3, 1, 3, 3, {"no reply": 2}, measure(base, other, bootstrap=100))
    words = " ".join(Report(0.95, (compared,), unannotated={"no reply": 2}).words)
    for part in (
        "no difference from the base in any",
        "Only 3 problems",
        "called no difference",
        "counts phrases",
        "2 rollouts have no annotation",
        "(no reply)",
    ):
        assert part in words


def test_entropy_is_in_bits_and_of_the_mean_over_problems() -> None:
    assert spread(np.array([1.0, 0.0])) == 0
    assert spread(np.full(8, 1 / 8)) == 3
    one, two = shows(archetype="counting"), shows(archetype="bounding")
    base = Tally.of([one_seed(p=[one, one], q=[one, one])], ["p", "q"])
    other = Tally.of([one_seed(p=[one, one], q=[two, two])], ["p", "q"])
    measured = measure(base, other, bootstrap=100)
    assert measured is not None
    assert (measured.base.entropy.value, measured.other.entropy.value, measured.entropy_difference.value) == (0, 1, 1)
    assert measured.other.shares["counting"] == measured.other.shares["bounding"] == 0.5


def test_more_rollouts_do_not_look_like_more_approaches_per_problem() -> None:
    # Two of four rollouts each way: of 2 drawn without replacement, 1/3 agree; so 1/3 * 1 + 2/3 * 2 = 5/3 on average.
    one, two = shows(archetype="counting"), shows(archetype="bounding")
    base = Tally.of([one_seed(p=[one, two])], ["p"])
    other = Tally.of([one_seed(p=[one, one, two, two])], ["p"])
    measured = measure(base, other, bootstrap=20)
    assert measured is not None
    assert measured.base.used.value == 2
    assert measured.other.used.value == pytest.approx(5 / 3)


def test_an_approach_that_cannot_be_told_is_no_thirteenth_one() -> None:
    untold = shows(archetype="none")
    base = Tally.of([one_seed(p=[untold])], ["p"])
    other = Tally.of([one_seed(p=[untold, shows()])], ["p"])
    measured = measure(base, other, bootstrap=20)
    assert measured is not None
    assert math.isnan(measured.base.entropy.value)
    assert (measured.base.none, measured.other.none, measured.other.shares["counting"]) == (1, 0.5, 1)


def test_kappa_by_hand() -> None:
    # 20 + 15 of 50 agree: 0.7; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5; (0.7 - 0.5) / 0.5 = 0.4.
    assert kappa(np.array([[20.0, 5.0], [10.0, 15.0]])) == pytest.approx(0.4)
    assert kappa(np.eye(2) * 5) == 1
    assert kappa(np.array([[0.0, 5.0], [5.0, 0.0]])) == -1
    assert math.isnan(kappa(np.array([[9.0, 0.0], [0.0, 0.0]])))
    assert math.isnan(kappa(np.array([[5.0, 4.0], [0.0, 0.0]]))), "one of them always says no"


def test_agreement_counts_what_both_have_annotated() -> None:
    rated = [Rated(f"p{i}", HEDGES if i % 2 else PLAIN, HEDGES if i % 2 else PLAIN) for i in range(10)]
    rated += [Rated("p0", PLAIN, HEDGES), Rated("p1", MISSING, HEDGES)]
    found = {one.name: one for one in agreements(rated, bootstrap=100)}
    assert list(found) == [*BEHAVIOUR_NAMES, "archetype"]
    hedging = found["hedging"]
    assert (hedging.rollouts, hedging.problems, hedging.agreed) == (11, 10, pytest.approx(10 / 11))
    assert hedging.kappa.low <= hedging.kappa.value <= hedging.kappa.high
    assert (found["redo"].agreed, math.isnan(found["redo"].kappa.value)) == (1, True), (
        "always no: nothing beyond chance"
    )
    assert agreements([Rated("p", MISSING, PLAIN)]) == ()


def test_too_few_problems_have_no_interval_of_agreement() -> None:
    found = agreements([Rated("p", HEDGES, HEDGES), Rated("q", PLAIN, HEDGES), Rated("q", PLAIN, PLAIN)], bootstrap=50)
    hedging = next(one for one in found if one.name == "hedging")
    assert not math.isnan(hedging.kappa.value)
    assert math.isnan(hedging.kappa.low)
