"""One task: a batch of episodes that anybody can play, by arrays [env, resource].

    task = Task(case, series, scenario, n_env)        or open_task.make_task("normal", n_env)
    observation = task.reset(seeds)
    step = task.step(action)

It is all that any learner, controller or picture needs of the grid. What agents see, do and are paid for is defined in
this folder and told by `task.description`, from which controllers are built; who groups agents, or speaks another
interface, stands on top (`marl.environment`).

An episode is a function of its scenario and its seed. Environment k of a batch draws from its own generator, so what
it meets does not depend on the size of the batch; a finished episode is followed by the generator's next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.scenario.config import ScenarioConfig
from control.scenario.suites import require_training_seed
from control.scenario.task_grid import published_series
from control.task.action import ActionError, action_array, cut_at_one
from control.task.area_telemetry import AREAS, AreaTelemetry
from control.task.description import TaskDescription
from control.task.draws import EpisodeDraws, checked_seed
from control.task.layout import OBSERVATION_SIZE, SIZE
from control.task.ledger import Ledger
from control.task.limits import LimitCheck
from control.task.memory import AgentMemory
from control.task.observation import Measured, Observer
from control.task.plant_telemetry import TELEMETRY, PlantTelemetry
from control.task.reduced_loop import ReducedLoop, is_plain
from control.task.reward import RewardConfig, RewardPrices
from control.task.saved_task import require_options, require_whole
from control.task.shield import SHIELD_TERMS, Shield, ShieldConfig
from control.task.staged_loop import StagedLoop
from control.task.task_step import TaskObservation, TaskStep
from grid_model.dynamics.parameters import SwingConfig

__all__ = ["Physics", "Task", "TaskError"]

Float32Array = npt.NDArray[np.float32]
ASIDE = 8  # numbers, a line of the cache
Physics = Literal["full", "reduced"]


class TaskError(ValueError):
    """A grid gives nothing to do; the message says what it lacks."""


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
        self.draws = EpisodeDraws(case, series, self.loop.builders[0], n_env, seed, stagger=stagger)
        fleet = self.loop.fleet
        self.of_kind: Mapping[str, IntArray] = {
            kind: case.resource.of_kind(kind) for kind in dict.fromkeys(case.resource.kind)
        }
        self._shield = None if shield is None else Shield(shield, case, fleet)
        # Plants without a range, such as gas that does not run, take no part; None where all do.
        moving = fleet.high_mw > fleet.low_mw
        self.in_service: BoolArray | None = None if moving.all() else np.tile(moving, (n_env, 1))
        if self.in_service is not None:
            self.in_service.flags.writeable = False
        self._observer = Observer(case, fleet, scenario.renewable_scale, own_size)
        self._memory = AgentMemory(n_env, case.n_resource, own_size, scenario.interval_s)
        self._telemetry: PlantTelemetry | AreaTelemetry | None = None
        if observation == TELEMETRY:
            self._telemetry = PlantTelemetry(scenario.scada, self.in_service, n_env, case.n_resource)
        elif observation == AREAS:
            self._telemetry = AreaTelemetry(case, self.loop, scenario.scada)
        prices = RewardPrices.of(self.description.reward, fleet, scenario.n_intervals)
        self._ledger = Ledger(prices, self.loop.interval, self.draws.length, case.resource.kind, case.n_bus)
        self._logged: tuple[str, ...] = self._ledger.logged
        if self._shield is not None:
            self._logged += SHIELD_TERMS
        self._stagger, self._auto_reset = stagger, auto_reset
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
            if np.ndim(seeds) != 1:
                raise ValueError(
                    f"seeds = {seeds!r}, expected one for each of the {self.n_env} environments, [env]"
                )
            if len(seeds) != self.n_env:
                raise ValueError(f"{len(seeds)} seeds for {self.n_env} environments, expected one each")
            if self._pool > 0:
                for seed in seeds:
                    require_training_seed(checked_seed(seed))
        self.draws.restart(None if seeds is None else [checked_seed(seed) for seed in seeds])
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
        self.draws.queue(seeds)

    def of_scenario(self, name: str) -> Task:
        """The same task in another scenario, which may change what this batch keeps; no episode has begun in it.

        Raises:
            ScenarioError: there is no such scenario, or it contradicts itself.
        """
        return Task(
            self.case,
            self._series,
            self.draws.scenario_of(name),
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
        self.loop.builders = [self.draws.draw_from(scenario)] * self.n_env

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
        action = action_array(action, (self.n_env, self.case.n_resource))
        # Rows that lie a power of two apart have all but one place in the processor's cache to share.
        logged = np.empty((len(self._logged), self.n_env + ASIDE))[:, : self.n_env]
        n_booked = len(self._ledger.logged)
        if self._shield is not None:
            action = cut_at_one(action, self.case.resource.name)
            action = self._shield.project(action, loop.resources, logged[n_booked:])
        memory = self._memory
        before_hz = loop.own_df_hz if memory.of_frequency else None
        result = loop.step(action)  # where it refuses, everything is as it was
        memory.add(before_hz, loop.own_df_hz if memory.of_averages else None, loop.action)
        reward, truncated, n_done = self._ledger.enter(result, logged[:n_booked])
        if self._telemetry is not None:
            self._telemetry.advance(self._look()[0])
        final = observation = self.observe()
        self.last_result = result
        terminated = result.grid_lost
        if n_done > 0 and self._auto_reset:
            done = (terminated | truncated).nonzero()[0]
            self.draws.follow(done)
            self._start(done)
            if self._reduced is None or self._telemetry is not None:
                observation = self.observe()
            else:
                seen = (final.agents, final.state)
                observation = TaskObservation(
                    *self._reduced.observe(memory.past, seen, done), self.in_service
                )
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
        loop, past = self.loop, self._memory.past
        if self._reduced is not None:
            return self._reduced.observe(past)
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
            past.before_hz,
            past.last_action,
            loop.schedule_slope_mw if self._memory.of_frequency else self._no_slope_mw,
            past.past_hz,
        )
        return self._observer.observe(now)

    def close(self) -> None:
        """Nothing to let go of: all of a task is memory."""

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit: arrays, numbers, strings and dictionaries of its own."""
        state = self.draws.get_state()
        if self._telemetry is not None:
            state["telemetry"] = self._telemetry.get_state()
        own = {"grid": self.case.identity, "loop": self.loop.get_state(), **self._shown_as}
        return state | self._memory.get_state() | own

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, also in another process.

        Where it refuses, everything is as it was.

        Raises:
            ValueError: it is no state, that of another grid, scenario, observation, physics or number of environments,
                or something is lacking in it.
            ScenarioError: there is no such scenario any more.
        """
        if not (isinstance(state, Mapping) and "length" in state and isinstance(state.get("loop"), Mapping)):
            raise ValueError("this is no state of a task, expected what get_state returned")
        if (
            state.get("grid", self.case.identity) != self.case.identity
        ):  # those of earlier versions do not say
            raise ValueError(
                f"the saved state is of another grid than case {self.case.name} as it is here; go on with the grid it "
                "was saved with"
            )
        require_options(state, self._shown_as)
        self.draws.require_same(state)
        require_whole(state, self.get_state())
        self.loop.builders, generators = self.draws.rewind(state)
        self.loop.set_state(state["loop"], generators)
        self.loop.builders = [self.draws.set_state(state)] * self.n_env
        self._memory.set_state(state)
        if self._telemetry is not None:
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
            "draws_from": self.draws.source,
            "state": self.get_state() if begun else None,
        }

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        series = published_series() if pickled["series"] is None else pickled["series"]
        self.__init__(series=series, check=False, **pickled["options"])  # type: ignore[misc]
        self.draw_from(pickled["draws_from"])
        if pickled["state"] is not None:
            self.set_state(pickled["state"])

    @property
    def _shown_as(self) -> dict[str, str]:
        """What a state is of besides its grid and scenario."""
        return {"observation": self.observation, "physics": self.physics}

    def _start(self, envs: IntArray) -> None:
        self.loop.reset(envs, self.draws.begin(envs))
        self._memory.forget(envs)
        if self._telemetry is not None:
            keys = [episode.scada_key for env in envs if (episode := self.loop.episode[env]) is not None]
            self._telemetry.reset(envs, keys, self._look()[0])
