"""Policies as ONNX graphs: what onnxruntime makes of them is what the policy does."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from marl.config.training import NetworkConfig
from marl.networks.policy import Policy
from marl.onnx_export import TOLERANCE, export_onnx, largest_difference
from unit.marl.networks.test_attention import CONFIG as ATTENTION
from unit.marl.networks.test_attention import team
from unit.marl.networks.test_recurrent import CONFIG as GRU
from unit.marl.networks.test_recurrent import GROUPS

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

PLAIN = NetworkConfig(actor_hidden=(32,), actor_last_gain=1.0, dead_zone=0.0)
POLICIES = {
    "plain": (GROUPS, PLAIN),
    "dead zones": (GROUPS, dataclasses.replace(PLAIN, dead_zones=(0.1, 0.4))),
    "soft zones": (GROUPS, dataclasses.replace(PLAIN, dead_zones=(0.1, 0.0), soft_zones=(0.2, 0.3))),
    "scaled, an actor each, a linear part": (
        GROUPS,
        dataclasses.replace(
            PLAIN,
            sharing="agent",
            actor_linear=True,
            compress_inputs=True,
            magnify_inputs=10.0,
            normalize_inputs=True,
        ),
    ),
    "memory": (GROUPS, dataclasses.replace(GRU, actor_last_gain=1.0)),
    "attention": (team(4), ATTENTION),
}


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.parametrize("kind", POLICIES)
def test_the_graph_acts_as_the_policy(tmp_path, kind, squashed):
    groups, network = POLICIES[kind]
    policy = Policy(groups, network, squashed=squashed).eval()
    export_onnx(policy, tmp_path / "p.onnx")
    assert largest_difference(policy, tmp_path / "p.onnx") <= TOLERANCE


def test_another_policy_acts_otherwise(tmp_path):
    """What is compared are actions that differ between policies, not zeros."""
    one, other = Policy(*POLICIES["plain"]).eval(), Policy(*POLICIES["plain"]).eval()
    export_onnx(one, tmp_path / "p.onnx")
    assert largest_difference(other, tmp_path / "p.onnx") > 100 * TOLERANCE


def test_a_memory_is_handed_in_and_out(tmp_path):
    """The second step of the graph with the memory that the first gave is the policy's second step."""
    groups, network = POLICIES["memory"]
    policy = Policy(groups, network).eval()
    for p in policy.parameters():  # fresh offsets are zero, and the example shows zeros
        p.data.add_(0.1 * torch.randn_like(p))
    export_onnx(policy, tmp_path / "p.onnx")
    path = Path(__file__).resolve().parents[3] / "examples" / "onnx_policy.py"
    spec = importlib.util.spec_from_file_location("example_onnx_policy", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(str(tmp_path / "p.onnx"), n_env=2, n_step=2)
    still = {g.name: np.zeros((2, g.n_agent, g.observation_size), dtype=np.float32) for g in groups}
    first, second = policy.act(still), policy.act(still)
    for g in groups:
        np.testing.assert_allclose(found[g.name], second[g.name], rtol=0.0, atol=TOLERANCE)
    assert any((first[g.name] != second[g.name]).any() for g in groups)
