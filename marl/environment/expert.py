"""Controllers of the grid as experts that actors are begun from: `--start clone:mpc`, `--start dagger:linear_extended`.

Any controller that a comparison knows will do: a baseline, `mpc`, a policy learned before, or a user's own
FILE.py:CLASS. It plays training episodes; where it sees more numbers than the actors do, the grid shows it more, and
the actors learn on what they see. Every kind of plants may have an expert of its own,
`dagger:bess=full_information,gas=linear_memory,dr=linear_memory`, and an expert may be the mean of several,
`dagger:linear_memory+FILE.pt`: what two controllers of about the same cost do wrong is not the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.controllers.base import Controller
from control.controllers.linear import LinearPolicy
from control.controllers.registry import BASELINES, is_tuned, stored_parameters
from control.evaluation.contender import (
    BOUND,
    FULL_INFORMATION,
    FULL_INFORMATION_RESERVE,
    ComparisonError,
    Contender,
    resolve,
)
from control.scenario.suites import VALIDATION_SEEDS
from control.task.closed_loop import ClosedLoop
from control.task.description import TaskDescription
from control.task.layout import DF_HZ, OWN_DF, SIZE
from marl.checkpoint import CheckpointError
from marl.config.check import ConfigError, require
from marl.config.imitation import ImitationConfig
from marl.config.training import TrainingConfig
from marl.environment.batch import GridBatch
from marl.environment.contenders import learned
from marl.environment.hierarchy import HIERARCHY
from marl.environment.warm_start import LAWS, experts_named, members_of
from marl.networks.policy import Policy
from marl.protocol import Float32Array, Observation
from marl.training.curriculum import training_seeds
from marl.training.imitation import imitate
from marl.training.kept_rounds import KeptRounds
from marl.training.progress_report import StartReport

__all__ = ["ExpertsByKind", "GridExpert", "begin_imitating", "experts_of"]


@dataclass(frozen=True)
class _Place:
    """What an expert is built from: the grid as it would be if all saw what the expert sees."""

    description: TaskDescription
    n_env: int
    loop: ClosedLoop
    case: Case


# As far beyond its range as a command is learned that has yet to be drawn towards zero: all of it ends at the range.
FARTHEST = 2.0


class GridExpert:
    """A controller of the grid in the learner's terms."""

    def __init__(self, contender: Contender, environment: GridBatch, *, zoned: bool = False) -> None:
        """Builds the controller for the environment, whose agents see at least what it sees.

        Args:
            contender: who is imitated.
            environment: that is played in.
            zoned: actions of its imitators are drawn towards zero as a linear law's are, so they learn what it wants
                before that: a law that moves gas plants at full ramp or not at all is no smooth function, what it
                wants is a plane.
        """
        self._zoned = zoned
        self._size = SIZE[contender.observation]
        task = environment.task
        description = replace(task.description, observation_size=self._size)
        place: Any = _Place(description, task.n_env, task.loop, task.case)
        self._controller: Controller = contender.builders[0](place)
        self._of_kind, self._shape = task.of_kind, (task.n_env, task.case.n_resource)
        self._wanted: FloatArray = np.zeros(self._shape)

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """The controller forgets what was before."""
        self._controller.reset(envs, seeds)

    def act(self, observation: Observation) -> Mapping[str, Float32Array]:
        """{group: [env, agent, 1]}."""
        seen = np.zeros((*self._shape, self._size))
        for kind, rows in self._of_kind.items():
            seen[:, rows] = observation.observations[kind][..., : self._size]
        action = np.clip(self._controller.act(seen), -1.0, 1.0)
        self._wanted = action
        if self._zoned and isinstance(self._controller, LinearPolicy):
            self._wanted = np.clip(self._controller.before_zones(seen), -FARTHEST, FARTHEST)
        return self._by_kind(action)

    def before_zones(self) -> Mapping[str, Float32Array]:
        """The last actions, {group: [env, agent, 1]}; of a linear law before its zones where the actors have theirs."""
        return self._by_kind(self._wanted)

    def _by_kind(self, action: FloatArray) -> dict[str, Float32Array]:
        return {kind: action[:, rows, None].astype(np.float32) for kind, rows in self._of_kind.items()}

    def took(self, actions: Mapping[str, Float32Array]) -> None:
        """Where the controller keeps its own commands in mind, it hears what was done instead."""
        took = getattr(self._controller, "took", None)
        if took is None:
            return
        action: FloatArray = np.zeros(self._shape)
        for kind, rows in self._of_kind.items():
            action[:, rows] = actions[kind][:, :, 0]
        took(action)


