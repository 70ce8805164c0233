"""Seconds until a policy is better than tuned AGC with feed-forward: TorchRL's MAPPO, beside the default training here.

    python scripts/time_torchrl.py [--settings recipe,tutorial] [--seconds 900] [--json FILE]

Both learn the same agents with the same hidden layers on the same distribution of episodes, and are judged by the same
64 held-out episodes of `normal`. TorchRL steps the batched environment of this project, so that learners are compared,
and not loops over dictionaries (`benchmarks/torchrl_mappo.py`); what it is given to learn with stands in
`benchmarks/torchrl_settings.py`. Its clocks begin with this program and stop while it is judged. Those of the training
here, which is judged beside its learning, run from the start of its command until the evaluation is told of. What else
runs on the machine moves the clock on the wall much and the processor's little, which is why both are told. TorchRL
computes on one thread, the fastest for networks of this size.

TorchRL is not needed for anything else here: it is in the extra `torchrl`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import command_line
import option_checks
from benchmarks.torchrl_settings import SETTINGS

PROGRAM = "time_torchrl.py"
BEGAN_S = time.perf_counter()
LIBRARIES = ("torchrl", "tensordict")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure."""

    settings: str = "recipe"
    """Hyper-parameters for TorchRL, separated by commas: recipe, those of the default training here as far as it has
    parts for them, or tutorial, those of its own."""
    steps: int = 500_000
    """Budget of environment steps, for each."""
    seconds: float = 900.0
    """Budget of the clock for each of TorchRL's trainings."""
    judge_every: int = 10_240
    """Steps between judgements; the default training here is judged as often."""
    seed: int = 0
    """Of TorchRL's networks, exploration and episodes."""
    ours: bool = True
    """Train here as well, until it is better than AGC."""
    json: Path | None = None
    """File to write the result to."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, steps=1, judge_every=1, seed=0)
        if self.seconds <= 0.0:
            raise command_line.OptionError(f"--seconds {self.seconds}, expected more than 0")
        for name in self.names:
            if name not in SETTINGS:
                raise command_line.OptionError(
                    f"--settings: no setting {name!r}, expected of {', '.join(SETTINGS)}"
                )

    @property
    def names(self) -> list[str]:
        """The settings that are asked for."""
        return [name.strip() for name in self.settings.split(",")]


def row(judged: Sequence[Any], bar: float, start_s: float, start_cpu_s: float) -> dict[str, Any]:
    """What a training came to.

    Args:
        judged: its judgements in their order, `benchmarks.torchrl_mappo.Judgement`.
        bar: held-out return to be better than.
        start_s: what had to happen before it could begin [s].
        start_cpu_s: the same on the processor [s].
    """
    first, last = next((one for one in judged if one.held_out_return > bar), None), judged[-1]
    return {
        "time_to_agc_s": None if first is None else start_s + first.seconds,
        "cpu_to_agc_s": None if first is None else start_cpu_s + first.cpu_s,
        "steps_to_agc": None if first is None else first.steps,
        "steps": last.steps,
        "seconds": start_s + last.seconds,
        "cpu_s": start_cpu_s + last.cpu_s,
        "steps_per_s": last.steps / last.seconds,
        "steps_per_cpu_s": last.steps / last.cpu_s,
        "best_return": max(one.held_out_return for one in judged),
        "judged_at_steps": [one.steps for one in judged],
        "held_out_returns": [one.held_out_return for one in judged],
    }


def measure(options: Options) -> dict[str, Any]:
    """All trainings, one after the other; what the JSON file holds.

    Raises:
        OptionError: TorchRL is not installed.
    """
    for name in LIBRARIES:
        if find_spec(name) is None:
            raise command_line.OptionError(
                f"{name} is not installed; pip install -e '.[torchrl]', in an environment of its own"
            )
    from benchmarks import torchrl_mappo, whole_training

    start_s, start_cpu_s = time.perf_counter() - BEGAN_S, time.process_time()
    bar = cache(whole_training.bar)  # first asked for while the clocks stand still

    def is_better(judgement: torchrl_mappo.Judgement) -> bool:
        print(
            f"{judgement.steps:9,d} steps {judgement.seconds:7.1f} s, {judgement.cpu_s:7.1f} of the processor: "
            f"held-out return {judgement.held_out_return:12,.0f}, to be better than {bar():,.0f}",
            flush=True,
        )
        return judgement.held_out_return > bar()

    judged = {}
    for name in options.names:
        print(f"TorchRL, {name}", flush=True)
        judged[name] = torchrl_mappo.train(
            SETTINGS[name],
            steps=options.steps,
            seconds=options.seconds,
            judge_every=options.judge_every,
            n_judged=whole_training.N_EPISODE,
            seed=options.seed,
            enough=is_better,
        )
    found: dict[str, Any] = {
        "bar": bar(),
        "versions": {name: version(name) for name in ("torch", *LIBRARIES)},
        "torchrl": {name: row(one, bar(), start_s, start_cpu_s) for name, one in judged.items()},
    }
    if options.ours:
        passed = whole_training.first_above(bar())
        found["ours"] = {
            "time_to_agc_s": None if passed is None else passed.seconds,
            "cpu_to_agc_s": None if passed is None else passed.cpu_s,
            "steps_to_agc": None if passed is None else passed.steps,
        }
    return found


def work(options: Options) -> None:
    """Measures, prints and writes."""
    from control.evaluation.learning_figures import torchrl

    found: Mapping[str, Any] = measure(options)
    print("\n".join(torchrl(found)))
    command_line.write_json(options.json, found)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option or a missing library, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json"], single_thread=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
