"""The end: what is in flight is finished, nothing new is taken, and a server in a process of its own ends with 0."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from served import ACTOR, EVALUATOR, TRACE, FakeJudge, serving

from exprl.cli import main
from exprl.serve.auth import ACTOR_TOKEN, EVALUATOR_TOKEN

TOKENS = {ACTOR_TOKEN: ACTOR, EVALUATOR_TOKEN: EVALUATOR}


async def test_what_is_in_flight_is_finished_and_nothing_new_is_taken() -> None:
    gate = asyncio.Event()
    judge = FakeJudge(gate=gate)
    async with serving(judge) as server:
        await server.register()
        whole = asyncio.create_task(server.ask("/v1/score", {"reference": "p1", "text": "x"}))
        stream = {"reference": "p1", "text": TRACE, "stream": True}
        lines = asyncio.create_task(server.ask("/v1/score_prefixes", stream))
        await server.ask("/health", method="GET", token=None)  # leaves a connection that is kept alive
        while judge.calls < 3:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(server.running.stop())
        await asyncio.sleep(0.05)
        late = await server.ask("/health", method="GET", token=None)  # on the connection that was kept
        assert (late.status, late.json) == (503, {"status": "stopping"})
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        assert not stopping.done()
        gate.set()
        assert (await whole).json == {"score": 0.5}
        assert (await lines).text.endswith('{"done":true}\n')
        await stopping
        assert judge.closed


async def test_a_new_request_on_a_kept_connection_is_refused_while_the_server_stops() -> None:
    gate = asyncio.Event()
    async with serving(FakeJudge(gate=gate)) as server:
        await server.register()
        waiting = asyncio.create_task(server.ask("/v1/score", {"reference": "p1", "text": "x"}))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.running.port)
        while not server.state.metrics.in_flight:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(server.running.stop())
        await asyncio.sleep(0.05)
        writer.write(f"POST /v1/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACTOR}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
        assert b"connection: close" in (await reader.read()).lower()
        gate.set()
        assert (await waiting).status == 200
        await stopping
        writer.close()


async def test_waiting_has_an_end() -> None:
    async with serving(FakeJudge(gate=asyncio.Event()), grace=0.1) as server:
        await server.register()
        asked = asyncio.create_task(server.ask("/v1/score", {"reference": "p1", "text": "x"}))
        while not server.state.metrics.in_flight:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(server.running.stop(), 10)
        assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], Exception)


def post(url: str, path: str, body: object, token: str) -> object:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def one_problem(folder: Path) -> str:
    file = folder / "problems.jsonl"
    file.write_text(json.dumps({"id": "p1", "problem": "37+25?", "solution": "37+25=62", "answer": "62"}) + "\n")
    return str(file)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_a_set_and_ends_with_0_at_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from exprl.cli import main; main()",
        "serve",
        "--data.train.path",
        one_problem(tmp_path),
    ]
    command += ["--data.filter", "false", "--set", "hard_train", "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **TOKENS}, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        try:
            facts = json.loads(process.stdout.readline())
            assert (facts["references"], facts["roles"], facts["serving"]) == (1, ["actor", "evaluator"], True)
            asked = {"reference": "p1", "text": "37+25=62 \\boxed{62}"}
            assert post(facts["url"], "/v1/score", asked, ACTOR) == {"score": 1.0}
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "stopping: 0 requests in flight" in errors
    assert ACTOR not in errors
    assert EVALUATOR not in errors


def test_a_dry_run_says_what_would_be_served_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(name, token)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--data.train.path", one_problem(tmp_path), "--set", "hard_train", "--dry-run", "--json"])
    assert not ended.value.code
    facts = json.loads(capsys.readouterr().out)
    assert facts["serving"] is False
    assert facts["references"] == 1
    assert facts["judge"] == "milestone"


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ({}, "no token: set EXPRL_SERVE_EVALUATOR_TOKEN"),
        ({ACTOR_TOKEN: "short"}, "EXPRL_SERVE_ACTOR_TOKEN must be at least 16"),
        ({ACTOR_TOKEN: ACTOR, EVALUATOR_TOKEN: ACTOR}, "are the same"),
        ({EVALUATOR_TOKEN: "with some spaces in it"}, "without spaces"),
    ],
)
def test_a_server_without_good_tokens_is_refused_with_how_to_make_one(
    tokens: dict[str, str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TOKENS:
        monkeypatch.delenv(name, raising=False)
    for name, token in tokens.items():
        monkeypatch.setenv(name, token)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--dry-run"])
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in shown
    assert "secrets.token_urlsafe" in shown
    assert not any(token in shown for token in tokens.values())


def test_a_port_in_use_and_segments_by_tokens_are_refused_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    for name, token in TOKENS.items():
        monkeypatch.setenv(name, token)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, words in (
            (["--port", str(taken.getsockname()[1])], "choose another --port"),
            (["--segments.rule", "tokens"], "use another rule"),
            (["--data.train.path", one_problem(tmp_path), "--set", "nonesuch"], "no set 'nonesuch'"),
        ):
            with pytest.raises(SystemExit) as ended:
                main(["serve", *arguments])
            assert ended.value.code == 2
            assert words in capsys.readouterr().err
