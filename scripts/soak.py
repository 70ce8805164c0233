"""Plays a million environment steps over all suites with random agents and looks for anything that should not happen.

python scripts/soak.py
python scripts/soak.py --steps 20000 --json soak.json

Looked for: numbers that are not finite, power that does not balance at the end of an interval, energy that does not
balance over an episode, limits of resources that are exceeded, memory that grows. Exit status 1 if any is found.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported anywhere

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line  # noqa: E402

if TYPE_CHECKING:
    from marl.environment.batch import GridBatch

PROGRAM = "soak.py"
# A power flow ends below 1e-7 MW a bus, and injections are handed over in steps of 1.2e-7 MW; 68 buses.
GAP_MW = 68 * 2.2e-7
# Intervals for which some agents repeat their action: long enough for the slowest to reach the ends of their ranges.
HOLD_STEPS = 125
QUADRATURE_STEPS = 64  # of Simpson's rule in an interval
# Between what a plant delivers in an episode and the energy it says it has. Simpson's rule errs by up to 2e-8 MWh in an
# interval in which a battery's power changes sign, and these errors add up to 2e-7 in the worst episode of a million
# steps; this is five times that. An efficiency wrong by a thousandth shows at once: 50 MW for 4 s are 0.06 MWh.
LEDGER_MWH = 1e-6
S_PER_H = 3600.0


class SoakError(RuntimeError):
    """Something happened that should not; the message says what, where and when."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long."""

    steps: int = 1_000_000
    """Environment steps in all, shared by the suites."""
    n_envs: int = 64
    """Environments of a batch."""
    suites: tuple[str, ...] = (
        "normal", "n1", "renewable_ramp", "shift", "stress", "training", "training_n1", "training_ramp",
    )  # fmt: skip
    """Suites to play, or files of your own."""
    intervals: int | None = None
    """Length of an episode, if not the suite's own."""
    seed: int = 0
    """Of episodes and agents; stays clear of the held-out ranges."""
    max_growth_mb: float = 200.0
    """Memory a suite may add after its first episodes."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise command_line.OptionError("--suites names none, expected at least one")
        for name, lowest in (("steps", 1), ("n_envs", 1), ("intervals", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise command_line.OptionError(
                    f"--{name.replace('_', '-')} {value}, expected at least {lowest}"
                )
        if not self.max_growth_mb > 0.0:
            raise command_line.OptionError(f"--max-growth-mb {self.max_growth_mb:g}, expected > 0")


def peak_mb() -> float:
    """Largest memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def look(batch: GridBatch, transition: Any, where: str, inside: Any) -> None:
    """Raises if an interval shows what it should not; `inside`: environments whose episode goes on."""
    import numpy as np

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
    gap_mw = np.abs(batch.loop.power_gap_mw()[inside])
    if gap_mw.size and gap_mw.max() > GAP_MW:
        raise SoakError(f"{where}: {gap_mw.max():.2e} MW do not balance")


class PlantLedger:
    """Books what every plant delivers, by a quadrature of its own, and holds it against the energy it says it has.

    dE/dt = -x / eta_d (x > 0), -x eta_c (x < 0)    batteries,          dE/dt = x    gas and demand response
    """

    def __init__(self, batch: GridBatch) -> None:
        self._batch = batch
        self._open()

    def _open(self) -> None:
        import numpy as np

        plants = self._batch.loop.resources
        self._start_mwh = plants.energy_mwh.copy()
        self._booked_mwh = np.zeros_like(plants.energy_mwh)
        self._set_point_mw, self._output_mw = plants.set_point_mw.copy(), plants.output_mw.copy()

    def book(self, done: Any, where: str) -> float:
        """Takes in the interval that has just ended; the largest gap so far [MWh].

        Args:
            done: environments whose episode ended in it, and that stand at the beginning of another.

        Raises:
            SoakError: a plant's energy is not what it delivered.
        """
        import numpy as np
        from scipy.integrate import simpson

        from control.plants.fleet import BESS
        from grid_model.dynamics.injections import lagged_response

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
        gap_mwh = np.abs(plants.energy_mwh - self._start_mwh - self._booked_mwh)[~done]
        worst_mwh = float(gap_mwh.max()) if gap_mwh.size else 0.0
        if worst_mwh > LEDGER_MWH:
            plant = fleet.name[int(gap_mwh.max(axis=0).argmax())]
            raise SoakError(f"{where}: {plant} has {worst_mwh:.1e} MWh more or less than it delivered")
        for mine, theirs in (
            (self._start_mwh, plants.energy_mwh),
            (self._booked_mwh, np.zeros_like(plants.energy_mwh)),
        ):
            mine[done] = theirs[done]
        self._set_point_mw, self._output_mw = plants.set_point_mw.copy(), plants.output_mw.copy()
        return worst_mwh


