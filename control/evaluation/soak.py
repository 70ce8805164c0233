"""Soaking: a batch of closed loops under random actions, and everything looked for that should not happen.

Looked for: numbers that are not finite, power that does not balance at the end of an interval, energy that does not
balance over an episode, limits of resources that are exceeded, and energy of a plant that is not what it delivered.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from scipy.integrate import simpson

from control.plants.fleet_state import BESS
from control.task.closed_loop import ClosedLoop
from control.task.limits import LimitCheck
from grid_model.dynamics.injections import lagged_response

# A power flow ends below 1e-7 MW a bus, and injections are handed over in steps of 1.2e-7 MW.
GAP_MW_PER_BUS = 2.2e-7
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

    @property
    def groups(self) -> Any:
        """Groups of agents, each with a name and a number of agents."""

    def reset(self) -> Any:
        """Begins an episode in every environment."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """One interval: observations, reward, ends and terms of every environment."""


class SoakError(RuntimeError):
    """Something happened that should not; the message says what, where and when."""


def peak_mb() -> float:
    """Largest memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def look(batch: Batch, transition: Any, where: str, inside: Any) -> None:
    """Look for what no interval may show: numbers not finite, plants outside their range, power out of balance.

    Args:
        batch: the environments.
        transition: what the interval led to.
        where: suite and step, for the message.
        inside: environments whose episode goes on.

    Raises:
        SoakError: the interval shows it.
    """
    arrays = {
        "reward": transition.reward,
        "state": transition.final_observation.state,
        **{f"observations of {k}": x for k, x in transition.final_observation.observations.items()},
        **transition.terms,
    }
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise SoakError(
                f"{where}: {name} is not finite in environment {np.argwhere(~np.isfinite(values))[0][0]}"
            )
    fleet, end = batch.loop.fleet, batch.last_result
    assert end is not None
    over_mw = np.maximum(end.resource_mw - fleet.high_mw, fleet.low_mw - end.resource_mw)
    if over_mw.max() > 1e-9:  # rounding of a sum
        raise SoakError(f"{where}: {fleet.name[int(over_mw.max(axis=0).argmax())]} is outside its range")
    charge = end.utilisation[:, fleet.bess]
    if charge.min() < -1e-9 or charge.max() > 1.0 + 1e-9:
        raise SoakError(f"{where}: a battery's state of charge is {charge.min():g} to {charge.max():g}")
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


def soak(batch: Batch, n_step: int, seed: int, suite: str, tick: Any) -> dict[str, float]:
    """Plays n_step intervals of the batch; figures of what was met."""
    rng = np.random.default_rng([seed, len(suite)])
    batch.reset()
    n_env, fleet = batch.n_env, batch.loop.fleet
    interval_h = fleet.interval_s / S_PER_H
    episodes = lost = broken = outages = unsolved = 0
    energy_mwh = np.zeros(n_env)  # of the gap, over the episode
    worst_mwh = worst_plant_mwh = 0.0
    ledger = PlantLedger(batch)
    held = np.zeros(n_env)
    for k in range(n_step):
        if k % HOLD_STEPS == 0:
            held = rng.integers(-1, 2, n_env).astype(np.float64)
        actions = {
            g.name: np.where(
                (held != 0.0)[:, None, None],
                held[:, None, None],
                rng.uniform(-1.0, 1.0, (n_env, g.n_agent, 1)),
            ).astype(np.float32)
            for g in batch.groups
        }
        transition = batch.step(actions)
        done = transition.terminated | transition.truncated
        look(batch, transition, f"{suite}, step {k}", ~done)
        worst_plant_mwh = max(worst_plant_mwh, ledger.book(done, f"{suite}, step {k}"))
        solved = batch.loop.grid.engine.converged
        unsolved += int((~solved & ~done).sum())
        energy_mwh[~done & solved] += batch.loop.power_gap_mw()[~done & solved] * interval_h
        worst_mwh = max(worst_mwh, float(np.abs(energy_mwh).max()))
        energy_mwh[done] = 0.0
        episodes += int(done.sum())
        lost += int(transition.terminated.sum())
        broken += int(transition.terms["violations"].sum())
        outages += int((batch.loop.elements_out[~done] > 0).sum())
        tick(n_env)
    return {
        "steps": float(n_step * n_env),
        "episodes_ended": float(episodes),
        "grids_lost": float(lost),
        "violations": float(broken),
        "steps_with_an_outage": float(outages),
        "steps_without_a_solution": float(unsolved),
        "worst_energy_gap_mwh": worst_mwh,
        "worst_plant_energy_gap_mwh": worst_plant_mwh,
    }


def soak_suite(
    batch: Batch, n_step: int, seed: int, suite: str, tick: Any, *, max_growth_mb: float
) -> dict[str, float]:
    """Plays n_step intervals of the batch and watches what memory they add once every environment has begun anew.

    Returns:
        The figures of `soak`, and `memory_growth_mb`.

    Raises:
        SoakError: something that should not happen, or memory grew by more than max_growth_mb.
    """
    first = min(n_step, batch.loop.scenario.n_intervals + 1)  # a second episode has begun everywhere by then
    start = soak(batch, first, seed, suite, tick)
    before_mb = peak_mb()
    rest = soak(batch, n_step - first, seed + 1, suite, tick)
    growth_mb = peak_mb() - before_mb
    if growth_mb > max_growth_mb:
        raise SoakError(f"{suite}: memory grew by {growth_mb:.0f} MB after the first episodes")
    figures = {
        name: max(start[name], rest[name]) if name.startswith("worst") else start[name] + rest[name]
        for name in start
    }
    return figures | {"memory_growth_mb": growth_mb}


def in_words(suite: str, figures: Mapping[str, float]) -> str:
    """Figures of `soak_suite` in one line."""
    return (
        f"{suite:16s}{figures['steps']:>10,.0f} steps, {figures['episodes_ended']:>6,.0f} episodes, "
        f"{figures['grids_lost']:.0f} grids lost, {figures['violations']:,.0f} violations, energy to "
        f"{figures['worst_energy_gap_mwh']:.1e} MWh, plants' to "
        f"{figures['worst_plant_energy_gap_mwh']:.1e} MWh, memory +{figures['memory_growth_mb']:.0f} MB"
    )
