"""Soaking: a batch of closed loops under any actor, and everything looked for that should not happen.

Looked for: numbers that are not finite, frequency out of all bounds, limits of resources that are exceeded and memory
that grows; on the full model also power that does not balance at the end of an interval, energy that does not balance
over an episode, and energy of a plant that is not what it delivered. The reduced model has no power flow to balance.
"""

from __future__ import annotations

import os
import resource
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.integrate import simpson

from cases.arrays import BoolArray, IntArray
from control.evaluation.rollout import Actor
from control.plants.fleet_state import BESS
from control.task.closed_loop import ClosedLoop
from control.task.limits import LimitCheck
from grid_model.dynamics.injections import lagged_response

__all__ = [
    "Batch",
    "PlantLedger",
    "RestlessAgents",
    "SoakError",
    "in_words",
    "look",
    "resident_mb",
    "soak",
    "soak_row",
    "total",
]

# A power flow ends below 1e-7 MW a bus, and injections are handed over in steps of 1.2e-7 MW.
GAP_MW_PER_BUS = 2.2e-7
# A grid is lost at 2.2 Hz, at the end of the interval of 4 s in which that happens; frequency falls by 2 Hz in a second
# where half of what a grid with 6 s of stored energy is fed with is lost at once.
MOST_DF_HZ = 10.0
# Intervals for which some agents repeat their action: long enough for the slowest to reach the ends of their ranges.
HOLD_STEPS = 125
QUADRATURE_STEPS = 64  # of Simpson's rule in an interval
# Between what a plant delivers in an episode and the energy it says it has. Simpson's rule errs by up to 2e-8 MWh in an
# interval in which a battery's power changes sign, and these errors add up to 2e-7 in the worst episode of a million
# steps; this is five times that. An efficiency wrong by a thousandth shows at once: 50 MW for 4 s are 0.06 MWh.
LEDGER_MWH = 1e-6
S_PER_H = 3600.0


class Batch(Protocol):
    """What is soaked: a batch of environments around a closed loop, such as marl's."""

    @property
    def loop(self) -> ClosedLoop:
        """The grids themselves."""

    @property
    def last_result(self) -> LimitCheck | None:
        """What the interval before came to."""

    @property
    def n_env(self) -> int:
        """Number of environments."""

    def reset(self) -> Any:
        """Begins an episode in every environment; what they show."""

    def step(self, actions: Any) -> Any:
        """One interval: observations, reward, ends and terms of every environment."""


class SoakError(RuntimeError):
    """Something happened that should not; the message says what, where and when."""


class RestlessAgents:
    """Agents of which some act at random and some push one way for minutes on end, to the ends of their ranges."""

    def __init__(self, groups: Iterable[Any], n_env: int, seed: int | Sequence[int]) -> None:
        """Args: groups: of agents, each with its name and number; n_env: environments; seed: of what they do."""
        self._shape = {g.name: (n_env, g.n_agent, 1) for g in groups}
        self._rng, self._k = np.random.default_rng(seed), 0
        self._held = np.zeros(n_env)

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """The generator is not the episodes'."""

    def act(self, observation: Any) -> dict[str, Any]:
        """{group: [env, agent, 1]}."""
        if self._k % HOLD_STEPS == 0:
            self._held = self._rng.integers(-1, 2, len(self._held)).astype(np.float64)
        self._k += 1
        held = self._held[:, None, None]
        return {
            name: np.where(held != 0.0, held, self._rng.uniform(-1.0, 1.0, shape)).astype(np.float32)
            for name, shape in self._shape.items()
        }


