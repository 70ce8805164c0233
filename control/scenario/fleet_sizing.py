"""A scenario at the size of its grid: plants, outages and inertia in proportion to the load.

Suites give sizes in MW of the 68-bus system. `sized` makes of them what they are on another grid: all batteries
together `setting.size` times as large as all of them there, ramps and energies alike, and so on; a unit that may trip
is as large a part of the load as there. Costs of the reward go the other way, so that moving all plants through their
ranges costs what it does there. On the 68-bus system nothing changes.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from cases.case import Case
from control.plants.battery import BatteryParameters
from control.plants.demand_response import DemandResponseParameters
from control.plants.fleet import Fleet, make_fleet
from control.plants.gas_turbine import GasTurbineParameters
from control.scenario.config import ScenarioConfig
from control.scenario.wide import WideScenarioConfig

__all__ = ["PUBLISHED_INERTIA_MWS", "fleet_of", "sized"]

Plant = TypeVar("Plant", BatteryParameters, GasTurbineParameters, DemandResponseParameters)

PUBLISHED_INERTIA_MWS = 198_010.0  # sum of H S of the 68-bus system
LARGEST_UNIT_MW, LARGEST_STRESS_MW = 800.0, 1350.0  # of the suites, on the 68-bus system


def fleet_of(case: Case, scenario: ScenarioConfig) -> Fleet:
    """The plants of a case as large and as fast as a scenario says."""
    return make_fleet(
        case,
        scenario.interval_s,
        battery=scenario.battery,
        gas_turbine=scenario.gas_turbine,
        demand_response=scenario.demand_response,
    )


def sized(scenario: ScenarioConfig, case: Case) -> ScenarioConfig:
    """A suite's or training distribution's scenario at the size of a grid.

    Args:
        scenario: in MW of the 68-bus system.
        case: the grid, whose `setting` says how large it is.
    """
    setting = case.setting
    if setting.is_published:
        return scenario
    size, (of_battery, of_gas, of_demand) = setting.size, setting.plant_size
    inertia_mws = scenario.inertia_scale_to_mws
    if inertia_mws is not None and setting.inertia_mws is not None:
        inertia_mws *= setting.inertia_mws / PUBLISHED_INERTIA_MWS
    if isinstance(scenario, WideScenarioConfig) and setting.inertia_mws is not None:
        low_mws, high_mws = scenario.inertia_range_mws
        ratio = setting.inertia_mws / PUBLISHED_INERTIA_MWS
        scenario = replace(scenario, inertia_range_mws=(ratio * low_mws, ratio * high_mws))
    p_min_mw, p_max_mw = scenario.unit_p_min_mw * size, scenario.unit_p_max_mw * size
    if setting.unit_p_mw is not None:
        least_mw, usual_mw, stress_mw = setting.unit_p_mw
        p_min_mw = least_mw
        p_max_mw = usual_mw if scenario.unit_p_max_mw <= LARGEST_UNIT_MW else stress_mw
    return replace(
        scenario,
        battery=_as_large(scenario.battery, of_battery, size),
        gas_turbine=_as_large(scenario.gas_turbine, of_gas, size),
        demand_response=_as_large(scenario.demand_response, of_demand, size),
        inertia_scale_to_mws=inertia_mws,
        unit_p_min_mw=p_min_mw,
        unit_p_max_mw=p_max_mw,
        commitment=scenario.commitment and not setting.always_running,
        dispatch=replace(
            scenario.dispatch, must_run=(), reserve_unit_mw=scenario.dispatch.reserve_unit_mw * size
        ),
    )


def _as_large(of: Plant, plant: float, size: float) -> Plant:
    """A plant `plant` times as large on a grid `size` times as large: all that is in MW, and its costs by the MW."""
    sizes = [f.name for f in fields(of) if "_mw" in f.name and not f.name.startswith("cost")]
    changed = {name: getattr(of, name) * plant for name in sizes}
    return replace(
        of, **changed, cost_per_mw=of.cost_per_mw / size, cost_per_mw2=of.cost_per_mw2 / (size * plant)
    )
