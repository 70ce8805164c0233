"""Reactive limits of the machines: from holding a voltage to giving a fixed power, and back.

A bus holds its voltage while its machines' reactive power lies within limits. Where it leaves them, the power stays
at the limit and the voltage follows; a machine at its upper limit whose voltage is above its set-point (or at its
lower limit, below it) can hold the set-point again and does. What is found satisfies, at every bus with machines,

    V = V_set and Q_min <= Q <= Q_max,     or  Q = Q_max and V <= V_set,     or  Q = Q_min and V >= V_set.

pandapower's `enforce_q_lims` never goes back, so its answer can hold a machine at a limit it need not be at.

Nobody has published limits of the machines of the 68-bus system; `typical_limits` derives them from the ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.tables import MachineTable
from grid_model.network.admittance import ComplexArray

if TYPE_CHECKING:
    from grid_model.power_flow.newton import NewtonEngine

MAX_ROUND = 30  # a bus that is still switching then has no state that satisfies the conditions
MAX_RELEASE = 3  # times that a bus may return to its set-point; more would be a circle
MARGIN_MVAR = 1e-6  # ten times the mismatch of a solution
MARGIN_PU = 1e-9
ORACLE_MVAR, ORACLE_PU = 1e-4, 1e-7  # how closely another solver's answer has to satisfy the conditions
# Power factors at which generators are usually built to give their rating (IEEE Std C50.13: 0.85 to 0.90 lagging,
# 0.95 leading); that these machines are so built is this project's assumption.
LAGGING_POWER_FACTOR, LEADING_POWER_FACTOR = 0.85, 0.95


@dataclass(kw_only=True)
class LimitRecord:
    """Which buses stand at a limit during one solve."""

    side: IntArray  # 1 at the upper, -1 at the lower limit, 0 where the voltage is held; [env, bus]
    fixed_mvar: FloatArray  # given by the machines there, [env, bus]
    released: IntArray  # how often a bus went back, [env, bus]
    gave_up: BoolArray  # [env]
    round: int = 0


@dataclass(frozen=True, kw_only=True)
class ReactiveLimits:
    """What the machines can give at most and at least [Mvar], [machine]; infinite where it is not known."""

    q_min_mvar: FloatArray
    q_max_mvar: FloatArray
    source: str = ""  # where they come from, in words

    def are_met(
        self, machine: MachineTable, in_service: BoolArray, q_mvar: FloatArray, vm_pu: FloatArray
    ) -> bool:
        """Whether a solution of any solver satisfies the conditions above, bus by bus.

        Args:
            machine: table of the machines.
            in_service: which of them are, [machine].
            q_mvar: what they give, [machine].
            vm_pu: voltages, [bus].
        """
        for bus in np.unique(machine.bus[in_service]).tolist():
            at = in_service & (machine.bus == bus)
            q, low, high = q_mvar[at].sum(), self.q_min_mvar[at].sum(), self.q_max_mvar[at].sum()
            above_pu = vm_pu[bus] - machine.vm_set_pu[at][-1]
            held = abs(above_pu) <= ORACLE_PU and low - ORACLE_MVAR <= q <= high + ORACLE_MVAR
            at_high = abs(q - high) <= ORACLE_MVAR and above_pu <= ORACLE_PU
            at_low = abs(q - low) <= ORACLE_MVAR and above_pu >= -ORACLE_PU
            if not (held or at_high or at_low):
                return False
        return True

    def begin(self, n_env: int) -> LimitRecord:
        """Nothing at a limit yet."""
        return LimitRecord(
            side=np.zeros((n_env, 0), dtype=np.int64),
            fixed_mvar=np.zeros((n_env, 0)),
            released=np.zeros((n_env, 0), dtype=np.int64),
            gave_up=np.zeros(n_env, dtype=np.bool_),
        )

    def switch(
        self, record: LimitRecord, engine: NewtonEngine, envs: IntArray, injection_mva: ComplexArray
    ) -> BoolArray:
        """Look at fresh solutions and switch what has to be; whether anything changed, [n].

        Args:
            record: changed.
            engine: the power flows, just solved for `envs`.
            envs: environments with a fresh solution, [n].
            injection_mva: from everything but what machines give by limits [MVA], [env, bus].
        """
        case = engine.case
        if record.side.shape[1] == 0:
            shape = (engine.n_env, case.n_bus)
            record.side, record.released = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
            record.fixed_mvar = np.zeros(shape)
        on = engine.machine_in_service[envs]
        bus = case.machine.bus
        low, high = (np.zeros((len(envs), case.n_bus)) for _ in range(2))
        vm_set_pu = np.zeros((len(envs), case.n_bus))
        for machine in range(case.n_machine):
            low[:, bus[machine]] += np.where(on[:, machine], self.q_min_mvar[machine], 0.0)
            high[:, bus[machine]] += np.where(on[:, machine], self.q_max_mvar[machine], 0.0)
            at = on[:, machine]
            vm_set_pu[at, bus[machine]] = case.machine.vm_set_pu[machine]
        holds = vm_set_pu > 0.0
        q_mvar = engine.bus_power(injection_mva, envs).imag
        vm_pu = np.abs(engine.v_pu[envs])
        side = record.side[envs]
        free = holds & (side == 0)
        over, under = free & (q_mvar > high + MARGIN_MVAR), free & (q_mvar < low - MARGIN_MVAR)
        may = holds & (record.released[envs] < MAX_RELEASE)
        back = may & (side * (vm_pu - vm_set_pu) > MARGIN_PU)
        side = np.where(over, 1, np.where(under, -1, np.where(back, 0, side)))
        changed = np.any(over | under | back, axis=1)
        record.side[envs] = side
        record.released[envs] += back
        record.fixed_mvar[envs] = np.where(side > 0, high, np.where(side < 0, low, 0.0))
        record.round += 1
        stuck = np.any(holds & ~may & (side * (vm_pu - vm_set_pu) > MARGIN_PU), axis=1)
        if record.round >= MAX_ROUND:
            stuck |= changed
            changed = np.zeros_like(changed)
        record.gave_up[envs] = stuck & ~changed
        return changed


def typical_limits(machine: MachineTable) -> ReactiveLimits:
    """Limits of machines of which only the rating S is known, by usual power factors.

        Q_max = S sin(acos 0.85) = 0.527 S,   Q_min = -S sin(acos 0.95) = -0.312 S

    A machine below its rated active power could give somewhat more (its rotor's heat is the limit, not its
    stator's); that is left out.
    """
    return ReactiveLimits(
        q_min_mvar=-machine.rating_mva * np.sqrt(1.0 - LEADING_POWER_FACTOR**2),
        q_max_mvar=machine.rating_mva * np.sqrt(1.0 - LAGGING_POWER_FACTOR**2),
        source=f"the machines' ratings at power factors of {LAGGING_POWER_FACTOR} lagging and "
        f"{LEADING_POWER_FACTOR} leading, typical values: none are published",
    )
