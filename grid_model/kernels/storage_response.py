"""Fast response of batteries to the frequency of their own bus, at every integration step.

    T dy/dt = f - y                                  frequency as the inverter measures it
    r = -K db(y) - M_v dy/dt                         droop with dead band, and synthetic inertia
    -P_max <= x + r <= P_max                         x: output that follows the set-point

f is what the frequency divider gives for the plant's bus, M_v = 2 H P_max / f0. The derivative of the measured
frequency is exact, so synthetic inertia needs no filter besides T. Power beyond the rating is cut off. Energy:

    dE/dt = -c(x + r),      c(p) = p / eta_d while discharging,  p eta_c while charging

of which c(x) is accounted for by who moves the set-points; the rest is `drawn_mwh`, kept within the room that was
granted for the interval. A battery at the end of its room gives no more that way, whatever the frequency.

Left out: current limits at low voltage, the phase-locked loop.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.bus_injection import between, resource_output
from grid_model.kernels.lanes import N_LANE
from grid_model.kernels.structs import GridArrays, GroupState, Lanes, StorageResponse, StorageStep
from grid_model.kernels.swing_rows import DF, N_QUANTITY, POWER

__all__ = [
    "adopt_storage",
    "begin_storage",
    "empty_storage_step",
    "respond",
]

S_PER_H = 3600.0


def empty_storage_step(plant: StorageResponse, n_group: int, n: int) -> StorageStep:
    """Working arrays for a macro step of n environments."""
    n_storage = plant.resource.size

    def plants() -> FloatArray:
        return np.zeros((n_storage, n))

    def shares() -> FloatArray:
        return np.zeros((n_storage, n_group, n))

    return StorageStep(
        plant,
        np.zeros((n_storage, n), dtype=np.bool_),
        shares(),
        shares(),
        plants(),
        plants(),
        plants(),
        np.zeros(n_storage),
        *(plants() for _ in range(6)),
    )


@compiled
def store_power(p_mw: float, charging: float, discharging: float) -> float:
    """Power taken from the store for a power into the grid, c of the module's head [MW]."""
    return p_mw / discharging if p_mw > 0.0 else p_mw * charging


@compiled
def respond(lanes: Lanes, storage: StorageStep | None, block: FloatArray, dt_s: float) -> None:
    """Every plant through one step, from the groups' frequency at its beginning.

    Args:
        lanes: the environments in the block.
        storage: changed in place; nothing happens without.
        block: deviations of the groups are read, to what drives them at the step's middle is added; see `swing_rows`.
        dt_s: length of the step [s].
    """
    if storage is not None:
        plant, gap_mw, straight_mw = storage.plant, storage.gap_mw, storage.straight_mw
        measured_hz, response_mw, drawn_mwh = storage.measured_hz, storage.response_mw, storage.drawn_mwh
        per_mwh = S_PER_H / dt_s
        for i in range(response_mw.shape[0]):
            most_mw, dead_band_hz = plant.p_max_mw[i], plant.dead_band_hz[i]
            charging, discharging = plant.charging_efficiency[i], plant.discharging_efficiency[i]
            keep = np.exp(-dt_s / plant.lag_s[i])
            for lane in range(lanes.width):
                e, part, column = lanes.first + lane, lane // N_LANE, lane % N_LANE
                before_mw = straight_mw[i, e] + gap_mw[i, e]
                straight_mw[i, e] += storage.rise_mw[i, e]
                gap_mw[i, e] *= storage.lag_decay[i]
                if not storage.is_live[i, e]:
                    continue
                output_mw = 0.5 * (before_mw + straight_mw[i, e] + gap_mw[i, e])
                f = 0.0
                for g in range(lanes.n_group):
                    f += (
                        storage.bus_frequency[i, g, e]
                        * block[(g * lanes.n_part + part) * N_QUANTITY + DF, column]
                    )
                y = f + (measured_hz[i, e] - f) * keep
                beyond = max(y - dead_band_hz, 0.0) + min(y + dead_band_hz, 0.0)
                wanted = -plant.droop_mw_per_hz[i] * beyond
                wanted -= plant.inertia_mws_per_hz[i] * (y - measured_hz[i, e]) / dt_s
                # No power takes more from the store, or leaves more there, than 1/eta_d of itself.
                up_mw = max(storage.room_out_mwh[i, e] - drawn_mwh[i, e], 0.0) * per_mwh * discharging
                down_mw = max(storage.room_in_mwh[i, e] + drawn_mwh[i, e], 0.0) * per_mwh * discharging
                up_mw, down_mw = min(up_mw, most_mw - output_mw), min(down_mw, most_mw + output_mw)
                r = min(max(wanted, -down_mw), up_mw)
                more = store_power(output_mw + r, charging, discharging)
                drawn_mwh[i, e] += (more - store_power(output_mw, charging, discharging)) / per_mwh
                measured_hz[i, e] = y
                response_mw[i, e] = r
                for g in range(lanes.n_group):
                    row = (g * lanes.n_part + part) * N_QUANTITY + POWER
                    block[row, column] += storage.impact_share[i, g, e] * (r - storage.start_mw[i, e])


