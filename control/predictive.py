"""Model-predictive control with the agents' information, and the best that perfect information could do.

Both solve the same quadratic program over a one-mass model of the grid, with the reward's own costs:

    min  sum_k  w_f h_k/h (f_k-1^2 + f_k-1 f_k + f_k^2)/3  +  sum_class C |dU|  +  0.1 W dU^2 / n

    M df/dt    = U_bess + p_gas + p_dr + F_hp g + (1 - F_hp) x + d - D f
    T_r dx/dt  = g - x,                   g = -K (f -+ b) where |f| > b, else 0
    T dp/dt    = u - p                    gas and demand response
    dE/dt      = -U_bess;    de/dt = p_dr,    u_dr = U_dr - e / tau

within ramps, ranges and the batteries' energy. d is the power that is missing or left over, U the sum of a class's
commands, which move along straight lines within a stage, as does d; stages are discretised exactly. A governor with
a dead band is not linear: each stage is taken as inside or outside of it as the previous solution was, and the
perfect-information program is solved again until that no longer changes.

Left out, in favour of the bound: losses of the batteries, differences between plants of a class and between areas,
limits of the governors, limits of branches and voltages. So `perfect_information` is a loose bound: with
the model's errors it may err by a few per cent, and it does not count violations.

The controller knows the published grid, not what a scenario changes in it. It measures frequency as the mean over the
agents' own buses (fresh) and estimates d and its slope by a Kalman filter.

References:
    J. B. Rawlings, D. Q. Mayne, M. Diehl, Model Predictive Control, 2nd ed., 2017, ch. 1.
    B. Stellato et al., OSQP: an operator splitting solver for quadratic programs, Math. Prog. Comp. 12, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from control.battery import S_PER_H
from control.controller import CLASSES, DF_HZ, OWN_DF, OWN_OUTPUT, SetPoints, state_of_charge
from control.fleet import BESS, DR, GAS, Fleet
from grid_model.governor import GovernorConfig
from grid_model.swing import SwingConfig, machine_inertia_mws_per_hz

__all__ = [
    "Bound",
    "OneMass",
    "PredictiveConfig",
    "PredictiveController",
    "PredictiveError",
    "Program",
    "Start",
    "advance_one_mass",
    "one_mass",
    "perfect_information",
]

MHZ = 1000.0  # mHz per Hz: frequency is in mHz inside the program, so that all variables are of one order
FREQUENCY_PER_HZ2 = 1000.0  # of the reward, for each bus
EFFORT = 0.1
MEAN_LOAD_SHARE = 0.59  # of nominal load, over the year
# Variables of a stage. Frequency [mHz], reheater, outputs [MW], energies [MWh], commands and DR set-point [MW], and
# the rise and fall of each command.
F, X, PG, PD, EB, ED, UB, UG, CD, SD, UP, DN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13
N_STAGE = 16
N_STATE = 6  # F to ED
INPUTS = (UB, UG, SD)  # and d
BOXED = (EB, UB, UG, CD, UP, UP + 1, UP + 2, DN, DN + 1, DN + 2)
N_ROW = N_STATE + 1 + 3 + len(BOXED)
OVER_RELAXATION = 1.8  # of OSQP; here it saves a third of the iterations
MOST_PASSES = 6  # over the governor's dead band


class PredictiveError(RuntimeError):
    """The quadratic program cannot be solved; the message says why."""


@dataclass(frozen=True, kw_only=True)
class OneMass:
    """The grid as one rotating mass, and the three classes as one plant each."""

    inertia_mws_per_hz: float
    damping_mw_per_hz: float
    governor: GovernorConfig
    n_bus: int
    interval_s: float
    count: FloatArray  # plants of each class, [class]
    step_mw: FloatArray  # of all plants of the class in an interval, [class]
    low_mw: FloatArray
    high_mw: FloatArray
    lag_s: FloatArray
    cost_per_mw: FloatArray
    cost_per_mw2: FloatArray
    energy_mwh: float  # of all batteries
    rebound_s: float


def one_mass(case: Case, fleet: Fleet, swing: SwingConfig | None = None) -> OneMass:
    """The published grid at its mean load as one mass."""
    swing = swing or SwingConfig()
    member = fleet.kind[None, :] == np.array(CLASSES)[:, None]
    first = member.argmax(axis=1)
    load_mw = MEAN_LOAD_SHARE * float(case.load.p_mw.sum())
    return OneMass(
        inertia_mws_per_hz=float(machine_inertia_mws_per_hz(case, swing.inertia_to_mws).sum()),
        damping_mw_per_hz=swing.load_damping * load_mw / case.f0_hz,
        governor=swing.governor,
        n_bus=case.n_bus,
        interval_s=fleet.interval_s,
        count=member.sum(axis=1).astype(np.float64),
        step_mw=member @ fleet.step_mw,
        low_mw=member @ fleet.low_mw,
        high_mw=member @ fleet.high_mw,
        lag_s=fleet.lag_s[first],
        cost_per_mw=fleet.cost_per_mw[first],
        cost_per_mw2=fleet.cost_per_mw2[first],
        energy_mwh=float(fleet.energy_mwh[fleet.bess].sum()),
        rebound_s=float(fleet.rebound_s[first[DR]]),
    )


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


class Program:
    """The quadratic program over given stages, set up once and solved often, each time from the last solution."""

    def __init__(
        self,
        model: OneMass,
        stage_s: FloatArray,
        *,
        tolerance: float = 1e-3,
        max_iterations: int = 4000,
        half_full_per_mwh2: float = 0.0,
    ) -> None:
        """Lay out the program.

        Args:
            model: the grid; stage_s: length of each stage.
            tolerance, max_iterations: of OSQP.
            half_full_per_mwh2: cost of being away from half full at the end, of all batteries.
        """
        try:
            import osqp
        except ImportError as error:
            raise PredictiveError(
                "predictive control needs osqp; install it with: pip install osqp"
            ) from error
        self.model, self.stage_s = model, np.asarray(stage_s, dtype=np.float64)
        self._n = len(self.stage_s)
        kinds = {
            (float(h), active): discretise(model, float(h), active)
            for h in np.unique(self.stage_s)
            for active in (False, True)
        }
        self._step = [(kinds[float(h), False], kinds[float(h), True]) for h in self.stage_s]
        self._lay_out_constraints()
        p, self._q = self._costs(half_full_per_mwh2)
        self._half_full = half_full_per_mwh2
        self._active = np.zeros(self._n, dtype=np.bool_)
        self._l = np.zeros(self._n * N_ROW)
        self._u = np.zeros(self._n * N_ROW)
        self._fill_boxes()
        self._solver = osqp.OSQP()
        self._interrupted = osqp.SolverStatus.OSQP_SIGINT
        self._solver.setup(
            P=p,
            q=self._q,
            A=self._matrix(self._active),
            l=self._l,
            u=self._u,
            verbose=False,
            eps_abs=tolerance,
            eps_rel=tolerance,
            max_iter=max_iterations,
            check_termination=10,
            alpha=OVER_RELAXATION,
            adaptive_rho_interval=50,
            warm_starting=True,
        )
        self.side = np.zeros(self._n)  # of the dead band at the beginning of each stage

    def solve(self, start: Start, d_mw: FloatArray, passes: int = 1) -> tuple[FloatArray, float]:
        """Solve from a start.

        Args:
            start: what is known now; d_mw: disturbance at the beginning and at every stage's end, [stage + 1].
            passes: times the sides of the dead band are renewed, at most.

        Returns:
            Variables, [stage, N_STAGE], and the program's cost.
        """
        begin = start.vector()
        z = np.zeros((self._n, N_STAGE))
        cost = np.nan
        for _ in range(passes):
            self._renew(begin, d_mw)
            result = self._solver.solve(raise_error=False)
            # osqp catches Ctrl-C itself and returns what it has by then, which is no solution.
            if result.info.status_val == self._interrupted:
                raise KeyboardInterrupt
            if result.x is None or not np.isfinite(result.x).all():
                raise PredictiveError(f"osqp: {result.info.status}")
            z = np.asarray(result.x).reshape(self._n, N_STAGE)
            cost = float(result.info.obj_val) + self._constant(begin)
            before = self.side.copy()
            path = np.concatenate([begin[F : F + 1], z[:, F]])
            # By the middle of a stage: its beginning alone would lag behind.
            self.side = dead_band_side(0.5 * (path[1:] + path[:-1]), self.model.governor.dead_band_hz)
            if np.array_equal(self.side, before):
                break
        return z, cost

    def _lay_out_constraints(self) -> None:
        """Entries of A in order of stages; two values each, for governors inside and outside the dead band."""
        rows: list[int] = []
        columns: list[int] = []
        inside: list[float] = []
        outside: list[float] = []
        stage: list[int] = []

        def put(k: int, row: int, at: int, variable: int, values: tuple[float, float]) -> None:
            if at < 0 or (values[0] == 0.0 and values[1] == 0.0):
                return
            rows.append(k * N_ROW + row)
            columns.append(at * N_STAGE + variable)
            inside.append(values[0])
            outside.append(values[1])
            stage.append(k)

        rebound = S_PER_H / self.model.rebound_s
        for k, (off, on) in enumerate(self._step):
            for i in range(N_STATE):
                put(k, i, k, i, (1.0, 1.0))
                for j in range(N_STATE):
                    put(k, i, k - 1, j, (-off.phi[i, j], -on.phi[i, j]))
                for j, variable in enumerate(INPUTS):
                    put(k, i, k - 1, variable, (-off.gamma0[i, j], -on.gamma0[i, j]))
                    put(k, i, k, variable, (-off.gamma1[i, j], -on.gamma1[i, j]))
            put(k, N_STATE, k, SD, (1.0, 1.0))
            put(k, N_STATE, k, CD, (-1.0, -1.0))
            put(k, N_STATE, k - 1, ED, (rebound, rebound))
            for c in range(3):
                row = N_STATE + 1 + c
                put(k, row, k, UB + c, (1.0, 1.0))
                put(k, row, k - 1, UB + c, (-1.0, -1.0))
                put(k, row, k, UP + c, (-1.0, -1.0))
                put(k, row, k, DN + c, (1.0, 1.0))
            for b, variable in enumerate(BOXED):
                put(k, N_STATE + 4 + b, k, variable, (1.0, 1.0))
        order = np.lexsort((rows, columns))
        self._rows, self._columns = np.array(rows)[order], np.array(columns)[order]
        self._inside, self._outside = np.array(inside)[order], np.array(outside)[order]
        self._stage = np.array(stage)[order]

    def _data(self, active: BoolArray) -> FloatArray:
        return np.where(active[self._stage], self._outside, self._inside)

    def _matrix(self, active: BoolArray) -> Any:
        shape = (self._n * N_ROW, self._n * N_STAGE)
        pointer = np.searchsorted(self._columns, np.arange(shape[1] + 1))
        return sparse.csc_matrix((self._data(active), self._rows, pointer), shape=shape)

    def _weight(self) -> FloatArray:
        """Of (f0^2 + f0 f1 + f1^2) in a stage, f in mHz, [stage]."""
        model = self.model
        per_interval = FREQUENCY_PER_HZ2 * model.n_bus / MHZ**2
        weight: FloatArray = per_interval / 3.0 * self.stage_s / model.interval_s
        return weight

    def _costs(self, half_full: float) -> tuple[Any, FloatArray]:
        model, n = self.model, self._n
        weight = self._weight()
        diagonal, q = np.zeros((n, N_STAGE)), np.zeros((n, N_STAGE))
        diagonal[:, F] = 2.0 * weight
        diagonal[:-1, F] += 2.0 * weight[1:]
        move = 2.0 * EFFORT * model.cost_per_mw2 / model.count
        for c in range(3):
            diagonal[:, UP + c] = diagonal[:, DN + c] = move[c] * model.interval_s / self.stage_s
            q[:, UP + c] = q[:, DN + c] = model.cost_per_mw[c]
        diagonal[-1, EB] = 2.0 * half_full
        q[-1, EB] = -half_full * model.energy_mwh
        p = sparse.lil_matrix((n * N_STAGE, n * N_STAGE))
        p.setdiag(diagonal.ravel())
        for k in range(1, n):
            p[(k - 1) * N_STAGE + F, k * N_STAGE + F] = weight[k]
        return sparse.csc_matrix(p), q.ravel()

    def _constant(self, begin: FloatArray) -> float:
        """What the cost function leaves out because no variable is in it."""
        return float(self._weight()[0] * begin[F] ** 2 + self._half_full * (0.5 * self.model.energy_mwh) ** 2)

    def _fill_boxes(self) -> None:
        model, low, high = self.model, self._l.reshape(self._n, N_ROW), self._u.reshape(self._n, N_ROW)
        at = N_STATE + 4
        low[:, at], high[:, at] = 0.0, model.energy_mwh
        low[:, at + 1 : at + 4], high[:, at + 1 : at + 4] = model.low_mw, model.high_mw
        most = model.step_mw * (self.stage_s / model.interval_s)[:, None]
        high[:, at + 4 : at + 7] = high[:, at + 7 : at + 10] = most

    def _renew(self, begin: FloatArray, d_mw: FloatArray) -> None:
        """Put a start, the disturbance and the sides of the dead band into the program."""
        side = self.side
        active = side != 0.0
        low, high = self._l.reshape(self._n, N_ROW), self._u.reshape(self._n, N_ROW)
        for k, (off, on) in enumerate(self._step):
            step = on if active[k] else off
            low[k, :N_STATE] = (
                step.gamma0[:, -1] * d_mw[k] + step.gamma1[:, -1] * d_mw[k + 1] + side[k] * step.constant
            )
        first = self._step[0][int(active[0])]
        low[0, :N_STATE] += first.phi @ begin[:N_STATE] + first.gamma0[:, :3] @ begin[list(INPUTS)]
        low[0, N_STATE] = -begin[ED] * S_PER_H / self.model.rebound_s
        low[0, N_STATE + 1 : N_STATE + 4] = begin[UB : CD + 1]
        high[:, : N_STATE + 4] = low[:, : N_STATE + 4]
        # Batteries that must still brake may come out a little beyond their energy; the plants themselves prevent it.
        slack = abs(begin[UB]) ** 2 / self.model.step_mw[BESS] * self.model.interval_s / S_PER_H
        box = N_STATE + 4
        low[:, box] = min(0.0, begin[EB] - slack)
        high[:, box] = max(self.model.energy_mwh, begin[EB] + slack)
        q = self._q.copy()
        q[F] += self._weight()[0] * begin[F]
        if np.array_equal(active, self._active):
            self._solver.update(q=q, l=self._l, u=self._u)
        else:
            self._active = active.copy()
            self._solver.update(q=q, l=self._l, u=self._u, Ax=self._data(active))


def advance_one_mass(
    model: OneMass, start: Start, command_mw: FloatArray, d0_mw: float, d1_mw: float, n_sub: int = 40
) -> tuple[Start, float]:
    """One interval of the one-mass model itself, governors taken in or out of their dead band n_sub times.

    Args:
        command_mw: of each class at the interval's end, [class].

    Returns:
        State at the end, and the mean of Df^2 over the interval [Hz^2].
    """
    span_s = model.interval_s / n_sub
    off, on = discretise(model, span_s, False), discretise(model, span_s, True)
    y = start.vector()
    dr_mw = command_mw[DR] - start.owed_mwh * S_PER_H / model.rebound_s
    v_begin = np.array([start.command_mw[BESS], start.command_mw[GAS], start.dr_set_point_mw, d0_mw])
    v_end = np.array([command_mw[BESS], command_mw[GAS], dr_mw, d1_mw])
    state, square = y[:N_STATE], 0.0
    for i in range(n_sub):
        side = float(dead_band_side(state[F : F + 1], model.governor.dead_band_hz)[0])
        step = on if side else off
        v0 = v_begin + (v_end - v_begin) * (i / n_sub)
        v1 = v_begin + (v_end - v_begin) * ((i + 1) / n_sub)
        after = step.phi @ state + step.gamma0 @ v0 + step.gamma1 @ v1 + side * step.constant
        square += (state[F] ** 2 + state[F] * after[F] + after[F] ** 2) / 3.0 / n_sub
        state = after
    end = Start(
        df_hz=state[F] / MHZ,
        reheat_mw=state[X],
        gas_mw=state[PG],
        dr_mw=state[PD],
        energy_mwh=state[EB],
        owed_mwh=state[ED],
        command_mw=(float(command_mw[0]), float(command_mw[1]), float(command_mw[2])),
        dr_set_point_mw=dr_mw,
    )
    return end, float(square) / MHZ**2


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What perfect information could reach in one episode."""

    cost: float  # frequency, movement and effort; the return of the bound is -cost
    frequency_cost: float
    df_hz: FloatArray  # at the intervals' ends, [T]
    command_mw: FloatArray  # by class, [T, class]
    energy_share: FloatArray  # of all batteries, [T]