def resident_mb() -> float:
    """Memory that this process has now [MB]; where the system does not tell it, the most that it ever had."""
    told = Path("/proc/self/statm")
    if told.is_file():
        return int(told.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def look(batch: Batch, transition: Any, where: str, inside: BoolArray | None) -> None:
    """Look for what no interval may show: numbers not finite, plants outside their range, power out of balance.

    Args:
        batch: the environments.
        transition: what the interval led to.
        where: suite and step, for the message.
        inside: environments whose episode goes on; None on a model without a power flow.

    Raises:
        SoakError: the interval shows it.
    """
    arrays = {
        "reward": transition.reward,
        "state": transition.final_observation.state,
        **{f"observations of {k}": x for k, x in transition.final_observation.observations.items()},
        **transition.terms,
    }
    fleet, end = batch.loop.fleet, batch.last_result
    assert end is not None
    arrays["frequency"] = end.max_abs_df_hz
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise SoakError(
                f"{where}: {name} is not finite in environment {np.argwhere(~np.isfinite(values))[0][0]}"
            )
    if end.max_abs_df_hz.max() > MOST_DF_HZ:
        raise SoakError(f"{where}: frequency is {end.max_abs_df_hz.max():g} Hz from where it should be")
    over_mw = np.maximum(end.resource_mw - fleet.high_mw, fleet.low_mw - end.resource_mw)
    if over_mw.max() > 1e-9:  # rounding of a sum
        raise SoakError(f"{where}: {fleet.name[int(over_mw.max(axis=0).argmax())]} is outside its range")
    charge = end.utilisation[:, fleet.bess]
    if charge.min() < -1e-9 or charge.max() > 1.0 + 1e-9:
        raise SoakError(f"{where}: a battery's state of charge is {charge.min():g} to {charge.max():g}")
    if inside is None:
        return
    # Where a failed power flow is being ridden through, the last solution is of an earlier moment.
    gap_mw = np.abs(batch.loop.power_gap_mw()[inside & batch.loop.grid.engine.converged])
    if gap_mw.size and gap_mw.max() > GAP_MW_PER_BUS * batch.loop.case.n_bus:
        raise SoakError(f"{where}: {gap_mw.max():.2e} MW do not balance")


class PlantLedger:
    """Books what every plant delivers, by a quadrature of its own, and holds it against the energy it says it has.

    dE/dt = -x / eta_d (x > 0), -x eta_c (x < 0)    batteries,          dE/dt = x    gas and demand response
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._open()

    def _open(self) -> None:

        plants = self._batch.loop.resources
        self._start_mwh = plants.energy_mwh.copy()
        self._booked_mwh = np.zeros_like(plants.energy_mwh)
        self._set_point_mw, self._output_mw = plants.set_point_mw.copy(), plants.output_mw.copy()

    def book(self, done: Any, where: str) -> float:
        """Takes in the interval that has just ended; the largest gap so far [MWh].

        Args:
            done: environments whose episode ended in it, and that stand at the beginning of another, [env].
            where: suite and step, for the message.

        Raises:
            SoakError: a plant's energy is not what it delivered.
        """
        fleet, plants = self._batch.loop.fleet, self._batch.loop.resources
        h_s = fleet.interval_s
        t_s = np.linspace(0.0, h_s, QUADRATURE_STEPS + 1)
        x_mw = np.stack(
            [
                lagged_response(self._output_mw, self._set_point_mw, plants.set_point_mw, fleet.lag_s, t, h_s)
                for t in t_s
            ]
        )  # [time, env, resource]
        stored_mw = np.where(
            x_mw > 0.0, -x_mw / fleet.discharging_efficiency, -x_mw * fleet.charging_efficiency
        )
        growth_mw = np.where(fleet.kind == BESS, stored_mw, x_mw)
        self._booked_mwh += simpson(growth_mw, x=t_s, axis=0) / S_PER_H
        # Where a bus has gone dark its plant has tripped within the interval, and its books begin anew.
        again = done[:, None] | ~self._batch.loop.grid.engine.bus_live[:, fleet.bus]
        gap_mwh = np.where(again, 0.0, np.abs(plants.energy_mwh - self._start_mwh - self._booked_mwh))
        worst_mwh = float(gap_mwh.max())
        if worst_mwh > LEDGER_MWH:
            plant = fleet.name[int(gap_mwh.max(axis=0).argmax())]
            raise SoakError(f"{where}: {plant} has {worst_mwh:.1e} MWh more or less than it delivered")
        for mine, theirs in (
            (self._start_mwh, plants.energy_mwh),
            (self._booked_mwh, np.zeros_like(plants.energy_mwh)),
        ):
            mine[again] = theirs[again]
        self._set_point_mw, self._output_mw = plants.set_point_mw.copy(), plants.output_mw.copy()
        return worst_mwh


def soak(
    batch: Batch, actor: Actor[Any, Any], n_step: int, where: str, tick: Callable[[int], Any], *, full: bool
) -> dict[str, float]:
    """Plays n_step intervals of the batch; figures of what was met, memory among them once all have begun anew.

    Args:
        batch: the environments.
        actor: who acts in all of them.
        n_step: intervals.
        where: beginning of messages.
        tick: called with the number of steps after each interval.
        full: whether it is the model with power flows, where energy is held against them.

    Raises:
        SoakError: something that should not happen.
    """
    n_env, loop = batch.n_env, batch.loop
    everywhere = np.arange(n_env)
    seen = batch.reset()
    actor.reset(everywhere, np.zeros(n_env, dtype=np.int64))
    interval_h = loop.fleet.interval_s / S_PER_H
    settled = min(
        loop.scenario.n_intervals, (n_step - 1) // 2
    )  # an episode has ended and another begun everywhere
    before_mb = 0.0
    episodes = lost = broken = outages = unsolved = 0
    energy_mwh = np.zeros(n_env)  # of the gap, over the episode
    worst_mwh = worst_plant_mwh = worst_hz = 0.0
    ledger = PlantLedger(batch) if full else None
    for k in range(n_step):
        at = f"{where}, step {k}"
        transition = batch.step(actor.act(seen))
        done = transition.terminated | transition.truncated
        look(batch, transition, at, ~done if full else None)
        assert batch.last_result is not None
        worst_hz = max(worst_hz, float(batch.last_result.max_abs_df_hz.max()))
        if ledger is not None:
            worst_plant_mwh = max(worst_plant_mwh, ledger.book(done, at))
            solved = ~done & loop.grid.engine.converged
            unsolved += int((~solved & ~done).sum())
            energy_mwh[solved] += loop.power_gap_mw()[solved] * interval_h
            worst_mwh = max(worst_mwh, float(np.abs(energy_mwh).max()))
            energy_mwh[done] = 0.0
        episodes += int(done.sum())
        lost += int(transition.terminated.sum())
        broken += int(transition.terms["violations"].sum())
        outages += int((loop.elements_out[~done] > 0).sum())
        if done.any():
            actor.reset(np.flatnonzero(done), np.zeros(int(done.sum()), dtype=np.int64))
        seen = transition.observation
        if k == settled:
            before_mb = resident_mb()
        tick(n_env)
    figures = {
        "steps": float(n_step * n_env),
        "episodes_ended": float(episodes),
        "grids_lost": float(lost),
        "violations": float(broken),
        "steps_with_an_outage": float(outages),
        "worst_df_hz": worst_hz,
        "memory_before_mb": before_mb,
        "memory_after_mb": resident_mb(),
    }
    if full:
        figures |= {
            "steps_without_a_solution": float(unsolved),
            "worst_energy_gap_mwh": worst_mwh,
            "worst_plant_energy_gap_mwh": worst_plant_mwh,
        }
    return figures


def soak_row(
    batch: Batch,
    actor: Actor[Any, Any],
    n_step: int,
    where: str,
    tick: Callable[[int], Any],
    *,
    full: bool,
    max_growth_mb: float,
) -> dict[str, Any]:
    """As `soak`, but whatever is found, or happens, is told among the figures, so that others can be played after it.

    Args:
        batch: see `soak`, as for the next four and `full`.
        actor: likewise.
        n_step: likewise.
        where: likewise.
        tick: likewise.
        full: likewise.
        max_growth_mb: that may be added once every environment has begun anew.

    Returns:
        The figures of `soak`, and `found`, what was found in words, "" if nothing. Where it was an error, there are no
        figures but the steps that led to it.
    """
    steps = 0

    def count(n: int) -> None:
        nonlocal steps
        steps += n
        tick(n)

    try:
        figures = soak(batch, actor, n_step, where, count, full=full)
    # Whatever it is, it is what is looked for here, and all other rows are still to be played.
    except Exception as error:
        if isinstance(error, SoakError):
            return {"steps": float(steps), "found": str(error)}
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
        return {"steps": float(steps), "found": f"{where}: {what}"}
    growth_mb = figures["memory_after_mb"] - figures["memory_before_mb"]
    return figures | {
        "found": f"{where}: memory grew by {growth_mb:.0f} MB" if growth_mb > max_growth_mb else ""
    }


def total(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What rows of one model come to: sums, the worst of each, and the memory from the end of one suite to the last.

    Caches fill up while the first suite is played on all grids by all actors; the others need no more.
    """
    whole = [row for row in rows if "memory_after_mb" in row]
    if not whole:
        return {"steps": sum(float(row["steps"]) for row in rows)}
    found = {"steps": sum(float(row["steps"]) for row in rows)}
    for name in (
        "episodes_ended",
        "grids_lost",
        "violations",
        "steps_with_an_outage",
        "steps_without_a_solution",
    ):
        found[name] = sum(float(row.get(name, 0.0)) for row in whole)
    for name in ("worst_df_hz", "worst_energy_gap_mwh", "worst_plant_energy_gap_mwh"):
        if name in whole[0]:
            found[name] = max(float(row[name]) for row in whole)
    first = [row for row in whole if row["suite"] == whole[0]["suite"]]
    last = [row for row in whole if row["suite"] == whole[-1]["suite"]]
    after_first_mb, after_last_mb = (
        max(float(row["memory_after_mb"]) for row in some) for some in (first, last)
    )
    return found | {"memory_mb": after_last_mb, "memory_growth_mb": after_last_mb - after_first_mb}


def in_words(row: Mapping[str, Any]) -> str:
    """A row of `soak_row` in one line; of the names `model`, `grid`, `suite` and `actor` beside its figures."""
    name = f"{row['model']:8s}{row['grid']:9s}{row['suite']:18s}{row['actor']:18s}"
    if row["found"]:
        return f"{name} FOUND: {row['found']}"
    energy = ""
    if "worst_energy_gap_mwh" in row:
        energy = (
            f", energy to {row['worst_energy_gap_mwh']:.1e} MWh, plants' to "
            f"{row['worst_plant_energy_gap_mwh']:.1e} MWh"
        )
    return (
        f"{name}{row['steps']:>10,.0f} steps, {row['grids_lost']:.0f} of {row['episodes_ended']:,.0f} grids lost, "
        f"to {1000.0 * row['worst_df_hz']:.0f} mHz{energy}, memory {row['memory_after_mb']:.0f} MB "
        f"({row['memory_after_mb'] - row['memory_before_mb']:+.1f})"
    )
