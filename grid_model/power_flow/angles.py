"""Angles of a grid: where Newton's method may start, and how they are counted in the source and in each island."""

from __future__ import annotations

import warnings

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray


def dc_angles(case: Case, p_mw: FloatArray) -> FloatArray:
    """Angles by DC power flow, B theta = P, with reactances at their size: a start of Newton's method [rad], [bus].

    Args:
        case: the grid; the slack bus of each island has angle 0 and takes what does not balance.
        p_mw: injections, [bus].
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import MatrixRankWarning, spsolve

    branch = case.branch
    f, t, b = branch.from_bus, branch.to_bus, 1.0 / np.abs(branch.reactance_pu * branch.tap)
    rows, columns = np.concatenate([f, t, f, t]), np.concatenate([f, t, t, f])
    matrix = coo_matrix(
        (np.concatenate([b, b, -b, -b]), (rows, columns)), shape=(case.n_bus, case.n_bus)
    ).tocsc()
    p_pu = p_mw / case.base_mva
    np.add.at(p_pu, f, b * branch.shift_rad)
    np.add.at(p_pu, t, -b * branch.shift_rad)
    kept = np.setdiff1d(np.arange(case.n_bus), case.machine.bus[case.machine.slack])
    angle_rad = np.zeros(case.n_bus)
    if len(kept):
        with warnings.catch_warnings():
            # Of reactances that no circuit has, 1e-300, there are none: not numbers, from which nothing converges.
            warnings.simplefilter("ignore", MatrixRankWarning)
            angle_rad[kept] = spsolve(matrix[kept][:, kept], p_pu[kept])
    return angle_rad


def turn_to_slack(case: Case, v_pu: ComplexArray) -> ComplexArray:
    """What turns the voltages of each island so that its slack bus has angle 0, [bus]."""
    slack_bus = case.machine.bus[case.machine.slack]
    turn = np.ones(case.n_island, dtype=np.complex128)
    turn[case.island[slack_bus]] = np.conj(v_pu[slack_bus]) / np.abs(v_pu[slack_bus])
    return turn[case.island]


def source_voltages(case: Case, v_pu: ComplexArray) -> ComplexArray:
    """Voltages with the angles of the source: those of vector groups and references are added, [..., bus]."""
    turned: ComplexArray = v_pu * np.exp(1j * case.bus.turn_rad)
    return turned
