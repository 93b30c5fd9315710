"""verl's agent loop, driven in verl's own worker: sampled, judged over HTTP, through DataProto, to verl's advantages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed; pip install 'exprl[verl]'")
pytestmark = pytest.mark.filterwarnings("default")  # verl's and Ray's own

import verl_world as world  # noqa: E402
from teacher_server import TeacherServer, teacher_server  # noqa: E402
from verl_world import CANARY, GROUP, PROBLEMS, RESPONSE, JudgeServer, WaitingPolicy  # noqa: E402

from exprl.baselines.teacher import Teacher  # noqa: E402
from exprl.engines.verl.credit import token_credit  # noqa: E402
from exprl.engines.verl.marks import read_marks  # noqa: E402
from exprl.engines.verl.record import Attempt, read_step, step_of  # noqa: E402
from exprl.pipeline.cluster import open_room  # noqa: E402
from exprl.pipeline.context import load_sets  # noqa: E402
from exprl.runs import RunDir  # noqa: E402


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.save_policy(tmp_path_factory.mktemp("policy") / "policy")


@pytest.fixture(autouse=True)
def _a_room_of_its_own() -> Iterator[None]:
    open_room.cache_clear()
    yield
    open_room.cache_clear()


class Driven:
    """A batch that verl's worker has made, and everything that was seen on the way."""

    def __init__(
        self, run: RunDir, config: Any, data: Any, policy: WaitingPolicy, judge: JudgeServer, teacher: TeacherServer
    ) -> None:
        self.run, self.config, self.data, self.policy, self.judge = run, config, data, policy, judge
        self.teacher = teacher


def drive(folder: Path, policy: Path, arm: str, broken: int = 0) -> Driven:
    """verl's worker of the older trainer, in this process, on a step of whole groups."""
    from verl import DataProto

    from exprl.engines.verl.loop import _room
    from exprl.engines.verl.older import ExprlAgentLoopWorker

    async def generate() -> Driven:
        async with world.judge_server(broken) as judge, teacher_server(policy) as teacher:
            run = world.make_run(folder, policy, judge.url, teacher=teacher.url)
            config = world.verl_config(run, arm)
            client = WaitingPolicy(40, 1)
            worker = ExprlAgentLoopWorker(config, client)
            client._size, client._end = len(worker.tokenizer), worker.tokenizer.eos_token_id
            names = np.repeat([f"p{i}" for i in range(PROBLEMS)], GROUP)
            columns = {
                "raw_prompt": np.array([[{"role": "user", "content": "x"}]] * len(names), dtype=object),
                "problem_id": names.astype(object),
                "uid": np.array([f"uid{name}" for name in names], dtype=object),
                "index": np.repeat(np.arange(PROBLEMS), GROUP),
            }
            batch = DataProto.from_dict(non_tensors=columns, meta_info={"global_steps": 1})
            made = await worker.generate_sequences(batch)
            await _room(config).aclose()
            return Driven(run, config, made, client, judge, teacher)

    return asyncio.run(generate())


def advantages_of(driven: Driven) -> np.ndarray[Any, Any]:
    """What verl's trainers do with a batch: reward, DataProto.union and concat, compute_advantage."""
    from verl import DataProto
    from verl.trainer.ppo.ray_trainer import compute_advantage
    from verl.trainer.ppo.reward import extract_reward

    data = DataProto.concat(list(driven.data.chunk(2)))
    data.non_tensor_batch["uid"] = np.array([f"uid{name}" for name in np.repeat(range(PROBLEMS), GROUP)], dtype=object)
    rewards, _ = extract_reward(data)
    data.batch["token_level_scores"] = data.batch["token_level_rewards"] = rewards
    settings = driven.config.algorithm
    done = compute_advantage(data, settings.adv_estimator, num_repeat=GROUP, config=settings)
    found: np.ndarray[Any, Any] = done.batch["advantages"].numpy()
    return found


@pytest.mark.parametrize("arm", ["outcome", "process", "sparse"])
def test_a_step_goes_through_verls_worker_and_data_plane_to_its_advantages(
    arm: str, policy: Path, tmp_path: Path
) -> None:
    driven = drive(tmp_path, policy, arm)
    advantages = advantages_of(driven)
    assert advantages.shape == (PROBLEMS * GROUP, RESPONSE)
    if arm != "sparse":  # random answers are never right
        assert np.abs(advantages).max() > 0
    mask = driven.data.batch["response_mask"].numpy()
    marks = read_marks(driven.data.batch["rm_scores"].numpy())
    method: Any = driven.run.config.arms[arm]
    groups = np.repeat(np.arange(PROBLEMS), GROUP)
    np.testing.assert_allclose(advantages, token_credit(marks, groups, method) * mask, atol=1e-6)
    attempt = Attempt("attempt", driven.run.stage(arm, 0, "stage1").path / "parts")
    rows = read_step(attempt, 1)
    assert len(rows) == PROBLEMS * GROUP
    problems = {problem.id: problem for problem in load_sets(driven.run.config)["hard_train"]}
    batch, credits = step_of(1, rows, problems, method)
    assert [rollout.tokens for rollout in batch.rollouts] == sorted_lengths(driven, rows)
    assert np.nanmax(np.abs(np.nan_to_num(credits.advantages_RS))) == pytest.approx(np.abs(advantages).max(), abs=1e-6)


