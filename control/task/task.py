"""One task: a batch of episodes that anybody can play, by arrays [env, resource].

    task = Task(case, series, scenario, n_env)        or make_task("normal", n_env)
    observation = task.reset(seeds)
    step = task.step(action)

It is all that any learner, controller or picture needs of the grid. What agents see, do and are paid for is defined in
this folder and told by `task.description`, from which controllers are built; who groups agents, or speaks another
interface, stands on top (`marl.environment`).

An episode is a function of its scenario and its seed. Environment k of a batch draws from its own generator, so what
it meets does not depend on the size of the batch; a finished episode is followed by the generator's next one.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.scenario.config import ScenarioConfig
from control.scenario.episode import EpisodeBuilder
from control.scenario.file import scenario_named
from control.scenario.suites import SCENARIOS, require_training_seed
from control.scenario.task_grid import open_task_grid, published_case, published_series
from control.task.area_telemetry import AREAS, AreaTelemetry
from control.task.description import TaskDescription
from control.task.layout import AVERAGE_S, DF_HZ, MEMORY_SIZE, OBSERVATION_SIZE, SIZE
from control.task.limits import LimitCheck
from control.task.observation import Measured, Observer
from control.task.plant_telemetry import TELEMETRY, PlantTelemetry
from control.task.reduced_loop import ReducedLoop, is_plain
from control.task.reduced_observation import Past
from control.task.reward import REWARD_TERMS, RewardConfig, RewardPrices, interval_reward
from control.task.shield import SHIELD_TERMS, Shield, ShieldConfig
from control.task.staged_loop import StagedLoop, require_same_grid
from control.task.step_metrics import MEASUREMENTS, measure
from grid_model.compilation import announced, compiled
from grid_model.dynamics.parameters import Level, SwingConfig, swing_of

__all__ = [
    "ActionError",
    "Physics",
    "Task",
    "TaskError",
    "TaskObservation",
    "TaskStep",
    "checked_seed",
    "make_task",
    "published_case",
    "published_series",
]

Float32Array = npt.NDArray[np.float32]
Physics = Literal["full", "reduced"]


class ActionError(ValueError):
    """An action cannot be carried out; the environment is as it was before."""


class TaskError(ValueError):
    """A grid gives nothing to do; the message says what it lacks."""


class TaskObservation(NamedTuple):
    """What actors and critic see at one instant; new arrays each time, but for `in_service`, which is read-only."""

    agents: (
        Float32Array  # by the layout, [env, resource, 15, 18 or 22], telemetry of plants or area behind it
    )
    state: Float32Array  # the critic's view, [env, state]
    in_service: BoolArray | None  # False for plants without a range, [env, resource]; None where all have one


class TaskStep(NamedTuple):
    """What one control interval led to."""

    observation: TaskObservation  # where the next step starts from: of the new episode where one has begun
    final_observation: TaskObservation  # the true last one of this interval; the same where no episode ended
    reward: FloatArray  # the team's, [env]
    terms: Mapping[str, FloatArray]  # of the reward, and what else is logged, each [env]
    terminated: BoolArray  # the grid is lost, [env]
    truncated: BoolArray  # the clock has run out, [env]
    limits: LimitCheck  # the interval judged against the limits


class Task:
    """A batch of episodes of one scenario.

    Attributes (read them, change nothing but through the methods):
        case, scenario: what is played; description: the same and more, as controllers take it.
        loop: the grids themselves, with plants and telemetry.
        observation: `default`, `extended`, `memory`, `telemetry` or `areas`.
        of_kind: positions of the plants of each kind, in the table's order.
        last_result: the limit check of the last interval; None before the first.
    """

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
        physics: Physics = "full",
        pool: int = 0,
        shield: ShieldConfig | None = None,
    ) -> None:
        """Build the batch; `reset` starts the first episodes.

        Args:
            case: the grid.
            series: the real year of load, wind and sun.
            scenario: what episodes are made of.
            n_env: episodes at once.
            seed: environment k draws its episodes from child k of this seed.
            observation: `default`, the 15 numbers of `control.task.layout`, `extended`, 18, `memory`, 22,
                `telemetry`, the 15 and behind them what the control centre shows of all plants
                (`control.task.plant_telemetry`), or `areas`, the 15 and what it shows of the plant's area
                (`control.task.area_telemetry`).
            swing: frequency model; the default one if None.
            reward: weights; the default ones if None.
            stagger: after a reset from seeds, truncate each first episode after a length that follows from its seed,
                so that the environments of a learner's batch stand at different times of their episodes.
            auto_reset: begin a new episode where one ends; otherwise the batch stays as it ended until `reset`.
            check: let pandapower confirm the power-flow engine.
            physics: `full`, or `reduced`, the model without a power flow of `control.task.reduced_loop`.
            pool: with `reduced`, so many training episodes are drawn once and played again and again, in any order and
                with other states of charge; 0 draws a new one every time, which takes longer than to play it.
            shield: limits onto which joint actions are moved before they are carried out, and what was moved is among
                the terms (`control.task.shield`); actions are carried out as they are if None.

        Raises:
            TaskError: the grid has no plant that anybody could control.
            ValueError: `observation` is unknown, or asks for flows of a model without them; the seed is negative; or
                see `ClosedLoop` and `Shield`.
            TypeError: scenario, frequency model, weights or shield are something else, or the seed is no whole number.
        """
        known = (*SIZE, TELEMETRY, AREAS)
        if observation not in known:
            raise ValueError(f"observation = {observation!r}, expected one of {', '.join(known)}")
        if case.n_resource == 0:
            raise TaskError(
                f"case {case.name}: no plant to control, expected at least one battery, gas plant or demand response "
                "in its resource table"
            )
        for name, value, kind in (
            ("scenario", scenario, ScenarioConfig),
            ("swing", swing, SwingConfig),
            ("reward", reward, RewardConfig),
            ("shield", shield, ShieldConfig),
        ):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} = {value!r}, expected a {kind.__name__}")
        if physics not in get_args(Physics):
            raise ValueError(f"physics = {physics!r}, expected one of {', '.join(get_args(Physics))}")
        if pool != 0 and physics != "reduced":
            raise ValueError(f"pool = {pool} with physics = {physics!r}, expected it with 'reduced' alone")
        self._pool = pool
        if observation == AREAS and physics != "full":
            raise ValueError(
                f"observation = {observation!r} has flows over ties, of which physics = {physics!r} has none"
            )
        checked_seed(seed)
        self._seed, self._series, self._swing = seed, series, swing
        self.case = case
        self.scenario = scenario
        self.observation = observation
        own_size = SIZE.get(observation, OBSERVATION_SIZE)
        self.description = TaskDescription.of(
            case, series, scenario, swing=swing, reward=reward, observation_size=own_size
        )
        self.physics = physics
        if physics == "full":
            self.loop = StagedLoop(case, series, scenario, n_env, swing=swing, check=check)
        else:
            # It has all of a closed loop that is read here; who asks it for its grid is told that there is none.
            reduced = ReducedLoop(case, series, scenario, n_env, swing=swing, pool=pool)
            self.loop = cast(StagedLoop, reduced)
        # By the name of their scenario; "" is the one that the batch was built with.
        self._builders = {"": self.loop.builders[0]}
        self._draws_from = ""  # the next episodes
        self._drawn_from = [""] * n_env  # the present ones, [env]
        fleet = self.loop.fleet
        kinds = list(dict.fromkeys(case.resource.kind))
        self.of_kind: Mapping[str, IntArray] = {kind: case.resource.of_kind(kind) for kind in kinds}
        self._kind_index = np.array([kinds.index(kind) for kind in case.resource.kind])  # [resource]
        self._shield = None if shield is None else Shield(shield, case, fleet)
        # Plants without a range, such as gas that does not run, take no part; None where all do.
        moving = fleet.high_mw > fleet.low_mw
        self.in_service: BoolArray | None = None if moving.all() else np.tile(moving, (n_env, 1))
        if self.in_service is not None:
            self.in_service.flags.writeable = False
        self._observer = Observer(case, fleet, scenario.renewable_scale, own_size)
        self._extended = own_size > OBSERVATION_SIZE
        self._remembers = own_size == MEMORY_SIZE
        self._telemetry: PlantTelemetry | AreaTelemetry | None = None
        if observation == TELEMETRY:
            self._telemetry = PlantTelemetry(scenario.scada, self.in_service, n_env, case.n_resource)
        elif observation == AREAS:
            self._telemetry = AreaTelemetry(case, self.loop, scenario.scada)
        self._logged = (
            *(f"reward_{name}" for name in REWARD_TERMS),
            *MEASUREMENTS,
            *(f"moved_mw_{kind}" for kind in kinds),
        )
        self._n_logged = len(self._logged)  # without what a shield adds
        if self._shield is not None:
            self._logged += SHIELD_TERMS
        self._prices = RewardPrices.of(self.description.reward, fleet, scenario.n_intervals)
        self._generators = [
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n_env)
        ]
        self._before_episode: list[Mapping[str, Any]] = [g.bit_generator.state for g in self._generators]
        self._stagger, self._auto_reset = stagger, auto_reset
        self._queued: list[list[int]] = [
            [] for _ in range(n_env)
        ]  # seeds of the next episodes, [env][episode]
        self._length = np.full(n_env, scenario.n_intervals)  # intervals of the current episode, [env]
        self._last_action = np.zeros((n_env, case.n_resource))
        self._before_hz = np.zeros((n_env, case.n_resource))
        # Own frequency deviation two intervals ago, then its leaky averages, [past, env, resource].
        self._past_hz = np.zeros((1 + len(AVERAGE_S), n_env, case.n_resource))
        self._keep = np.exp(-scenario.interval_s / np.array(AVERAGE_S))[:, None, None]
        self._no_slope_mw = np.zeros(n_env)
        # Which makes observations by itself, unless values are lost on their way.
        self._reduced: ReducedLoop | None = None
        if physics == "reduced" and is_plain(scenario):
            self._reduced = cast(ReducedLoop, self.loop)
            self._reduced.look_by(self._observer)
        self.last_result: LimitCheck | None = None

    @property
    def n_env(self) -> int:
        """Episodes stepped together."""
        return self.loop.n_env

    @property
    def shield(self) -> ShieldConfig | None:
        """Limits onto which actions are moved; None where they are carried out as they are."""
        return None if self._shield is None else self._shield.config

    @property
    def observation_size(self) -> int:
        """Numbers each agent is shown."""
        return self._observer.size + (0 if self._telemetry is None else self._telemetry.size)

    @property
    def state_size(self) -> int:
        """Length of the critic's view."""
        return self._observer.state_size

    def reset(self, seeds: IntArray | None = None) -> TaskObservation:
        """Start a new episode everywhere, from these seeds [env] or from where the generators stand.

        Raises:
            ValueError: there is not one seed for each environment, or one is negative.
            TypeError: a seed is no whole number.
            ScenarioError: a seed is held out, and the batch plays a pool of training episodes.
        """
        if seeds is not None:
            if len(seeds) != self.n_env:
                raise ValueError(f"{len(seeds)} seeds for {self.n_env} environments, expected one each")
            if self._pool > 0:
                for seed in seeds:
                    require_training_seed(checked_seed(seed))
            self._generators = [np.random.default_rng(checked_seed(seed)) for seed in seeds]
        self._queued = [[] for _ in range(self.n_env)]
        whole = self.scenario.n_intervals
        self._length = np.full(self.n_env, whole)
        if seeds is not None and self._stagger:
            words = [int(np.random.SeedSequence(int(seed)).generate_state(1)[0]) for seed in seeds]
            self._length = np.array([1 + word % whole for word in words])
        self._start(np.arange(self.n_env))
        return self.observe()

    def begin_next(self, seeds: IntArray) -> None:
        """Episodes after the present ones are those of these seeds; then each environment's generator goes on.

        Args:
            seeds: of each environment's next episodes, one after the other, in the place of those named before,
                [env, episode].

        Raises:
            ValueError: there is not a row for each environment, or a seed is negative.
            TypeError: a seed is no whole number.
        """
        if len(seeds) != self.n_env:
            raise ValueError(f"{len(seeds)} rows of seeds for {self.n_env} environments, expected one each")
        self._queued = [[checked_seed(seed) for seed in row] for row in seeds]

    def of_scenario(self, name: str) -> Task:
        """The same task in another scenario, which may change what this batch keeps; no episode has begun in it.

        Raises:
            ScenarioError: there is no such scenario, or it contradicts itself.
        """
        return Task(
            self.case,
            self._series,
            self._scenario_of(name),
            self.n_env,
            seed=self._seed,
            observation=self.observation,
            swing=self._swing,
            reward=self.description.reward,
            stagger=self._stagger,
            auto_reset=self._auto_reset,
            check=False,
            physics=self.physics,
            shield=self.shield,
        )

    def draw_from(self, scenario: str) -> None:
        """From now on new episodes are drawn from this scenario; those under way go on as they are.

        Environments draw on from their generators; `reset` with seeds begins new episodes at once.

        Args:
            scenario: a suite or training distribution by name, with episodes as long as this batch's, or the path of a
                scenario file; "" is the one that the batch was built with.

        Raises:
            ScenarioError: there is none, or it changes what a batch keeps (`control.task.staged_loop.FIXED`).
        """
        self.loop.builders = [self._builder_of(scenario)] * self.n_env
        self._draws_from = scenario

    def _builder_of(self, name: str) -> EpisodeBuilder:
        if name not in self._builders:
            config = self._scenario_of(name)
            require_same_grid(self.scenario, config)
            self._builders[name] = EpisodeBuilder(self.case, self._series, config)
        return self._builders[name]

    def _scenario_of(self, name: str) -> ScenarioConfig:
        """The scenario of this name, one of the project's own with episodes as long as this batch's."""
        config = scenario_named(name, self.case)
        return replace(config, n_intervals=self.scenario.n_intervals) if name in SCENARIOS else config

    def step(self, action: FloatArray) -> TaskStep:
        """One control interval of every episode; finished ones start anew.

        Args:
            action: of each plant, cut at -1 and 1: the share of its ramp by which its set-point moves,
                [env, resource].

        Raises:
            ActionError: no episode has begun, the shape is wrong, or a number is not finite.
            RuntimeError: an episode is over and the batch does not begin anew by itself.
        """
        loop = self.loop
        if loop.episode[0] is None:
            raise ActionError("no episode has begun; call reset first")
        action = self._checked(action)
        logged = np.empty((len(self._logged), self.n_env))
        if self._shield is not None:
            action = self._shield.project(action, loop.resources, logged[self._n_logged :])
        before_hz = loop.own_df_hz if self._extended else self._before_hz
        result = loop.step(action)  # where it refuses, everything is as it was
        if self._remembers:
            own_hz = loop.own_df_hz
            averages = own_hz + (self._past_hz[1:] - own_hz) * self._keep
            self._past_hz = np.concatenate([self._before_hz[None], averages])
        self._before_hz, self._last_action = before_hz, action
        n_term = len(REWARD_TERMS)
        reward = interval_reward(
            result.sum_bus_square_hz2,
            result.set_point_change_mw,
            result.violations,
            result.grid_lost,
            loop.interval,
            self._prices,
            logged[:n_term],
        )
        measure(result, self.case.n_bus, self._kind_index, logged[n_term : self._n_logged])
        if self._telemetry is not None:
            self._telemetry.advance(self._look()[0])
        final = observation = self.observe()
        if self._reduced is not None:
            result = replace(
                result,
                bus_df_hz=np.multiply(final.state[:, : self.case.n_bus], DF_HZ, dtype=np.float64),
            )
        self.last_result = result
        terminated, truncated = result.grid_lost, np.empty(self.n_env, dtype=np.bool_)
        n_done = _find_truncated(loop.interval, self._length, terminated, truncated)
        if n_done > 0 and self._auto_reset:
            done = (terminated | truncated).nonzero()[0]
            self._length[done] = self.scenario.n_intervals
            for env in done:
                if self._queued[env]:
                    self._generators[env] = np.random.default_rng(self._queued[env].pop(0))
            self._start(done)
            if self._reduced is None or self._telemetry is not None:
                observation = self.observe()
            else:
                seen = (final.agents, final.state)
                observation = TaskObservation(*self._reduced.observe(self._past, seen, done), self.in_service)
        return TaskStep(
            observation,
            final,
            reward,
            dict(zip(self._logged, logged, strict=True)),
            terminated,
            truncated,
            result,
        )

    def observe(self) -> TaskObservation:
        """What actors and critic see now."""
        agents, state = self._look()
        if self._telemetry is not None:
            agents = self._telemetry.beside(agents)
        return TaskObservation(agents, state, self.in_service)

    def _look(self) -> tuple[Float32Array, Float32Array]:
        """What is measured now: the agents' own view and the critic's."""
        loop = self.loop
        if self._reduced is not None:
            return self._reduced.observe(self._past)
        plants = loop.resources
        now = Measured(
            loop.bus_df_hz,
            loop.scada.shown,
            loop.served_mw,
            loop.renewable_mw,
            plants.output_mw,
            plants.energy_mwh,
            loop.hour,
            loop.weekday,
            loop.elements_out,
            self._before_hz,
            self._last_action,
            loop.schedule_slope_mw if self._extended else self._no_slope_mw,
            self._past_hz,
        )
        return self._observer.observe(now)

    @property
    def _past(self) -> Past:
        return Past(self._before_hz, self._last_action, self._past_hz)

    def close(self) -> None:
        """Nothing to let go of: all of a task is memory."""

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit: arrays, numbers, strings and dictionaries of its own."""
        draws: dict[str, Any] = {}
        if self._draws_from or any(self._drawn_from):
            names = {self._draws_from, *self._drawn_from}
            draws = {
                "draws_from": self._draws_from,
                "drawn_from": list(self._drawn_from),
                "scenarios": {name: repr(self._builders[name].config) for name in sorted(names)},
            }
        if self._telemetry is not None:
            draws["telemetry"] = self._telemetry.get_state()
        if any(self._queued):
            draws["queued"] = [list(row) for row in self._queued]
        return draws | {
            "scenario": repr(self.scenario),
            "grid": self.case.identity,
            "generators": [g.bit_generator.state for g in self._generators],
            "before_episode": deepcopy(self._before_episode),
            "length": self._length.copy(),
            "last_action": self._last_action.copy(),
            "before_hz": self._before_hz.copy(),
            "past_hz": self._past_hz.copy(),
            "loop": self.loop.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, also in another process.

        Raises:
            ValueError: it is the state of another grid, scenario or number of environments.
            ScenarioError: there is no such scenario any more.
        """
        if (
            state.get("grid", self.case.identity) != self.case.identity
        ):  # those of earlier versions do not say
            raise ValueError(
                f"the saved state is of another grid than case {self.case.name} as it is here; go on with the grid it "
                "was saved with"
            )
        n_env = len(state["length"])
        if n_env != self.n_env:
            raise ValueError(f"the saved state is of {n_env} environments, this batch has {self.n_env}")
        found = {"": state.get("scenario", repr(self.scenario)), **state.get("scenarios", {})}
        for name, saved in found.items():
            here = self._builder_of(name).config
            if saved != repr(here):
                raise ValueError(
                    f"the saved state is of another scenario than {here.name!r} as it is here; build the batch "
                    "with the scenario of the saved one"
                )
        self._drawn_from = list(state.get("drawn_from", [""] * n_env))
        self.loop.builders = [self._builder_of(name) for name in self._drawn_from]
        self._generators = [_generator(s) for s in state["before_episode"]]
        self._before_episode = deepcopy(list(state["before_episode"]))
        self.loop.set_state(state["loop"], self._generators)
        self.draw_from(state.get("draws_from", ""))
        self._generators = [_generator(s) for s in state["generators"]]
        self._length = np.array(state["length"])
        self._queued = [list(row) for row in state.get("queued", [[]] * n_env)]
        self._last_action = np.array(state["last_action"])
        self._before_hz = np.array(state["before_hz"])
        self._past_hz = np.array(state.get("past_hz", self._past_hz))
        if self._telemetry is not None:
            if "telemetry" not in state:
                raise ValueError("the saved state is of an observation without telemetry")
            self._telemetry.set_state(state["telemetry"])

    def __getstate__(self) -> dict[str, Any]:
        own = {"case": self.case, "scenario": self.scenario, "n_env": self.n_env, "seed": self._seed}
        chosen: dict[str, Any] = {"observation": self.observation}
        chosen |= {"stagger": self._stagger, "auto_reset": self._auto_reset}
        chosen |= {
            "physics": self.physics,
            "pool": self._pool,
            "swing": self._swing,
            "reward": self.description.reward,
            "shield": self.shield,
        }
        # The real year is the same everywhere, and large.
        series = None if self._series is published_series() else self._series
        begun = self.loop.episode[0] is not None
        return {
            "options": own | chosen,
            "series": series,
            "draws_from": self._draws_from,
            "state": self.get_state() if begun else None,
        }

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        series = published_series() if pickled["series"] is None else pickled["series"]
        self.__init__(series=series, check=False, **pickled["options"])  # type: ignore[misc]
        self.draw_from(pickled["draws_from"])
        if pickled["state"] is not None:
            self.set_state(pickled["state"])

    def _start(self, envs: IntArray) -> None:
        for env in envs:
            self._before_episode[env] = self._generators[env].bit_generator.state
            self._drawn_from[env] = self._draws_from
        self.loop.reset(envs, [self._generators[env] for env in envs])
        self._last_action[envs] = 0.0
        self._before_hz[envs] = 0.0
        self._past_hz[:, envs] = 0.0
        if self._telemetry is not None:
            keys = [episode.scada_key for env in envs if (episode := self.loop.episode[env]) is not None]
            self._telemetry.reset(envs, keys, self._look()[0])

    def _checked(self, action: FloatArray) -> FloatArray:
        """A copy of the action, cut at -1 and 1, [env, resource].

        Raises:
            ActionError: it is no array of numbers, its shape is wrong, or a number is not finite.
        """
        expected = (self.n_env, self.case.n_resource)
        if not isinstance(action, np.ndarray) or action.dtype != np.float64:
            try:
                action = np.asarray(action, dtype=np.float64)
            except (TypeError, ValueError):
                raise ActionError(f"action {action!r} is not an array of numbers") from None
        if action.shape != expected:
            raise ActionError(f"action has shape {action.shape}, expected {expected}")
        cut = np.empty(expected)
        wrong = _cut(action, cut)
        if wrong >= 0:
            env, resource = divmod(wrong, expected[1])
            raise ActionError(
                f"action of {self.case.resource.name[resource]} in environment {env} is {action[env, resource]}, "
                "expected a number from -1 to 1"
            )
        return cut