def soak(batch: GridBatch, n_step: int, seed: int, suite: str, tick: Any) -> dict[str, float]:
    """Plays n_step intervals of the batch; figures of what was met."""
    import numpy as np

    rng = np.random.default_rng([seed, len(suite)])
    batch.reset()
    n_env, fleet = batch.n_env, batch.loop.fleet
    interval_h = fleet.interval_s / S_PER_H
    episodes = lost = broken = outages = 0
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
        energy_mwh[~done] += batch.loop.power_gap_mw()[~done] * interval_h
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
        "worst_energy_gap_mwh": worst_mwh,
        "worst_plant_energy_gap_mwh": worst_plant_mwh,
    }


def run(options: Options) -> dict[str, Any]:
    """Plays every suite; figures by suite and of memory and time."""
    from dataclasses import replace

    from tqdm import tqdm

    from cases.ieee68 import load_ieee68
    from control.scenario.episode import scenario_named
    from marl.environment.batch import make_batch

    found: dict[str, Any] = {}
    began = time.perf_counter()
    case = load_ieee68()
    # All of them first: a wrong one is told before any is played.
    scenarios = {suite: scenario_named(suite, case) for suite in options.suites}
    n_step = -(-options.steps // (len(scenarios) * options.n_envs))
    total = n_step * options.n_envs * len(scenarios)
    with tqdm(total=total, unit=" steps", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        for suite, scenario in scenarios.items():
            if options.intervals is not None:
                scenario = replace(scenario, n_intervals=options.intervals)
            batch = make_batch(scenario, options.n_envs, options.seed)
            first = min(
                n_step, scenario.n_intervals + 1
            )  # all environments have begun a second episode by then
            start = soak(batch, first, options.seed, suite, bar.update)
            before_mb = peak_mb()
            rest = soak(batch, n_step - first, options.seed + 1, suite, bar.update)
            growth_mb = peak_mb() - before_mb
            if growth_mb > options.max_growth_mb:
                raise SoakError(f"{suite}: memory grew by {growth_mb:.0f} MB after the first episodes")
            figures = {
                name: max(start[name], rest[name]) if name.startswith("worst") else start[name] + rest[name]
                for name in start
            }
            found[suite] = figures | {"memory_growth_mb": growth_mb}
            print(
                f"{suite:16s}{figures['steps']:>10,.0f} steps, {figures['episodes_ended']:>6,.0f} episodes, "
                f"{figures['grids_lost']:.0f} grids lost, {figures['violations']:,.0f} violations, energy to "
                f"{figures['worst_energy_gap_mwh']:.1e} MWh, plants' to "
                f"{figures['worst_plant_energy_gap_mwh']:.1e} MWh, memory +{growth_mb:.0f} MB",
                flush=True,
            )
    steps = sum(figures["steps"] for figures in found.values())
    seconds = time.perf_counter() - began
    print(f"{steps:,.0f} steps in {seconds:.0f} s, {peak_mb():.0f} MB at most: nothing found")
    return found | {"total": {"steps": steps, "seconds": seconds, "peak_mb": peak_mb()}}


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 nothing found, 1 something found or not done, 2 wrong option, 130 stopped."""
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    from control.scenario.config import ScenarioError

    try:
        command_line.require_writable("json", options.json)
        found = run(options)
        if options.json is not None:
            command_line.write_json(options.json, found)
    except ScenarioError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
