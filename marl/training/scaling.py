"""How training scales over machines: messages, bytes and seconds of an update, by a small model.

Its figures are fitted to rollouts on local nodes of a Ray cluster, which share this machine's cores; bytes are counted
on what samplers and learner hand each other. The model and what follows from it stand in docs/scaling.md.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from marl.config.training import TrainingConfig
from marl.sampling.sampler import MakeEnvironment

__all__ = ["Measured", "fitted", "local_rollouts", "predicted"]

LINK_BYTES_PER_S = 1.25e9  # 10 Gbit/s, of the learner's machine
LATENCY_S = 5e-4  # of a message between two machines of one place


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


def local_rollouts(
    make_batch: MakeEnvironment, config: TrainingConfig, n_node: int, *, n_envs: int, steps: int, rounds: int
) -> dict[str, float]:
    """Seconds of processor time, and bytes, of a rollout on so many local nodes.

    Args:
        make_batch: of the environments, by their number.
        config: recipe of the training.
        n_node: nodes, each with one sampler.
        n_envs: environments of a sampler.
        steps: of a rollout.
        rounds: rollouts, of whose seconds the median is taken.
    """
    import torch
    from ray.cluster_utils import Cluster as LocalNodes

    from marl.algorithms.mappo import MAPPO
    from marl.cluster.connection import connected
    from marl.sampling.ray_sampler import RaySampler
    from marl.training.curriculum import training_seeds

    n_env = n_envs * n_node
    nodes = LocalNodes(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 200 * 2**20},
    )
    for _ in range(n_node):
        nodes.add_node(num_cpus=1, object_store_memory=200 * 2**20)
    size = steps * n_env
    config = replace(
        config, n_envs=n_env, device="cpu", ppo=replace(config.ppo, buffer_steps=size, minibatch_steps=size)
    )
    try:
        with (
            connected(nodes.address) as cluster,
            RaySampler(cluster, make_batch, n_env, n_node) as sampler,
        ):
            torch.set_num_threads(1)
            learner = MAPPO(config, sampler.groups, sampler.state_size)
            sampler.prepare(learner.behaviour)
            sampler.reset(training_seeds(0, n_env, 2**30))
            found: list[dict[str, float]] = []
            for _ in range(rounds + 1):
                worked_s = sampler.cpu_s()
                t0 = time.process_time()
                errand = learner.errand()
                sampler.request(errand)
                pieces = []
                while sampler.n_pending > 0:
                    pieces.append(sampler.take())
                t1 = time.process_time()
                for played in pieces:
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
                "step_bytes": sum(len(pickle.dumps(piece, 5)) for piece in pieces) / size,
                "noise_bytes": errand.noise.nbytes / size,
                "weight_bytes": float(sum(x.nbytes for x in errand.weights.values())),
                "state_bytes": len(pickle.dumps(sampler.get_state()["parts"], 5)) / n_env,
            }
    finally:
        stop: Any = nodes.shutdown  # untyped, where Ray is installed at all
        stop()


def fitted(found: Mapping[int, Mapping[str, float]], sampler_steps: int, update_s: float) -> Measured:
    """The model's figures, from processor time, which a busy machine leaves as it is.

        ask and take of n samplers = fixed + call_s n

    by least squares without negative terms; the sampler's is the mean over all rollouts.

    Args:
        found: figures of `local_rollouts` by the number of nodes.
        sampler_steps: of all environments of a sampler in a rollout.
        update_s: seconds of an update of 2048 steps.
    """
    import numpy as np
    from scipy.optimize import nnls

    steps = sampler_steps
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
        # Weights to each machine; of each sampler two pieces and the state behind them, asked for and answered.
        "messages": 6 * n * cores + n,
        "bytes_up": up,
        "bytes_down": down,
        **parts,
        "total_s": total_s,
        "steps_per_s": steps / total_s,
    }
