"""What the loads at the agents' buses tell of all loads.

Loads of an area have half the variance of their noise in common (`ScenarioConfig.load_area_share`), so relative changes
there are r_j = u + v_j with variances alike. Of n loads that are watched the best guess is

    u = sum_j r_j / (n + 1),      dL = sum_j L_j r_j + u (L_area - sum_j L_j)

with the sums over the watched ones. From frequency alone one knows a disturbance's mean over an interval; where it has
got to by the end is what this adds.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from control.task.description import TaskDescription

__all__ = ["LoadWatch"]


class LoadWatch:
    """Change of all loads in a batch of environments, as far as the loads that are watched tell it."""

    def __init__(self, task: TaskDescription) -> None:
        """Args: task: has the grid's loads and areas, and the plants' buses."""
        case = task.case
        area = case.bus.area[case.load.bus]
        load_mw = np.maximum(case.load.p_mw, 0.0)
        # Megawatts of all loads for a watched load's change by its own size.
        self._per_share_mw = np.zeros(case.n_resource)
        buses, first = np.unique(case.resource.bus, return_index=True)  # plants at one bus see the same load
        watched = np.isin(case.load.bus, buses) & (load_mw > 0.0)
        for load in np.flatnonzero(watched).tolist():
            alike = area == area[load]
            unseen_mw = load_mw[alike & ~watched].sum()
            weight_mw = load_mw[load] + unseen_mw / (np.count_nonzero(alike & watched) + 1)
            self._per_share_mw[first[np.searchsorted(buses, case.load.bus[load])]] = weight_mw
        self._before = np.zeros((1, case.n_resource))

    def change_mw(self, own_load: FloatArray, fresh: BoolArray) -> FloatArray:
        """How much less is left for others, by all loads' change since the last call [MW], [env].

        Args:
            own_load: at the plants' buses, of their nominal power, [env, resource].
            fresh: where there was none before, [env].
        """
        change = np.where(fresh[:, None], 0.0, own_load - self._before)
        self._before = own_load.copy()
        change_mw: FloatArray = -change @ self._per_share_mw
        return change_mw
