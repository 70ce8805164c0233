"""Switching of the shunt reactors at each re-dispatch: by load level at first, then by voltage.

The published case has no reactive compensation, so its lines' charging lifts voltages at light load; the reactors
are this project's own. The load level alone gives a first guess. It is not enough once regions are loaded
differently, since what a line absorbs depends on what it carries, so at each re-dispatch every bank is moved towards
the voltage that its bus should have, as an operator would:

    share(k + 1) = clip(share(k) + (V - V_wanted) / V_PER_BANK, 0, 1)      where |V - V_wanted| > V_TOLERATED

Left out: steps of single banks, switching delays, tap changers.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray

__all__ = ["initial_reactor_share", "next_reactor_share"]

ALL_IN_AT = 0.4  # load level
ALL_OUT_AT = 1.0
V_WANTED_PU = 1.03
V_TOLERATED_PU = 0.01
V_PER_BANK_PU = 0.15  # more than a whole bank moves its bus, so that the steps do not overshoot


def initial_reactor_share(load_level: FloatArray) -> FloatArray:
    """First guess from the load level of the reactor's area: clip((1 - level) / 0.6, 0, 1), any shape."""
    share: FloatArray = np.clip((ALL_OUT_AT - load_level) / (ALL_OUT_AT - ALL_IN_AT), 0.0, 1.0)
    return share


def next_reactor_share(share: FloatArray, vm_pu: FloatArray) -> FloatArray:
    """Share of each bank after a re-dispatch that finds these voltages at the banks' buses, any shape."""
    error_pu = vm_pu - V_WANTED_PU
    move = np.where(np.abs(error_pu) > V_TOLERATED_PU, error_pu / V_PER_BANK_PU, 0.0)
    moved: FloatArray = np.clip(share + move, 0.0, 1.0)
    return moved
