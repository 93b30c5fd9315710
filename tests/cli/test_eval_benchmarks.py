"""`exprl eval MODEL --benchmarks`: against a server, killed and gone on with, and counted from its own file."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import comb
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import TypeAdapter

from exprl.cli import main
from exprl.errors import SandboxError
from exprl.runs import read_jsonl
from exprl.verify.sandbox import open_sandbox
from local_server import in_a_thread, listening

Answer = Callable[[str, int], web.Response]
QUESTIONS = 6
CANARY = "CANARY-31d7"


def completion(text: str, finish: str = "stop") -> web.Response:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return web.json_response({"choices": [choice], "usage": {"completion_tokens": 5}})


def sums(question: str, seed: int) -> web.Response:
    """Right, wrong, without an answer, or cut off, as the seed has it."""
    right = sum(map(int, re.findall(r"\d+", question)))
    said = (f"\\boxed{{{right}}}", f"\\boxed{{{right + 1}}}", "I do not know.", f"it is \\boxed{{{right}}}")
    return completion(said[seed % 4], "length" if seed % 4 == 2 else "stop")


class Server:
    """What it was asked, and a server in a thread of its own."""

    def __init__(self, answer: Answer = sums) -> None:
        self.answer, self.url, self.asked = answer, "", 0
        self.bodies: list[dict[str, object]] = []

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        return self.answer(body["messages"][-1]["content"], body["seed"])


@contextmanager
def serving(answer: Answer = sums) -> Iterator[Server]:
    server, app = Server(answer), web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    with in_a_thread(listening(app)) as server.url:
        yield server


class Cli:
    """`exprl eval` in a folder that holds the problems of `aime26`, made up, and of nothing else."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def __call__(self, *arguments: object, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["eval", *map(str, arguments)])
        said = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, said
        assert CANARY not in said.out + said.err
        return said.err if code else said.out

    @property
    def rows(self) -> list[dict[str, object]]:
        return read_jsonl(self.folder / "out" / "aime26" / "samples.jsonl")


@pytest.fixture
def evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    from exprl.evaluate.benchmarks import registry

    made = registry._registry()
    small = {
        name: entry.model_copy(update={"file": entry.file.model_copy(update={"problems": QUESTIONS})})
        for name, entry in made.benchmarks.items()
        if name in {"aime26", "humaneval"} and entry.file is not None
    }
    monkeypatch.setattr(registry, "_registry", lambda: made.model_copy(update={"benchmarks": small}))
    monkeypatch.setenv("EXPRL_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_sums(tmp_path)
    return Cli(tmp_path, capsys)


def write_sums(folder: Path, extra: int = 0) -> None:
    rows = [
        {"id": f"s{i}", "problem": f"What is {i} + {3 * i + extra}?", "solution": CANARY, "answer": str(4 * i + extra)}
        for i in range(QUESTIONS)
    ]
    (folder / "aime26.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def write_functions(folder: Path) -> None:
    tests = "def check(candidate):\n    assert candidate(1) == 2\n"
    rows = [
        {"task_id": f"h/{i}", "prompt": f"def f{i}(x):\n", "entry_point": f"f{i}", "test": tests}
        for i in range(QUESTIONS)
    ]
    with gzip.open(folder / "HumanEval.jsonl.gz", "wt") as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows))


def against(server: Server, *more: object, n: int = 8) -> Sequence[object]:
    return ("tiny", "--url", server.url, "--benchmarks", "aime26", "--n", n, "--max-tokens", 9, "--out", "out", *more)


def by_hand(rows: Sequence[dict[str, object]], k: int) -> float:
    """pass@k of samples.jsonl in ten lines, without exprl."""
    verdicts: dict[object, list[float]] = defaultdict(list)
    for row in rows:
        if row["correct"] is not None:
            verdicts[row["question_id"]].append(float(str(row["correct"])))
    values = []
    for found in verdicts.values():
        n, c = len(found), int(sum(found))
        values.append(1 - comb(n - c, k) / comb(n, k))
    return sum(values) / len(values)


