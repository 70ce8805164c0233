"""What a run's actors begin with: the tuned linear policy, or a policy trained before.

A policy that begins where a classical controller stands and learns what is missing is residual policy learning:
    T. Silver, K. Allen, J. Tenenbaum, L. Kaelbling, Residual policy learning, 2018.
    T. Johannink et al., Residual reinforcement learning for robot control, ICRA 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.tables import RESOURCE_KINDS
from control.controllers.registry import is_tuned, stored_parameters
from control.scenario.file import scenario_named
from control.scenario.wide import WideScenarioConfig
from marl.config.check import require
from marl.config.training import ConfigError, TrainingConfig
from marl.environment.trained_grid import require_its_grid
from marl.networks.actor import Actor
from marl.networks.policy import Policy

__all__ = ["LAWS", "LINEAR", "begin_linear", "begin_with", "members_of", "start_of", "with_own_zones"]

LINEAR = "linear"
# Tuned linear policy of each observation, and what takes its place where dynamics are drawn.
BASELINE = {"default": "linear", "extended": "linear_extended", "memory": "linear_memory"}
WIDE = {"linear_memory": "linear_wide"}
LAWS = frozenset((*BASELINE.values(), *WIDE.values()))
WIDEST_ZONE = 0.999
FREE = (
    "log_std_init",
    "dead_zone",
    "dead_zones",
    "soft_zones",
    "fused",
)  # settings in which a run may differ from the model it begins with


def start_of(config: TrainingConfig, case: Case | None = None) -> Callable[[Policy], None] | None:
    """What `Trainer` is to do with a fresh policy; None leaves it as drawn.

    Args:
        config: of the run.
        case: its grid; the 68-bus system if None.

    Raises:
        ConfigError: there is no linear policy of this observation, or no such model.
        marl.checkpoint.CheckpointError: the model cannot be read.
        control.controllers.base.BaselineError: the linear policy has not been tuned for this grid.
        marl.environment.trained_grid.OtherGrid: the model was trained on another grid.
    """
    if not config.start:
        return None
    if config.start == LINEAR:
        stored = stored_parameters(_law_of(config, case), case)
        return partial(begin_linear, numbers=stored["parameters"])
    require(
        Path(config.start).is_file(),
        f"start = {config.start}: there is no such file; expected {LINEAR}, clone:EXPERT, dagger:EXPERT or a model",
    )
    model = Policy.load(Path(config.start))
    if case is not None:
        require_its_grid(model.metadata, case, config.start)
    return partial(begin_with, model=model, where=config.start)


def _law_of(config: TrainingConfig, case: Case | None) -> str:
    """The tuned linear policy that a run begins with: of its observation, and of its kind of dynamics.

    Raises:
        ConfigError: there is no linear policy of this observation.
    """
    if config.observation not in BASELINE:
        raise ConfigError(
            f"start = {LINEAR!r} has a law for the observations {', '.join(BASELINE)}, not for {config.observation!r}"
        )
    name = BASELINE[config.observation]
    wide = isinstance(scenario_named(config.scenario, case or load_ieee68()), WideScenarioConfig)
    return WIDE[name] if wide and name in WIDE and is_tuned(WIDE[name], case) else name


def experts_named(name: str, start: str) -> dict[str, str]:
    """Who is imitated, by kind of plants.

    Args:
        name: of an expert for all, or of one for each kind: `bess=A,gas=B,dr=B`.
        start: what was asked for, for messages.

    Raises:
        ConfigError: a kind has no expert, or several, or there are no such plants.
    """
    if "=" not in name:
        return dict.fromkeys(RESOURCE_KINDS, name.strip())
    named = [one.partition("=")[::2] for one in name.split(",")]
    found = {kind.strip(): expert.strip() for kind, expert in named}
    if len(named) != len(RESOURCE_KINDS) or set(found) != set(RESOURCE_KINDS) or "" in found.values():
        expected = ",".join(f"{kind}=NAME" for kind in RESOURCE_KINDS)
        raise ConfigError(f"start = {start}: expected one expert for all plants, or {expected}")
    return found


def members_of(name: str) -> tuple[str, ...]:
    """Of how many experts this is the mean: A+B; the name of a file may hold a plus."""
    return (name,) if Path(name.partition(":")[0]).exists() else tuple(one.strip() for one in name.split("+"))


def _laws_of(config: TrainingConfig, case: Case | None) -> dict[str, str]:
    """The tuned linear laws whose zones a run's actions get, by kind: those that actors begin with or imitate."""
    if config.start == LINEAR:
        return dict.fromkeys(RESOURCE_KINDS, _law_of(config, case))
    how, _, expert = config.start.partition(":")
    # Soft actor-critic's critics see actions as drawn.
    if how not in ("clone", "dagger") or config.algorithm == "masac":
        return {}
    return {kind: law for kind, law in experts_named(expert, config.start).items() if law in LAWS}


