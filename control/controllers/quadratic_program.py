"""The quadratic program over the one-mass model, solved by PIQP, and the perfect-information bound.

    min  z'P z / 2 + q'z    where  A z = b,  low <= z <= high

Its stages are coupled to their neighbours only, so an interior-point method that factors stage by stage solves it to a
millionth in some twelve iterations, which cost time in proportion to the stages.

References:
    R. Schwan, Y. Jiang, D. Kuhn, C. N. Jones, PIQP: a proximal interior-point quadratic programming solver, CDC 2023.
"""

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

# Variables that have limits of their own, and the rows of a stage: dynamics, demand response's set-point, moves.
BOXED = (EB, UB, UG, CD, UP, UP + 1, UP + 2, DN, DN + 1, DN + 2)
N_ROW = N_STATE + 1 + 3
# Between the limits of a variable at least, MW or MWh. An interior-point method needs an inside: with limits that meet,
# of a class of plants that a grid lacks, some programs with batteries near empty did not converge.
LEAST_ROOM = 1e-3
MOST_PASSES = 6  # over the governor's dead band
TOLERANCE = 1e-6  # of PIQP, absolute and relative, on constraints, optimality and the gap between the bounds
MOST_ITERATIONS = 250  # of PIQP, its own default: after an outage it takes some twenty


class PredictiveError(RuntimeError):
    """The quadratic program cannot be solved; the message says why."""


class Unsolved(PredictiveError):
    """PIQP gave up: at its iteration limit, or because nothing is feasible. Its numbers are no solution."""


