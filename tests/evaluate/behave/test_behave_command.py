"""`exprl behave`: on a run directory and on plain files, and what it refuses."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from chat_server import Server, always, completion, serving

from exprl.cli import main
from exprl.cli.behave import behave_
from exprl.config import RunConfig
from exprl.errors import ConfigError, DataError, ExprlError, RunError
from exprl.evaluate.behave import Choice, of_files, of_run
from exprl.evaluate.behave.taxonomy import BEHAVIOUR_NAMES
from exprl.runs import RunDir, mark_done, read_json, read_jsonl, write_jsonl
from local_server import in_a_thread

CANARY = "CANARY-b4a9"
PROBLEMS = {f"p{i}": f"What is {i} + {i}?" for i in range(6)}
PLAIN = "{0} and {0} make it."
HEDGED = "I think {0} and {0} make it. Wait, let me check: 3 + 4 = 7"


def samples(path: Path, text: str, ids: tuple[str, ...] = tuple(PROBLEMS), n: int = 2) -> Path:
    rows = [
        {"id": f"{name}/{i}", "question_id": name, "sample": i, "text": f"{text.replace('{0}', name)} {i}",
         "correct": 1.0, "reference": CANARY}
        for name in ids for i in range(n)
    ]  # fmt: skip
    write_jsonl(path, rows)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = RunConfig.model_validate(
        {
            "name": "x",
            "seeds": [0, 1],
            "data": {"train": {"path": "p.jsonl"}, "evaluate": {"held_out": {"path": "p.jsonl"}}},
            "arms": {"process": {"type": "process"}, "sparse": {"type": "sparse"}},
            "evaluate": {"bootstrap": 100, "train_problems": False},
        }
    )
    made = RunDir.create(tmp_path / "run", config)
    write_jsonl(
        made.problems,
        [
            *({"id": name, "text": text, "set": "held_out", "solution": CANARY} for name, text in PROBLEMS.items()),
            {"id": "t", "text": "?", "set": "hard_train"},
        ],
    )
    samples(made.base("held_out").samples, PLAIN)
    mark_done(made.base("held_out").path)
    for seed in (0, 1):
        folder = made.stage("process", seed, "stage1").evaluation("held_out")
        samples(folder.samples, HEDGED)
        mark_done(folder.path)
    samples(made.stage("sparse", 0, "stage1").evaluation("held_out").samples, HEDGED)  # and is not finished
    return made.path


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    data: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return data


def server(reply: str) -> AbstractContextManager[Server]:
    """The fake endpoint in a thread of its own, since the command runs an event loop itself."""
    return in_a_thread(serving(always(completion(reply))))


REPLY = json.dumps({"behaviours": {name: name == "redo" for name in BEHAVIOUR_NAMES}, "archetype": "bounding"})


# -- on a run


def test_a_run_is_compared_with_its_base_arm_by_arm(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    behave_(run, as_json=True)
    result = shown(capsys)
    assert result == read_json(run / "behave" / "behave.json")
    process = result["annotators"]["lexical"]["held_out"]["process stage1"]  # type: ignore[index]
    assert (process["problems"], process["seeds"], process["rollouts"], process["base_rollouts"]) == (6, 2, 24, 12)
    hedging = process["behaviours"]["hedging"]
    assert (hedging["gained"], hedging["lost"], hedging["net"]["value"]) == (6, 0, 6)
    assert (hedging["base"]["value"], hedging["other"]["value"]) == (0, 1)
    assert any("sparse stage1 seed 0" in one for one in result["left_out"])
    assert not any("hard_train" in one for one in result["left_out"]), "no policy is evaluated on it in this run"
    assert list(result["annotators"]["lexical"]["held_out"]) == ["process stage1"]  # type: ignore[arg-type]


def test_a_stage_that_the_run_does_not_have_is_not_called_unfinished(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behave_(run, as_json=True)
    assert any("stage2" in one for one in shown(capsys)["left_out"])
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "stage2": None}))
    behave_(run, as_json=True)
    assert not any("stage2" in one for one in shown(capsys)["left_out"])


def test_the_table_fits_a_narrow_terminal_and_says_what_it_means(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    behave_(run)
    text = capsys.readouterr().out
    table = text.partition("approaches:")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert all(name.replace("_", " ") in table for name in BEHAVIOUR_NAMES)
    assert "hedging *" in table
    assert "Only 6 problems: take this for an example" in text
    assert "is called no difference" in text
    assert "Not finished, so left out" in text


def test_a_second_call_annotates_nothing_anew(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    behave_(run, as_json=True)
    first, rows = shown(capsys), len(read_jsonl(run / "behave" / "annotations.jsonl"))
    assert rows == 24, "the two seeds have the same texts"
    behave_(run, dry_run=True, as_json=True)
    assert shown(capsys)["waiting"] == {"lexical": 0}
    behave_(run, as_json=True)
    assert shown(capsys) == first
    assert len(read_jsonl(run / "behave" / "annotations.jsonl")) == rows


def test_fewer_problems_and_rollouts_where_it_is_asked_for(run: Path) -> None:
    found = of_run(run, Choice(limit=2, samples=1))
    assert (len(found.pairs[0].ids), len(found.traces)) == (2, 2 + 4)
    assert of_run(run, Choice(limit=2, seed=1)).pairs[0].ids == of_run(run, Choice(limit=2, seed=1)).pairs[0].ids


# -- an annotator with a model


def test_both_annotators_are_compared_and_no_reference_reaches_the_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(REPLY) as served:
        toml = tmp_path / "judge.toml"
        toml.write_text(f'[judge]\ntype = "llm"\nmodel = "m"\nurl = "{served.url}"\n', "utf-8")
        behave_(run, config=toml, annotator="both", as_json=True)
        asked = json.dumps(served.bodies)
    assert "What is 3 + 3?" in asked
    assert CANARY not in asked
    result = shown(capsys)
    assert set(result["annotators"]) == {"lexical", "llm"}
    agreed = {row["name"]: row for row in result["agreement"]}  # type: ignore[index]
    assert agreed["redo"]["agreed"] == 0
    assert (agreed["redo"]["share_lexical"], agreed["redo"]["share_llm"]) == (0, 1)
    assert "24 calls" in str(result["cost"])
    files = [path.read_bytes() for path in (run / "behave").iterdir()]
    assert not any(CANARY.encode() in data for data in files)


def test_the_judge_of_the_configuration_annotates_by_default_and_flags_override_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(REPLY) as served:
        behave_(run, "--judge.type", "llm", "--judge.model", "m", "--judge.url", served.url, as_json=True)
    assert list(shown(capsys)["annotators"]) == ["llm"]
    behave_(run, "--judge.type", "llm", "--judge.model", "m", annotator="lexical", as_json=True)
    assert list(shown(capsys)["annotators"]) == ["lexical"]


def test_a_plan_counts_calls_and_cost_and_spends_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--judge.type=llm", "--judge.model=m", "--judge.price_in=1", "--judge.price_out=1"]
    with pytest.raises(SystemExit) as ended:
        main(["behave", str(run), *flags, "--annotator", "both", "--dry-run", "--json"])
    assert not ended.value.code
    plan = shown(capsys)
    assert (plan["rollouts"], plan["waiting"], plan["calls"]) == (36, {"lexical": 24, "llm": 24}, 24)
    assert plan["cost"] == pytest.approx(24 * (3000 + 2048 + 30) / 1e6, rel=0.01)
    assert not (run / "behave").exists()


# -- on plain files


def test_plain_files_are_compared_and_flags_need_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, other = samples(tmp_path / "a.jsonl", PLAIN), samples(tmp_path / "b.jsonl", HEDGED)
    with pytest.raises(SystemExit) as ended:
        main(["behave", "--base", str(base), "--other", str(other), "--out", str(tmp_path / "o"), "--json",
              "--evaluate.bootstrap", "50"])  # fmt: skip
    assert not ended.value.code
    compared = shown(capsys)["annotators"]["lexical"]["samples"][str(other)]  # type: ignore[index]
    assert compared["behaviours"]["self_interruption"]["gained"] == 6


def test_a_model_reads_the_problems_of_plain_files_from_a_file_of_them(tmp_path: Path) -> None:
    base, other = samples(tmp_path / "a.jsonl", PLAIN), samples(tmp_path / "b.jsonl", HEDGED)
    write_jsonl(tmp_path / "p.jsonl", [{"id": k, "problem": v, "solution": CANARY} for k, v in PROBLEMS.items()])
    found = of_files(base, [other], tmp_path / "p.jsonl", Choice())
    assert found.traces[0].problem == "What is 0 + 0?"
    assert CANARY not in str(found)
    with pytest.raises(DataError, match=r"reads the problem.*--problems.*--annotator lexical"):
        behave_(None, "--judge.type", "llm", "--judge.model", "m", base=base, other=(other,), out=tmp_path / "o")
    write_jsonl(tmp_path / "few.jsonl", [{"id": "p0", "text": "?"}])
    with pytest.raises(DataError, match=r"no problem 'p1' \(5 of 6"):
        of_files(base, [other], tmp_path / "few.jsonl", Choice())


def test_samples_of_different_problems_are_refused(tmp_path: Path) -> None:
    base, other = samples(tmp_path / "a.jsonl", PLAIN), samples(tmp_path / "b.jsonl", PLAIN, ("p0", "p1"))
    with pytest.raises(DataError, match=r"different problems: 'p2' is only in .*a\.jsonl \(4 differ\)"):
        of_files(base, [other], None, Choice())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no samples; draw some"),
        ('{"id": "a/0", "question_id": "a"}\n', r"line 1: no sample: it needs the texts id, question_id and text"),
        ('{"id": "a/0", "question_id": "a", "text": 3}\n', "line 1: no sample"),
        ("{\n", "line 1: malformed JSON"),
        (None, "no such file"),
    ],
)
def test_files_that_hold_no_samples_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    base = samples(tmp_path / "a.jsonl", PLAIN)
    if content is not None:
        (tmp_path / "b.jsonl").write_text(content, "utf-8")
    with pytest.raises(ExprlError, match=message):
        of_files(base, [tmp_path / "b.jsonl"], None, Choice())


# -- wrong usage


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": ("proces",)}, "no arm 'proces': did you mean 'process'"),
        ({"stage": ("stage3",)}, "no stage 'stage3': did you mean 'stage"),
        ({"set_name": ("zzz",)}, "no set 'zzz': it has held_out"),
        ({"arm": ("sparse",)}, "no finished samples to compare"),
    ],
)
def test_what_a_run_does_not_have_is_refused(run: Path, changes: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(RunError, match=message):
        behave_(run, **changes)  # type: ignore[arg-type]


def test_nothing_or_too_much_to_compare_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        behave_()
    with pytest.raises(ConfigError, match="not both"):
        behave_(run, base=tmp_path / "a.jsonl")
    with pytest.raises(RunError, match="not a run directory"):
        behave_(tmp_path / "nowhere")


def test_a_model_that_nobody_named_is_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs a model: \[judge\] is of type 'milestone'.*--judge.model"):
        behave_(run, annotator="llm")


def test_a_wrong_key_of_the_configuration_says_which_was_meant(run: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'model'"):
        behave_(run, "--judge.type", "llm", "--judge.modle", "m")