def perfect_information(
    model: OneMass, d_mw: FloatArray, soc: float, *, tolerance: float = 1e-4, program: Program | None = None
) -> Bound:
    """The best sequence of commands for an episode whose disturbance is known from the start.

    Args:
        model: the grid; d_mw: disturbance at the beginning and the end of every interval [MW], [T + 1].
        soc: mean state of charge at the beginning. program: one of T stages, to use again.
    """
    n = len(d_mw) - 1
    if program is None:
        program = Program(model, np.full(n, model.interval_s), tolerance=tolerance)
    program.side = np.zeros(n)
    z, cost = program.solve(Start(energy_mwh=soc * model.energy_mwh), d_mw, passes=MOST_PASSES)
    path = np.concatenate([[0.0], z[:, F]])
    frequency = float(program._weight() @ (path[1:] ** 2 + path[1:] * path[:-1] + path[:-1] ** 2))
    return Bound(
        cost=cost,
        frequency_cost=frequency,
        df_hz=z[:, F] / MHZ,
        command_mw=z[:, UB : CD + 1],
        energy_share=z[:, EB] / model.energy_mwh,
    )


@dataclass(frozen=True, kw_only=True)
class PredictiveConfig:
    """Choices of the predictive controller."""

    # Horizon of 160 s: every interval of the first half minute, then coarser.
    stage_s: tuple[float, ...] = (4.0,) * 8 + (8.0,) * 4 + (16.0,) * 6
    tolerance: float = 5e-4  # within 3 % of the cost of exact solutions, at a third of the time
    max_iterations: int = 4000  # some 300 in quiet times; after an outage it takes more, and is worth them
    half_full_per_mwh2: float = 0.02
    # The Kalman filter's picture of the world, per interval; the slope's was chosen on 12 training episodes.
    frequency_sd_hz: float = 0.0006  # mean of the agents' buses against the common motion
    model_sd_hz: float = 0.0003
    disturbance_sd_mw: float = 5.0
    slope_sd_mw_per_s: float = 0.1
    slope_fades_s: float = 120.0

    def __post_init__(self) -> None:
        if not self.stage_s or min(self.stage_s) <= 0.0:
            raise ValueError(f"predictive: stage_s = {self.stage_s}, expected positive lengths.")


