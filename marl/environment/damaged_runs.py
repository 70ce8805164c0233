"""Damaged files of a run: its metrics, configuration, checkpoint and model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from control.evaluation.damage import Way, damaged

__all__ = ["checkpoint", "config", "metrics", "model"]


def metrics(directory: Path) -> Way:
    """Learning curves that a run takes up."""
    from marl.training.curves import MetricsError, read_metrics
    from marl.training.logger import MetricsTable

    path = directory / "metrics.csv"
    rows = (f"{k},{10 * k},{-1.5 * k},{2.5e-3 * k},\r\n" for k in range(1, 9))
    whole = ("update,step,train/return,train/kl_bess,eval/return\r\n" + "".join(rows)).encode()

    def take(content: bytes) -> None:
        path.write_bytes(content)
        MetricsTable(path, resume_after=5).add(6, 60, {"train/return": -9.0})
        try:
            read_metrics(path)
        except MetricsError as error:
            raise AssertionError(f"what a run has taken up is no table: {error}") from error
        path.write_bytes(content)
        read_metrics(path)

    return lambda rng: damaged(whole, rng), take, (MetricsError,)


def config(directory: Path) -> Way:
    """Configurations of a run."""
    from marl.config.presets import preset
    from marl.config.training import ConfigError
    from marl.training.run_directory import CONFIG, read_config

    whole = json.dumps({"case": "ieee68", "training": asdict(preset("recommended"))}, indent=2).encode()

    def take(content: bytes) -> None:
        (directory / CONFIG).write_bytes(content)
        read_config(directory)

    return lambda rng: damaged(whole, rng), take, (ConfigError,)


def _policy() -> Any:
    import torch

    from marl.config.network import NetworkConfig
    from marl.networks.policy import Policy
    from marl.protocol import AgentGroup

    torch.manual_seed(0)
    group = AgentGroup(name="bess", agents=("bess_0", "bess_1"), observation_size=3, action_size=1)
    return Policy((group,), NetworkConfig(actor_hidden=(4,)), {"observation": "default"})


def checkpoint(directory: Path) -> Way:
    """Checkpoints of a run."""
    from marl import checkpoint

    path = directory / "run.pt"
    content = {"learner": _policy().content(), "numbers": (1.5, 2**70), "rows": [{"update": 3}]}
    checkpoint.save(path, "run", content)
    whole, known = path.read_bytes(), checkpoint.checksum(checkpoint.load(path, "run"))

    def take(data: bytes) -> None:
        path.write_bytes(data)
        if checkpoint.checksum(checkpoint.load(path, "run")) != known:
            raise AssertionError("another content was read than was written")

    return lambda rng: damaged(whole, rng), take, (checkpoint.CheckpointError,)


def model(directory: Path) -> Way:
    """Of before the checksum, so that what is inside is damaged too."""
    import torch

    from marl import checkpoint
    from marl.networks.policy import Policy

    path = directory / "model.pt"
    torch.save({"format": checkpoint.FORMAT, "kind": "policy", "content": _policy().content()}, path)
    whole = path.read_bytes()

    def take(data: bytes) -> None:
        path.write_bytes(data)
        policy = Policy.load(path)
        if not all(torch.isfinite(x).all() for x in policy.state_dict().values()):
            raise AssertionError("a policy of what is no number was taken")

    return lambda rng: damaged(whole, rng), take, (checkpoint.CheckpointError,)
