"""schemathesis reads the OpenAPI document and tries to break what it promises: no 500, no answer that it does not tell of.

It is no dependency: `pip install schemathesis` in any environment, and name its command in EXPRL_SCHEMATHESIS if it is not on
the path. One of its checks is left out, "schema-valid data is accepted": that cuts ascend and that a reference holds something
says no schema.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest
from served import ACTOR, EVALUATOR, PROBLEM, serving

COMMAND = os.environ.get("EXPRL_SCHEMATHESIS") or shutil.which("schemathesis")


@pytest.mark.slow
@pytest.mark.skipif(
    COMMAND is None, reason="no schemathesis; pip install it, or name its command in EXPRL_SCHEMATHESIS"
)
@pytest.mark.parametrize("token", [EVALUATOR, ACTOR])
async def test_no_request_that_schemathesis_makes_is_answered_500_or_otherwise_than_documented(
    token: str, tmp_path: Path
) -> None:
    assert COMMAND is not None
    async with serving(rate=1e9, stranger_rate=1e9) as server:
        for name in ("0", "00", "p1"):  # the ids that it likes
            await server.register({**PROBLEM, "id": name})
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "run", f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {token}", "--no-color"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance", "--max-time", "25", "--seed", "7"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output = (await process.communicate())[0].decode()
        made = re.search(r"(\d+) generated", output)
        assert process.returncode == 0, output[-3000:]
        assert made is not None
        assert int(made[1]) > 200
        metrics = (await server.ask("/metrics", method="GET", token=EVALUATOR)).text
        assert 'status="500"' not in metrics
        if token == EVALUATOR:
            assert 'exprl_requests_total{route="/v1/score",status="200"}' in metrics
