"""One training run: its budget, its environments, and the settings of network, update and evaluation.

Every hyper-parameter of the learner has its default, its meaning and its checks in this folder, one concept a file.
Three presets. `reference()` is the published table of the specification to the letter. `recommended()`, the default,
is what learns best on this grid from nothing; `residual()` begins with the tuned linear policy. Nothing here imports
torch, so that a command line can be built and explained in an instant.

The unit of all counts is the step of one environment: a buffer of 2048 steps filled by 64 environments is 32
steps of each, and a minibatch of 256 steps holds the samples of all agents in those 256 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from marl.config.check import ConfigError, require, require_within
from marl.config.curriculum import CurriculumConfig
from marl.config.evaluation import EvaluationConfig
from marl.config.imitation import ImitationConfig
from marl.config.network import GONE, LATER, NetworkConfig
from marl.config.off_policy import OffPolicyConfig
from marl.config.ppo import PPOConfig
from marl.config.refinement import RefinementConfig

__all__ = [
    "LATER",
    "AlgorithmName",
    "ConfigError",
    "CurriculumConfig",
    "EvaluationConfig",
    "NetworkConfig",
    "OffPolicyConfig",
    "PPOConfig",
    "TrainingConfig",
    "check_resume",
    "from_dict",
]

MOST_ENVS = 65_536  # some ten times what fills the largest processors
MOST_THREADS = (
    256  # few machines have more processors; torch ends in a segmentation fault at a hundred thousand
)

# What `marl.algorithms.registry` knows.
AlgorithmName = Literal["mappo", "happo", "masac", "hierarchical"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    # The learner: mappo; happo, whose actors move one after the other; masac, off-policy with replay; or hierarchical,
    # with a slow layer on its own time scale, for --observation hierarchy; see docs/learners.md.
    algorithm: AlgorithmName = "mappo"
    # Episodes to train for.
    total_episodes: int = 1000
    # Steps of one episode, in training and in periodic evaluation; with total_episodes it makes the budget.
    episode_steps: int = 500
    # Environments stepped together.
    n_envs: int = 64
    # Updates that samplers of --ray may be behind: they play on while the learner learns, and the policy that acted is
    # then older than the one that learns. 0 waits for each other, which gives the bits of a run without --ray.
    async_updates: int = 0
    # Seed of everything random in the run.
    seed: int = 0
    # Where the networks live; auto takes cuda if there is one.
    device: Literal["cpu", "cuda", "auto"] = "auto"
    # The grid: a name or a file, see docs/own_grid.md; empty is the 68-bus system.
    case: str = ""
    # The grid's operating conditions to train in.
    scenario: str = "training"
    # What the actors begin with: `linear`, the tuned linear policy of the same observation (residual policy learning,
    # Silver et al., 2018), the path of a model, or an expert to imitate, `clone:mpc`, `dagger:linear_extended` or
    # `dagger:bess=A,gas=B,dr=B`, where A+B is the mean of several; empty draws them anew.
    start: str = ""
    # What an agent observes: the default 15 numbers; those and its recent past; or those and, for an actor that attends
    # to them, what telemetry shows of the other plants; those and that of the own area; or those and the targets of a
    # coordinator of the area, who is an agent too and decides once a minute.
    observation: Literal["default", "extended", "memory", "telemetry", "areas", "hierarchy"] = "default"
    # Level of aggregation of the frequency model: 16 machines, 5 areas, or one centre of inertia.
    level: Literal["machine", "area", "system"] = "area"
    # The full simulator with its AC power flow, or the model reduced to the groups' motion; evaluation while training
    # is on the same one.
    physics: Literal["full", "reduced"] = "full"
    # Episodes on the reduced model before those of the full simulator, in which the same learner then goes on.
    reduced_episodes: int = 0
    # With the reduced model: training episodes that are drawn once and played again and again; 0 draws a new one every
    # time, which takes longer than to play it.
    pool: int = 512
    # Move joint actions onto limits known to be safe before they are carried out: state of charge 0.1 to 0.9, and a
    # fifth of the batteries' energy of every area kept; how often that was is in metrics.csv.
    shield: bool = False
    # Updates between checkpoints.
    checkpoint_every: int = 5
    # Threads torch may use; one is fastest for networks of this size.
    torch_threads: int = 1
    # Threads of an update by compiled kernels, each on one network at a time, with the same results to the bit; 0 takes
    # one for each processor, and one alone in a run of a study that has several at a time.
    update_threads: int = 0
    # Actors and critic.
    network: NetworkConfig = field(default_factory=NetworkConfig)
    # The update.
    ppo: PPOConfig = field(default_factory=PPOConfig)
    # A start by imitation.
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    # What actors do between their start and training.
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    # What training episodes are drawn from.
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    # Replay and soft actor-critic, for masac.
    off_policy: OffPolicyConfig = field(default_factory=OffPolicyConfig)
    # Periodic evaluation on held-out episodes: it chooses the best model.
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        for name in ("total_episodes", "episode_steps", "checkpoint_every"):
            require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)}, expected at least 1")
        require_within(self, "n_envs", 1, MOST_ENVS, "each is a grid of its own in memory")
        for name, least in (("torch_threads", 1), ("update_threads", 0)):
            require_within(self, name, least, MOST_THREADS, "more threads than processors only wait")
        require(
            self.reduced_episodes >= 0, f"reduced_episodes = {self.reduced_episodes}, expected at least 0"
        )
        require(
            self.reduced_episodes == 0 or self.physics == "full",
            f"reduced_episodes = {self.reduced_episodes} come before those in the full simulator, "
            'but physics = "reduced"',
        )
        require(0 <= self.async_updates <= 8, f"async_updates = {self.async_updates}, expected from 0 to 8")
        require(0 <= self.seed < 2**63, f"seed = {self.seed}, expected 0 to 2^63 - 1")
        require(
            self.ppo.violation_budget is None or self.algorithm != "masac",
            f"violation_budget = {self.ppo.violation_budget}, but masac learns from rewards of other prices too: none",
        )
        require(
            not self.network.soft_zones or self.algorithm != "masac",
            f"soft_zones = {self.network.soft_zones}, which masac, whose critics see actions as drawn, has none of",
        )
        require(
            self.curriculum.curriculum != "replay" or self.algorithm != "masac",
            'curriculum = "replay" scores episodes by advantages, which masac has none of: take "stages"',
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

        require(
            (self.physics == "full" and self.reduced_episodes == 0) or self.level != "machine",
            'level = "machine" is of the full simulator: physics = "reduced" and reduced_episodes know area and system',
        )
        require(
            self.physics == "full" or self.observation not in ("areas", "hierarchy"),
            f"observation = {self.observation!r} has flows over ties, of which physics = {self.physics!r} has none",
        )
        require(
            self.ppo.exploration_density == "marginal" or self.network.actor == "mlp",
            f'exploration_density = "joint" needs actors without a memory, but actor = "{self.network.actor}"',
        )
        require(
            self.ppo.exploration_density == "marginal" or self.algorithm == "mappo",
            f'exploration_density = "joint" is of mappo alone, but algorithm = "{self.algorithm}"',
        )
        require(
            self.refinement.refine_passes == 0 or self.observation in ("default", "extended", "memory"),
            f"refine_passes = {self.refinement.refine_passes} differentiates what agents see of themselves, the "
            f"observations default, extended and memory, not {self.observation}",
        )
        require(
            self.refinement.refine_passes == 0 or not self.shield,
            f"refine_passes = {self.refinement.refine_passes} differentiates actions as they are asked for, but shield "
            "moves them",
        )
        require(
            self.refinement.refine_passes == 0 or self.episode_steps > 1,
            f"episode_steps = {self.episode_steps}, expected at least 2 to refine actors in: the last step is left out",
        )
        if self.network.remembers:
            length = self.ppo.sequence_steps
            for what, steps in (
                ("the rollout of each environment", self.rollout_steps),
                ("minibatch_steps", self.ppo.minibatch_steps),
            ):
                require(
                    steps % length == 0, f"sequence_steps = {length} does not divide {what}, {steps} steps"
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

    def validated_from(self, first_seed: int) -> TrainingConfig:
        """The same, with evaluation episodes from this seed on where no other is asked for."""
        if self.evaluation.eval_seed is not None:
            return self
        return replace(self, evaluation=replace(self.evaluation, eval_seed=first_seed))


def from_dict(values: Mapping[str, Any]) -> TrainingConfig:
    """The configuration that `dataclasses.asdict` was taken of, also after a round trip through JSON.

    Raises:
        ConfigError: a setting is missing, unknown, of a type that it cannot have, or contradicts another.
    """

    def build(kind: Any, values: Mapping[str, Any]) -> Any:
        if not isinstance(values, Mapping):
            raise ConfigError(f"{kind.__name__} is {values!r}, expected settings by their names")
        values = {name: value for name, value in values.items() if name not in GONE}
        missing = [f.name for f in fields(kind) if f.name not in (*values, *LATER)]
        if missing:  # a default of today may not be what it was
            raise ConfigError(f"{kind.__name__} of another version of this project: it has no {missing[0]}")
        names = {f.name for f in fields(kind)}
        unknown = [name for name in values if name not in names]
        if unknown:
            raise ConfigError(f"{kind.__name__} of another version of this project: it has {unknown[0]!r}")
        types = get_type_hints(kind)
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        for name, value in given.items():
            if name in types and not _fits(value, types[name]):
                raise ConfigError(f"{name} = {value!r}, which it cannot be")
        try:
            return kind(**given)
        except TypeError as error:
            raise ConfigError(f"{kind.__name__} of another version of this project: {error}") from error

    if not isinstance(values, Mapping):
        raise ConfigError(f"TrainingConfig is {values!r}, expected settings by their names")
    nested = {
        "network": NetworkConfig,
        "ppo": PPOConfig,
        "off_policy": OffPolicyConfig,
        "curriculum": CurriculumConfig,
        "imitation": ImitationConfig,
        "refinement": RefinementConfig,
        "evaluation": EvaluationConfig,
    }
    config: TrainingConfig = build(
        TrainingConfig, {k: build(nested[k], v) if k in nested else v for k, v in values.items()}
    )
    return config


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of the type that a field is declared with."""
    origin = get_origin(kind)
    if origin is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(x, get_args(kind)[0]) for x in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, kind)


# What a resumed run cannot change: the checkpoint's arrays and counters are made for it.
FIXED_ON_RESUME = (
    "algorithm",
    "n_envs",
    "seed",
    "case",
    "scenario",
    "observation",
    "level",
    "physics",
    "pool",
    "reduced_episodes",
    "shield",
    "start",
    "refinement",
    "episode_steps",
    "network",
    "ppo.buffer_steps",
    "ppo.policy_average",
    "ppo.normalize_values",
    "curriculum.curriculum",
    "ppo.violation_budget",
    "off_policy.replay_steps",
    "off_policy.n_step",
    "off_policy.priority_exponent",
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
        require(old == new, f"a resumed run keeps {path}: it was {old!r}, asked for {new!r}")
