"""Over-excitation limiters: machines that give more reactive power than they stand for long are brought back to it.

A rotor stands more than its rated field for a while: IEEE C50.13 asks for 125 % for 60 s and 146 % for 30 s, and
limiters are set a little faster. So within a swing a machine may give what its regulator asks, and only when it has
stood above its limit for `DELAY_S` without a break does the limiter lower the set-point of the regulator, in proportion
to the excess, until the limit is met; when there is room again the set-point comes back at the same rate,

    dVset/dt = -r (Q - Q_max) / S       while late, or while anything is left to bring back,

never above what it was. This is the summing type with a fixed delay (IEEE Std 421.5-2016, clause 10). Delay and rate
are typical values. A field that is set by hand has no limiter; limits of under-excitation are left to the quiet steps'
power flow (`grid_model.power_flow.reactive_limits`), in which the limits hold at once.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.kernels.structs import ExcitationState

__all__ = ["OverExcitation"]

DELAY_S = 20.0
RATE_PU_PER_S = (
    0.02  # of the set-point for an excess as large as the rating: with some 10 pu/pu of the grid, 5 s
)


class OverExcitation:
    """Limiters of all machines of every environment.

    Attributes (read them; the arrays stay):
        late_s: for how long each machine has been above its limit [s], [env, machine].
        lowered_pu: by how much its regulator's set-point stands lower for that, [env, machine].
    """

    def __init__(self, n_env: int, q_max_mvar: FloatArray, rating_mva: FloatArray) -> None:
        """Nobody is above; q_max_mvar and rating_mva [machine]."""
        self._q_max_mvar, self._rating_mva = q_max_mvar, rating_mva
        self.late_s = np.zeros((n_env, len(q_max_mvar)))
        self.lowered_pu = np.zeros((n_env, len(q_max_mvar)))

    def forget(self, envs: IntArray) -> None:
        """A swing begins in these environments, [n], or none is on."""
        self.late_s[envs] = self.lowered_pu[envs] = 0.0

    def act(self, envs: IntArray, q_mvar: FloatArray, state: ExcitationState, length_s: float) -> None:
        """Lower and raise the regulators' set-points after a power flow.

        Args:
            envs: environments whose machines go by their fields, [n].
            q_mvar: what the machines give [Mvar], [env, machine].
            state: of the regulators; set-points and references are changed.
            length_s: time since the last power flow.
        """
        excess = (q_mvar[envs] - self._q_max_mvar) / self._rating_mva
        late_s = np.where(excess > 0.0, self.late_s[envs] + length_s, 0.0)
        lowered_pu = self.lowered_pu[envs]
        acts = (late_s >= DELAY_S - 1e-9) | (lowered_pu > 0.0)
        now_pu = np.where(acts, np.maximum(lowered_pu + RATE_PU_PER_S * length_s * excess, 0.0), lowered_pu)
        state.set_point_pu[envs] -= now_pu - lowered_pu
        state.reference_pu[envs] -= now_pu - lowered_pu
        self.late_s[envs], self.lowered_pu[envs] = late_s, now_pu
