"""The grid as one mass: the model that predictive control and the bound plan on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from cases.arrays import FloatArray
from control.controllers.base import CLASSES
from control.plants.battery import S_PER_H
from control.plants.fleet_state import DR, GAS
from control.task.description import TaskDescription
from control.task.reward import RewardConfig
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.parameters import SwingConfig, machine_inertia_mws_per_hz
from grid_model.dynamics.simulator import GridSimulator

__all__ = ["OneMass", "Start", "as_committed", "damping_mw_per_hz", "imbalance_mw", "one_mass"]

# Variables of a stage. Frequency [mHz], reheater, outputs [MW], energies [MWh], commands and DR set-point [MW], and
# the rise and fall of each command.
F, X, PG, PD, EB, ED, UB, UG, CD, SD, UP, DN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13
N_STAGE = 16
N_STATE = 6  # F to ED
INPUTS = (UB, UG, SD)  # and d

MHZ = 1000.0  # mHz per Hz: frequency is in mHz inside the program, so that all variables are of one order


@dataclass(frozen=True, kw_only=True)
class OneMass:
    """The grid as one rotating mass, and the three classes as one plant each."""

    inertia_mws_per_hz: float
    damping_mw_per_hz: float
    governor: GovernorConfig
    reward: RewardConfig  # what frequency, movement and effort cost
    n_bus: int
    interval_s: float
    count: FloatArray  # plants of each class, one where there is none, [class]
    step_mw: FloatArray  # of all plants of the class in an interval, [class]
    low_mw: FloatArray
    high_mw: FloatArray
    lag_s: FloatArray
    cost_per_mw: FloatArray
    cost_per_mw2: FloatArray
    energy_mwh: float  # of all batteries
    rebound_s: float


def one_mass(task: TaskDescription, swing: SwingConfig | None = None) -> OneMass:
    """The grid of a task at its mean load as one mass, with the task's reward.

    Args:
        task: what is known of grid, fleet, scenario and reward.
        swing: frequency model; the published grid's, which controllers may know, if None.
    """
    case, fleet = task.case, task.fleet
    swing = swing or task.swing
    member = fleet.kind[None, :] == np.array(CLASSES)[:, None]
    first = member.argmax(axis=1)  # of a class without plants any: nothing of it can move
    return OneMass(
        inertia_mws_per_hz=float(machine_inertia_mws_per_hz(case, swing.inertia_to_mws).sum()),
        damping_mw_per_hz=swing.load_damping * task.mean_load_mw / case.f0_hz,
        governor=swing.governor,
        reward=task.reward,
        n_bus=case.n_bus,
        interval_s=task.interval_s,
        count=np.maximum(member.sum(axis=1), 1).astype(np.float64),
        step_mw=member @ fleet.step_mw,
        low_mw=member @ fleet.low_mw,
        high_mw=member @ fleet.high_mw,
        lag_s=fleet.lag_s[first],
        cost_per_mw=fleet.cost_per_mw[first],
        cost_per_mw2=fleet.cost_per_mw2[first],
        energy_mwh=float(fleet.energy_mwh[fleet.bess].sum()),
        rebound_s=float(fleet.rebound_s[first[DR]]),
    )


def as_committed(
    model: OneMass, *, inertia_mws_per_hz: float, governor_share: float, damping_mw_per_hz: float
) -> OneMass:
    """The mass with what of its machines is in the schedule and in service.

    Units follow a commitment: at low load half of the published inertia turns, and half of the governors' gain.

    Args:
        model: with all machines.
        inertia_mws_per_hz: M of those in service.
        governor_share: of the governors' gain, theirs.
        damping_mw_per_hz: of the loads as they are.
    """
    governor = replace(model.governor, gain_mw_per_hz=governor_share * model.governor.gain_mw_per_hz)
    return replace(
        model, inertia_mws_per_hz=inertia_mws_per_hz, governor=governor, damping_mw_per_hz=damping_mw_per_hz
    )


def damping_mw_per_hz(grid: GridSimulator) -> FloatArray:
    """Of the loads as they are now, D P / f0, [env]."""
    damping: FloatArray = (
        grid.config.load_damping / grid.engine.case.f0_hz * grid.injections.load_mw.sum(axis=1)
    )
    return damping


def imbalance_mw(grid: GridSimulator) -> FloatArray:
    """Schedule and renewables less load at 60 Hz and losses, without the agents' plants [MW], [env]."""
    lacking = np.where(grid.engine.machine_in_service, grid.injections.schedule_mw - grid.machine_mw, 0.0)
    found: FloatArray = (
        lacking.sum(axis=1)
        + damping_mw_per_hz(grid) * grid.coi_df_hz()
        - grid.injections.resource_mw.sum(axis=1)
    )
    return found