class Program:
    """The quadratic program over given stages, set up once and solved often.

    A solution depends on the program alone, not on those before it, but for the sides of the dead band.
    """

    def __init__(
        self,
        model: OneMass,
        stage_s: FloatArray,
        *,
        max_iterations: int = MOST_ITERATIONS,
        half_full_per_mwh2: float = 0.0,
        discharge_per_mw: float = 0.0,
        away_per_mw2: float = 0.0,
    ) -> None:
        """Lay out the program.

        Args:
            model: the grid as one mass.
            stage_s: length of each stage [s], [stage].
            max_iterations: of PIQP.
            half_full_per_mwh2: cost of being away from half full at the end, of all batteries.
            discharge_per_mw: cost of an MW that all batteries give together at a stage's end, for a control interval
                of the stage; what they take is paid by it.
            away_per_mw2: the same of the square of what they give or take.

        Raises:
            PredictiveError: piqp is not installed.
        """
        self.model, self.stage_s = model, np.asarray(stage_s, dtype=np.float64)
        self._n = len(self.stage_s)
        kinds = {
            (float(h), active): discretise(model, float(h), active)
            for h in np.unique(self.stage_s)
            for active in (False, True)
        }
        self._step = [(kinds[float(h), False], kinds[float(h), True]) for h in self.stage_s]
        self._lay_out_constraints()
        self._p, self._q = self._costs(half_full_per_mwh2, discharge_per_mw, away_per_mw2)
        self._half_full = half_full_per_mwh2
        self._b = np.zeros((self._n, N_ROW))
        self._low, self._high = self._limits()
        self._most_iterations = max_iterations
        self._solver = self._set_up()
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
            Unsolved: PIQP stopped without a solution, in any of the passes.
        """
        begin = start.vector()
        z = np.zeros((self._n, N_STAGE))
        cost = np.nan
        for _ in range(passes):
            self._renew(begin, d_mw)
            status = self._solver.solve()
            result = self._solver.result
            if status != self._solved:  # finite numbers stand in the result whatever the status
                said = f"piqp: {status.name} after {result.info.iter} iterations"
                self._solver = self._set_up()  # what is no number would stay in the old one for good
                raise Unsolved(said)
            z = np.array(result.x).reshape(
                self._n, N_STAGE
            )  # a copy: x is the solver's own, until the next solve
            cost = float(result.info.primal_obj) + self._constant(begin)
            before = self.side.copy()
            path = np.concatenate([begin[F : F + 1], z[:, F]])
            # By the middle of a stage: its beginning alone would lag behind.
            self.side = dead_band_side(0.5 * (path[1:] + path[:-1]), self.model.governor.dead_band_hz)
            if np.array_equal(self.side, before):
                break
        return z, cost

    def _set_up(self) -> Any:
        """A solver of the program, without a start, a disturbance and a dead band so far.

        Raises:
            PredictiveError: piqp is not installed.
        """
        try:
            import piqp
        except ImportError as error:
            raise PredictiveError(
                "predictive control needs piqp; install it with: pip install piqp"
            ) from error
        self._solved = piqp.PIQP_SOLVED
        solver = piqp.SparseSolver()
        settings = solver.settings
        settings.kkt_solver = piqp.KKTSolver.sparse_multistage
        settings.max_iter = self._most_iterations
        settings.eps_abs = settings.eps_rel = TOLERANCE
        # Its default took early iterates for a proof on grids that lack a class of plants, whose limits meet at zero.
        settings.eps_primal_inf = 1e-10
        settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = TOLERANCE
        # Scaled anew for each program: a kept scaling would make the last digits depend on the programs before.
        settings.preconditioner_reuse_on_update = False
        self._active = np.zeros(self._n, dtype=np.bool_)
        low, high = self._limits()
        solver.setup(
            self._p,
            self._q,
            self._matrix(self._active),
            np.zeros(self._n * N_ROW),
            x_l=low.ravel(),
            x_u=high.ravel(),
        )
        return solver

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

    def _costs(
        self, half_full: float, discharge_per_mw: float, away_per_mw2: float
    ) -> tuple[Any, FloatArray]:
        model, n = self.model, self._n
        weight = self._weight()
        diagonal, q = np.zeros((n, N_STAGE)), np.zeros((n, N_STAGE))
        diagonal[:, F] = 2.0 * weight
        diagonal[:-1, F] += 2.0 * weight[1:]
        move = 2.0 * model.reward.effort * model.cost_per_mw2 / model.count
        for c in range(3):
            diagonal[:, UP + c] = diagonal[:, DN + c] = move[c] * model.interval_s / self.stage_s
            q[:, UP + c] = q[:, DN + c] = model.reward.movement * model.cost_per_mw[c]
        intervals = self.stage_s / model.interval_s
        diagonal[:, UB] = 2.0 * away_per_mw2 * intervals
        q[:, UB] = discharge_per_mw * intervals
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

    def _limits(self) -> tuple[FloatArray, FloatArray]:
        """Of all variables, [stage, N_STAGE]; infinite where there is none."""
        model = self.model
        low = np.full((self._n, N_STAGE), -np.inf)
        high = -low
        low[:, BOXED] = 0.0
        high[:, EB] = model.energy_mwh
        low[:, UB : CD + 1], high[:, UB : CD + 1] = model.low_mw, model.high_mw
        most_mw = model.step_mw * (self.stage_s / model.interval_s)[:, None]
        high[:, UP : UP + 3] = high[:, DN : DN + 3] = most_mw
        return low, np.maximum(high, low + LEAST_ROOM)

    def _renew(self, begin: FloatArray, d_mw: FloatArray) -> None:
        """Put a start, the disturbance and the sides of the dead band into the program."""
        side = self.side
        active = side != 0.0
        b = self._b
        for k, (off, on) in enumerate(self._step):
            step = on if active[k] else off
            b[k, :N_STATE] = (
                step.gamma0[:, -1] * d_mw[k] + step.gamma1[:, -1] * d_mw[k + 1] + side[k] * step.constant
            )
        first = self._step[0][int(active[0])]
        b[0, :N_STATE] += first.phi @ begin[:N_STATE] + first.gamma0[:, :3] @ begin[list(INPUTS)]
        b[0, N_STATE] = -begin[ED] * S_PER_H / self.model.rebound_s
        b[0, N_STATE + 1 :] = begin[UB : CD + 1]
        # Batteries that must still brake may come out a little beyond their energy; the plants themselves prevent it.
        step_mw = max(float(self.model.step_mw[BESS]), 1e-9)  # zero where there are no batteries
        slack = abs(begin[UB]) ** 2 / step_mw * self.model.interval_s / S_PER_H
        self._low[:, EB] = min(0.0, begin[EB] - slack)
        self._high[:, EB] = max(self.model.energy_mwh, begin[EB] + slack, LEAST_ROOM)
        q = self._q.copy()
        q[F] += self._weight()[0] * begin[F]
        changed = {}
        if not np.array_equal(active, self._active):
            self._active = active.copy()
            changed["A"] = self._matrix(active)
        self._solver.update(c=q, b=b.ravel(), x_l=self._low.ravel(), x_u=self._high.ravel(), **changed)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What perfect information could reach in one episode."""

    cost: float  # frequency, movement and effort; the return of the bound is -cost
    frequency_cost: float
    df_hz: FloatArray  # at the intervals' ends, [T]
    command_mw: FloatArray  # by class, [T, class]
    energy_share: FloatArray  # of all batteries, [T]


def perfect_information(
    model: OneMass, d_mw: FloatArray, soc: float, *, program: Program | None = None
) -> Bound:
    """The best sequence of commands for an episode whose disturbance is known from the start.

    Args:
        model: the grid as one mass.
        d_mw: disturbance at the beginning and the end of every interval [MW], [T + 1].
        soc: mean state of charge at the beginning.
        program: one of T stages, to use again.

    Raises:
        Unsolved: there is no bound to tell, because PIQP stopped without a solution.
    """
    n = len(d_mw) - 1
    if program is None:
        program = Program(model, np.full(n, model.interval_s))
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
