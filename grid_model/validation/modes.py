"""Electromechanical modes: how groups of machines swing against each other after a small disturbance.

    M df/dt = -T theta - (D + 2 pi K T) f,      d theta/dt = 2 pi f

around an operating point, governors inside their dead band. M, T and D are those of the frequency model at any of its
levels; K is the tie damping. One eigenvalue pair per mode, lambda = -zeta omega_0 +- j omega; the common motion of all
groups has no restoring torque and is left out. Reference: P. Kundur, Power System Stability and Control, 1994,
sec. 12.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.dynamics.kron_reduction import classical_stiffness
from grid_model.dynamics.parameters import SwingConfig, machine_inertia_mws_per_hz
from grid_model.network.admittance import ComplexArray
from grid_model.validation.classical import ClassicalGrid

__all__ = ["Modes", "electromechanical_modes", "published_modes"]


@dataclass(frozen=True, kw_only=True)
class Modes:
    """Oscillations in order of frequency."""

    frequency_hz: FloatArray  # damped, [mode]
    damping: FloatArray  # zeta, share of critical, [mode]
    shape: ComplexArray  # frequency of each group in the mode, largest entry 1, [group, mode]


def electromechanical_modes(
    inertia_mws_per_hz: FloatArray,
    stiffness_mw_per_rad: FloatArray,
    damping_mw_per_hz: FloatArray | None = None,
    tie_damping_s: float = 0.0,
) -> Modes:
    """Modes of groups with these inertias, joined by this matrix.

    Args:
        inertia_mws_per_hz: M, [group].
        stiffness_mw_per_rad: d P_i / d theta_j, [group, group].
        damping_mw_per_hz: D, [group]; none if None.
        tie_damping_s: K [s].
    """
    n = len(inertia_mws_per_hz)
    m, t = inertia_mws_per_hz[:, None], stiffness_mw_per_rad
    d = np.zeros(n) if damping_mw_per_hz is None else damping_mw_per_hz
    state = np.zeros((2 * n, 2 * n))
    state[:n, n:] = 2.0 * np.pi * np.eye(n)
    state[n:, :n] = -t / m
    state[n:, n:] = -(np.diag(d) + 2.0 * np.pi * tie_damping_s * t) / m
    values, vectors = np.linalg.eig(state)
    # The common motion: its eigenvalue is zero but for rounding and load damping, far below 1e-2 Hz.
    found = np.flatnonzero(values.imag > 2.0 * np.pi * 1e-2)
    found = found[np.argsort(values[found].imag)]
    shape = vectors[n:, found]
    largest = np.abs(shape).argmax(axis=0)
    return Modes(
        frequency_hz=values[found].imag / (2.0 * np.pi),
        damping=-values[found].real / np.abs(values[found]),
        shape=shape / shape[largest, np.arange(len(found))],
    )


def published_modes(case: Case) -> Modes:
    """Undamped modes of the classical machines at the published operating point.

    One slack machine, no reactors and no plants of this project's own; loads are constant impedances, E behind x'd is
    constant.
    """
    grid = ClassicalGrid(case, SwingConfig(level="machine", load_damping=0.0))
    _, susceptance_power = grid.coefficients(grid.undisturbed(), np.zeros(case.n_machine))
    return electromechanical_modes(
        machine_inertia_mws_per_hz(case), classical_stiffness(susceptance_power[:, :, 0])
    )