@dataclass(frozen=True, kw_only=True)
class Discrete:
    """y1 = phi y0 + gamma0 v0 + gamma1 v1 + sign constant over a stage, with v = U_bess, u_gas, u_dr, d."""

    phi: FloatArray
    gamma0: FloatArray
    gamma1: FloatArray
    constant: FloatArray


def discretise(model: OneMass, span_s: float, governor_active: bool) -> Discrete:
    """Exact over a stage in which inputs move along straight lines and governors are active throughout or not."""
    g, m = model.governor, model.inertia_mws_per_hz
    gain = g.gain_mw_per_hz if governor_active else 0.0
    n, n_in = N_STATE, len(INPUTS) + 1
    # State, inputs, slopes of the inputs, one.
    a = np.zeros((n + 2 * n_in + 1,) * 2)
    per_mw = MHZ / m
    a[F, F] = -(model.damping_mw_per_hz + g.high_pressure_fraction * gain) / m
    a[F, X] = per_mw * (1.0 - g.high_pressure_fraction)
    a[F, PG] = a[F, PD] = per_mw
    a[F, n] = a[F, n + 3] = per_mw
    a[F, -1] = per_mw * g.high_pressure_fraction * gain * g.dead_band_hz
    a[X, X] = -1.0 / g.t_reheat_s
    a[X, F] = -gain / MHZ / g.t_reheat_s
    a[X, -1] = gain * g.dead_band_hz / g.t_reheat_s
    a[PG, PG], a[PG, n + 1] = -1.0 / model.lag_s[GAS], 1.0 / model.lag_s[GAS]
    a[PD, PD], a[PD, n + 2] = -1.0 / model.lag_s[DR], 1.0 / model.lag_s[DR]
    a[EB, n] = -1.0 / S_PER_H
    a[ED, PD] = 1.0 / S_PER_H
    a[n : n + n_in, n + n_in : n + 2 * n_in] = np.eye(n_in)
    e = linalg.expm(a * span_s)
    slope = e[:n, n + n_in : n + 2 * n_in] / span_s
    return Discrete(phi=e[:n, :n], gamma0=e[:n, n : n + n_in] - slope, gamma1=slope, constant=e[:n, -1])


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where the program begins, everything known."""

    df_hz: float = 0.0
    reheat_mw: float = 0.0
    gas_mw: float = 0.0
    dr_mw: float = 0.0
    energy_mwh: float = 0.0  # in all batteries
    owed_mwh: float = 0.0  # by demand response
    command_mw: tuple[float, float, float] = (0.0, 0.0, 0.0)  # bess, gas, dr
    dr_set_point_mw: float = 0.0

    def vector(self) -> FloatArray:
        """As the variables of a stage; rise and fall are zero."""
        x = np.zeros(N_STAGE)
        x[:N_STATE] = (
            MHZ * self.df_hz, self.reheat_mw, self.gas_mw, self.dr_mw, self.energy_mwh, self.owed_mwh,
        )  # fmt: skip
        x[UB : CD + 1] = self.command_mw
        x[SD] = self.dr_set_point_mw
        return x


def dead_band_side(df_mhz: FloatArray, dead_band_hz: float) -> FloatArray:
    """-1, 0 or 1: below, inside or above the governors' dead band."""
    return np.sign(df_mhz) * (np.abs(df_mhz) > MHZ * dead_band_hz)
