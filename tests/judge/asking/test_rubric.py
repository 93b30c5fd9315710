"""Rubrics are data: a user adds one without touching code, and a mistake in one names file, key and value."""

from __future__ import annotations

import tomllib
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

import exprl
from exprl.config import LLMJudgeConfig
from exprl.errors import JudgeError
from exprl.judge import LLMJudge
from exprl.judge.asking.rubric import Rubrics, load_rubric, shipped_rubrics
from exprl.judge.asking.template import instruction
from exprl.judge.http.wire import Ask, Reply
from exprl.types import Domain, Problem, Reference, Scope, Submission, Usage

THREE = """
name = "rigour"
scopes = ["outcome"]
heading = "Trace to grade"
system = "You are a strict grader."
question = "Is every step justified?"
anchors = ["no", "in part", "yes"]
closing = "Give a reason."
"""


def of(**changes: object) -> Rubrics:
    return Rubrics.of(LLMJudgeConfig.model_validate({"model": "m"} | changes))


def written(folder: Path, text: str = THREE) -> str:
    (folder / "rigour.toml").write_text(text)
    return str(folder / "rigour.toml")


class TestShipped:
    def test_six_rubrics_are_shipped_with_five_anchors_each(self) -> None:
        assert shipped_rubrics() == ("code", "no_reference", "outcome", "prefix", "science", "segment")
        for name in shipped_rubrics():
            rubric = load_rubric(name)
            assert (rubric.name, rubric.scale, len(set(rubric.anchors))) == (name, 5, 5)
            assert [rubric.score(grade) for grade in range(1, 6)] == [0, 0.25, 0.5, 0.75, 1]

    def test_they_lie_in_the_package_folder_that_the_wheel_takes_whole(self) -> None:
        root = Path(__file__).parents[3]
        wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
        assert wheel["packages"] == ["src/exprl"]
        assert not {"exclude", "only-include", "include"} & wheel.keys()
        assert len(list((Path(exprl.__file__).parent / "judge" / "asking" / "rubrics").glob("*.toml"))) == 6
        assert not any(line.strip().endswith(".toml") for line in (root / ".gitignore").read_text().split("\n"))

    def test_digests_differ_and_know_nothing_of_comments(self, tmp_path: Path) -> None:
        assert len({load_rubric(name).digest for name in shipped_rubrics()}) == 6
        first = load_rubric(written(tmp_path)).digest
        assert load_rubric(written(tmp_path, "# rigour\n" + THREE)).digest == first
        assert load_rubric(written(tmp_path, THREE.replace("justified", "sound"))).digest != first


class TestChoice:
    @pytest.mark.parametrize(("domain", "scope"), list(product(get_args(Domain), get_args(Scope))))
    def test_code_and_science_outcomes_have_rubrics_of_their_own_and_the_rest_goes_by_scope(
        self, domain: Domain, scope: Scope
    ) -> None:
        own = {("code", "outcome"): "code", ("science", "outcome"): "science"}
        assert of().pick(domain, scope).name == own.get((domain, scope), scope)
        assert of(reference=False).pick(domain, scope).name == "no_reference"

    def test_the_more_specific_key_wins(self, tmp_path: Path) -> None:
        chosen = of(rubrics={"outcome": "outcome", "math.outcome": written(tmp_path)})
        assert [chosen.pick(domain, "outcome").name for domain in ("math", "code")] == ["rigour", "outcome"]

    def test_the_choice_has_a_digest_of_its_own(self, tmp_path: Path) -> None:
        assert of().digest == of().digest != of(rubrics={"outcome": written(tmp_path)}).digest

    async def test_a_rubric_of_three_anchors_is_asked_parsed_and_scored_on_its_own_scale(self, tmp_path: Path) -> None:
        asked: list[Ask] = []

        class Client:
            async def complete(self, ask: Ask, *, deadline: float | None = None) -> Reply:
                asked.append(ask)
                return Reply("Score: 2" if len(asked) == 1 else "Score: 4", False, Usage(calls=1))

            async def identity(self) -> str:
                return ""

            async def aclose(self) -> None: ...

        config = LLMJudgeConfig(model="m", rubrics={"outcome": written(tmp_path)}, structured=True)
        judge = LLMJudge(config, client=Client())
        problem = Problem("p", "?", Reference("r", None))
        ((scored,), (beyond,)) = await judge.score([Submission(problem, r, r, (1,), "outcome") for r in "ab"])
        assert (scored.score, scored.likert) == (0.5, 2)
        assert beyond.unscored == "the verdict is not a whole number from 1 to 3"
        assert "1 - no\n2 - in part\n3 - yes\n" in asked[0].messages[3]["content"]
        assert '"enum": [1, 2, 3]' in str(asked[0].response_format).replace("'", '"')


