"""Units that have returned are loaded no faster than they can be: their schedules begin at zero and rise by a ramp."""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.dynamics.injections import InjectionProfile

__all__ = ["UnitLoading"]


class UnitLoading:
    """Ramps of the units of every environment that have returned.

    Attributes: cap_mw: highest schedule that a unit may be at, at the interval's end, infinite for all others,
        [env, machine]; an array that stays.
    """

    def __init__(
        self,
        case: Case,
        n_env: int,
        profile: InjectionProfile,
        percent_per_min: float | None,
        interval_s: float,
    ) -> None:
        """No unit has returned.

        Args:
            case: the grid.
            n_env: environments.
            profile: whose schedules are held back.
            percent_per_min: of its rating by which a unit can be loaded [%/min]; at once if None.
            interval_s: length of a control interval [s].
        """
        self._profile, self._interval_s = profile, interval_s
        self._limits = percent_per_min is not None
        percent = np.inf if percent_per_min is None else percent_per_min / 100.0 / 60.0
        self._mw_per_s: FloatArray = percent * case.machine.rating_mva
        self.cap_mw: FloatArray = np.full((n_env, case.n_machine), np.inf)
        self._any = False  # whether any unit may be below its schedule because it has returned

    @property
    def holds_back(self) -> bool:
        """Whether any unit may be below its schedule."""
        return self._any

    def look(self) -> None:
        """The caps have been written to."""
        self._any = bool(np.isfinite(self.cap_mw).any())

    def limit(self, env: int, returned: BoolArray, at: float) -> None:
        """Schedules of units that have just returned begin at zero and rise no faster than these can be loaded."""
        if not self._limits or not returned.any():
            return
        left_s = (1.0 - at) * self._interval_s
        begin, end = self._profile.begin.schedule_mw[env], self._profile.end.schedule_mw[env]
        cap_mw = self._mw_per_s * left_s
        end[returned] = np.minimum(end, cap_mw)[returned]
        if left_s > 0.0:  # the line through zero at the instant of return; before it the unit was out
            begin[returned] = -end[returned] * at / (1.0 - at)
        self.cap_mw[env, returned] = cap_mw[returned]
        self._any = True

    def advance(self) -> None:
        """One interval more for the ramps of units that have returned; one that has reached its schedule is done."""
        cap_mw, schedule_mw = self.cap_mw, self._profile.arrays.coming.schedule_mw
        cap_mw += self._mw_per_s * self._interval_s
        done = cap_mw >= schedule_mw
        np.minimum(schedule_mw, cap_mw, out=schedule_mw)
        cap_mw[done] = np.inf
        self._any = not done.all()