def make_task(
    scenario: str | ScenarioConfig = "training",
    n_env: int = 1,
    seed: int = 0,
    observation: str = "default",
    *,
    case: str | Case = "",
    variant: str = "rogers",
    level: Level | None = None,
    swing: SwingConfig | None = None,
    reward: RewardConfig | None = None,
    stagger: bool = False,
    auto_reset: bool = True,
    check: bool = True,
    physics: Physics = "full",
    pool: int = 0,
    shield: ShieldConfig | None = None,
) -> Task:
    """A task on the 68-bus system, or on any other grid.

    Args:
        scenario: a suite or training distribution by name, the path of a scenario file, or a configuration.
        n_env: episodes at once.
        seed: see `Task`, as for the arguments below but for the next three.
        observation: see `Task`.
        case: a grid by its name or file (`control.scenario.task_grid`), or a `Case` with plants on it; the 68-bus
            system if empty.
        variant: of the 68-bus system, `rogers` or `tr18`.
        level: of aggregation of the frequency model, `machine`, `area` or `system`; that of `swing` if None.
        swing: see `Task`.
        reward: see `Task`.
        stagger: see `Task`.
        auto_reset: see `Task`.
        check: see `Task`.
        physics: see `Task`, as for the next two.
        pool: see there.
        shield: see there.

    Raises:
        ScenarioError: there is no such scenario, or it contradicts itself.
        CaseDataError: there is no such grid, or it cannot be played on.
        ValueError: see `Task`.
    """
    if isinstance(case, str):
        case = open_task_grid(case).case if case else published_case(variant)
    if level is not None:
        swing = replace(swing or swing_of(case), level=level)
    config = scenario if isinstance(scenario, ScenarioConfig) else scenario_named(scenario, case)
    build = partial(
        Task,
        case,
        published_series(),
        config,
        seed=seed,
        observation=observation,
        swing=swing,
        reward=reward,
        stagger=stagger,
        auto_reset=auto_reset,
        physics=physics,
        pool=pool,
        shield=shield,
    )
    with announced() as compilation:
        task = build(n_env=n_env, check=check)
        if compilation.n_compiled:
            # The first start on this machine: everything else is compiled here too, where it is told of.
            rehearsal = build(n_env=min(n_env, 2), check=False)
            rehearsal.reset()
            for _ in range(2):
                rehearsal.step(np.zeros((rehearsal.n_env, case.n_resource)))
    return task