def kalman_gain(model: OneMass, config: PredictiveConfig) -> FloatArray:
    """Stationary gain of the filter on frequency, disturbance and its slope, from frequency alone, [3].

        f' = f + (h/M) d,    d' = d + h s,    s' = fade s

    Damping and governors are known inputs here, they hardly matter within an interval.
    """
    h = model.interval_s
    a = np.array(
        [
            [1.0, h / model.inertia_mws_per_hz, 0.5 * h * h / model.inertia_mws_per_hz],
            [0.0, 1.0, h],
            [0.0, 0.0, np.exp(-h / config.slope_fades_s)],
        ]
    )
    q = np.diag(np.square([config.model_sd_hz, config.disturbance_sd_mw, config.slope_sd_mw_per_s]))
    # The walk of d within the interval moves f too.
    walk = np.array([[h / (2.0 * model.inertia_mws_per_hz)], [1.0], [0.0]]) * config.disturbance_sd_mw
    q = q + walk @ walk.T
    c = np.array([[1.0, 0.0, 0.0]])
    r = np.array([[config.frequency_sd_hz**2]])
    p = linalg.solve_discrete_are(a.T, c.T, q, r)
    gain: FloatArray = (p @ c.T / (c @ p @ c.T + r))[:, 0]
    return gain