class ExpertsByKind:
    """Experts for each kind of plants, whose mean it does; all watch the whole grid, and hear what all plants did."""

    def __init__(
        self,
        contenders: Mapping[str, Sequence[Contender]],
        environment: GridBatch,
        *,
        zoned: bool,
        alone_hz: float = 0.0,
    ) -> None:
        """Builds each controller once, for whatever kinds it is asked.

        Args:
            contenders: who is imitated, by kind; of kinds that the grid has none of, nobody is asked.
            environment: see `GridExpert`.
            zoned: likewise, for kinds with one expert: a mean has no zones.
            alone_hz: deviation of the own frequency beyond which the first of several counts alone [Hz]; 0 is nowhere.
        """
        self._alone_hz = alone_hz
        present = {g.name: contenders[g.name] for g in environment.groups}  # a grid may lack a kind
        self._names_of = {kind: [one.name for one in several] for kind, several in present.items()}
        by_name = {one.name: one for several in present.values() for one in several}
        self._experts = {name: GridExpert(one, environment, zoned=zoned) for name, one in by_name.items()}
        self._wanted: Mapping[str, Float32Array] = {}

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """All forget what was before."""
        for expert in self._experts.values():
            expert.reset(envs, seeds)

    def act(self, observation: Observation) -> Mapping[str, Float32Array]:
        """{group: [env, agent, 1]}."""
        acted = {name: expert.act(observation) for name, expert in self._experts.items()}
        wanted = {name: expert.before_zones() for name, expert in self._experts.items()}
        together, self._wanted = {}, {}
        for kind, names in self._names_of.items():
            mean = np.mean([acted[name][kind] for name in names], axis=0)
            if self._alone_hz > 0.0:
                df_hz = observation.observations[kind][..., [OWN_DF]] * DF_HZ
                mean = np.where(np.abs(df_hz) > self._alone_hz, acted[names[0]][kind], mean)
            together[kind] = mean
            self._wanted[kind] = wanted[names[0]][kind] if len(names) == 1 else together[kind]
        if len(self._experts) > 1:  # each takes it that all plants did as it said
            self.took(together)
        return together

    def before_zones(self) -> Mapping[str, Float32Array]:
        """What is to be learned: see `GridExpert.before_zones`; of several experts the mean of their actions."""
        return self._wanted

    def took(self, actions: Mapping[str, Float32Array]) -> None:
        """All hear what was done instead."""
        for expert in self._experts.values():
            expert.took(actions)


def experts_of(name: str, config: TrainingConfig) -> tuple[dict[str, tuple[Contender, ...]], str]:
    """Who is imitated, by kind of plants, and the observation that all of them and the actors find their numbers in.

    Args:
        name: of the expert, or of one for each kind of plants; each may be several, A+B.
        config: of the run.

    Raises:
        ConfigError: there is no such expert, or it sees what cannot be shown beside what the actors see.
    """
    require(
        config.observation != HIERARCHY,
        f"start = {config.start}: no controller shows coordinators their part",
    )
    contenders = {
        kind: tuple(_contender(one, config) for one in members_of(who))
        for kind, who in experts_named(name, config.start).items()
    }
    everyone = [one for several in contenders.values() for one in several]
    forgetful = {FULL_INFORMATION, FULL_INFORMATION_RESERVE, *LAWS}
    every = config.imitation.imitation_every
    require(  # an expert that is cloned plays itself, and is asked at every step
        every == 1 or config.start.startswith("clone:") or {one.name for one in everyone} <= forgetful,
        f"start = {config.start}: imitation_every = {every} works with experts alone that keep no memory of what they "
        f"said: {', '.join(sorted(forgetful))}",
    )
    require(
        config.imitation.imitation_agents == 0
        or (config.network.sharing == "type" and config.network.actor != "attention"),
        f"imitation_agents = {config.imitation.imitation_agents} needs one network for each kind of plants that knows "
        f"no places: sharing = type, found {config.network.sharing}; actor = mlp or gru, found {config.network.actor}",
    )
    require(
        config.imitation.imitation_alone_hz == 0.0
        or any(len(several) > 1 for several in contenders.values()),
        f"imitation_alone_hz = {config.imitation.imitation_alone_hz} is for the first of several experts, but start = "
        f"{config.start} names one, expected A+B",
    )
    wider: str = config.observation
    for contender in everyone:
        if config.observation in SIZE:
            wider = max(wider, contender.observation, key=lambda observation: SIZE[observation])
        else:  # telemetry, which begins with the default numbers
            require(
                contender.observation == "default",
                f"{contender.name} sees the {contender.observation} observation, which {config.observation} does not "
                "begin with",
            )
    return contenders, wider


