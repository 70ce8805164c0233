"""The controllable plants of a grid: data of all of them, [resource], and the fleet that they make up.

How they move through an interval, and what they remember, is in `fleet_state.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray, IntArray, freeze_arrays
from cases.case import Case
from cases.tables import RESOURCE_KINDS
from control.plants.battery import BatteryParameters
from control.plants.demand_response import DemandResponseParameters
from control.plants.fleet_state import BESS, GAS, FleetState, PlantParameters, advance_plants, utilisation_of
from control.plants.gas_turbine import GasTurbineParameters
from grid_model.dynamics.storage import StoragePlants

__all__ = ["Fleet", "advance_fleet", "capacity_utilisation", "make_fleet", "start_state"]


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
