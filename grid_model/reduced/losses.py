"""Losses of the circuits from a linear network: to second order in the angles, with nothing to iterate.

    B theta = P,      loss_l = g_l V_f V_t (theta_f - theta_t)^2,      g_l = r / (r^2 + x^2) / t

which is the power flow's own g (V_f^2 + V_t^2 - 2 V_f V_t cos phi) at equal voltages, to second order in phi. B is the
Laplacian of the springs V_f V_t x / (r^2 + x^2) / t. Voltages are those of one AC solution and stay; what reactive
flows and differences of voltage lose is left out, so these losses say how they curve, not how large they are. What the
powers leave over is shared among the machines by governor gain, as in the full model.

Reference: A. J. Wood, B. F. Wollenberg, Power Generation, Operation and Control, 2nd ed., 1996, sec. 4.1 and app. 4A.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.topology import weighted_laplacian

__all__ = ["LinearNetwork"]


class LinearNetwork:
    """Flows and losses of one topology at fixed voltages."""

    def __init__(
        self, case: Case, vm_pu: FloatArray, branch_in_service: BoolArray, balancing_share: FloatArray
    ) -> None:
        """Invert the Laplacian once.

        Args:
            case: the grid.
            vm_pu: voltage magnitudes, [bus].
            branch_in_service: which circuits are, [branch].
            balancing_share: of each machine in what powers leave over, sums to one, [machine].
        """
        branch = case.branch
        product = vm_pu[branch.from_bus] * vm_pu[branch.to_bus] * branch_in_service / branch.tap
        square = branch.r_pu**2 + branch.x_pu**2
        laplacian = weighted_laplacian(case, product * branch.x_pu / square)
        # The mean angle is free; any reference gives the same differences.
        angle = np.zeros((case.n_bus, case.n_bus))
        angle[1:, 1:] = np.linalg.inv(laplacian[1:, 1:])
        balance = np.zeros(case.n_bus)
        np.add.at(balance, case.machine.bus, balancing_share)
        angle -= (angle @ balance)[:, None]  # every power is taken out where the machines balance it
        # Angle across each circuit per MW into each bus, [branch, bus].
        self._across = (angle[branch.from_bus] - angle[branch.to_bus]) / case.base_mva
        self._loss_mw = case.base_mva * product * branch.r_pu / square  # per rad^2, [branch]

    def losses_mw(self, injection_mw: FloatArray) -> FloatArray:
        """Losses of every circuit [MW] at powers into the buses [MW], [point, bus] -> [point, branch]."""
        across: FloatArray = injection_mw @ self._across.T
        return across * across * self._loss_mw

    def marginal_losses(self, injection_mw: FloatArray) -> FloatArray:
        """What a MW more into each bus adds to all losses [MW/MW], [bus] -> [bus]."""
        slope: FloatArray = (2.0 * self._loss_mw * (self._across @ injection_mw)) @ self._across
        return slope
