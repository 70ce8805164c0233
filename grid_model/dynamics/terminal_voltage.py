"""What machines do with their terminal voltage: held ideally, with a constant E', or regulated through their field.

In quiet macro steps every regulator is far faster than the step, and machines hold their voltage (PV buses). From an
event on, and while groups swing against each other, they hold what flux keeps up instead: E' behind x'd,

    T'd0 dE'/dt = E_fd - E' - (x_d - x'd) I_d,      I_d = (E' - V cos delta) / x'd
    E_fd = bias + K_t e + z, within floor and ceiling,      T_e dz/dt = (K - K_t) e - z
    e = Vref - V,      dVref/dt = r (Vset - V)

with E' along the q axis, as the classical model has it. The event starts from the fields' rest in the last solution,
Vset being the voltage there, so that with the old voltages nothing would move. Three choices:

    regulated   the above, with the data of `cases.excitation`; a machine whose field is set by hand keeps its E';
    classical   E' stays what it was;
    held        the terminal voltage stays what it was, as in quiet macro steps.

When the groups have come to rest and the machines' voltages no longer move, machines hold their voltage again: the
one they then have, so that nothing jumps. It goes back to the scheduled one as loads recover, with the same time
constant: operators set fields that are excited by hand (G13 to G16 of the 68 buses) and regulators that were left with
an error. The implicit Euler method is taken from power flow to power flow, in the voltage that is being solved for; it
is stable whatever the step and of first order in `renewal_s`.

The compiled half is `grid_model.kernels.voltage_laws`. Left out: saliency and damper windings (x'q = x'd), saturation,
limiters of under- and over-excitation, stabilisers (they are in the tie damping).

Reference: P. Kundur, Power System Stability and Control, 1994, sec. 5.3 (E' by flux decay) and 8.6 (regulators).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray, any_set
from cases.case import Case
from cases.excitation import typical_excitation
from grid_model.kernels.structs import Excitation, ExcitationState, GridArrays
from grid_model.kernels.voltage_laws import begin_field, begin_regulation
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["TerminalVoltage", "TerminalVoltageModel"]

TerminalVoltageModel = Literal["held", "regulated", "classical"]
REST_PU = 1e-3  # machines' voltages that move by less in a control interval have come to rest
SCHEDULED_PU = 1e-5  # held voltages this close to the scheduled one are brought there


class TerminalVoltage:
    """Who holds which voltage in every environment.

    Attributes (read them, change them only through the methods; the arrays stay):
        data: of fields and regulators; state: theirs, see `Excitation` and `ExcitationState`.
        held_pu: voltage that each machine holds in quiet macro steps, [env, machine].
    """

    def __init__(
        self, model: TerminalVoltageModel, case: Case, engine: NewtonEngine, recovery_s: float
    ) -> None:
        """All machines hold their scheduled voltage.

        Args:
            model: what they do in a swing.
            case: the grid.
            engine: the power flows.
            recovery_s: time constant with which held voltages return to the scheduled ones [s].
        """
        self.model = model
        self._engine, self._scheduled_pu, self._machine_bus = engine, case.machine.vm_set_pu, case.machine.bus
        self._recovery_s = recovery_s
        n_env, n = engine.n_env, case.n_machine
        table = case.excitation or typical_excitation(n)
        constant_emf = np.full(n, model == "classical") | (table.gain == 0.0)
        self.data = Excitation(
            reactance_ratio=case.machine.xd_pu / case.machine.xd1_pu,
            t_field_s=np.where(constant_emf, np.inf, table.t_field_s),
            gain=np.array(table.gain),
            transient_gain=np.array(table.transient_gain),
            lag_s=np.array(table.lag_s),
            reset_per_s=np.array(table.reset_per_s),
            efd_min_pu=np.array(table.efd_min_pu),
            efd_max_pu=np.array(table.efd_max_pu),
        )

        def machines() -> FloatArray:
            return np.ones((n_env, n))

        self.state = ExcitationState(
            regulating=np.zeros(n_env, dtype=np.bool_),
            emf_pu=machines(),
            lagging_pu=machines(),
            bias_pu=machines(),
            set_point_pu=machines(),
            reference_pu=machines(),
            side=np.zeros((n_env, n), dtype=np.int64),
            cosine=machines(),
            elapsed_s=np.zeros(n_env),
        )
        self.held_pu = np.repeat(case.machine.vm_set_pu[None, :], n_env, axis=0)
        self._returning = np.zeros(n_env, dtype=np.bool_)
        self._vm_then_pu = np.zeros((n_env, n))  # at the beginning of the last interval

    def start(self, envs: IntArray) -> None:
        """Machines of these environments hold their scheduled voltages."""
        self.state.elapsed_s[envs] = 0.0
        for env in envs[self.state.regulating[envs] | self._returning[envs]].tolist():
            self._hold(env, self._scheduled_pu)
        self._returning[envs] = False

    def begin(self, grid: GridArrays, envs: IntArray) -> None:
        """From now on machines go by their fields, at rest in the last solution; unless they hold all the time."""
        if self.model == "held":
            return
        fresh = envs[~self.state.regulating[envs]]
        if len(fresh):
            begin_regulation(grid, fresh)
            self._vm_then_pu[fresh] = np.inf
            for env in fresh.tolist():
                self._engine.hold_voltages(env, False, self.held_pu[env])

    def topology_changed(
        self, grid: GridArrays, env: int, returned: BoolArray, machine_mw: FloatArray
    ) -> None:
        """Machines that return while others go by their fields begin at rest with their power, both [machine]."""
        if self.state.regulating[env]:
            for i in np.flatnonzero(returned).tolist():
                begin_field(grid, env, i, float(machine_mw[i]), 0.0)

    def moving(self, swinging: BoolArray) -> BoolArray:
        """Whose machines still go by their fields in the interval that begins; who has come to rest holds again.

        Args:
            swinging: whose groups swing against each other, [env].

        Returns:
            [env].
        """
        state = self.state
        moving = state.regulating.copy()
        for env in np.flatnonzero(state.regulating).tolist():
            vm_pu = np.abs(self._engine.v_pu[env, self._machine_bus])
            on = self._engine.machine_in_service[env]
            change_pu = np.abs(vm_pu - self._vm_then_pu[env])[on].max(initial=0.0)
            self._vm_then_pu[env] = vm_pu
            if not swinging[env] and change_pu < REST_PU:
                moving[env] = state.regulating[env] = False
                self._returning[env] = True
                self._hold(env, np.where(on, vm_pu, self.held_pu[env]))
        return moving

    def recover(self, envs: IntArray, length_s: float) -> None:
        """Held voltages of these environments go on towards the scheduled ones for this time."""
        if not any_set(self._returning):
            return
        envs = envs[self._returning[envs]]
        away_pu = np.exp(-length_s / self._recovery_s) * (self.held_pu[envs] - self._scheduled_pu)
        away = np.any(np.abs(away_pu) > SCHEDULED_PU, axis=1)
        self._returning[envs] = away
        self.held_pu[envs] = self._scheduled_pu + np.where(away[:, None], away_pu, 0.0)
        self.state.regulating[envs] = False
        self._engine.hold_at(envs, self.held_pu[envs])

    def arrays(self) -> dict[str, FloatArray | BoolArray | IntArray]:
        """All state, by name."""
        own = {f"field_{name}": array for name, array in self.state._asdict().items()}
        return own | {
            "held_pu": self.held_pu,
            "held_returning": self._returning,
            "machine_vm_then_pu": self._vm_then_pu,
        }

    def restore(self) -> None:
        """Tell the engine what `arrays` say, after they have been written."""
        for env in range(self._engine.n_env):
            self._engine.hold_voltages(env, not self.state.regulating[env], self.held_pu[env])

    def _hold(self, env: int, vm_pu: FloatArray) -> None:
        self.held_pu[env] = vm_pu
        self.state.regulating[env] = False
        self._engine.hold_voltages(env, True, self.held_pu[env])
