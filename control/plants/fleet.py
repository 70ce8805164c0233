"""The controllable plants of a grid stacked into [env, resource] arrays, advanced one interval at a time.

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
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray, freeze_arrays
from cases.case import RESOURCE_KINDS, Case
from control.plants.battery import S_PER_H, BatteryParameters, limit_battery, reserve_left
from control.plants.demand_response import DemandResponseParameters, limit_demand_response
from control.plants.gas_turbine import GasTurbineParameters, limit_gas_turbine
from control.plants.lag import lag_end, lag_integral
from grid_model.compilation import compiled
from grid_model.dynamics.storage import StoragePlants
from grid_model.kernels.structs import Injections, StorageResponse

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


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Parameters of all plants; every array has shape [resource]. Unused entries of a kind are one."""

    name: tuple[str, ...]
    kind: IntArray  # position in RESOURCE_KINDS
    bus: IntArray  # position in the bus table
    interval_s: float
    step_mw: FloatArray  # largest change of the command in an interval
    low_mw: FloatArray  # range of command and set-point
    high_mw: FloatArray
    lag_s: FloatArray
    energy_mwh: FloatArray  # bess: capacity
    charging_efficiency: FloatArray  # bess
    discharging_efficiency: FloatArray  # bess
    rebound_s: FloatArray  # dr
    cost_per_mw: FloatArray  # C of the reward
    cost_per_mw2: FloatArray  # W of the reward
    storage: StoragePlants | None = None  # batteries that respond to frequency by themselves

    def __post_init__(self) -> None:
        if not self.interval_s > 0.0:
            raise ValueError(f"fleet: interval_s = {self.interval_s}, expected > 0.")
        freeze_arrays(self)

    @property
    def parameters(self) -> PlantParameters:
        """As the compiled functions take them."""
        return PlantParameters(
            kind=self.kind,
            interval_s=self.interval_s,
            step_mw=self.step_mw,
            low_mw=self.low_mw,
            high_mw=self.high_mw,
            lag_s=self.lag_s,
            capacity_mwh=self.energy_mwh,
            charging_efficiency=self.charging_efficiency,
            discharging_efficiency=self.discharging_efficiency,
            rebound_s=self.rebound_s,
        )

    @property
    def n_resource(self) -> int:
        """Number of plants."""
        return len(self.name)

    @property
    def bess(self) -> IntArray:
        """Positions of the batteries."""
        return self.of_kind(BESS)

    @property
    def range_mw(self) -> FloatArray:
        """The wider side of each plant's range, or one where it has none: to scale outputs by, [resource]."""
        widest_mw = np.maximum(self.high_mw, -self.low_mw)
        return np.where(widest_mw > 0.0, widest_mw, 1.0)

    def of_kind(self, code: int) -> IntArray:
        """Positions of the plants of one kind: BESS, GAS or DR."""
        return np.flatnonzero(self.kind == code)

    def start(self, n_env: int) -> FleetState:
        """All plants on schedule, batteries half full."""
        return start_state(self, np.full((n_env, len(self.bess)), 0.5))

    def reset(self, state: FleetState, envs: IntArray, soc: FloatArray) -> None:
        """Put the plants of some environments back on schedule, in place; soc has shape [len(envs), bess]."""
        fresh = start_state(self, soc)
        for mine, theirs in zip(state, fresh, strict=True):
            mine[envs] = theirs

    def advance(self, state: FleetState, action: FloatArray) -> FloatArray:
        """One control interval, in place; `advance_fleet` is the same without touching the state given.

        Args:
            state: at the beginning of the interval, afterwards at its end.
            action: share of the largest change, -1 to 1 (cut there), shape [env, resource].

        Returns:
            Change of each command [MW], the dP of the reward, shape [env, resource].
        """
        change_mw = np.empty_like(state.command_mw)
        wanted, n_env = np.ascontiguousarray(action, dtype=np.float64), len(change_mw)
        energised, one_bus = np.ones((n_env, 1), dtype=np.bool_), np.zeros_like(self.bus)
        advance_plants(state, wanted, self.parameters, one_bus, energised, change_mw)
        return change_mw

    def state_of_charge(self, state: FleetState) -> FloatArray:
        """Share of its energy that each battery holds, shape [env, bess]."""
        share: FloatArray = state.energy_mwh[:, self.bess] / self.energy_mwh[self.bess]
        return share


class FleetState(NamedTuple):
    """What the plants remember from interval to interval; every array has shape [env, resource].

    The arrays are changed in place by `Fleet.advance`, `Fleet.reset` and `set_state`, never replaced.
    """

    command_mw: FloatArray  # what agents move
    set_point_mw: FloatArray  # what plants follow
    output_mw: FloatArray  # into the grid, beyond schedule
    energy_mwh: FloatArray  # meaning by kind: see the module's head

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