def checked_seed(seed: Any) -> int:
    """A seed as an integer of Python's.

    Raises:
        TypeError: it is no whole number: cut to one, it would begin another episode than it says.
        ValueError: it is negative.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed = {seed!r}, expected a whole number from 0 on") from None
    if number < 0:
        raise ValueError(f"seed = {seed}, expected a whole number from 0 on")
    return number


@compiled
def _cut(action: FloatArray, cut: FloatArray) -> int:
    """Fill in the action cut at -1 and 1, [env, resource]; position of a number that is not finite, or -1."""
    wrong = -1
    for e in range(cut.shape[0]):
        for i in range(cut.shape[1]):
            if not np.isfinite(action[e, i]) and wrong < 0:
                wrong = e * cut.shape[1] + i
            cut[e, i] = min(max(action[e, i], -1.0), 1.0)
    return wrong


@compiled
def _find_truncated(interval: IntArray, length: IntArray, terminated: BoolArray, truncated: BoolArray) -> int:
    """Fill in whose time is over without the grid being lost; how many episodes end either way; all [env]."""
    n_done = 0
    for e in range(interval.size):
        truncated[e] = interval[e] >= length[e] and not terminated[e]
        n_done += int(terminated[e] or truncated[e])
    return n_done


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    generator = np.random.default_rng()
    generator.bit_generator.state = dict(state)
    return generator
