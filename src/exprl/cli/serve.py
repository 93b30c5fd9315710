"""`exprl serve`: the judge and the rewards over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, DryRun, Overrides, console

__all__ = ["serve_"]

_AT_LEAST_ONE = validators.Number(gte=1)
# A configuration of which only judge, verifier and segments count needs neither name nor data.
_ABSENT = {"name": "serve", "data": {"train": {"path": "world:chain/hard_train"}}}


def serve_(
    config: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="A TOML configuration: its judge, verifier and segments. Default: the milestone judge.",
        ),
    ] = None,
    *overrides: Overrides,
    set_name: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set", negative="", help="A set of the configuration, registered at the start. May be repeated."
        ),
    ] = (),
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535), help="0: any free one.")] = 8011,
    out: Annotated[Path | None, Parameter(help="Folder of a judge model's verdicts and costs.")] = None,
    rate: Annotated[float, Parameter(validator=validators.Number(gt=0), help="Requests a second and token.")] = 2000.0,
    in_flight: Annotated[int, Parameter(validator=_AT_LEAST_ONE, help="Requests being answered at once.")] = 512,
    max_body: Annotated[int, Parameter(validator=_AT_LEAST_ONE, help="Bytes of a request for scores.")] = 1 << 20,
    answer_timeout: Annotated[
        float, Parameter(validator=validators.Number(gt=0), help="Seconds that an answer may take.")
    ] = 300.0,
    grace: Annotated[
        float, Parameter(validator=validators.Number(gte=0), help="Seconds to finish what is in flight at the end.")
    ] = 30.0,
    access_log: Annotated[bool, Parameter(negative="", help="One line a request on standard error.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Serve scores against hidden references; tokens come from $EXPRL_SERVE_EVALUATOR_TOKEN and $EXPRL_SERVE_ACTOR_TOKEN."""
    import asyncio

    from exprl.cli.settings import load_config
    from exprl.serve.build import build_state
    from exprl.serve.limits import Limits
    from exprl.serve.run import run_until_signal

    if config is not None and str(config).startswith("--"):  # there is no CONFIG, and this is a key of one
        config, overrides = None, (str(config), *overrides)
    settings = load_config(config, overrides, absent=_ABSENT)
    limits = Limits(body=max_body, rate=rate, in_flight=in_flight, answer=answer_timeout, grace=grace)
    folder = out or Path(settings.output) / f"{settings.name}-serve"
    state = build_state(settings, set_name, folder, limits, access_log=access_log)
    facts = {
        "judge": state.scorer.judge_name,
        "references": len(state.references),
        "roles": sorted(state.keyring.roles),
    }
    if dry_run:
        _tell({**facts, "host": host, "port": port, "serving": False}, as_json=as_json)
        return
    _log_to_stderr()
    asyncio.run(run_until_signal(state, host, port, lambda used: _tell(_open(facts, host, used), as_json=as_json)))


def _open(facts: dict[str, object], host: str, port: int) -> dict[str, object]:
    return {**facts, "host": host, "port": port, "url": f"http://{_in_url(host)}:{port}", "serving": True}


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tell(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts), flush=True)
        return
    where = facts.get("url") or f"{facts['host']}:{facts['port']}, nothing was started"
    roles = facts["roles"]
    assert isinstance(roles, list)
    console().print(
        f"{where}\njudge {facts['judge']}, {facts['references']} references, tokens for {' and '.join(roles)}",
        highlight=False,
        markup=False,
    )
    if facts["host"] not in ("127.0.0.1", "::1", "localhost"):
        console().print("tokens travel unencrypted: put a proxy with TLS before it", highlight=False)


def _log_to_stderr() -> None:
    import logging
    import sys

    from exprl.serve.log import logger

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
