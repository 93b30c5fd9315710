"""A TOML file and flags become a configuration; what is wrong with them is said with file, key, value and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from exprl.cli.settings import find_config, load_config, parse_overrides
from exprl.config import LLMJudgeConfig, MilestoneJudgeConfig, OutcomeConfig, ProcessConfig, SparseConfig
from exprl.errors import ConfigError

TOML = """
name = "small"
seeds = [3]
[data]
train = { path = "train.jsonl", limit = 5 }
[data.evaluate.held-out]
path = "held.jsonl"
[judge]
type = "llm"
model = "m"
[arms.process]
steps = 7
[arms.my-arm]
type = "outcome"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(TOML, "utf-8")
    return file


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def replaced(path: Path, old: str, new: str) -> Path:
    assert old in TOML
    path.write_text(TOML.replace(old, new), "utf-8")
    return path


# -- files


def test_a_file_is_laid_over_the_defaults(path: Path) -> None:
    config = load_config(path)
    assert (config.name, config.seeds, config.data.train.limit) == ("small", (3,), 5)
    assert config.judge == LLMJudgeConfig(model="m")
    assert config.arms == {"process": ProcessConfig(steps=7), "my-arm": OutcomeConfig()}


def test_a_file_that_is_not_there_is_refused_with_the_names_of_the_shipped_ones(tmp_path: Path) -> None:
    assert "no such file; shipped configurations: " in refused(tmp_path / "nothing.toml")
    assert "demo" in refused(tmp_path / "nothing.toml")


def test_a_shipped_configuration_is_found_by_its_name() -> None:
    assert find_config(Path("demo")).name == "demo.toml"
    assert find_config(Path("demo")) == find_config(Path("configs/demo.toml")).resolve()
    assert load_config(Path("demo")).name == "demo"


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[2] / "configs").rglob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_configuration_is_valid(file: Path) -> None:
    load_config(file)


def test_a_file_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    for name, data, why in (
        ("a.toml", b"name = \n", "not valid TOML: .*line 1"),
        ("b.json", b"{", "not valid JSON: .*line 1"),
        ("c.toml", b'name = "\xff"', "not UTF-8"),
        ("d.json", b"[1]", "the whole: "),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=f"{name}: .*{why}"):
            load_config(tmp_path / name, ["--name", "x", "--arms.process.steps", "3"])


# -- flags


def test_a_flag_names_a_key_by_its_path_and_gives_its_value_as_toml() -> None:
    tokens = ["--a.b", "3", "--a.c=0.5", "--d", "text", "--e", "[0, 1]", "--f", '"quoted 3"', "--g", "true", "--h=a=b"]
    assert parse_overrides(tokens) == {
        "a.b": 3,
        "a.c": 0.5,
        "d": "text",
        "e": [0, 1],
        "f": "quoted 3",
        "g": True,
        "h": "a=b",
    }
    assert parse_overrides(["--a", "none", "--b", "http://x:1/v1", "--c", "4o", "--d="]) == {
        "a": None,
        "b": "http://x:1/v1",
        "c": "4o",
        "d": "",
    }


def test_hyphens_are_underscores_except_in_names_that_the_user_gave(path: Path) -> None:
    config = load_config(
        path,
        [*("--judge.api-key-env", "K"), *("--arms.my-arm.learning-rate", "1e-5"), "--data.evaluate.held-out.limit=2"],
    )
    assert isinstance(config.judge, LLMJudgeConfig)
    assert config.judge.api_key_env == "K"
    assert set(config.arms) == {"process", "my-arm"}
    assert config.arms["my-arm"].learning_rate == 1e-5
    assert config.data.evaluate["held-out"].limit == 2


def test_a_negative_number_is_a_value_and_two_hyphens_begin_a_flag() -> None:
    assert parse_overrides(["--a", "-1"]) == {"a": -1}
    with pytest.raises(ConfigError, match="--a has no value; write --a VALUE or --a=VALUE"):
        parse_overrides(["--a", "--b", "1"])
    with pytest.raises(ConfigError, match="--b has no value"):
        parse_overrides(["--a=1", "--b"])


def test_a_word_that_is_no_flag_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a flag such as --judge\.model, got 'judge\.model'"):
        parse_overrides(["judge.model", "x"])