def with_own_zones(config: TrainingConfig, case: Case | None = None) -> TrainingConfig:
    """A run that begins with a tuned linear policy, or imitates one, gets its zones of each kind that it names none of.

    Where only some kinds imitate one, the others have the dead zone that is set for all, and are not drawn to zero.

    Args:
        config: of the run.
        case: its grid; the 68-bus system if None.

    Raises:
        ConfigError: there is no linear policy of this observation.
        control.controllers.base.BaselineError: the linear policy has not been tuned for this grid.
    """
    network = config.network
    laws = _laws_of(config, case)
    if not laws or (network.dead_zones and network.soft_zones):
        return config
    stored = {law: stored_parameters(law, case)["parameters"] for law in set(laws.values())}
    dead_zones, soft_zones = [], []
    for k, kind in enumerate(RESOURCE_KINDS):
        zones = (
            stored[laws[kind]] if kind in laws else {"dead_zone": [network.dead_zone] * len(RESOURCE_KINDS)}
        )
        # A law may move a class of plants at full ramp or not at all, with a zone of one; a policy's stays below.
        dead_zones.append(min(float(zones["dead_zone"][k]), WIDEST_ZONE))
        soft_zones.append(float(zones["soft_zone"][k]) if "soft_zone" in zones else 0.0)
    completed = replace(
        network,
        dead_zones=network.dead_zones or tuple(dead_zones),
        soft_zones=network.soft_zones or (tuple(soft_zones) if any(soft_zones) else ()),
    )
    return replace(config, network=completed)


@torch.no_grad()
def begin_linear(policy: Policy, numbers: Mapping[str, Any]) -> None:
    """The actors' linear part becomes the linear policy: mean = w . observation + b, and the perceptron adds to it.

    Args:
        policy: fresh; its groups are the classes of plants in the order of the weights.
        numbers: `weight`, a row of observation + 1 numbers for each class, the constant last.

    Raises:
        ConfigError: the actors have no linear part, see scaled inputs, or are one for all agents.
    """
    network = policy.config
    if not network.actor_linear:
        raise ConfigError("a linear start needs actor_linear = True")
    if network.compress_inputs or network.magnify_inputs or network.normalize_inputs:
        raise ConfigError(
            "a linear start needs observations as they are, but inputs are compressed or scaled"
        )
    if network.sharing == "all":
        raise ConfigError('a linear start has a row of weights for each type, but sharing = "all"')
    for group, row in zip(policy.groups, numbers["weight"], strict=True):
        actor = policy.actors.heads[group.name]
        assert isinstance(actor, Actor)
        assert actor.linear is not None
        if len(row) != group.observation_size + 1:
            raise ConfigError(
                f"the linear policy has {len(row) - 1} weights, an agent of {group.name!r} sees "
                f"{group.observation_size} numbers"
            )
        weights = torch.tensor(row, dtype=torch.float32)
        actor.linear.weight[:, 0] = weights[:-1]
        actor.linear.bias[:, 0] = weights[-1]


@torch.no_grad()
def begin_with(policy: Policy, model: Policy, where: str) -> None:
    """The actors become those of a trained model; the spread of exploration begins anew.

    Raises:
        ConfigError: agents or networks are others; `where` names the model.
    """
    if policy.groups != model.groups:
        raise ConfigError(f"{where} is a policy of other agents or observations: {model.groups}")
    for name, value in vars(model.config).items():
        asked = getattr(policy.config, name)
        if name not in FREE and asked != value:
            raise ConfigError(f"{where} has {name} = {value}, the run asks for {asked}")
    weights = {k: v for k, v in model.state_dict().items() if not k.endswith("log_std")}
    policy.load_state_dict(weights, strict=False)