class PredictiveController:
    """Causal model-predictive control of the fleet by class, with what the agents together can see."""

    def __init__(self, case: Case, fleet: Fleet, n_env: int, config: PredictiveConfig | None = None) -> None:
        self.config = config or PredictiveConfig()
        self.fleet, self.model = fleet, one_mass(case, fleet)
        self._program = [
            Program(
                self.model,
                np.array(self.config.stage_s),
                tolerance=self.config.tolerance,
                max_iterations=self.config.max_iterations,
                half_full_per_mwh2=self.config.half_full_per_mwh2,
            )
            for _ in range(n_env)
        ]
        self._gain = kalman_gain(self.model, self.config)
        self._set_points = SetPoints(fleet, n_env)
        self._member = (fleet.kind[:, None] == np.array(CLASSES)).astype(np.float64)  # [resource, class]
        self._estimate = np.zeros((n_env, 3))  # f [Hz], d [MW], slope [MW/s]
        self._reheat_mw, self._owed_mwh, self._dr_set_point_mw = np.zeros((3, n_env))
        self._output_mw = np.zeros((n_env, len(CLASSES)))
        self._fresh = np.ones(n_env, dtype=np.bool_)
        ends_s = np.concatenate([[0.0], np.cumsum(self.config.stage_s)])
        fade_s = self.config.slope_fades_s
        self._reach_s = fade_s * (1.0 - np.exp(-ends_s / fade_s))  # integral of a slope that fades

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        self._set_points.reset(envs)
        for state in (
            self._estimate, self._reheat_mw, self._owed_mwh, self._dr_set_point_mw, self._output_mw,
        ):  # fmt: skip
            state[envs] = 0.0
        self._fresh[envs] = True
        for env in envs:
            self._program[env].side = np.zeros(len(self.config.stage_s))

    def act(self, observation: FloatArray) -> FloatArray:
        fleet, model = self.fleet, self.model
        self._set_points.observe(observation)
        output_mw = (observation[:, :, OWN_OUTPUT] * fleet.range_mw) @ self._member
        self._observe(observation[:, :, OWN_DF].mean(axis=1) * DF_HZ, output_mw)
        energy_mwh = state_of_charge(observation, fleet) @ fleet.energy_mwh[fleet.bess]
        command_mw = self._set_points.command_mw @ self._member
        wish_mw = np.zeros_like(command_mw)
        for env, program in enumerate(self._program):
            df_hz, d_mw, slope = self._estimate[env]
            start = Start(
                df_hz=float(df_hz),
                reheat_mw=float(self._reheat_mw[env]),
                gas_mw=float(output_mw[env, GAS]),
                dr_mw=float(output_mw[env, DR]),
                energy_mwh=float(energy_mwh[env]),
                owed_mwh=float(self._owed_mwh[env]),
                command_mw=tuple(command_mw[env]),
                dr_set_point_mw=float(self._dr_set_point_mw[env]),
            )
            # Twice after an outage, when the governors come in; otherwise the first pass confirms the last solution.
            z, _ = program.solve(start, d_mw + slope * self._reach_s, passes=2)
            wish_mw[env] = z[0, UB : CD + 1]
        self._dr_set_point_mw = wish_mw[:, DR] - self._owed_mwh * S_PER_H / model.rebound_s
        change_mw = (wish_mw - command_mw) / model.count
        # What osqp leaves of a move that is not worth making.
        change_mw = np.where(np.abs(change_mw) < 0.01, 0.0, change_mw)
        return self._set_points.towards(self._set_points.command_mw + change_mw[:, fleet.kind])

    def _observe(self, df_hz: FloatArray, output_mw: FloatArray) -> None:
        """Kalman filter over the interval that has just ended; there is none before the first observation."""
        model, g, h = self.model, self.model.governor, self.model.interval_s
        f, d, s = self._estimate.T.copy()
        # Governors over the interval at its mean frequency.
        middle = 0.5 * (f + df_hz)
        target = -g.gain_mw_per_hz * np.sign(middle) * np.maximum(np.abs(middle) - g.dead_band_hz, 0.0)
        keep = np.exp(-h / g.t_reheat_s)
        after = target + (self._reheat_mw - target) * keep
        mean_reheat = target + (self._reheat_mw - target) * (1.0 - keep) * g.t_reheat_s / h
        governor = g.high_pressure_fraction * target + (1.0 - g.high_pressure_fraction) * mean_reheat
        plants = 0.5 * (self._output_mw + output_mw).sum(axis=1)
        power = plants + governor + d + 0.5 * h * s - model.damping_mw_per_hz * middle
        expected = f + h / model.inertia_mws_per_hz * power
        surprise = df_hz - expected
        fade = np.exp(-h / self.config.slope_fades_s)
        estimate = np.stack([expected, d + h * s, fade * s], axis=1) + surprise[:, None] * self._gain
        first = self._fresh[:, None]
        self._estimate = np.where(first, np.stack([df_hz, 0.0 * d, 0.0 * s], axis=1), estimate)
        self._reheat_mw = np.where(self._fresh, 0.0, after)
        owed = self._owed_mwh + 0.5 * (self._output_mw + output_mw)[:, DR] * h / S_PER_H
        self._owed_mwh = np.where(self._fresh, 0.0, owed)
        self._output_mw = output_mw
        self._fresh[:] = False