def make_fleet(
    case: Case,
    interval_s: float,
    *,
    battery: BatteryParameters | None = None,
    gas_turbine: GasTurbineParameters | None = None,
    demand_response: DemandResponseParameters | None = None,
) -> Fleet:
    """The plants of a case, with the given parameters for each kind or this project's own.

    Where the case's resource table has a figure of a plant's own, that holds; its range is then the same both ways.
    """
    b = battery if battery is not None else BatteryParameters()
    g = gas_turbine if gas_turbine is not None else GasTurbineParameters()
    d = demand_response if demand_response is not None else DemandResponseParameters()
    kind = np.array([RESOURCE_KINDS.index(k) for k in case.resource.kind], dtype=np.int64)

    bess = np.flatnonzero(kind == BESS)

    def each(value: float) -> FloatArray:
        return np.full(len(bess), value)

    responding = StoragePlants(
        resource=bess,
        droop_mw_per_hz=each(b.droop_mw_per_hz),
        dead_band_hz=each(b.dead_band_hz),
        synthetic_inertia_s=each(b.synthetic_inertia_s),
        lag_s=each(b.response_lag_s),
        p_max_mw=np.where(np.isnan(case.resource.p_max_mw[bess]), b.p_max_mw, case.resource.p_max_mw[bess]),
        charging_efficiency=each(b.charging_efficiency),
        discharging_efficiency=each(b.discharging_efficiency),
    )

    table = case.resource

    def pick(of_battery: float, of_gas: float, of_demand: float, own: FloatArray | None = None) -> FloatArray:
        """By kind; where the case has a figure of a plant's own, that."""
        by_kind = np.array([of_battery, of_gas, of_demand])[kind]
        return by_kind if own is None else np.where(np.isnan(own), by_kind, own)

    has_range = ~np.isnan(table.p_max_mw) & ((kind != GAS) | g.running)
    high_mw = np.where(has_range, table.p_max_mw, pick(b.p_max_mw, g.high_mw, d.depth_mw))
    return Fleet(
        name=case.resource.name,
        kind=kind,
        bus=case.resource.bus,
        interval_s=interval_s,
        step_mw=pick(b.ramp_mw_per_min, g.ramp_mw_per_min, d.ramp_mw_per_min, table.ramp_mw_per_min)
        * interval_s
        / 60.0,
        low_mw=np.where(has_range, -high_mw, pick(-b.p_max_mw, g.low_mw, -d.depth_mw)),
        high_mw=high_mw,
        lag_s=pick(b.lag_s, g.lag_s, d.lag_s, table.lag_s),
        energy_mwh=np.where(kind == BESS, pick(b.energy_mwh, 1.0, 1.0, table.energy_mwh), 1.0),
        charging_efficiency=pick(b.charging_efficiency, 1.0, 1.0),
        discharging_efficiency=pick(b.discharging_efficiency, 1.0, 1.0),
        rebound_s=pick(1.0, 1.0, d.rebound_s),
        cost_per_mw=pick(b.cost_per_mw, g.cost_per_mw, d.cost_per_mw, table.cost_per_mw),
        cost_per_mw2=pick(b.cost_per_mw2, g.cost_per_mw2, d.cost_per_mw2, table.cost_per_mw2),
        storage=responding if b.responds and len(bess) > 0 else None,
    )


def start_state(fleet: Fleet, soc: FloatArray) -> FleetState:
    """All plants on schedule, batteries at the given state of charge.

    Args:
        fleet: the parameters.
        soc: share of its energy that each battery holds, 0 to 1, [env, bess] in fleet order.

    Raises:
        ValueError: a state of charge below 0 or above 1.
    """
    if np.any(soc < 0.0) or np.any(soc > 1.0):
        raise ValueError(f"state of charge from {soc.min():g} to {soc.max():g}, expected 0 to 1.")
    n_env = len(soc)
    energy_mwh = np.zeros((n_env, fleet.n_resource))
    batteries = fleet.of_kind(BESS)
    energy_mwh[:, batteries] = soc * fleet.energy_mwh[batteries]
    rest = [np.zeros((n_env, fleet.n_resource)) for _ in range(3)]
    return FleetState(command_mw=rest[0], set_point_mw=rest[1], output_mw=rest[2], energy_mwh=energy_mwh)


def advance_fleet(state: FleetState, action: FloatArray, fleet: Fleet) -> tuple[FleetState, FloatArray]:
    """One control interval of every plant.

    Args:
        state: at the beginning of the interval; left as it is.
        action: share of the largest change, -1 to 1 (cut there), shape [env, resource].
        fleet: the parameters.

    Returns:
        State at the end, and the change of each command [MW], the dP of the reward, shape [env, resource].
    """
    after = state.copy()
    return after, fleet.advance(after, action)


def capacity_utilisation(state: FleetState, fleet: Fleet) -> FloatArray:
    """State of charge of batteries; share of the range in use, -1 to 1, of the others, [env, resource]."""
    in_use = np.empty_like(state.output_mw)
    utilisation_of(state, fleet.parameters, in_use)
    return in_use


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
