"""A policy as an ONNX graph: what acts, without this project and without torch.

One call of the graph is one step of any number of environments. For each group of agents it takes `observation_GROUP`,
[env, agent, observation], and gives `action_GROUP`, [env, agent, action], as `Policy.act` does: bounded, with the dead
zone. A policy with a memory also takes `memory_GROUP`, [env, agent, hidden], zero where an episode begins, and gives
`next_memory_GROUP`, to be handed in at the next step.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from marl.networks.memory import Memory
from marl.networks.policy import Policy
from marl.protocol import Float32Array

__all__ = ["TOLERANCE", "ExportError", "export_onnx", "largest_difference"]

# Sums of a few hundred float32 numbers of size one in another order: 300 x 6e-8, in practice a tenth of it.
TOLERANCE = 2e-5
OPSET = 17  # of 2022: the first with layer normalisation
CHECKED_STEPS = 5  # long enough for a memory to tell
CHECKED_SIZE = 3.0  # of observations, whose scale is one: far enough out for actions beyond the dead zone


class ExportError(RuntimeError):
    """A policy cannot be exported, or the graph does not act as it does."""


class _Step(nn.Module):
    """One step of a policy, tensors in and out."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        content = policy.content()
        content["network"] = {**content["network"], "fused": "off"}  # kernels leave no trace in a graph
        self.policy = Policy.from_content(content)

    def forward(self, observations: list[Tensor], hidden: list[Tensor]) -> tuple[Tensor, ...]:
        """Actions of all groups, then what is remembered."""
        policy, groups = self.policy, self.policy.groups
        memory = Memory()
        memory.hidden = {g.name: x for g, x in zip(groups, hidden, strict=False)}
        seen = {g.name: x for g, x in zip(groups, observations, strict=True)}
        means = policy.means(seen, memory)
        dead_zones = policy.config.dead_zones or (policy.config.dead_zone,) * len(groups)
        soft_zones = policy.config.soft_zones or (0.0,) * len(groups)
        actions = []
        for g, dead_zone, soft_zone in zip(groups, dead_zones, soft_zones, strict=True):
            mean = torch.tanh(means[g.name]) if policy.squashed else means[g.name]
            if soft_zone > 0.0:
                mean = mean.sign() * (mean.abs() - soft_zone).clamp(min=0.0)
            actions.append(torch.where(mean.abs() < dead_zone, torch.zeros_like(mean), mean).clamp(-1.0, 1.0))
        return (*actions, *(memory.hidden[g.name] for g in groups if g.name in memory.hidden))


def export_onnx(policy: Policy, path: Path) -> None:
    """Writes a policy as an ONNX file.

    Args:
        policy: any, of any kind of actor.
        path: of the file.

    Raises:
        ExportError: the library `onnx` is not installed.
        OSError: the file cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExportError("ONNX is not installed; pip install -e '.[onnx]'") from error
    # ONNX has the operator; torch's exporter does not know.
    torch.onnx.register_custom_op_symbolic(  # type: ignore[attr-defined]
        "aten::asinh", lambda graph, x: graph.op("Asinh", x), OPSET
    )
    size, names = policy.actors.memory_size, [g.name for g in policy.groups]
    observations = [torch.zeros(2, g.n_agent, g.observation_size) for g in policy.groups]
    hidden = [torch.zeros(2, g.n_agent, size) for g in policy.groups] if size > 0 else []
    inputs = [f"observation_{name}" for name in names] + [f"memory_{name}" for name in names if hidden]
    outputs = [f"action_{name}" for name in names] + [f"next_memory_{name}" for name in names if hidden]
    temporary = path.with_name(f".{path.name}.part")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter by tracing, which needs no compiler of graphs; it says that it is the older one.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Step(policy).eval(),
                (observations, hidden),
                str(temporary),
                input_names=inputs,
                output_names=outputs,
                dynamic_axes={name: {0: "env"} for name in (*inputs, *outputs)},
                opset_version=OPSET,
                dynamo=False,
            )
        model = onnx.load(str(temporary))
        told = {"agents": {g.name: list(g.agents) for g in policy.groups}, "metadata": policy.metadata}
        onnx.helper.set_model_props(model, {"policy": json.dumps(told, default=str)})
        onnx.checker.check_model(model)
        onnx.save(model, str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def largest_difference(policy: Policy, path: Path, *, n_env: int = 7, seed: int = 0) -> float:
    """Largest difference of any action between an ONNX file, run by onnxruntime, and the policy, over a few steps.

    Actions at the edge of the dead zone, which rounding takes to either side, do not count.

    Raises:
        ExportError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError("onnxruntime is not installed; pip install -e '.[onnx]'") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng, groups, size = np.random.default_rng(seed), policy.groups, policy.actors.memory_size
    memory: dict[str, Float32Array] = {}
    if size > 0:
        memory = {f"memory_{g.name}": np.zeros((n_env, g.n_agent, size), dtype=np.float32) for g in groups}
    policy.reset(np.arange(n_env), np.arange(n_env))
    names = [output.name for output in session.get_outputs()]
    largest = 0.0
    for _ in range(CHECKED_STEPS):
        seen = {
            g.name: (CHECKED_SIZE * rng.standard_normal((n_env, g.n_agent, g.observation_size))).astype(
                np.float32
            )
            for g in groups
        }
        given = {f"observation_{name}": x for name, x in seen.items()}
        found = dict(zip(names, session.run(names, given | memory), strict=True))
        memory = {
            name.removeprefix("next_"): x for name, x in found.items() if name.startswith("next_memory_")
        }
        for name, expected in policy.act(seen).items():
            difference = np.abs(found[f"action_{name}"] - expected)
            at_the_edge = (found[f"action_{name}"] == 0.0) != (expected == 0.0)
            largest = max(largest, float(difference[~at_the_edge].max(initial=0.0)))
    return largest