def begin_imitating(
    policy: Policy, *, how: str, name: str, config: TrainingConfig, build: Any, directory: Path | None = None
) -> None:
    """Actors begin as an expert acts.

    Args:
        policy: fresh.
        how: `clone` or `dagger`.
        name: of the expert, or of one for each kind of plants: `bess=A,gas=B,dr=B`; each may be several, A+B.
        config: of the run.
        build: makes a batch of the run's grid from (n_env, observation).
        directory: of the run, where rounds are kept until its first checkpoint; None keeps none.

    Raises:
        ConfigError: see `experts_of`.
        marl.checkpoint.CheckpointError: see `imitate`.
    """
    settings: ImitationConfig = config.imitation
    contenders, wider = experts_of(name, config)
    environment: GridBatch = build(settings.imitation_envs, wider)
    rounds = 1 if how == "clone" else settings.imitation_rounds
    # Streams of their own, beside those that training begins with.
    seeds = np.stack(
        [
            training_seeds(2**40 + 1000 * config.seed + k, environment.n_env, VALIDATION_SEEDS.first)
            for k in range(rounds)
        ]
    )
    n_step = -(-settings.imitation_steps // (rounds * environment.n_env))
    kept = None if directory is None else KeptRounds(directory, _decisive(config, contenders, environment))
    try:
        taken_up = [] if kept is None else kept.taken_up()[:rounds]
        threads = torch.get_num_threads()  # a model that plays a table takes one
        experts = ExpertsByKind(
            contenders,
            environment,
            zoned=bool(policy.config.dead_zones),
            alone_hz=settings.imitation_alone_hz,
        )
        torch.set_num_threads(threads)
        with StartReport(f"imitating {name}", rounds * n_step, len(taken_up) * n_step) as report:
            imitate(
                policy,
                environment,
                experts,
                seeds,
                rounds=rounds,
                n_step=n_step,
                epochs=settings.imitation_epochs,
                minibatch=settings.imitation_minibatch,
                ask_every=settings.imitation_every,
                n_agent=settings.imitation_agents,
                lr=settings.imitation_lr,
                taken_up=taken_up,
                kept=kept,
                on_step=report,
            )
    finally:
        environment.close()


def _decisive(
    config: TrainingConfig, contenders: Mapping[str, Sequence[Contender]], environment: GridBatch
) -> dict[str, Any]:
    """What decides how an imitation goes, as plain data: what it is of, by whom, and from which seed.

    Files count by what is in them: a scenario's, a grid's, and those of experts and of tuned laws.
    """
    task = environment.task
    everyone = {one.name: one for several in contenders.values() for one in several}
    files = {name: one.content for name, one in everyone.items() if one.content}
    tuned = {law for law, b in BASELINES.items() if b.parameters is not None and is_tuned(law, task.case)}
    for name in everyone.keys() & tuned:
        files[name] = json.dumps(stored_parameters(name, task.case)["parameters"], sort_keys=True).encode()
    names = ("start", "seed", "observation", "case", "scenario", "level", "physics", "pool", "shield")
    return {name: getattr(config, name) for name in names} | {
        "network": asdict(config.network),
        "imitation": asdict(config.imitation),
        "grid": task.case.identity,
        "episodes": hashlib.sha256(repr(task.loop.scenario).encode()).hexdigest(),
        **{f"expert {name}": hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }


def _contender(name: str, config: TrainingConfig) -> Contender:
    """A controller that can be imitated.

    Raises:
        ConfigError: there is none of this name, or it sees what cannot be shown beside what the actors see.
    """

    require(name != "", f"start = {config.start}: an expert has no name, expected one, or A+B for a mean")
    try:
        found = resolve(name, learned)
    except (CheckpointError, ComparisonError, ValueError) as error:
        raise ConfigError(f"start = {config.start}: {error}") from error
    require(
        len(found) == 1,
        f"start = {config.start}: {name} are {len(found)} experts, expected one, or A+B for the mean of several",
    )
    contender = found[0]
    require(
        len(contender.builders) == 1,
        f"start = {config.start}: {name} fits {len(contender.builders)} models; the mean of several is FILE+FILE",
    )
    require(
        contender.name != BOUND, f"start = {config.start}: the bound is no controller that could be imitated"
    )
    require(
        contender.observation in SIZE, f"start = {config.start}: {name} sees {contender.observation} besides"
    )
    return contender
