"""How training scales over machines: messages, bytes and seconds of an update, by a small model fitted to measurements.

python scripts/scaling.py
python scripts/scaling.py --nodes 1 2 4 --rounds 5 --json scaling.json

Nodes are those of a Ray cluster on this machine, each with one sampler, which share its cores; bytes are counted on
what samplers and learner hand each other. The model and what follows from it stand in docs/scaling.md.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import command_line

PROGRAM = "scaling.py"
MACHINES = (1, 8, 64, 512)
LINK_BYTES_PER_S = 1.25e9  # 10 Gbit/s, of the learner's machine
LATENCY_S = 5e-4  # of a message between two machines of one place


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
        command_line.require_at_least(self, n_envs=1, steps=1, rounds=1)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the model is made of."""

    step_s: float  # of one environment's step on one core, with the action of its policy
    call_s: float  # of a rollout and a sampler, for the learner: asking, waking, taking
    take_in_s: float  # of one environment's step, for the learner: joining, storing, counting
    update_s: float  # of one environment's step, for the learner: all epochs
    step_bytes: float  # of one environment's step, to the learner
    noise_bytes: float  # of one environment's step, from the learner
    state_bytes: float  # of one environment, to the learner, a rollout
    weight_bytes: float  # of the policy, to each machine, a rollout


def local_rollouts(options: Options, n_node: int) -> dict[str, float]:
    """Seconds of processor time, and bytes, of a rollout on so many local nodes."""
    from functools import partial

    import torch
    from ray.cluster_utils import Cluster as LocalNodes

    from marl.algorithms.mappo import MAPPO
    from marl.cluster.connection import connected
    from marl.config.presets import recommended
    from marl.environment.batch import make_batch
    from marl.sampling.ray_sampler import RaySampler
    from marl.training.curriculum import training_seeds

    n_env = options.n_envs * n_node
    nodes = LocalNodes(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 200 * 2**20},
    )
    for _ in range(n_node):
        nodes.add_node(num_cpus=1, object_store_memory=200 * 2**20)
    base = recommended()
    from dataclasses import replace

    size = options.steps * n_env
    config = replace(
        base, n_envs=n_env, device="cpu", ppo=replace(base.ppo, buffer_steps=size, minibatch_steps=size)
    )
    try:
        with (
            connected(nodes.address) as cluster,
            RaySampler(cluster, partial(make_batch, "training", check=False), n_env, n_node) as sampler,
        ):
            torch.set_num_threads(1)
            learner = MAPPO(config, sampler.groups, sampler.state_size)
            sampler.prepare(learner.behaviour)
            sampler.reset(training_seeds(0, n_env, 2**30))
            found: list[dict[str, float]] = []
            for _ in range(options.rounds + 1):
                worked_s = sampler.cpu_s()
                t0 = time.process_time()
                errand = learner.errand()
                sampler.request(errand)
                played = sampler.take()
                t1 = time.process_time()
                for k in range(played.n_step):
                    learner.adopt(played.decision(k))
                    learner.observe(played.transition(k))
                t2 = time.process_time()
                learner.storage.clear()
                found.append(
                    {"sampler_s": sampler.cpu_s() - worked_s, "ask_and_take_s": t1 - t0, "take_in_s": t2 - t1}
                )
            del found[0]  # the first one compiles and loads
            return {
                **{key: median(round_[key] for round_ in found) for key in found[0]},
                "step_bytes": len(pickle.dumps(played, 5)) / size,
                "noise_bytes": errand.noise.nbytes / size,
                "weight_bytes": float(sum(x.nbytes for x in errand.weights.values())),
                "state_bytes": len(pickle.dumps(sampler.get_state()["parts"], 5)) / n_env,
            }
    finally:
        stop: Any = nodes.shutdown  # untyped, where Ray is installed at all
        stop()


def fitted(options: Options, found: dict[int, dict[str, float]], update_s: float) -> Measured:
    """The model's figures, from processor time, which a busy machine leaves as it is.

        ask and take of n samplers = fixed + call_s n

    by least squares without negative terms; the sampler's is the mean over all rollouts.
    """
    import numpy as np
    from scipy.optimize import nnls

    steps = options.steps * options.n_envs
    rows = np.array([[1.0, n] for n in found])
    (_, call_s), _ = nnls(rows, np.array([figures["ask_and_take_s"] for figures in found.values()]))
    last = found[max(found)]
    return Measured(
        step_s=float(np.mean([figures["sampler_s"] / (steps * n) for n, figures in found.items()])),
        call_s=float(call_s),
        take_in_s=last["take_in_s"] / (steps * max(found)),
        update_s=update_s / 2048,
        **{key: last[key] for key in ("step_bytes", "noise_bytes", "state_bytes", "weight_bytes")},
    )


def predicted(m: Measured, n: int, *, n_envs: int = 64, n_step: int = 32, cores: int = 8) -> dict[str, float]:
    """Messages, bytes and seconds of an update on n machines of so many cores, 64 environments on each.

        T = n c t_call + 32 64 t_step / c + B / bandwidth + 2048 n (t_take + t_update) + 2 latency

    with one sampler a core. The first term, bytes and the last one are the learner's alone, and grow with n.
    """
    steps = n * n_envs * n_step
    up = steps * m.step_bytes + n * n_envs * m.state_bytes
    down = steps * m.noise_bytes + n * m.weight_bytes
    parts = {
        "samplers_s": n_envs * n_step * m.step_s / cores + 2 * LATENCY_S,
        "calls_s": n * cores * m.call_s,
        "link_s": (up + down) / LINK_BYTES_PER_S,
        "take_in_s": steps * m.take_in_s,
        "update_s": steps * m.update_s,
    }
    total_s = sum(parts.values())
    return {
        "machines": n,
        "messages": 2 * n * cores + n,
        "bytes_up": up,
        "bytes_down": down,
        **parts,
        "total_s": total_s,
        "steps_per_s": steps / total_s,
    }


def updates_s() -> float:
    """Seconds of the default recipe's update, as the benchmark measures them."""
    from benchmarks import learner

    return float(min(learner.measure(3)["update_s"]))


def work(options: Options) -> None:
    """Measures, fits, prints and writes."""
    found = {n: local_rollouts(options, n) for n in options.nodes}
    for n, figures in found.items():
        print(
            f"{n} local node{'s' if n > 1 else ''}: processor time of a rollout: samplers "
            f"{figures['sampler_s']:.3f} s, learner {figures['ask_and_take_s'] + figures['take_in_s']:.3f} s, "
            f"{figures['step_bytes']:,.0f} bytes a step"
        )
    model = fitted(options, found, options.update_s or updates_s())
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