def test_json_holds_what_ten_lines_compute_from_the_samples_file(evaluate: Cli) -> None:
    with serving() as server:
        said = json.loads(evaluate(*against(server), "--json", "-k", 1, "--k", 4))
    result = said["benchmarks"]["aime26"]
    assert len(evaluate.rows) == result["samples"] == QUESTIONS * 8 == len(server.bodies)
    for k in (1, 4):
        assert result[f"pass@{k}"]["value"] == pytest.approx(by_hand(evaluate.rows, k), abs=1e-12)
        assert result[f"pass@{k}"]["low"] <= result[f"pass@{k}"]["value"] <= result[f"pass@{k}"]["high"]
    assert result["truncated"] == sum(bool(row["truncated"]) for row in evaluate.rows) > 0
    assert result["unscored"] == sum(row["correct"] is None for row in evaluate.rows)
    assert said["skipped"] == {}
    assert json.loads((evaluate.folder / "out/aime26/summary.json").read_text("utf-8")) == result


def test_what_is_printed_fits_into_eighty_columns(evaluate: Cli) -> None:
    with serving() as server:
        said = evaluate(*against(server, n=2))
    assert "aime26: 6 problems, 95% intervals\n  pass@1     0." in said
    assert "  of 12 samples 0 unscored, " in said
    assert said.endswith("whether they were trained on is not checked: exprl overlap\n")
    assert max(map(len, said.splitlines())) <= 80


def test_every_sample_is_asked_for_with_a_seed_of_its_own_and_the_benchmarks_prompt(evaluate: Cli) -> None:
    with serving() as server:
        evaluate(*against(server, "--temperature", "0.6", n=3))
    assert len({body["seed"] for body in server.bodies}) == QUESTIONS * 3
    first = server.bodies[0]
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("tiny", 0.6, 9)
    turns = first["messages"]
    assert isinstance(turns, list)
    assert turns[0]["content"].endswith("put your final answer within \\boxed{}.")
    assert turns[1]["content"].startswith("What is ")


def test_a_server_that_knows_only_openais_keys_gets_no_others(evaluate: Cli) -> None:
    with serving() as server:
        evaluate(*against(server, "--standard-keys", n=1))
        assert not {"top_k", "min_p"} & set(server.bodies[0])
        assert "standard_keys: True there, False now" in evaluate(*against(server, n=1), code=2)
        evaluate(*against(server, n=1)[:7], "--max-tokens", 9, "--out", "other")
    assert server.bodies[-1]["top_k"] == server.bodies[-1]["min_p"] == 0


def test_a_call_that_stopped_goes_on_sample_by_sample(evaluate: Cli) -> None:
    with serving() as server:
        whole = evaluate(*against(server, "--json"))
        rows = {str(row["id"]): row for row in evaluate.rows}
    file = evaluate.folder / "out/aime26/samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:17]) + lines[17][:25])  # killed in the middle of a row
    with serving() as server:
        again = json.loads(evaluate(*against(server, "--json")))
        assert len(server.bodies) == QUESTIONS * 8 - 17
    assert {str(row["id"]): row for row in evaluate.rows} == rows
    assert again == json.loads(whole)


def test_nothing_that_came_before_an_error_is_lost(evaluate: Cli) -> None:
    left = iter(range(10))

    def dying(question: str, seed: int) -> web.Response:
        return sums(question, seed) if next(left, None) is not None else web.Response(status=400, text="out of tokens")

    with serving(dying) as server:
        said = evaluate(*against(server, "--concurrency", 1), code=2)
    assert "refuses the request with status 400: 'out of tokens'" in said
    assert len(evaluate.rows) == 10


def test_more_samples_and_more_problems_are_added_and_fewer_are_a_part(evaluate: Cli) -> None:
    with serving() as server:
        small = json.loads(evaluate(*against(server, "--limit", 2, "--json", n=2)))["benchmarks"]["aime26"]
        evaluate(*against(server, "--limit", 4, n=4))
        assert len(server.bodies) == 16
        part = json.loads(evaluate(*against(server, "--limit", 2, "--json", n=2)))["benchmarks"]["aime26"]
        assert len(server.bodies) == 16
    assert part == small
    assert (part["problems"], part["samples"]) == (2, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--temperature", "0.5"), "temperature: 0.8 there, 0.5 now"),
        (("--max-tokens", "10"), "max_tokens: 9 there, 10 now"),
        (("--seed", "1"), "seed: 0 there, 1 now"),
        (("--user", "Solve: {problem}"), "user: '{problem}' there, 'Solve: {problem}' now"),
        (("--system", ""), "there, None now"),
    ],
)
def test_samples_of_two_settings_are_not_mixed(evaluate: Cli, change: tuple[str, ...], said: str) -> None:
    with serving() as server:
        evaluate(*against(server, n=1))
        before = len(evaluate.rows)
        tokens = () if change[0] == "--max-tokens" else ("--max-tokens", 9)
        refused = evaluate(*against(server, n=1)[:7], *tokens, "--out", "out", *change, code=2)
        assert said in refused
        assert "give another --out" in refused
        assert len(evaluate.rows) == before == len(server.bodies)