def test_the_last_of_two_flags_counts(path: Path) -> None:
    assert load_config(path, ["--name=a", "--name=b"]).name == "b"


def test_flags_lie_over_the_file(path: Path) -> None:
    config = load_config(
        path, ["--judge.model", "other", "--arms.process.steps=40", "--seeds", "[0, 1]", "--stage2", "false"]
    )
    assert isinstance(config.judge, LLMJudgeConfig)
    assert (config.judge.model, config.arms["process"].steps, config.seeds) == ("other", 40, (0, 1))
    assert config.stage2 is None
    assert load_config(path, ["--stage2=none"]).stage2 is None
    assert load_config(path, ["--stage2.steps=5"]).stage2 is not None


def test_a_flag_for_one_of_the_default_arms_keeps_the_others(path: Path) -> None:
    file = replaced(path, TOML[TOML.index("[arms.process]") :], "")
    arms = load_config(file, ["--arms.process.steps=40"]).arms
    assert arms == {"sparse": SparseConfig(), "outcome": OutcomeConfig(), "process": ProcessConfig(steps=40)}


def test_a_flag_into_a_value_is_refused(path: Path) -> None:
    assert refused(path, "--name.first", "x") == "--name.first: name is a value, not a table"


# -- what is wrong


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 7", "stpes = 7", "unknown key 'arms.process.stpes': did you mean 'steps'?"),
        ("seeds", "seed", "unknown key 'seed': did you mean 'seeds'?"),
        ("limit", "limits", "unknown key 'data.train.limits': did you mean 'limit'?"),
        ('path = "held', 'pth = "held', "unknown key 'data.evaluate.held-out.pth': did you mean 'path'?"),
        ('model = "m"', 'model = "m"\ntemprature = 0', "unknown key 'judge.temprature': did you mean 'temperature'?"),
        ('name = "small"', "", "missing key 'name'"),
        ('model = "m"', "", "missing key 'judge.model'"),
        ('type = "llm"', "", "missing key 'judge.type': one of milestone, llm"),
        ('type = "llm"', 'type = "lm"', "unknown judge.type 'lm': did you mean 'llm'?"),
        ('type = "outcome"', 'type = "outcomes"', "unknown arms.my-arm.type 'outcomes': did you mean 'outcome'?"),
        ('type = "outcome"', 'type = "z"', "unknown arms.my-arm.type 'z': it is one of outcome, process, sparse"),
        ('type = "outcome"', "", "missing key 'arms.my-arm.type': one of outcome, process, sparse"),
        ("steps = 7", "steps = 0", "arms.process.steps: Input should be greater than 0 (got 0)"),
        ("steps = 7", 'steps = "x"', "arms.process.steps: Input should be a valid integer"),
        ("seeds = [3]", "seeds = 3", "seeds: Input should be a valid tuple (got 3)"),
        ("steps = 7", "updates_per_step = 7", "36 x 16 rollouts do not divide into updates_per_step=7"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_key_and_what_was_probably_meant(
    path: Path, old: str, new: str, said: str
) -> None:
    message = refused(replaced(path, old, new))
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


def test_an_unknown_key_that_is_like_no_other_shows_the_known_ones(path: Path) -> None:
    assert "known keys: type" in refused(path, "--judge", '{type = "milestone", zzz = 1}')


def test_all_that_is_wrong_is_said_at_once(path: Path) -> None:
    message = refused(path, "--nmae=x", "--judge.modle=x", "--arms.process.steps=-1")
    assert "'nmae': did you mean 'name'" in message
    assert "'judge.modle': did you mean 'model'" in message
    assert "arms.process.steps: " in message


def test_a_long_value_is_shortened_in_the_message(path: Path) -> None:
    assert len(refused(path, f"--policy.dtype={'x' * 5000}")) < 400


def test_a_type_given_by_flag_replaces_the_judge_only_as_a_whole(path: Path) -> None:
    assert "unknown key 'judge.model'" in refused(path, "--judge.type=milestone")
    assert load_config(path, ["--judge", '{type = "milestone"}']).judge == MilestoneJudgeConfig()


def test_what_is_printed_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    from exprl.cli.options import console

    console().print("pip install 'exprl[verl]' [red]:smile:[/nowhere]")
    assert capsys.readouterr().out == "pip install 'exprl[verl]' [red]:smile:[/nowhere]\n"
