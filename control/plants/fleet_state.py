"""All plants of a batch side by side, [env, resource], and how they move through one control interval, compiled.

An action in [-1, 1] asks for a change of the plant's command by action x ramp x interval. Limits are applied
there, once: the set-point then moves along a straight line through the interval and the plant follows with
its lag, both exactly (`lag.py`), so that whoever integrates the grid may integrate the same line and lag and
arrive at the same output. For batteries and gas plants command and set-point are one; for demand response
the rebound lies between them.

`FleetState.energy_mwh` means, by kind: energy stored (bess), energy given beyond schedule since the start
(gas), consumption postponed and still owed (dr).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from control.plants.battery import S_PER_H, limit_battery, reserve_left
from control.plants.demand_response import limit_demand_response
from control.plants.gas_turbine import limit_gas_turbine
from control.plants.lag import lag_end, lag_integral
from grid_model.compilation import compiled
from grid_model.kernels.structs import Injections, StorageResponse

__all__ = [
    "BESS",
    "DR",
    "GAS",
    "FleetState",
    "PlantParameters",
    "advance_plants",
    "disconnect_plants",
    "grant_room",
    "utilisation_of",
]

BESS, GAS, DR = range(3)  # codes of RESOURCE_KINDS


class PlantParameters(NamedTuple):
    """What the compiled functions know of the plants; arrays have shape [resource]."""

    kind: IntArray  # position in RESOURCE_KINDS
    interval_s: float
    step_mw: FloatArray  # largest change of the command in an interval
    low_mw: FloatArray  # range of command and set-point
    high_mw: FloatArray
    lag_s: FloatArray
    capacity_mwh: FloatArray  # bess
    charging_efficiency: FloatArray  # bess
    discharging_efficiency: FloatArray  # bess
    rebound_s: FloatArray  # dr


class FleetState(NamedTuple):
    """What the plants remember from interval to interval; every array has shape [env, resource].

    The arrays are changed in place by `Fleet.advance`, `Fleet.reset` and `set_state`, never replaced.
    """

    command_mw: FloatArray  # what agents move
    set_point_mw: FloatArray  # what plants follow
    output_mw: FloatArray  # into the grid, beyond schedule
    energy_mwh: FloatArray  # meaning by kind: see above

    def copy(self) -> FleetState:
        """A state that shares no array with this one."""
        return FleetState(*(array.copy() for array in self))

    def get_state(self) -> dict[str, FloatArray]:
        """Plain arrays, for saving."""
        return {name: array.copy() for name, array in self._asdict().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what get_state gave, in place.

        Args:
            state: an array [env, resource] for each field, by its name.

        Raises:
            ValueError: an array is of another number of environments or plants.
        """
        for name, mine in self._asdict().items():
            given = np.asarray(state[name])
            if given.shape != mine.shape:
                raise ValueError(f"fleet state: {name} has shape {given.shape}, expected {mine.shape}.")
            mine[...] = given


@compiled
def utilisation_of(state: FleetState, plants: PlantParameters, in_use: FloatArray) -> None:
    """See capacity_utilisation; in_use is filled, [env, resource]."""
    output_mw, energy_mwh, kind = state.output_mw, state.energy_mwh, plants.kind
    high_mw, low_mw, capacity_mwh = plants.high_mw, plants.low_mw, plants.capacity_mwh
    for env in range(output_mw.shape[0]):
        for i in range(kind.size):
            x = output_mw[env, i]
            reach_mw = high_mw[i] if x >= 0.0 else -low_mw[i]
            in_use[env, i] = 0.0
            if kind[i] == BESS:
                in_use[env, i] = energy_mwh[env, i] / capacity_mwh[i]
            elif reach_mw > 0.0:
                in_use[env, i] = x / reach_mw