def test_samples_of_another_model_or_other_problems_are_not_mixed(evaluate: Cli) -> None:
    with serving() as server:
        evaluate(*against(server, n=1))
        assert "model: 'tiny' there, 'other' now" in evaluate("other", *against(server, n=1)[1:], code=2)
        write_sums(evaluate.folder, extra=1)
        said = evaluate(*against(server, n=1), code=2)
        assert "samples of other editions of 6 problems (s0, s1, s2, s3, s4); give another --out" in said
        (evaluate.folder / "out/aime26/settings.json").unlink()
        assert "holds samples without settings.json" in evaluate(*against(server, n=1), code=2)


def test_a_server_that_is_not_there_is_said_at_once_and_nothing_is_made(evaluate: Cli) -> None:
    said = evaluate("tiny", "--url", "http://127.0.0.1:9/v1", "--benchmarks", "aime26", "--out", "out", code=2)
    assert said.startswith("error: no server answers at http://127.0.0.1:9/v1/models")
    assert not (evaluate.folder / "out").exists()


def test_a_missing_sandbox_leaves_the_other_benchmarks_alone(evaluate: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from exprl.verify import sandbox

    layer = sandbox.Layer("seccomp", False, "no such system call", "use a newer kernel")
    monkeypatch.setattr(sandbox, "probe_layers", lambda: [layer])
    write_functions(evaluate.folder)
    both = ("--benchmarks", "humaneval,aime26")
    with serving() as server:
        said = evaluate("tiny", "--url", server.url, *both, "--n", 1, "--max-tokens", 9, "--out", "out", code=2)
    assert "the sandbox lacks 1 of 1 layers of isolation here: seccomp: no such system call" in said
    assert len(evaluate.rows) == QUESTIONS == len(server.bodies)


def test_programs_are_run_against_their_tests_in_the_sandbox(evaluate: Cli) -> None:
    write_functions(evaluate.folder)

    def program(question: str, seed: int) -> web.Response:
        name = re.search(r"def (f\d)", question)
        assert name is not None
        body = "return x + 1" if name[1] in {"f0", "f1"} else "return x"
        return completion(f"Here it is:\n```python\ndef {name[1]}(x):\n    {body}\n```")

    try:
        open_sandbox().close()
    except SandboxError as error:
        pytest.skip(f"no sandbox on this machine: {str(error).splitlines()[0]}")
    with serving(program) as server:
        said = json.loads(evaluate("tiny", "--url", server.url, "--benchmarks", "humaneval", "--n", 1, "--json"))
    assert said["benchmarks"]["humaneval"]["pass@1"]["value"] == pytest.approx(2 / QUESTIONS)
    assert said["benchmarks"]["humaneval"]["unscored"] == 0


def test_a_dry_run_counts_and_spends_nothing(evaluate: Cli) -> None:
    arguments = ("tiny", "--benchmarks", "aime26", "--limit", 2, "--n", 4, "--max-tokens", 9, "--out", "out")
    said = evaluate(*arguments, "--dry-run")
    assert "  8 samples, 0 there; 72 tokens at most" in said
    planned = json.loads(evaluate(*arguments, "--dry-run", "--json"))["benchmarks"]["aime26"]
    assert (planned["problems"], planned["samples"], planned["there"], planned["tokens"]) == (2, 8, 0, 72)
    assert not (evaluate.folder / "out").exists()


def test_a_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["eval", "--list"])
    listed = capsys.readouterr().out
    assert "gpqa_diamond: GPQA Diamond\n  198 problems, graded by choice, CC BY 4.0\n" in listed
    assert "(gated)" in listed
    with pytest.raises(SystemExit):
        main(["eval", "--list", "--json"])
    assert json.loads(capsys.readouterr().out)["benchmarks"]["gsm8k"]["file"]["problems"] == 1319


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a configuration, or a model with --benchmarks"),
        (
            ("demo", "--n", "4", "--limit", "2"),
            "--n, --limit: only with --benchmarks; a configuration has keys such as",
        ),
        (("m", "--benchmarks", "aime26", "--evaluate.n", "4"), "--evaluate.n: no option of `exprl eval MODEL"),
        (("m", "--benchmarks", "aime26", "--policy", "p"), "--policy p: with --benchmarks the model is the first"),
        (("m", "--benchmarks", "aime27"), "unknown benchmark 'aime27'; did you mean 'aime26'?"),
        (("m", "--benchmarks", "aime26", "--n", "2", "--k", "4"), "pass@4 needs at least 4 samples a problem"),
        (("m", "--benchmarks", "aime26", "--user", "no place"), "holds {problem} exactly once"),
        (("m", "--benchmarks", "aime26", "--n", "0"), "Must be >= 1"),
        (("./none", "--benchmarks", "aime26"), "./none: no such folder"),
    ],
)
def test_what_does_not_go_together_is_refused(evaluate: Cli, arguments: tuple[str, ...], said: str) -> None:
    assert said in evaluate(*arguments, code=2)


