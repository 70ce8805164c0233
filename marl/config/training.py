"""Every hyper-parameter of the learner, with its default, its meaning and the checks between them.

Three presets. `reference()` is the published table of the specification to the letter. `recommended()`, the default,
is what learns best on this grid from nothing; `residual()` begins with the tuned linear policy. Nothing here imports
torch, so that a command line can be built and explained in an instant.

The unit of all counts is the step of one environment: a buffer of 2048 steps filled by 64 environments is 32
steps of each, and a minibatch of 256 steps holds the samples of all agents in those 256 steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Sharing = Literal["type", "all", "agent"]
CriticKind = Literal["central", "agent", "local"]
# Training draws its seeds below; validation, which chooses the best model, takes its own from here up.
FIRST_VALIDATION_SEED = 2**31 - 1_000


class ConfigError(ValueError):
    """A hyper-parameter, or a combination of them, that cannot be meant."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Actors and critic: multilayer perceptrons, each hidden layer Linear -> LayerNorm -> ReLU."""

    # Hidden layers of every actor.
    actor_hidden: tuple[int, ...] = (128, 128)
    # Hidden layers of the critic.
    critic_hidden: tuple[int, ...] = (256, 256)
    # One actor per agent type, one for all agents, or one for each agent.
    sharing: Sharing = "type"
    # With one actor for all: append the agent's identity (one-hot) to its observation.
    agent_id: bool = True
    # "central" sees the environment's state (MAPPO); "agent" sees it beside each agent's own observation, which
    # suits rewards of agents' own (Yu et al., 2022, sec. 5.2); "local" sees the observation alone (IPPO).
    critic: CriticKind = "central"
    # Layer normalisation after each hidden Linear (Ba et al., 2016).
    layer_norm: bool = True
    # Orthogonal weights, gain sqrt(2) (Saxe et al., 2014), against torch's uniform default.
    orthogonal_init: bool = True
    # Gain of the actors' last layer: small, so that a fresh policy acts near zero (Andrychowicz et al.,
    # 2021).
    actor_last_gain: float = 0.01
    # Mean action = perceptron + linear map of the same inputs (structured control net, Srouji et al., 2018): the
    # linear part goes on where inputs are larger than any that were often seen.
    actor_linear: bool = False
    # Logarithm of the policy's initial standard deviation; actions span [-1, 1].
    log_std_init: float = math.log(0.35)
    # Compress observations and state x to asinh(x): linear below 1, logarithmic above.
    compress_inputs: bool = False
    # Magnify what is small, and keep what is large: x becomes x + asinh(g x) with this gain g, steeper by 1 + g near
    # zero and by about 1 beyond one. Everyday deviations are a few mHz, a tenth of the scale; 0 leaves x as it is.
    magnify_inputs: float = 0.0
    # Normalise observations and state by running mean and variance, frozen in updates and in evaluation.
    normalize_inputs: bool = False
    # Deterministic actions smaller than this become zero: |dP| has a kink at zero that noise smooths away.
    dead_zone: float = 0.15
    # The same for each agent type in order, where types differ; empty takes dead_zone for all.
    dead_zones: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("actor_hidden", "critic_hidden"):
            widths = getattr(self, name)
            _require(
                len(widths) > 0 and all(w > 0 for w in widths),
                f"{name} = {widths}, expected at least one positive width",
            )
        _require(self.actor_last_gain > 0, f"actor_last_gain = {self.actor_last_gain}, expected > 0")
        _require(
            self.magnify_inputs >= 0 and math.isfinite(self.magnify_inputs),
            f"magnify_inputs = {self.magnify_inputs}, expected >= 0",
        )
        _require(0 <= self.dead_zone < 1, f"dead_zone = {self.dead_zone}, expected in [0, 1)")
        _require(
            all(0 <= zone < 1 for zone in self.dead_zones),
            f"dead_zones = {self.dead_zones}, expected each in [0, 1)",
        )
        _require(math.isfinite(self.log_std_init), f"log_std_init = {self.log_std_init}, expected finite")


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """The update: clipped surrogate, advantage estimation, value loss and optimisers."""

    # Adam's step size for the actors.
    lr_actor: float = 1e-3
    # Adam's step size for the critic.
    lr_critic: float = 1e-3
    # Both fall linearly to this fraction of themselves at the end of training; 1 keeps them.
    lr_final_fraction: float = 0.0
    # Discount per step; 0.96 looks 25 steps ahead. Longer horizons let gas take over sooner from batteries that fill or
    # empty, but drown an action's consequences in everything else that happens.
    gamma: float = 0.96
    # Lambda of generalised advantage estimation (Schulman et al., 2016).
    gae_lambda: float = 0.9
    # Half-width of the clipped probability ratio (Schulman et al., 2017).
    clip: float = 0.2
    # Updates at the beginning in which only the critic learns: actors that begin with a good policy would lose it to
    # the advantages of a critic that knows nothing yet.
    critic_first_updates: int = 0
    # Weight of the entropy bonus.
    entropy_coef: float = 0.0
    # It falls linearly to this fraction of itself at the end of training.
    entropy_final_fraction: float = 1.0
    # Weight of the value loss.
    value_coef: float = 0.5
    # Largest gradient norm, for each network by itself.
    max_grad_norm: float = 0.5
    # Steps gathered for one update, over all environments.
    buffer_steps: int = 2048
    # Steps in one minibatch.
    minibatch_steps: int = 512
    # Passes over the buffer in one update.
    epochs: int = 5
    # Normalise advantages over the buffer, each reward's by itself.
    normalize_advantages: bool = True
    # Learn values in normalised units, last layer rescaled when units move (PopArt, van Hasselt et al.,
    # 2016).
    normalize_values: bool = True
    # Weight of the past in the statistics of returns, per update.
    value_norm_decay: float = 0.9
    # Squared error, or Huber's: quadratic up to huber_delta, linear beyond.
    value_loss: Literal["squared", "huber"] = "huber"
    # In the units the critic learns in.
    huber_delta: float = 10.0
    # Clip value updates to +-clip around the old value (Yu et al., 2022, sec. 5.1).
    clip_value: bool = False
    # End an update after an epoch whose mean KL divergence exceeds 1.5 times this; 0 never does.
    target_kl: float = 0.0
    # Share of exploration noise that the agents of a type have in common; marginals stay as they are.
    noise_correlation: float = 0.8
    # Exploring actions inside the dead zone become zero as well, so that what is learned from is what is evaluated.
    explore_dead_zone: bool = False
    # Robust reward: beyond this size a reward no longer grows in proportion; 0 leaves it as it is. On the grid 60 is
    # 30 mHz rms at all buses: rare events count, and do not drown the everyday. With 20 learning is quicker at first,
    # outages are answered worse, and what was good on the whole may be lost again.
    robust_reward: float = 60.0
    # It grows with its root (Huber's cost of the root), or with its logarithm, which tames penalties too.
    robust_shape: Literal["root", "log"] = "log"
    # Weight of the past, per update, in the average of the actors that is evaluated and saved; 0 saves the last.
    policy_average: float = 0.98
    # Factor on rewards before learning; matters only where values and advantages are not normalised.
    reward_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("lr_actor", "lr_critic", "clip", "max_grad_norm", "huber_delta", "reward_scale"):
            value = getattr(self, name)
            _require(value > 0 and math.isfinite(value), f"{name} = {value}, expected > 0")
        for name in ("entropy_coef", "value_coef", "target_kl", "robust_reward"):
            value = getattr(self, name)
            _require(value >= 0 and math.isfinite(value), f"{name} = {value}, expected >= 0")
        for name in (
            "gamma",
            "gae_lambda",
            "lr_final_fraction",
            "entropy_final_fraction",
            "noise_correlation",
        ):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"{name} = {value}, expected in [0, 1]")
        _require(
            0 <= self.value_norm_decay < 1, f"value_norm_decay = {self.value_norm_decay}, expected in [0, 1)"
        )
        _require(0 <= self.policy_average < 1, f"policy_average = {self.policy_average}, expected in [0, 1)")
        _require(
            self.critic_first_updates >= 0,
            f"critic_first_updates = {self.critic_first_updates}, expected >= 0",
        )
        for name in ("buffer_steps", "minibatch_steps", "epochs"):
            _require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)}, expected at least 1")
        _require(
            self.buffer_steps % self.minibatch_steps == 0,
            f"minibatch_steps = {self.minibatch_steps} does not divide buffer_steps = {self.buffer_steps}",
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Periodic evaluation on held-out episodes: it chooses the best model."""

    # Updates between evaluations; 0 never evaluates, and the best model is then the last.
    eval_every: int = 25
    # Episodes of one evaluation, all in one batch; costs are heavy-tailed, and a few episodes choose at random.
    eval_episodes: int = 64
    # The grid's operating conditions to evaluate in; empty takes the training's.
    eval_scenario: str = ""
    # First seed of the evaluation episodes: neither training nor any published suite uses these.
    eval_seed: int = FIRST_VALIDATION_SEED
    # Evaluate in a process beside the learner, which goes on meanwhile: the same results, sooner where a core is free.
    eval_process: bool = True
    # Stop when this many evaluations in a row brought no better model; 0 never stops.
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("eval_every", "eval_seed", "patience"):
            _require(getattr(self, name) >= 0, f"{name} = {getattr(self, name)}, expected >= 0")
        _require(self.eval_episodes >= 1, f"eval_episodes = {self.eval_episodes}, expected at least 1")
        _require(
            self.patience == 0 or self.eval_every > 0,
            f"patience = {self.patience} needs evaluations, but eval_every = 0",
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    # Episodes to train for.
    total_episodes: int = 1000
    # Steps of one episode, in training and in periodic evaluation; with total_episodes it makes the budget.
    episode_steps: int = 500
    # Environments stepped together.
    n_envs: int = 64
    # Processes that step the environments beside the learner; 0 steps them in the learner's own.
    n_workers: int = 0
    # Seed of everything random in the run.
    seed: int = 0
    # Where the networks live; auto takes cuda if there is one.
    device: Literal["cpu", "cuda", "auto"] = "auto"
    # The grid's operating conditions to train in.
    scenario: str = "training"
    # What the actors begin with: `linear`, the tuned linear policy of the same observation (residual policy learning,
    # Silver et al., 2018), or the path of a model; empty draws them anew.
    start: str = ""
    # What an agent observes: the default 15 numbers, or those and its recent past.
    observation: Literal["default", "extended"] = "default"
    # Level of aggregation of the frequency model: 16 machines, 5 areas, or one centre of inertia.
    level: Literal["machine", "area", "system"] = "area"
    # Updates between checkpoints.
    checkpoint_every: int = 5
    # Threads torch may use; one is fastest for networks of this size.
    torch_threads: int = 1
    # Actors and critic.
    network: NetworkConfig = field(default_factory=NetworkConfig)
    # The update.
    ppo: PPOConfig = field(default_factory=PPOConfig)
    # Periodic evaluation on held-out episodes: it chooses the best model.
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        for name in ("total_episodes", "episode_steps", "n_envs", "checkpoint_every", "torch_threads"):
            _require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)}, expected at least 1")
        _require(self.seed >= 0, f"seed = {self.seed}, expected >= 0")
        _require(
            0 <= self.n_workers <= self.n_envs,
            f"n_workers = {self.n_workers}, expected from 0 to n_envs = {self.n_envs}",
        )
        if self.ppo.buffer_steps % self.n_envs != 0:
            near = min(
                (n for n in range(1, self.ppo.buffer_steps + 1) if self.ppo.buffer_steps % n == 0),
                key=lambda n: abs(n - self.n_envs),
            )
            raise ConfigError(
                f"n_envs = {self.n_envs} does not divide buffer_steps = {self.ppo.buffer_steps}; "
                f"the nearest number of environments that does is {near}"
            )

    @property
    def rollout_steps(self) -> int:
        """Steps of each environment between two updates."""
        return self.ppo.buffer_steps // self.n_envs

    @property
    def total_steps(self) -> int:
        """Environment steps that the requested episodes come to."""
        return self.total_episodes * self.episode_steps

    @property
    def n_updates(self) -> int:
        """Updates of the whole run: the last one may use a few steps more than asked for."""
        return -(-self.total_steps // self.ppo.buffer_steps)


def from_dict(values: Mapping[str, Any]) -> TrainingConfig:
    """The configuration that `dataclasses.asdict` was taken of, also after a round trip through JSON."""

    def build(kind: Any, values: Mapping[str, Any]) -> Any:
        missing = [f.name for f in fields(kind) if f.name not in values]
        if missing:  # a default of today may not be what it was
            raise ConfigError(f"{kind.__name__} of another version of this project: it has no {missing[0]}")
        try:
            return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        except TypeError as error:
            raise ConfigError(f"{kind.__name__} of another version of this project: {error}") from error

    nested = {"network": NetworkConfig, "ppo": PPOConfig, "evaluation": EvaluationConfig}
    config: TrainingConfig = build(
        TrainingConfig, {k: build(nested[k], v) if k in nested else v for k, v in values.items()}
    )
    return config


# What a resumed run cannot change: the checkpoint's arrays and counters are made for it.
FIXED_ON_RESUME = (
    "n_workers",
    "n_envs",
    "seed",
    "scenario",
    "observation",
    "level",
    "start",
    "episode_steps",
    "network",
    "ppo.buffer_steps",
    "ppo.policy_average",
    "ppo.normalize_values",
    # The best model is the best on one set of episodes.
    "evaluation.eval_scenario",
    "evaluation.eval_episodes",
    "evaluation.eval_seed",
)


def check_resume(before: TrainingConfig, now: TrainingConfig) -> None:
    """Refuses to resume with settings that the checkpoint was not made for."""
    for path in FIXED_ON_RESUME:
        old: Any = before
        new: Any = now
        for name in path.split("."):
            old, new = getattr(old, name), getattr(new, name)
        _require(old == new, f"a resumed run keeps {path}: it was {old}, asked for {new}")
