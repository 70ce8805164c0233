"""How training scales over machines: messages, bytes and seconds of an update, by a small model fitted to measurements.

python scripts/scaling.py
python scripts/scaling.py --nodes 1 2 4 --rounds 5 --json scaling.json

Nodes are those of a Ray cluster on this machine, each with one sampler, which share its cores; bytes are counted on
what samplers and learner hand each other. The model and what follows from it stand in docs/scaling.md.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import command_line
import option_checks

PROGRAM = "scaling.py"
MACHINES = (1, 8, 64, 512)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure."""

    nodes: tuple[int, ...] = (1, 2, 4)
    """Numbers of local nodes, of one sampler each."""
    n_envs: int = 16
    """Environments of a sampler."""
    steps: int = 16
    """Steps of a rollout."""
    rounds: int = 5
    """Rollouts; of their seconds the median is taken."""
    update_s: float = 0.0
    """Seconds of an update of 2048 steps; measured if 0."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, n_envs=1, steps=1, rounds=1, update_s=0)
        if not self.nodes or min(self.nodes) < 1:
            raise command_line.OptionError(
                f"--nodes {' '.join(map(str, self.nodes))}, expected at least one each"
            )


def updates_s() -> float:
    """Seconds of the default recipe's update, as the benchmark measures them."""
    from benchmarks import learner

    return float(min(learner.measure(3)["update_s"]))


def work(options: Options) -> None:
    """Measures, fits, prints and writes.

    Raises:
        WorkFailed: Ray is not installed.
    """
    from functools import partial

    if importlib.util.find_spec("ray") is None:
        raise command_line.WorkFailed("needs Ray: pip install -e '.[ray]'")
    from marl.config.presets import recommended
    from marl.environment.batch import make_batch
    from marl.training.scaling import fitted, local_rollouts, predicted

    make = partial(make_batch, "training", check=False)
    size: Any = {"n_envs": options.n_envs, "steps": options.steps, "rounds": options.rounds}
    found = {n: local_rollouts(make, recommended(), n, **size) for n in options.nodes}
    for n, figures in found.items():
        print(
            f"{n} local node{'s' if n > 1 else ''}: processor time of a rollout: samplers "
            f"{figures['sampler_s']:.3f} s, learner {figures['ask_and_take_s'] + figures['take_in_s']:.3f} s, "
            f"{figures['step_bytes']:,.0f} bytes a step"
        )
    model = fitted(found, options.steps * options.n_envs, options.update_s or updates_s())
    print(", ".join(f"{key} {value:.3g}" for key, value in asdict(model).items()))
    rows = [predicted(model, n) for n in MACHINES]
    print(f"{'machines':>9}{'messages':>10}{'MB up':>9}{'MB down':>9}{'samplers':>10}{'calls':>8}{'link':>8}"
          f"{'take in':>9}{'update':>9}{'total s':>9}{'steps/s':>10}")  # fmt: skip
    for r in rows:
        print(f"{r['machines']:>9}{r['messages']:>10}{r['bytes_up'] / 1e6:>9.1f}{r['bytes_down'] / 1e6:>9.1f}"
              f"{r['samplers_s']:>10.2f}{r['calls_s']:>8.2f}{r['link_s']:>8.2f}{r['take_in_s']:>9.2f}"
              f"{r['update_s']:>9.2f}{r['total_s']:>9.2f}{r['steps_per_s']:>10,.0f}")  # fmt: skip
    content: dict[str, Any] = {"measured": found, "model": asdict(model), "predicted": rows}
    command_line.write_json(options.json, content)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json"], single_thread=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
