"""The network at rotor angles that are given: what flows where no power flow reaches, past the top of the power curve.

In a swing a power flow is asked for the angles at which machines send out given powers. Behind a long tie there may be
none for a second or two: angles swing past the one at which the tie carries most, and on the far side a larger angle
means less power. Rotors are where they are all the same, and transient stability programs go the other way round: E'
of every machine stands behind x'd at its rotor's angle delta, and Kirchhoff's laws give the powers,

    (Y_bus + sum_i 1/(j x'd_i)) V + conj(S(V) / V) = sum_i (a_i + b_i V_i) exp(j delta_i) / (j x'd_i),

with E'_i = a_i + b_i V_i what a regulator makes of the voltage in this step (`grid_model.kernels.voltage_laws`) and
S(V) what is drawn at a bus. This has a solution wherever loads are not asked for power that no voltage can bring, so
below `RELAXED_PU` everything drawn or given at a bus is an impedance: S(V) = S(0.7) (V / 0.7)^2. Transient programs do
so by custom (PSS/E's PQBRAK, 0.7 pu as a rule): near zero voltage nothing draws constant power, or current.

Solved by Newton's method in rectangular coordinates, in which the network is linear and only the 2x2 blocks of the
buses change. Reference: P. Kundur, Power System Stability and Control, 1994, sec. 13.3.2.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, ComplexArray, FloatArray, IntArray

__all__ = ["RELAXED_PU", "Demand", "MachinesAtAngles", "network_at_angles"]

RELAXED_PU = 0.7  # below it everything at a bus is an impedance
TOLERANCE_PU = 1e-9  # largest mismatch of current, as of power in the power flow
MAX_ITERATION = 20
LEAST_STEP = 1.0 / 64.0  # of a Newton step, halved until the mismatch falls


class Demand(NamedTuple):
    """What is drawn at every bus [pu], [bus]: S0 [k + (1 - k) (V / Vr)^n] for loads, constant power for plants."""

    load_pu: ComplexArray  # S0
    plant_pu: ComplexArray  # given
    reference_pu: FloatArray  # Vr
    p_exponent: float
    q_exponent: float
    constant_share: float  # k

    def drawn(self, vm_pu: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """What loads draw and plants give at these voltages [pu], two arrays [bus]."""
        within = np.maximum(vm_pu, RELAXED_PU)
        relaxed = (np.minimum(vm_pu, RELAXED_PU) / RELAXED_PU) ** 2
        ratio, varying = within / self.reference_pu, 1.0 - self.constant_share
        p = self.load_pu.real * (self.constant_share + varying * ratio**self.p_exponent)
        q = self.load_pu.imag * (self.constant_share + varying * ratio**self.q_exponent)
        load: ComplexArray = (relaxed * (p + 1j * q)).astype(np.complex128)
        plant: ComplexArray = relaxed * self.plant_pu
        return load, plant

    def admittance(self, vm_pu: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """y in I = y V for what is drawn, and dy/dV; two arrays [bus]."""
        load, plant = self.drawn(vm_pu)
        y: ComplexArray = (np.conj(load - plant) / vm_pu**2).astype(np.complex128)
        ratio, varying = np.maximum(vm_pu, RELAXED_PU) / self.reference_pu, 1.0 - self.constant_share
        p = self.load_pu.real * varying * self.p_exponent * ratio**self.p_exponent
        q = self.load_pu.imag * varying * self.q_exponent * ratio**self.q_exponent
        steep = (p - 1j * q) / vm_pu**3 - 2.0 * y / vm_pu
        slope: ComplexArray = np.where(vm_pu > RELAXED_PU, steep, np.complex128(0.0))
        return y, slope


class MachinesAtAngles(NamedTuple):
    """Machines in service: E' = (a + b V) exp(j delta) behind x'd; all arrays [machine]."""

    bus: IntArray
    reactance_pu: FloatArray
    constant_pu: FloatArray  # a
    slope: FloatArray  # b
    angle_rad: FloatArray  # delta


def network_at_angles(
    y_bus_pu: ComplexArray,
    live: BoolArray,
    machines: MachinesAtAngles,
    demand: Demand,
    start_pu: ComplexArray,
) -> ComplexArray | None:
    """Voltages of all buses at given rotor angles.

    Args:
        y_bus_pu: admittances of the network, shunts included, [bus, bus].
        live: energised buses, [bus]; each of their islands has a machine.
        machines: of which buses are live.
        demand: what is drawn and given at the buses.
        start_pu: where Newton's method begins; if it does not get on from there, it begins at what the network would
            be if everything drawn at nominal voltage were an impedance, [bus].

    Returns:
        [bus], zero at dead buses; None if no solution is found.
    """
    if not (np.isfinite(demand.load_pu).all() and np.isfinite(demand.plant_pu).all()):
        return None
    at = np.flatnonzero(live)
    place = np.full(live.size, -1)
    place[at] = np.arange(at.size)
    bus = place[machines.bus]
    behind = 1.0 / (1j * machines.reactance_pu)
    y = y_bus_pu[np.ix_(at, at)].copy()
    np.add.at(y, (bus, bus), behind)
    unit = behind * np.exp(1j * machines.angle_rad)
    push, steep = np.zeros(at.size, dtype=np.complex128), np.zeros(at.size, dtype=np.complex128)
    np.add.at(push, bus, unit * machines.constant_pu)
    np.add.at(steep, bus, unit * machines.slope)
    found: ComplexArray | None = None
    here = demand._replace(
        load_pu=demand.load_pu[at], plant_pu=demand.plant_pu[at], reference_pu=demand.reference_pu[at]
    )
    # Newton's method may pass by zero voltage, or run away; what is not finite ends it.
    with np.errstate(all="ignore"), suppress(np.linalg.LinAlgError):
        found = _newton(y, push, steep, here, start_pu[at])
        if found is None:
            nominal, _ = here.admittance(np.ones(at.size))
            linear = y + np.diag(nominal) - np.diag(steep)  # of the slopes what acts at 1 pu, in phase
            first: ComplexArray = np.asarray(np.linalg.solve(linear, push), dtype=np.complex128)
            found = _newton(y, push, steep, here, first)
    if found is None:
        return None
    v_pu = np.zeros(live.size, dtype=np.complex128)
    v_pu[at] = found
    return v_pu


def _newton(
    y_pu: ComplexArray, push: ComplexArray, steep: ComplexArray, demand: Demand, start_pu: ComplexArray
) -> ComplexArray | None:
    """Voltages at which no current is left over, [live bus]; None where Newton's method does not find them."""
    n = start_pu.size
    diagonal = np.arange(n)

    def left_over(v: ComplexArray) -> ComplexArray:
        vm = np.abs(v)
        lack: ComplexArray = y_pu @ v + demand.admittance(vm)[0] * v - push - steep * vm
        return lack

    linear = np.block([[y_pu.real, -y_pu.imag], [y_pu.imag, y_pu.real]])
    v, lack = start_pu.copy(), left_over(start_pu)
    for _ in range(MAX_ITERATION):
        size = float(np.abs(lack).max())
        if size <= TOLERANCE_PU:
            return v
        if not np.isfinite(size):
            return None
        vm = np.abs(v)
        drawn, change = demand.admittance(vm)
        along = (change * v - steep) / vm  # by |V|, times the components of V below
        by_re, by_im = drawn + along * v.real, 1j * drawn + along * v.imag
        jacobian = linear.copy()
        jacobian[diagonal, diagonal] += by_re.real
        jacobian[diagonal, n + diagonal] += by_im.real
        jacobian[n + diagonal, diagonal] += by_re.imag
        jacobian[n + diagonal, n + diagonal] += by_im.imag
        step = np.linalg.solve(jacobian, -np.concatenate([lack.real, lack.imag]))
        whole = step[:n] + 1j * step[n:]
        part = 1.0
        while True:
            next_v = v + part * whole
            next_lack = left_over(next_v)
            if np.abs(next_lack).max() < size or part <= LEAST_STEP:
                break
            part *= 0.5
        v, lack = next_v, next_lack
    return None
