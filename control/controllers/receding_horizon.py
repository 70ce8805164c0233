"""A plan made anew in every interval, of which the first move is made: what all controllers that plan have in common.

    min  sum_k  w_f h_k/h (f_k-1^2 + f_k-1 f_k + f_k^2)/3  +  sum_class w_m C |dU|  +  w_e W dU^2 / n
         + v (E_end - E_half)^2  +  sum_k  h_k/h (r u_k + s u_k^2)

over 520 s by `quadratic_program.py`, on the grid as one mass. Stages grow along the horizon: a move made now is worth
what it saves in the next minute, while energy is a matter of many minutes, which a few coarse stages show as well. What
is left in the batteries at the end is worth something too, v: without it a plan empties them before its horizon.

Nobody foresees outages. What a plan can do is to hold the batteries, with output u together, ready for one: after it
all plants move at their limits, so that what batteries gave before is missing until gas plants have made up for it.
r and s stand for what that costs in the mean for an interval, the chance of an outage times what is missed; both are
zero unless they are asked for.

Who plans says where the grid stands and what disturbance is to come; see `predictive.py` for what agents can know of
it, and `full_information.py` for all that there is to know.

References:
    J. B. Rawlings, D. Q. Mayne, M. Diehl, Model Predictive Control, 2nd ed., 2017, ch. 1 and sec. 2.4 (terminal cost).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.controllers.base import CLASSES
from control.controllers.one_mass import CD, UB, OneMass, Start
from control.controllers.quadratic_program import Program, Unsolved

__all__ = ["HorizonConfig", "RecedingHorizon"]

# 520 s: every interval of the first 80 s, then coarser.
HORIZON_S = (4.0,) * 20 + (8.0,) * 5 + (16.0,) * 5 + (40.0,) * 8
LEAST_MOVE_MW = 0.01  # of a plant: what the solver leaves of a move that is not worth making


@dataclass(frozen=True, kw_only=True)
class HorizonConfig:
    """How far a plan looks, and what it thinks of the batteries at its end."""

    stage_s: tuple[float, ...] = HORIZON_S
    # v, of all batteries together. Of 0.006, 0.02 and 0.06, the last kept batteries from ever running empty or full on
    # eight episodes of `normal` with seeds from 6000 on, and was the cheapest with full information.
    half_full_per_mwh2: float = 0.06
    # r and s, of all batteries together, for a control interval.
    discharge_per_mw: float = 0.0
    away_per_mw2: float = 0.0

    def __post_init__(self) -> None:
        if not self.stage_s or min(self.stage_s) <= 0.0:
            raise ValueError(f"receding horizon: stage_s = {self.stage_s}, expected positive lengths.")

    @classmethod
    def of(cls, case: Case) -> HorizonConfig:
        """The usual choices at the size of a grid: batteries half empty are as dear there."""
        usual = cls()
        return replace(usual, half_full_per_mwh2=usual.half_full_per_mwh2 / case.setting.size**2)

    @classmethod
    def in_reserve(cls, case: Case) -> HorizonConfig:
        """The same with batteries held ready for an outage.

        The prices were chosen on validation episodes: on 128 of `n1` full information with them costs 366 less than the
        law of 22 numbers (228 to 567), without them 2 less (360 more to 332 less), by `evaluate.py --suite n1 --seeds
        2147482648:128 --policies linear_memory,full_information,full_information_reserve --reference linear_memory`.
        Higher ones, 0.01 on discharging or 2e-4 on the square, cost over 3 % more in `normal`.
        """
        size = case.setting.size
        return replace(cls.of(case), discharge_per_mw=0.002 / size, away_per_mw2=2e-5 / size**2)


class RecedingHorizon:
    """Plans of a batch of environments, each with a program of its own.

    Where a program has no solution, the commands go on along the last plan that was one; without any, they stay where
    they are.

    Attributes:
        ends_s: now and the stages' ends [s], [stage + 1].
        unsolved: intervals of the episode in which there was no solution, [env].
    """

    def __init__(self, model: OneMass, n_env: int, config: HorizonConfig | Sequence[HorizonConfig]) -> None:
        """For a grid.

        Args:
            model: the grid as one mass.
            n_env: environments.
            config: of all environments, or of each; all look as far ahead, in the same stages.

        Raises:
            ValueError: they do not.
        """
        self.model = model
        self._config = [config] * n_env if isinstance(config, HorizonConfig) else list(config)
        if len({one.stage_s for one in self._config}) > 1:
            raise ValueError("receding horizon: environments differ in stage_s, expected the same stages")
        self.program = [self._program_on(model, env) for env in range(n_env)]
        self._stage_s = np.array(self._config[0].stage_s)
        self.ends_s = np.concatenate([[0.0], np.cumsum(self._stage_s)])
        self.unsolved = np.zeros(n_env, dtype=np.int64)
        # The last plan of each environment: commands by class now and at the stages' ends, and intervals since.
        self.plan_mw = np.zeros((n_env, len(self.ends_s), len(CLASSES)))
        self._age = np.zeros(n_env, dtype=np.int64)

    def _program_on(self, model: OneMass, env: int) -> Program:
        config = self._config[env]
        return Program(
            model,
            np.array(config.stage_s),
            half_full_per_mwh2=config.half_full_per_mwh2,
            discharge_per_mw=config.discharge_per_mw,
            away_per_mw2=config.away_per_mw2,
        )

    def plan_on(self, env: int, model: OneMass) -> None:
        """From now on an environment is planned for on a mass of its own."""
        self.program[env] = self._program_on(model, env)

    def reset(self, envs: IntArray) -> None:
        """Forget the plans of these environments."""
        self.plan_mw[envs] = 0.0
        self._age[envs] = 0
        self.unsolved[envs] = 0
        for env in envs:
            self.program[env].side = np.zeros(len(self._stage_s))

    def targets(self, starts: Sequence[Start], d_mw: FloatArray) -> FloatArray:
        """Commands by class at the coming interval's end [MW], [env, class].

        Args:
            starts: where each environment stands.
            d_mw: disturbance expected now and at the stages' ends [MW], [env, stage + 1].
        """
        target_mw = np.zeros((len(starts), len(CLASSES)))
        for env, (start, program) in enumerate(zip(starts, self.program, strict=True)):
            # Twice after an outage, when the governors come in; otherwise the first pass confirms the last solution.
            try:
                z, _ = program.solve(start, d_mw[env], passes=2)
            except Unsolved:
                target_mw[env] = self.go_on(env)
            else:
                target_mw[env] = z[0, UB : CD + 1]
                self.plan_mw[env, 0], self.plan_mw[env, 1:] = start.command_mw, z[:, UB : CD + 1]
                self._age[env] = 0
        return target_mw

    def go_on(self, env: int) -> FloatArray:
        """Commands at the end of the coming interval by the last plan, which stands still beyond its horizon, [class].

        An episode begins with a plan of zeros, so set-points stay on schedule until there is another.
        """
        self.unsolved[env] += 1
        self._age[env] += 1
        at_s = (1 + self._age[env]) * self.model.interval_s
        return np.array([np.interp(at_s, self.ends_s, plan_mw) for plan_mw in self.plan_mw[env].T])

    def moves(self, target_mw: FloatArray, command_mw: FloatArray) -> FloatArray:
        """Change of the command of each plant of a class [MW], [env, class].

        Args:
            target_mw: of all plants of a class together, [env, class].
            command_mw: the same as they are now.
        """
        change_mw = (target_mw - command_mw) / self.model.count
        return np.where(np.abs(change_mw) < LEAST_MOVE_MW, 0.0, change_mw)

    def tell(self) -> dict[str, FloatArray]:
        """`unsolved`: intervals of the episode without a solution so far, [env]; a rollout's record keeps it."""
        return {"unsolved": self.unsolved.astype(np.float64)}
