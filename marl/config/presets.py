"""Recipes: the default, a quick one, the specification's table, on two models, and on top of a linear law."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from marl.config.training import TrainingConfig

PresetName = Literal["recommended", "quick", "reference", "thorough", "residual"]


def recommended() -> TrainingConfig:
    """What learns best on the 68-bus grid from nothing; the reasons stand in docs/results.md."""
    return TrainingConfig()


def quick() -> TrainingConfig:
    """Past tuned AGC within seconds, for a first look and for trying out what is new.

    At the beginning the gradient is large beside its noise: rollouts of a quarter learn as much each, and so four times
    as much from a step. Later they do not, and end no better than those of `recommended`.
    """
    base = TrainingConfig()
    return replace(
        base,
        total_episodes=150,
        n_envs=32,
        ppo=replace(base.ppo, buffer_steps=512, minibatch_steps=256, policy_average=0.95),
        evaluation=replace(base.evaluation, eval_every=20),
    )


def reference() -> TrainingConfig:
    """The specification's table to the letter; what it leaves open is as in `recommended`.

    It leaves open the number of environments, the initial spread, schedules, what rewards and values are turned into
    before learning, how noise is shared, which policy is kept, and the dead zone. With the usual choices there (spread
    one, constant rates) the entropy bonus widens the spread without end, and the policy forgets. Its many small steps
    need less averaging at the end than the few large ones of `recommended`; its robust reward begins at 20, where it
    was measured.
    """
    base = TrainingConfig()
    return replace(
        base,
        ppo=replace(
            base.ppo,
            lr_actor=3e-4,
            lr_critic=1e-3,
            lr_final_fraction=0.1,
            policy_average=0.95,
            robust_reward=20.0,
            gamma=0.99,
            gae_lambda=0.95,
            clip=0.2,
            entropy_coef=0.01,
            value_coef=0.5,
            max_grad_norm=0.5,
            buffer_steps=2048,
            minibatch_steps=256,
            epochs=10,
        ),
    )


def thorough() -> TrainingConfig:
    """Begins with nothing on the 15 numbers, learns on the reduced model at length, and finishes in the full simulator.

    With many times the experience steps may be fewer and larger: two passes over large batches, a longer horizon, and
    the root in place of the logarithm, so that rare states keep their weight. Exploration ends small, for the reason
    that stands at `residual`, and so do the steps: a policy that hardly explores is soon far from what acted. The dead
    zones are what tuned laws came to, roughly: none for batteries, wide for gas plants and demand response.
    """
    base = TrainingConfig()
    return replace(
        base,
        n_envs=256,
        scenario="training_energy",
        reduced_episodes=20_000,
        network=replace(base.network, dead_zones=(0.05, 0.3, 0.3)),
        ppo=replace(
            base.ppo,
            lr_actor=5e-4,
            robust_reward=100.0,
            robust_shape="root",
            gamma=0.99,
            gae_lambda=0.95,
            buffer_steps=8192,
            minibatch_steps=1024,
            epochs=2,
            explore_dead_zone=True,
            log_std_final=-3.0,
        ),
    )


def residual() -> TrainingConfig:
    """Begins with the tuned linear policy of the 22 numbers and learns what it is missing.

    Near an optimum the gradient is small and its noise is not: large batches, small steps, a critic that has learned
    first, a horizon long enough to keep the gas plants at work, which with 20 intervals look like a cost. And little
    exploration: a move costs in proportion to its size, noise hides that from moves smaller than itself, and a policy
    that learns under much of it moves too much without it. Episodes begin with batteries of any charge, because
    what to do when they are nearly full or empty is what costs most and comes rarely.
    """
    base = TrainingConfig()
    return replace(
        base,
        n_envs=256,
        scenario="training_energy",
        observation="memory",
        start="linear",
        network=replace(
            base.network,
            actor_linear=True,
            log_std_init=-3.0,
        ),
        ppo=replace(
            base.ppo,
            lr_actor=1e-4,
            lr_final_fraction=0.1,
            policy_average=0.9,
            robust_reward=100.0,
            robust_shape="root",
            gamma=0.99,
            gae_lambda=0.95,
            buffer_steps=16384,
            minibatch_steps=8192,
            epochs=2,
            critic_first_updates=5,
            explore_dead_zone=True,
        ),
        evaluation=replace(base.evaluation, eval_every=5),
    )


def preset(name: PresetName) -> TrainingConfig:
    """The preset of this name."""
    return {
        "recommended": recommended,
        "quick": quick,
        "reference": reference,
        "thorough": thorough,
        "residual": residual,
    }[name]()
