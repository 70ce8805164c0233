"""The quadratic program over the one-mass model, solved by OSQP, and the perfect-information bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from cases.arrays import BoolArray, FloatArray
from control.controllers.one_mass import (
    CD,
    DN,
    EB,
    ED,
    INPUTS,
    MHZ,
    N_STAGE,
    N_STATE,
    SD,
    UB,
    UG,
    UP,
    F,
    OneMass,
    Start,
    dead_band_side,
    discretise,
)
from control.plants.battery import S_PER_H
from control.plants.fleet_state import BESS

__all__ = ["Bound", "PredictiveError", "Program", "Unsolved", "perfect_information"]

BOXED = (EB, UB, UG, CD, UP, UP + 1, UP + 2, DN, DN + 1, DN + 2)
N_ROW = N_STATE + 1 + 3 + len(BOXED)
OVER_RELAXATION = 1.8  # of OSQP; here it saves a third of the iterations
MOST_PASSES = 6  # over the governor's dead band
# OSQP adapts its step size rho. Every 50 iterations is quick, but now and then swings between two values for ever. A
# program that has come to its iteration limit is solved once more with a rho that changes ten times as seldom, for this
# many times as long.
ADAPT_EVERY = 50
PATIENCE = 10


class PredictiveError(RuntimeError):
    """The quadratic program cannot be solved; the message says why."""


class Unsolved(PredictiveError):
    """OSQP gave up: at its iteration or time limit, or because nothing is feasible. Its numbers are no solution."""


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
            model: the grid as one mass.
            stage_s: length of each stage [s], [stage].
            tolerance: of OSQP, absolute and relative.
            max_iterations: of OSQP; another PATIENCE times as many where these do not suffice.
            half_full_per_mwh2: cost of being away from half full at the end, of all batteries.

        Raises:
            PredictiveError: osqp is not installed.
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
        self._osqp, self._p, self._q_now = osqp, p, self._q
        self._tolerance, self._max_iterations = tolerance, max_iterations
        self._solver = self._set_up(max_iter=max_iterations, adaptive_rho_interval=ADAPT_EVERY)
        self._patient: Any = None  # made when it is needed first
        self.side = np.zeros(self._n)  # of the dead band at the beginning of each stage

    def solve(self, start: Start, d_mw: FloatArray, passes: int = 1) -> tuple[FloatArray, float]:
        """Solve from a start.

        Args:
            start: what is known now.
            d_mw: disturbance at the beginning and at every stage's end [MW], [stage + 1].
            passes: times the sides of the dead band are renewed, at most.

        Returns:
            Variables, [stage, N_STAGE], and the program's cost.

        Raises:
            Unsolved: OSQP stopped without a solution, in any of the passes.
            KeyboardInterrupt: it was interrupted.
        """
        begin = start.vector()
        z = np.zeros((self._n, N_STAGE))
        cost = np.nan
        for _ in range(passes):
            self._renew(begin, d_mw)
            result = self._solved_program()
            z = np.asarray(result.x).reshape(self._n, N_STAGE)
            cost = float(result.info.obj_val) + self._constant(begin)
            before = self.side.copy()
            path = np.concatenate([begin[F : F + 1], z[:, F]])
            # By the middle of a stage: its beginning alone would lag behind.
            self.side = dead_band_side(0.5 * (path[1:] + path[:-1]), self.model.governor.dead_band_hz)
            if np.array_equal(self.side, before):
                break
        return z, cost

    def _set_up(self, **settings: Any) -> Any:
        """A solver for the program as it is now."""
        solver = self._osqp.OSQP()
        solver.setup(
            P=self._p,
            q=self._q_now,
            A=self._matrix(self._active),
            l=self._l,
            u=self._u,
            verbose=False,
            eps_abs=self._tolerance,
            eps_rel=self._tolerance,
            check_termination=10,
            alpha=OVER_RELAXATION,
            warm_starting=True,
            **settings,
        )
        return solver

    def _solved_program(self) -> Any:
        """What OSQP found, if its status says that it is a solution: it returns finite numbers whatever the status.

        Raises:
            Unsolved: it stopped without a solution, also with more iterations.
            KeyboardInterrupt: it was interrupted.
        """
        status = self._osqp.SolverStatus
        result = self._solver.solve(raise_error=False)
        if result.info.status_val in (
            status.OSQP_MAX_ITER_REACHED,
            status.OSQP_SOLVED_INACCURATE,
            status.OSQP_TIME_LIMIT_REACHED,
        ):
            if self._patient is None:
                most = PATIENCE * self._max_iterations
                self._patient = self._set_up(max_iter=most, adaptive_rho_interval=PATIENCE * ADAPT_EVERY)
            else:
                self._patient.update(q=self._q_now, l=self._l, u=self._u, Ax=self._data(self._active))
            result = self._patient.solve(raise_error=False)
            if result.info.status_val == status.OSQP_SOLVED:
                self._solver.warm_start(x=result.x, y=result.y)
        # osqp catches Ctrl-C itself and returns what it has by then, which is no solution.
        if result.info.status_val == status.OSQP_SIGINT:
            raise KeyboardInterrupt
        if result.info.status_val != status.OSQP_SOLVED:
            raise Unsolved(f"osqp: {result.info.status} after {result.info.iter} iterations")
        return result

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
        per_interval = model.reward.frequency_per_hz2 * model.n_bus / MHZ**2
        weight: FloatArray = per_interval / 3.0 * self.stage_s / model.interval_s
        return weight

    def _costs(self, half_full: float) -> tuple[Any, FloatArray]:
        model, n = self.model, self._n
        weight = self._weight()
        diagonal, q = np.zeros((n, N_STAGE)), np.zeros((n, N_STAGE))
        diagonal[:, F] = 2.0 * weight
        diagonal[:-1, F] += 2.0 * weight[1:]
        move = 2.0 * model.reward.effort * model.cost_per_mw2 / model.count
        for c in range(3):
            diagonal[:, UP + c] = diagonal[:, DN + c] = move[c] * model.interval_s / self.stage_s
            q[:, UP + c] = q[:, DN + c] = model.reward.movement * model.cost_per_mw[c]
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
        step_mw = max(float(self.model.step_mw[BESS]), 1e-9)  # zero where there are no batteries
        slack = abs(begin[UB]) ** 2 / step_mw * self.model.interval_s / S_PER_H
        box = N_STATE + 4
        low[:, box] = min(0.0, begin[EB] - slack)
        high[:, box] = max(self.model.energy_mwh, begin[EB] + slack)
        q = self._q_now = self._q.copy()
        q[F] += self._weight()[0] * begin[F]
        if np.array_equal(active, self._active):
            self._solver.update(q=q, l=self._l, u=self._u)
        else:
            self._active = active.copy()
            self._solver.update(q=q, l=self._l, u=self._u, Ax=self._data(active))


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
        model: the grid as one mass.
        d_mw: disturbance at the beginning and the end of every interval [MW], [T + 1].
        soc: mean state of charge at the beginning.
        tolerance: of OSQP, for a program that is made here.
        program: one of T stages, to use again.

    Raises:
        Unsolved: there is no bound to tell, because OSQP stopped without a solution.
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
        energy_share=z[:, EB] / max(model.energy_mwh, 1e-9),
    )