@compiled
def begin_storage(
    grid: GridArrays,
    envs: IntArray,
    step_a: int,
    storage: StorageResponse | None,
    macro: StorageStep | None,
) -> None:
    """State of the environments named, to integrate on from a step; plants on dead buses give nothing."""
    if storage is not None and macro is not None:
        dt_s, profile = grid.constants.dt_s, grid.profile
        a = step_a / grid.n_steps
        for i in range(storage.resource.size):
            k = storage.resource[i]
            bus, lag_s = grid.placement.resource_bus[k], profile.lag_s[k]
            macro.lag_decay[i] = np.exp(-dt_s / lag_s)
            for row in range(envs.size):
                e = envs[row]
                live = grid.status.bus[e, bus]
                macro.is_live[i, row] = live
                for g in range(macro.impact_share.shape[1]):
                    macro.bus_frequency[i, g, row] = grid.network.bus_frequency[e, bus, g]
                    macro.impact_share[i, g, row] = grid.network.impact_share[e, bus, g]
                first_mw, last_mw = profile.begin.set_point_mw[e, k], profile.end.set_point_mw[e, k]
                slope = (last_mw - first_mw) / grid.interval_s
                straight = between(first_mw, last_mw, a) - slope * lag_s
                output_mw = resource_output(profile, e, k, step_a, grid.n_steps, grid.interval_s)
                macro.straight_mw[i, row], macro.rise_mw[i, row] = straight, slope * dt_s
                macro.gap_mw[i, row] = output_mw - straight
                macro.response_mw[i, row] = storage.response_mw[e, i] if live else 0.0
                macro.start_mw[i, row] = macro.response_mw[i, row]
                macro.measured_hz[i, row] = storage.measured_hz[e, i] if live else 0.0
                macro.drawn_mwh[i, row] = storage.drawn_mwh[e, i]
                macro.room_out_mwh[i, row] = storage.room_out_mwh[e, i]
                macro.room_in_mwh[i, row] = storage.room_in_mwh[e, i]


@compiled
def adopt_storage(
    envs: IntArray, state: GroupState, storage: StorageResponse | None, macro: StorageStep | None
) -> None:
    """Make what was integrated the state; the groups' machines send out less by what the responses grew."""
    if storage is not None and macro is not None:
        for i in range(storage.resource.size):
            for row in range(envs.size):
                e = envs[row]
                storage.measured_hz[e, i] = macro.measured_hz[i, row]
                storage.response_mw[e, i] = macro.response_mw[i, row]
                storage.drawn_mwh[e, i] = macro.drawn_mwh[i, row]
                growth_mw = macro.response_mw[i, row] - macro.start_mw[i, row]
                for g in range(state.p_elec_mw.shape[0]):
                    state.p_elec_mw[g, e] -= macro.impact_share[i, g, row] * growth_mw