@pytest.mark.slow
def test_a_local_checkpoint_is_sampled_in_this_process_and_gone_on_with(evaluate: Cli) -> None:
    arguments = (save_policy(evaluate.folder / "model"), "--benchmarks", "aime26", "--max-tokens", 8, "--system", "")
    said = json.loads(evaluate(*arguments, "--n", 2, "--out", "out", "--json"))
    assert said["benchmarks"]["aime26"]["samples"] == QUESTIONS * 2
    first = evaluate.rows
    evaluate(*arguments, "--n", 3, "--out", "out")
    assert evaluate.rows[: QUESTIONS * 2] == first
    assert len({str(row["id"]) for row in evaluate.rows}) == len(evaluate.rows) == QUESTIONS * 3


def save_policy(folder: Path) -> Path:
    """A random Llama over characters."""
    from string import printable

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<eos>": 0, **{character: i + 1 for i, character in enumerate(printable)}}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    characters.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=characters, eos_token="<eos>").save_pretrained(folder)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(vocabulary), max_position_embeddings=256, eos_token_id=0, bos_token_id=None, **shape
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


# -- exports


def test_an_export_to_lm_eval_has_one_row_a_problem_and_no_reference(evaluate: Cli) -> None:
    with serving() as server:
        evaluate(*against(server, "--export", "lm-eval", n=4))
    (file,) = (evaluate.folder / "out/aime26").glob("samples_aime26_*.jsonl")
    rows = read_jsonl(file)
    assert [row["doc_id"] for row in rows] == list(range(QUESTIONS))
    for place, row in enumerate(rows):
        mine = sorted(
            (r for r in evaluate.rows if r["question_id"] == f"s{place}"), key=lambda r: int(str(r["sample"]))
        )
        assert row["resps"] == [[r["text"] for r in mine]]
        assert row["exact_match"] == pytest.approx(sum(float(str(r["correct"])) for r in mine) / 4)
        assert row["target"] == "<redacted>"
    assert CANARY not in file.read_text("utf-8")


def test_lm_evals_own_schema_takes_the_export(evaluate: Cli) -> None:
    schema = pytest.importorskip("lm_eval.result_schema", reason="lm_eval is not installed")
    with serving() as server:
        evaluate(*against(server, "--export", "lm-eval", n=2))
    (file,) = (evaluate.folder / "out/aime26").glob("samples_aime26_*.jsonl")
    for row in read_jsonl(file):
        TypeAdapter(schema.SampleResult).validate_python(row)


def test_an_export_to_inspect_has_one_sample_an_answer_and_no_reference(evaluate: Cli) -> None:
    log = exported(evaluate)
    assert [(sample["id"], sample["epoch"]) for sample in log["samples"][:3]] == [("s0", 1), ("s0", 2), ("s1", 1)]
    assert {sample["target"] for sample in log["samples"]} == {"<redacted>"}
    told = {sample["scores"]["correct"]["value"] for sample in log["samples"]}
    assert told <= {"C", "I"}
    assert CANARY not in json.dumps(log)


def test_inspect_itself_reads_the_export(evaluate: Cli) -> None:
    log_module = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    written = exported(evaluate)
    (file,) = (evaluate.folder / "out/aime26").glob("*_aime26.json")
    log = log_module.read_eval_log(str(file))
    assert log.status == "success"
    assert len(log.samples) == len(written["samples"])
    assert (
        log.results.scores[0].metrics["pass@1"].value == written["results"]["scores"][0]["metrics"]["pass@1"]["value"]
    )


def exported(evaluate: Cli) -> dict[str, list[dict[str, dict[str, dict[str, str]]]]]:
    with serving() as server:
        evaluate(*against(server, "--export", "inspect", n=2))
    (file,) = (evaluate.folder / "out/aime26").glob("*_aime26.json")
    found: dict[str, list[dict[str, dict[str, dict[str, str]]]]] = json.loads(file.read_text("utf-8"))
    return found
