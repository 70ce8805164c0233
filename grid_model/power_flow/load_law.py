"""Powers that the engine adds to what is scheduled: loads by their dependence on voltage, and DC lines."""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.batch_solver import NO_LAW


def load_law(
    s_current_mva: ComplexArray,
    s_impedance_mva: ComplexArray,
    s_exponent_mva: ComplexArray | None = None,
    alpha: FloatArray | None = None,
    beta: FloatArray | None = None,
) -> FloatArray:
    """Loads that depend on voltage, in the form that `NewtonEngine.solve` takes.

        S = S_I V + S_Z V^2 + P_E V^alpha + j Q_E V^beta         V in per unit of nominal

    Args:
        s_current_mva: drawn at 1 pu as constant current [MVA], [env, bus].
        s_impedance_mva: drawn at 1 pu as constant impedance [MVA], [env, bus].
        s_exponent_mva: drawn at 1 pu by loads with exponents [MVA], [env, bus].
        alpha: exponent of their active power, [env, bus].
        beta: exponent of their reactive power, [env, bus].

    Returns:
        [env, bus, 8].
    """
    zero = np.zeros(s_current_mva.shape)
    exponent = np.zeros_like(s_current_mva) if s_exponent_mva is None else s_exponent_mva
    parts = [
        s_current_mva.real,
        s_current_mva.imag,
        s_impedance_mva.real,
        s_impedance_mva.imag,
        exponent.real,
        exponent.imag,
        zero if alpha is None else alpha,
        zero if beta is None else beta,
    ]
    return np.stack(parts, axis=-1)


def drawn_mva(law_mva: FloatArray, vm_pu: FloatArray) -> ComplexArray:
    """What loads of `load_law` draw at these voltages; law_mva [..., 8], vm_pu and the result [...]."""
    p_i, q_i, p_z, q_z, p_e, q_e, alpha, beta = np.moveaxis(law_mva, -1, 0)
    p = p_i * vm_pu + p_z * vm_pu**2 + p_e * vm_pu**alpha
    return p + 1j * (q_i * vm_pu + q_z * vm_pu**2 + q_e * vm_pu**beta)


def own_law(case: Case, n_env: int) -> FloatArray:
    """Laws of the case's loads at their published size, [env, bus, 8]; empty if all draw constant power."""
    load = case.load
    if not load.depends_on_voltage:
        return NO_LAW
    s_current, s_impedance = (np.zeros(case.n_bus, dtype=np.complex128) for _ in range(2))
    np.add.at(s_current, load.bus, load.p_mw * load.p_current_share + 1j * load.q_mvar * load.q_current_share)
    np.add.at(
        s_impedance, load.bus, load.p_mw * load.p_impedance_share + 1j * load.q_mvar * load.q_impedance_share
    )
    return np.repeat(load_law(s_current, s_impedance)[None], n_env, axis=0)


def dc_line_mva(case: Case, in_service: BoolArray) -> ComplexArray:
    """Complex power that DC lines inject at every bus [MVA], [n, bus]; in_service [n, dc line]."""
    line, row = case.dc_line, np.arange(len(in_service))[:, None]
    injection = np.zeros((len(in_service), case.n_bus), dtype=np.complex128)
    np.add.at(injection, (row, line.from_bus[None]), -line.p_from_mw * in_service)
    np.add.at(injection, (row, line.to_bus[None]), line.p_to_mw * in_service)
    return injection
