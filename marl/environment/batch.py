"""The grid as the learner knows environments: agents in groups by kind of plant, actions and observations by group.

`GridBatch` stands on a `Task`, which plays the episodes; here its arrays [env, resource, ...] become the groups of
`marl.protocol` and back. `GridParallelEnv` stands on such a task too, and the same seed gives the same episode in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.scenario.config import ScenarioConfig
from control.task.action import ActionError
from control.task.area_telemetry import AREAS
from control.task.closed_loop import ClosedLoop
from control.task.description import TaskDescription
from control.task.limits import LimitCheck
from control.task.observation import electrical_distance_pu
from control.task.open_task import make_task
from control.task.plant_telemetry import MESSAGE_SIZE, TELEMETRY
from control.task.reward import RewardConfig
from control.task.shield import ShieldConfig
from control.task.staged_loop import ScenarioChanged
from control.task.task import Physics, Task
from control.task.task_step import TaskObservation
from grid_model.dynamics.parameters import Level, SwingConfig
from marl.environment.hierarchy import HIERARCHY
from marl.protocol import AgentGroup, Float32Array, Messages, Observation, Transition

__all__ = ["ActionError", "GridBatch", "make_batch", "numbers"]


class GridBatch:
    """A batch of episodes of one task, as the learner knows environments (`marl.protocol`)."""

    def __init__(self, task: Task) -> None:
        """Args: task: what is played; it belongs to this batch from now on."""
        self.task = self._built = task
        self._of_kind = task.of_kind
        # Agents of a kind that stand side by side are shown their part of one array that is new at every step.
        self._shown = {kind: _as_slice(rows) for kind, rows in self._of_kind.items()}
        self._groups = tuple(
            AgentGroup(
                name=kind,
                agents=tuple(task.case.resource.name[i] for i in rows),
                observation_size=task.observation_size,
                action_size=1,
                messages=_messages(task, rows) if task.observation == TELEMETRY else None,
            )
            for kind, rows in self._of_kind.items()
        )
        self._in_service = None
        if task.in_service is not None:
            self._in_service = {kind: task.in_service[:, rows] for kind, rows in self._of_kind.items()}
            for of_kind in self._in_service.values():
                of_kind.flags.writeable = False

    @property
    def n_env(self) -> int:
        """Episodes stepped together."""
        return self.task.n_env

    @property
    def groups(self) -> tuple[AgentGroup, ...]:
        """Agents by kind of resource: batteries, gas plants, demand response."""
        return self._groups

    @property
    def state_size(self) -> int:
        """Length of the critic's view."""
        return self.task.state_size

    @property
    def loop(self) -> ClosedLoop:
        """The grids themselves, with plants and telemetry."""
        return self.task.loop

    @property
    def case(self) -> Case:
        """The grid."""
        return self.task.case

    @property
    def scenario(self) -> ScenarioConfig:
        """What episodes are made of."""
        return self.task.scenario

    @property
    def description(self) -> TaskDescription:
        """What controllers are built from."""
        return self.task.description

    @property
    def last_result(self) -> LimitCheck | None:
        """The limit check of the last interval; None before the first."""
        return self.task.last_result

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """Start a new episode everywhere, from these seeds [env] or from where the generators stand.

        Raises:
            ValueError: there is not one seed for each environment.
        """
        return self._by_group(self.task.reset(seeds))

    def draw_from(self, scenario: str) -> None:
        """From now on new episodes are drawn from the scenario of this name; those under way go on as they are.

        Where it changes what a batch keeps (`control.task.staged_loop.FIXED`), such as inertia or delays, the batch is
        built anew, and waits for `reset` or `set_state`. Which of the two it is hangs on the scenario alone.

        Raises:
            control.scenario.config.ScenarioError: there is none.
            control.task.staged_loop.ScenarioChanged: agents would see other numbers in it, or others be in service.
        """
        try:
            self._built.draw_from(scenario)
        except ScenarioChanged:
            other = self._built.of_scenario(scenario)
            if other.state_size != self.state_size or not np.array_equal(
                _service(other), _service(self._built)
            ):
                raise
            self.task = other
        else:
            self.task = self._built

    def begin_next(self, seeds: IntArray) -> None:
        """Episodes after the present ones are those of these seeds, [env, episode], see `Task.begin_next`."""
        self.task.begin_next(seeds)

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One control interval of every episode; finished ones start anew.

        Args:
            actions: {group: [env, agent, 1]}, clipped to -1..1.

        Raises:
            ActionError: a group is missing, a shape is wrong, or a number is not finite.
        """
        step = self.task.step(self._action_array(actions))
        final = observed = self._by_group(step.final_observation)
        if step.observation is not step.final_observation:
            observed = self._by_group(step.observation)
        return Transition(
            observation=observed,
            final_observation=final,
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            terms=step.terms,
        )

    def close(self) -> None:
        """Let go of the task."""
        self.task.close()

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit: arrays, numbers, strings and dictionaries."""
        return self.task.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, also in another process.

        Where it refuses, everything is as it was.

        Raises:
            ValueError: it is the state of another grid, scenario, observation, physics or number of environments, or
                something is lacking in it.
        """
        self.task.set_state(state)

    def _action_array(self, actions: Any) -> FloatArray:
        """Of all plants, [env, resource].

        Raises:
            ActionError: a group is missing or unknown, no numbers are given, or a shape is wrong.
        """
        if not isinstance(actions, Mapping):
            names = ", ".join(group.name for group in self.groups)
            raise ActionError(
                f"actions are a {type(actions).__name__}, expected one array for each of {names}"
            )
        task = self.task
        action = np.empty((task.n_env, task.case.n_resource))
        for group in self._groups:
            if group.name not in actions:
                raise ActionError(f"no action for group {group.name!r}, found {sorted(actions)}")
            given = actions[group.name]
            if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu":
                given = numbers(given, f"actions of group {group.name!r}")
            if given.shape != (task.n_env, group.n_agent, 1):
                raise ActionError(
                    f"actions of group {group.name!r} have shape {given.shape}, "
                    f"expected {(task.n_env, group.n_agent, 1)}"
                )
            action[:, self._shown[group.name]] = given[:, :, 0]
        if len(actions) > len(self.groups):
            known = [group.name for group in self.groups]
            unknown = next(name for name in actions if name not in known)
            raise ActionError(f"actions for {unknown!r}, which is no group, expected of {', '.join(known)}")
        return action

    def _by_group(self, seen: TaskObservation) -> Observation:
        return Observation(
            observations={kind: seen.agents[:, rows] for kind, rows in self._shown.items()},
            state=seen.state,
            in_service=self._in_service,
        )


def make_batch(
    scenario: str | Path | ScenarioConfig = "training",
    n_env: int = 1,
    seed: int = 0,
    observation: str = "default",
    *,
    case: str | Path | Case = "",
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
) -> GridBatch:
    """A batch of episodes on the 68-bus system, or on any other grid.

    Args:
        scenario: a suite or training distribution by name, the path of a scenario file, or a configuration.
        n_env: episodes at once.
        seed: environment k draws its episodes from child k of this seed.
        observation: as `control.task.task.Task` has it, such as `default`, the 15 numbers of `control.task.layout`; or
            `hierarchy`, for plants and coordinators of areas (`marl.environment.hierarchy`).
        case: a grid by its name or file (`control.scenario.task_grid`), or a `Case` with plants on it; the 68-bus
            system if empty.
        variant: of the 68-bus system, `rogers` or `tr18`.
        level: of aggregation of the frequency model, `machine`, `area` or `system`; that of `swing` if None.
        swing: frequency model; the default one if None.
        reward: weights; the default ones if None.
        stagger: truncate each first episode after a length that follows from its seed, see `control.task.task.Task`.
        auto_reset: begin a new episode where one ends; otherwise the batch stays as it ended until `reset`.
        check: let pandapower confirm the power-flow engine.
        physics: `full`, or `reduced`, the model without a power flow of `control.task.reduced_loop`.
        pool: training episodes that are drawn once and played again and again, with `reduced`; see `Task`.
        shield: limits onto which joint actions are moved before they are carried out, see `control.task.shield`.

    Raises:
        ScenarioError: there is no such scenario, or it contradicts itself.
        CaseDataError: there is no such grid, or it cannot be played on.
        ValueError: an option has a value that it cannot have.
    """
    from marl.environment.layered_batch import LayeredBatch  # which stands on this file

    layered = observation == HIERARCHY
    make = LayeredBatch if layered else GridBatch
    return make(
        make_task(
            scenario,
            n_env,
            seed,
            AREAS if layered else observation,
            case=case,
            variant=variant,
            level=level,
            swing=swing,
            reward=reward,
            stagger=stagger,
            auto_reset=auto_reset,
            check=check,
            physics=physics,
            pool=pool,
            shield=shield,
        )
    )


def _messages(task: Task, rows: IntArray) -> Messages:
    """What the control centre shows of all plants, and how far they are from these: electrically, in medians."""
    bus = task.case.resource.bus
    distance = electrical_distance_pu(task.case)[np.ix_(bus, bus)]
    n = len(bus)
    between = distance[~np.eye(n, dtype=np.bool_)]
    distance = np.maximum(distance, 0.0) / (float(np.median(between)) if between.any() else 1.0)
    np.fill_diagonal(distance, np.inf)  # nobody listens to itself
    return Messages(size=MESSAGE_SIZE, distance=tuple(tuple(row) for row in distance[rows].tolist()))


def _service(task: Task) -> Any:
    return True if task.in_service is None else task.in_service


def _as_slice(rows: IntArray) -> slice | IntArray:
    """Consecutive positions as a slice, which takes no copy."""
    return slice(int(rows[0]), int(rows[-1]) + 1) if np.all(np.diff(rows) == 1) else rows


def numbers(given: Any, what: str) -> FloatArray:
    """As float64, or an error that says whose they are.

    Raises:
        ActionError: it holds something else.
    """
    try:
        if np.iscomplexobj(given):
            given = str(given)  # is refused: numpy would drop the imaginary part
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ActionError(f"{what}: {given!r} is not a number or an array of numbers") from None
