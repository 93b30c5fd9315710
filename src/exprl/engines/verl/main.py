"""The process that verl runs in: `python -m exprl.engines.verl.main [--check] [--parent PID] KEY=VALUE ...`.

verl's own entry point, with four things before it: its configuration is composed from its package, without a working directory
of hydra's; verl itself validates it; the plug-in's registration is asserted here and, once Ray is up, on every node; and errors
of ours end in one line. `--check` stops after the validation and needs no GPU; with `--parent` it ends when that process does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exprl.engines.verl.registration import assert_everywhere, assert_here
from exprl.errors import EngineError, ExprlError

__all__ = ["composed", "main", "validated"]


def composed(overrides: Sequence[str]) -> Any:
    """verl's configuration with these overrides.

    Raises:
        EngineError: verl knows a key of them not, or a value is of another type.
    """
    import verl.trainer
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    folder = Path(verl.trainer.__file__).parent / "config"
    try:
        with initialize_config_dir(config_dir=str(folder), version_base=None):
            return compose(config_name="ppo_trainer", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise EngineError(f"verl's configuration cannot be composed: {error}; see cluster.overrides") from error


def validated(overrides: Sequence[str]) -> Any:
    """The same, after verl's own checks, with its estimator and agent loop known.

    Raises:
        EngineError: verl refuses it, or our plug-in is not loaded.
    """
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    assert_here()
    config = composed(overrides)
    try:
        validate_config(config, need_reference_policy(config), need_critic(config))
        get_adv_estimator_fn(config.algorithm.adv_estimator)
        get_policy_loss_fn(config.actor_rollout_ref.actor.policy_loss.loss_mode)
    except (AssertionError, ValueError) as error:
        raise EngineError(f"verl refuses its configuration: {error}") from error
    return config


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, or run to the end of the stage."""
    parser = argparse.ArgumentParser(prog="python -m exprl.engines.verl.main")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--parent", type=int)
    given, overrides = parser.parse_known_args(arguments)
    if given.parent is not None:
        from exprl.pipeline.parent import watch_parent

        watch_parent(given.parent)
    try:
        config = validated(overrides)
        if not given.check:
            _run(config)
    except ExprlError as error:
        print("error:", error, file=sys.stderr)
        sys.exit(2)


def _run(config: Any) -> None:
    import ray
    from omegaconf import OmegaConf
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.utils.device import auto_set_device

    auto_set_device(config)
    # As verl starts it; it finds Ray running then and leaves it as it is.
    settings = config.ray_kwargs.ray_init
    environment = get_ppo_ray_runtime_env(config)
    if config.trainer.use_v1:
        environment["env_vars"]["TRANSFER_QUEUE_ENABLE"] = "1"
    environment = OmegaConf.merge(environment, settings.get("runtime_env", {}))
    ray.init(**OmegaConf.to_container(OmegaConf.create({**settings, "runtime_env": environment}), resolve=True))
    print(f"exprl's plug-in is registered in the driver and on {assert_everywhere()} nodes", flush=True)
    run_ppo(config, task_runner_class=TaskRunnerV1 if config.trainer.use_v1 else _older_runner())


def _older_runner() -> Any:
    from verl.trainer.main_ppo_v0 import TaskRunner

    return TaskRunner


if __name__ == "__main__":
    main()