class TestMistakes:
    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ('closing = "Give a reason."', "", "key 'closing' is missing; add closing = ..."),
            ("closing", "colsing", r"key 'closing' is missing"),
            ('name = "rigour"', 'name = "rigour"\nanchor = 1', r"'anchor' is unknown \(did you mean 'anchors'\?\)"),
            ('["no", "in part", "yes"]', '["no"]', r"key 'anchors' is \['no'\]: .* at least 2"),
            ('"in part"', '""', "key 'anchors.2' is '': .* it is empty; write the text"),
            ('"in part"', "7", "key 'anchors.2' is 7: .* valid string"),
            ('["outcome"]', '["whole"]', "key 'scopes.1' is 'whole': .*'outcome', 'prefix' or 'segment'"),
            ("justified?", "\\boxed?", "key 'question' .* control characters; write a literal string"),
            ("[", "(", "not TOML"),
        ],
    )
    def test_a_fault_names_file_key_value_and_what_to_do(
        self, tmp_path: Path, old: str, new: str, complaint: str
    ) -> None:
        path = written(tmp_path, THREE.replace(old, new, 1))
        with pytest.raises(JudgeError, match=f"(?s)rubric .*rigour.toml: .*{complaint}"):
            load_rubric(path)

    def test_a_file_that_is_not_there_is_named(self) -> None:
        with pytest.raises(JudgeError, match=r"rubric nowhere/x\.toml: cannot be read \(FileNotFoundError\)"):
            load_rubric("nowhere/x.toml")

    def test_an_unknown_name_gets_a_suggestion(self) -> None:
        with pytest.raises(JudgeError, match=r"'outcom' is not shipped \(did you mean 'outcome'\?\)"):
            load_rubric("outcom")

    @pytest.mark.parametrize(
        ("rubrics", "complaint"),
        [
            ({"whole": "outcome"}, "'whole' = 'outcome': no such key; write a scope"),
            ({"maths.prefix": "prefix"}, "no such key"),
            ({"prefix": "outcome"}, "this rubric grades outcome; add 'prefix' to its scopes"),
            ({"outcome": "code"}, "for code, not for math, science, general; write 'code.outcome'"),
            ({"math.outcome": "science"}, "for science, not for math"),
        ],
    )
    def test_a_rubric_in_the_wrong_place_is_refused(self, rubrics: dict[str, str], complaint: str) -> None:
        with pytest.raises(JudgeError, match=complaint):
            of(rubrics=rubrics)

    def test_a_rubric_that_needs_the_reference_is_refused_where_none_is_shown(self) -> None:
        with pytest.raises(JudgeError, match=r"needs the reference and judge\.reference is false"):
            of(rubrics={"prefix": "prefix"}, reference=False)


def test_a_scale_ends_at_nine_so_that_a_grade_is_one_digit(tmp_path: Path) -> None:
    ten = THREE.replace('["no", "in part", "yes"]', str([f"a{n}" for n in range(10)]))
    with pytest.raises(JudgeError, match="at most 9"):
        load_rubric(written(tmp_path, ten))
    nine = load_rubric(written(tmp_path, ten.replace(", 'a9'", "")))
    assert instruction(nine, "line").endswith("a whole number from 1 to 9, in this form:\nScore: <number>")
