"""The closed loop as an environment: a batch for the learner, and its PettingZoo twin for everyone.

`GridBatch` steps many episodes at once and speaks the learner's protocol; `GridParallelEnv` is one episode behind
PettingZoo's parallel interface. Both rest on the same code, and the same seed gives the same episode through both.
This is the only module of the package that knows the grid and the only one that turns float64 into float32.

An episode is a function of its scenario and its seed. Environment k of a batch draws from its own generator, so what
it meets does not depend on the size of the batch; a finished episode is followed by the generator's next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.series import Series, load_series
from control.scenario.episode import ScenarioConfig, scenario_named
from control.task.closed_loop import ClosedLoop, LimitCheck
from control.task.observation import DF_HZ, EXTENDED_SIZE, OBSERVATION_SIZE, SLOPE_MW, Observer, state_size
from control.task.reward import REWARD_TERMS, RewardConfig, interval_reward
from control.task.step_metrics import MEASUREMENTS, measure
from grid_model.dynamics.parameters import Level, SwingConfig
from marl.protocol import AgentGroup, Float32Array, Observed, Transition

__all__ = ["ActionError", "GridBatch", "make_batch"]

OBSERVATIONS = ("default", "extended")
ROUNDING = 1e-6  # by which an action computed in float32 may miss the ends of its range


class ActionError(ValueError):
    """An action cannot be carried out; the environment is as it was before."""


class GridBatch:
    """A batch of episodes of one scenario, as the learner knows environments (`marl.protocol`)."""

    def __init__(
        self,
        case: Case,
        series: Series,
        scenario: ScenarioConfig,
        n_env: int,
        *,
        seed: int = 0,
        observation: str = "default",
        swing: SwingConfig | None = None,
        reward: RewardConfig | None = None,
        stagger: bool = False,
        auto_reset: bool = True,
        check: bool = True,
    ) -> None:
        """Build the batch; `reset` starts the first episodes.

        Args:
            case: the grid; series: the real year; scenario: what episodes are made of; n_env: episodes at once.
            seed: environment k draws its episodes from child k of this seed.
            observation: `default`, the 15 numbers of `control.task.observation`, or `extended`, 18.
            swing: frequency model; reward: weights; check: let pandapower confirm the power-flow engine.
            stagger: after a reset from seeds, truncate each first episode after a length that follows from its seed,
                so that the environments of a learner's batch stand at different times of their episodes.
            auto_reset: begin a new episode where one ends; otherwise the batch stays as it ended until `reset`.
        """
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation = {observation!r}, expected one of {', '.join(OBSERVATIONS)}")
        self._seed, self._series, self._swing = seed, series, swing
        self.loop = ClosedLoop(case, series, scenario, n_env, swing=swing, check=check)
        self.case = case
        self.scenario = scenario
        self.observation = observation
        self.reward_config = reward or RewardConfig()
        fleet = self.loop.fleet
        self._size = OBSERVATION_SIZE if observation == "default" else EXTENDED_SIZE
        kinds = list(dict.fromkeys(case.resource.kind))
        self._of_group = {kind: case.resource.of_kind(kind) for kind in kinds}
        # A single environment shows its agents rows of one array that is new at every step.
        self._shown = {kind: _as_slice(rows) if n_env == 1 else rows for kind, rows in self._of_group.items()}
        self._group_index = np.array([kinds.index(kind) for kind in case.resource.kind])  # [resource]
        self._groups = tuple(
            AgentGroup(
                name=kind,
                agents=tuple(case.resource.name[i] for i in self._of_group[kind]),
                observation_size=self._size,
                action_size=1,
            )
            for kind in kinds
        )
        # Plants without a range, such as gas that does not run, take no part; None where all do.
        moving = fleet.high_mw > fleet.low_mw
        self._in_service = (
            None
            if moving.all()
            else {kind: np.tile(moving[rows], (n_env, 1)) for kind, rows in self._of_group.items()}
        )
        self._observer = Observer.of(case, fleet, scenario.renewable_scale)
        self._logged = (
            *(f"reward_{name}" for name in REWARD_TERMS),
            *MEASUREMENTS,
            *(f"moved_mw_{kind}" for kind in kinds),
        )
        self._cost = fleet.cost_per_mw, fleet.cost_per_mw2
        self._generators = [
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n_env)
        ]
        self._before_episode: list[Mapping[str, Any]] = [g.bit_generator.state for g in self._generators]
        self._stagger, self._auto_reset = stagger, auto_reset
        self._length = np.full(n_env, scenario.n_intervals)  # intervals of the current episode, [env]
        self._last_action = np.zeros((n_env, case.n_resource))
        self._before_hz = np.zeros((n_env, case.n_resource))
        self.last_result: LimitCheck | None = None

    @property
    def n_env(self) -> int:
        """Episodes stepped together."""
        return self.loop.n_env

    @property
    def groups(self) -> tuple[AgentGroup, ...]:
        """Agents by kind of resource: batteries, gas plants, demand response."""
        return self._groups

    @property
    def state_size(self) -> int:
        """Length of the critic's view."""
        return state_size(self.case)

    def reset(self, seeds: IntArray | None = None) -> Observed:
        """Start a new episode everywhere, from these seeds [env] or from where the generators stand."""
        if seeds is not None:
            if len(seeds) != self.n_env:
                raise ValueError(f"{len(seeds)} seeds for {self.n_env} environments, expected one each")
            self._generators = [np.random.default_rng(int(seed)) for seed in seeds]
        whole = self.scenario.n_intervals
        self._length = np.full(self.n_env, whole)
        if seeds is not None and self._stagger:
            words = [int(np.random.SeedSequence(int(seed)).generate_state(1)[0]) for seed in seeds]
            self._length = np.array([1 + word % whole for word in words])
        self._start(np.arange(self.n_env))
        return self._observe()

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One control interval of every episode; finished ones start anew.

        Args:
            actions: {group: [env, agent, 1]}, clipped to -1..1.

        Raises:
            ActionError: a group is missing, a shape is wrong, or a number is not finite.
        """
        return self.advance(self._action_array(actions))

    def advance(self, action: FloatArray) -> Transition:
        """`step` with the action of every plant as one array of checked numbers from -1 to 1, [env, resource]."""
        loop = self.loop
        if not self._begun:
            raise ActionError("no episode has begun; call reset first")
        before_hz = self._own_df_hz() if self.observation == "extended" else self._before_hz
        result = loop.step(action)  # where it refuses, everything is as it was
        self._before_hz, self._last_action = before_hz, action
        self.last_result = result
        logged = np.empty((len(self._logged), self.n_env))
        n_term = len(REWARD_TERMS)
        total = interval_reward(
            result.sum_bus_square_hz2,
            result.set_point_change_mw,
            *self._cost,
            result.violations,
            result.grid_lost,
            loop.interval,
            self.scenario.n_intervals,
            self.reward_config,
            logged[:n_term],
        )
        measure(result, self.case.n_bus, self._group_index, logged[n_term:])
        final = observed = self._observe()
        terminated, truncated = result.grid_lost, np.empty(self.n_env, dtype=np.bool_)
        n_done = _find_truncated(loop.interval, self._length, terminated, truncated)
        if n_done > 0 and self._auto_reset:
            done = (terminated | truncated).nonzero()[0]
            self._length[done] = self.scenario.n_intervals
            self._start(done)
            observed = self._observe()
        return Transition(
            observation=observed,
            final_observation=final,
            reward=total,
            terminated=terminated,
            truncated=truncated,
            terms=dict(zip(self._logged, logged, strict=True)),
        )

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit: arrays, numbers, strings and dictionaries."""
        return {
            "scenario": repr(self.scenario),
            "generators": [g.bit_generator.state for g in self._generators],
            "before_episode": list(self._before_episode),
            "length": self._length.copy(),
            "last_action": self._last_action.copy(),
            "before_hz": self._before_hz.copy(),
            "loop": self.loop.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, also in another process.

        Raises:
            ValueError: it is the state of another scenario or of another number of environments.
        """
        n_env = len(state["length"])
        if n_env != self.n_env:
            raise ValueError(f"the saved state is of {n_env} environments, this batch has {self.n_env}")
        if state.get("scenario", repr(self.scenario)) != repr(self.scenario):
            raise ValueError(
                f"the saved state is of another scenario than {self.scenario.name!r} as it is here; build the batch "
                "with the scenario of the saved one"
            )
        self._generators = [_generator(s) for s in state["before_episode"]]
        self._before_episode = list(state["before_episode"])
        self.loop.set_state(state["loop"], self._generators)
        self._generators = [_generator(s) for s in state["generators"]]
        self._length = np.array(state["length"])
        self._last_action = np.array(state["last_action"])
        self._before_hz = np.array(state["before_hz"])

    def __getstate__(self) -> dict[str, Any]:
        own = {"case": self.case, "scenario": self.scenario, "n_env": self.n_env, "seed": self._seed}
        chosen: dict[str, Any] = {"observation": self.observation}
        chosen |= {"stagger": self._stagger, "auto_reset": self._auto_reset}
        chosen |= {"swing": self._swing, "reward": self.reward_config}
        # The real year is the same everywhere, and large.
        series = None if self._series is _series() else self._series
        return {"options": own | chosen, "series": series, "state": self.get_state() if self._begun else None}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        series = _series() if pickled["series"] is None else pickled["series"]
        self.__init__(series=series, check=False, **pickled["options"])  # type: ignore[misc]
        if pickled["state"] is not None:
            self.set_state(pickled["state"])

    @property
    def _begun(self) -> bool:
        return self.loop.episode[0] is not None

    def _start(self, envs: IntArray) -> None:
        for env in envs:
            self._before_episode[env] = self._generators[env].bit_generator.state
        self.loop.reset(envs, [self._generators[env] for env in envs])
        self._last_action[envs] = 0.0
        self._before_hz[envs] = 0.0

    def _action_array(self, actions: Mapping[str, Float32Array]) -> FloatArray:
        action = np.empty((self.n_env, self.case.n_resource))
        for group in self._groups:
            if group.name not in actions:
                raise ActionError(f"no action for group {group.name!r}, found {sorted(actions)}")
            given = _numbers(actions[group.name], f"actions of group {group.name!r}")
            if given.shape != (self.n_env, group.n_agent, 1):
                raise ActionError(
                    f"actions of group {group.name!r} have shape {given.shape}, "
                    f"expected {(self.n_env, group.n_agent, 1)}"
                )
            action[:, self._of_group[group.name]] = given[:, :, 0]
        if not np.isfinite(action).all():
            env, resource = np.argwhere(~np.isfinite(action))[0]
            raise ActionError(
                f"action of {self.case.resource.name[resource]} in environment {env} is {action[env, resource]}, "
                "expected a number from -1 to 1"
            )
        np.minimum(action, 1.0, out=action)
        return np.maximum(action, -1.0, out=action)

    def _own_df_hz(self) -> FloatArray:
        return self.loop.bus_df_hz[:, self.case.resource.bus]

    def _observe(self) -> Observed:
        loop = self.loop
        inputs, plants = loop.grid.injections, loop.resources
        more = None
        if self.observation == "extended":
            more = np.empty((self.n_env, self.case.n_resource, EXTENDED_SIZE - OBSERVATION_SIZE))
            more[:, :, 0] = self._before_hz / DF_HZ
            more[:, :, 1] = self._last_action
            more[:, :, 2] = (loop.schedule_slope_mw / SLOPE_MW)[:, None]
        agents, state = self._observer.observe(
            bus_df_hz=loop.bus_df_hz,
            late=loop.scada.shown,
            load_mw=loop.served_mw,
            renewable_mw=inputs.renewable_mw,
            output_mw=plants.output_mw,
            energy_mwh=plants.energy_mwh,
            hour=loop.hour,
            weekday=loop.weekday,
            elements_out=loop.elements_out,
            more=more,
        )
        return Observed(
            observations={kind: agents[:, rows] for kind, rows in self._shown.items()},
            state=state,
            in_service=self._in_service,
        )


@lru_cache(maxsize=4)
def _case(variant: str) -> Case:
    return load_ieee68(variant)


@lru_cache(maxsize=1)
def _series() -> Series:
    return load_series()


def make_batch(
    scenario: str | ScenarioConfig = "training",
    n_env: int = 1,
    seed: int = 0,
    observation: str = "default",
    *,
    variant: str = "rogers",
    level: Level | None = None,
    swing: SwingConfig | None = None,
    reward: RewardConfig | None = None,
    stagger: bool = False,
    auto_reset: bool = True,
    check: bool = True,
) -> GridBatch:
    """A batch of episodes on the 68-bus system.

    Args:
        scenario: a suite or training distribution by name, the path of a scenario file, or a configuration.
        n_env, seed, observation, swing, reward, stagger, auto_reset, check: see `GridBatch`.
        variant: of the case, `rogers` or `tr18`.
        level: of aggregation of the frequency model, `machine`, `area` or `system`; that of `swing` if None.
    """
    case = _case(variant)
    if level is not None:
        swing = replace(swing or SwingConfig(), level=level)
    config = scenario if isinstance(scenario, ScenarioConfig) else scenario_named(scenario, case)
    return GridBatch(
        case,
        _series(),
        config,
        n_env,
        seed=seed,
        observation=observation,
        swing=swing,
        reward=reward,
        stagger=stagger,
        auto_reset=auto_reset,
        check=check,
    )


@numba.njit(cache=True)
def _find_truncated(interval: IntArray, length: IntArray, terminated: BoolArray, truncated: BoolArray) -> int:
    """Fill in whose time is over without the grid being lost; how many episodes end either way; all [env]."""
    n_done = 0
    for e in range(interval.size):
        truncated[e] = interval[e] >= length[e] and not terminated[e]
        n_done += int(terminated[e] or truncated[e])
    return n_done


def _as_slice(rows: IntArray) -> slice | IntArray:
    """Consecutive positions as a slice, which takes no copy."""
    return slice(int(rows[0]), int(rows[-1]) + 1) if np.all(np.diff(rows) == 1) else rows


def _numbers(given: Any, what: str) -> FloatArray:
    """As float64, or an error that says whose they are."""
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ActionError(f"{what}: {given!r} is not a number or an array of numbers") from None


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    generator = np.random.default_rng()
    generator.bit_generator.state = dict(state)
    return generator