def sorted_lengths(driven: Driven, rows: list[dict[str, object]]) -> list[int]:
    """The lengths of the answers as verl has them (an empty one has no token that counts), in the record's order."""
    attention = driven.data.batch["attention_mask"].numpy()[:, -RESPONSE:].sum(axis=1)
    texts = {(f"uidp{i // GROUP}", i % GROUP): int(attention[i]) for i in range(PROBLEMS * GROUP)}
    found = [texts[(str(row["uid"]), int(str(row["session"])))] for row in rows]
    return [0 if not row["tokens"] else length for row, length in zip(rows, found, strict=True)]


def test_a_teacher_behind_a_server_is_asked_for_every_token_and_the_policy_never_reads_the_reference(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoTokenizer

    policy = world.save_policy(tmp_path / "policy", attentive=True)
    driven = drive(tmp_path, policy, "self_distill")
    targets = advantages_of(driven)
    mask = driven.data.batch["response_mask"].numpy().astype(bool)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    config, method = driven.run.config, driven.run.config.arms["self_distill"]
    problems = load_sets(config)["hard_train"]
    local = Teacher(str(policy), problems, method, config.policy, config.prompt, tokenizer)  # type: ignore[arg-type]
    ids = [row[keep].tolist() for row, keep in zip(driven.data.batch["responses"].numpy(), mask, strict=True)]
    names = np.repeat([f"p{i}" for i in range(PROBLEMS)], GROUP).tolist()
    for found, keep, expected in zip(targets, mask, local.log_probs(names, ids), strict=True):
        np.testing.assert_allclose(found[keep], expected, atol=1e-4)  # at .8, with the whole vocabulary
        assert not found[~keep].any()
    assert all(CANARY not in tokenizer.decode(sent) for sent in driven.policy.sent)
    assert all(CANARY in tokenizer.decode(body["prompt"]) for body in driven.teacher.asked)
    assert driven.teacher.asked
    assert CANARY not in str(driven.data.meta_info) + str(driven.config) + "".join(capfd.readouterr())


def test_judging_overlaps_with_sampling(policy: Path, tmp_path: Path) -> None:
    driven = drive(tmp_path, policy, "outcome")
    last = max(driven.policy.finished)
    early = sum(asked < last for asked in driven.judge.asked)
    assert early >= len(driven.judge.asked) // 2
    assert len(driven.judge.asked) >= PROBLEMS * GROUP // 2


def test_an_unscored_rollout_leaves_the_loss_and_the_group(policy: Path, tmp_path: Path) -> None:
    driven = drive(tmp_path, policy, "outcome", broken=3)
    marks = read_marks(driven.data.batch["rm_scores"].numpy())
    mask = driven.data.batch["response_mask"].numpy()
    assert 0 < marks.unscored_R.sum() < len(marks.unscored_R)
    assert not mask[marks.unscored_R].any()
    advantages = advantages_of(driven)
    assert not advantages[marks.unscored_R].any()
    assert np.isfinite(advantages).all()


def test_nothing_privileged_is_in_the_prompt_in_verls_batch_or_in_its_configuration(
    policy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    driven = drive(tmp_path, policy, "process")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(policy)
    assert driven.policy.sent
    assert all(CANARY not in tokenizer.decode(ids) for ids in driven.policy.sent)
    assert any(CANARY in body for body in driven.judge.bodies)  # the judge does see it
    said = {name: [str(value) for value in values] for name, values in driven.data.non_tensor_batch.items()}
    assert CANARY not in json.dumps(said) + str(driven.data.meta_info) + str(driven.config)
    assert CANARY not in "".join(capfd.readouterr())


def test_the_dataset_that_verl_reads_holds_prompts_and_names(policy: Path, tmp_path: Path) -> None:
    from exprl.engines.trl.checkpoint import load_tokenizer
    from exprl.engines.verl.dataset import write_dataset

    run = world.make_run(tmp_path, policy, "http://127.0.0.1:1/v1")
    problems = load_sets(run.config)["hard_train"]
    file = tmp_path / "verl.jsonl"
    method: Any = run.config.arms["process"]
    write_dataset(file, problems, method, run.config.prompt, load_tokenizer(str(policy)), chat=None, seed=0)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == method.steps * method.prompts_per_step
    assert all(set(row) == {"prompt", "problem_id", "data_source", "extra_info"} for row in rows)
    assert CANARY not in file.read_text()