@compiled
def grant_room(state: FleetState, plants: PlantParameters, storage: StorageResponse, fresh: bool) -> None:
    """Energy that the batteries' response to frequency may take or leave in an interval [MWh], [env, storage].

    No more than leaves every battery able to come to rest, at the interval's beginning and at its end; so this is
    asked before the plants are moved on, and after.

    Args:
        state: of the plants, at the beginning or at the end.
        plants: the parameters.
        storage: its rooms are filled.
        fresh: fill, do not narrow what was found before.
    """
    for e in range(state.energy_mwh.shape[0]):
        for j in range(storage.resource.size):
            i = storage.resource[j]
            above, below = reserve_left(
                state.energy_mwh[e, i],
                state.output_mw[e, i],
                state.set_point_mw[e, i],
                plants.capacity_mwh[i],
                plants.step_mw[i],
                plants.lag_s[i],
                plants.interval_s,
                plants.charging_efficiency[i],
                plants.discharging_efficiency[i],
            )
            above, below = max(above, 0.0), max(below, 0.0)
            if not fresh:
                above = min(above, storage.room_out_mwh[e, j])
                below = min(below, storage.room_in_mwh[e, j])
            storage.room_out_mwh[e, j], storage.room_in_mwh[e, j] = above, below


@compiled
def advance_plants(
    state: FleetState,
    action: FloatArray,
    plants: PlantParameters,
    bus: IntArray,
    bus_live: BoolArray,
    change_mw: FloatArray,
) -> None:
    """Every plant of every environment through one interval, in place; see Fleet.advance.

    Args:
        state: at the beginning of the interval, changed to what it is at its end.
        action: share of the largest change, -1 to 1 (cut there), [env, resource].
        plants: the parameters.
        bus: of each plant, [resource].
        bus_live: which buses are energised, [env, bus]; on a dead one a plant stands still.
        change_mw: filled with the change of each command [MW], [env, resource].
    """
    command_mw, set_point_mw = state.command_mw, state.set_point_mw
    output_mw, energy_mwh = state.output_mw, state.energy_mwh
    kind, step_mw, low_mw, high_mw = plants.kind, plants.step_mw, plants.low_mw, plants.high_mw
    lag_s, h_s = plants.lag_s, plants.interval_s
    n_env, n_resource = command_mw.shape
    for env in range(n_env):
        for i in range(n_resource):
            change_mw[env, i] = 0.0
            if not bus_live[env, bus[i]]:
                continue
            c0, u0 = command_mw[env, i], set_point_mw[env, i]
            x0, e0 = output_mw[env, i], energy_mwh[env, i]
            target = c0 + min(max(action[env, i], -1.0), 1.0) * step_mw[i]
            if kind[i] == BESS:
                u1, x1, e1 = limit_battery(
                    target,
                    e0,
                    x0,
                    u0,
                    high_mw[i],
                    plants.capacity_mwh[i],
                    step_mw[i],
                    lag_s[i],
                    h_s,
                    plants.charging_efficiency[i],
                    plants.discharging_efficiency[i],
                )
                c1 = u1
            else:
                if kind[i] == GAS:
                    u1 = limit_gas_turbine(target, u0, low_mw[i], high_mw[i], step_mw[i])
                    c1 = u1
                else:
                    c1, u1 = limit_demand_response(
                        target, c0, u0, e0 * S_PER_H, high_mw[i], step_mw[i], plants.rebound_s[i]
                    )
                x1 = lag_end(x0, u0, u1, lag_s[i], h_s)
                e1 = e0 + lag_integral(x0, x1, u0, u1, lag_s[i], h_s) / S_PER_H
            command_mw[env, i] = c1
            set_point_mw[env, i] = u1
            output_mw[env, i] = x1
            energy_mwh[env, i] = e1
            change_mw[env, i] = c1 - c0


@compiled
def disconnect_plants(
    state: FleetState, bus: IntArray, bus_live: BoolArray, injected: Injections, change_mw: FloatArray
) -> None:
    """Plants whose bus has gone dark trip: command, set-point and output go to zero, and the change counts for nothing.

    What a battery holds and what demand response owes stays, and is there when the bus comes back.

    Args:
        state: changed in place.
        bus: of each plant, [resource].
        bus_live: which buses are energised, [env, bus].
        injected: what acts on the grid, of which output and set-point are set to zero as well.
        change_mw: change of each command, set to zero as well, [env, resource].
    """
    for env in range(change_mw.shape[0]):
        for i in range(bus.size):
            if not bus_live[env, bus[i]]:
                state.command_mw[env, i] = state.set_point_mw[env, i] = state.output_mw[env, i] = 0.0
                injected.resource_mw[env, i] = injected.set_point_mw[env, i] = change_mw[env, i] = 0.0
