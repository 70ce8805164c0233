"""The plants of a scenario: sizes and parameters as it asks for them."""

from __future__ import annotations

from cases.case import Case
from control.plants.fleet import Fleet, make_fleet
from control.scenario.config import ScenarioConfig


def fleet_of(case: Case, scenario: ScenarioConfig) -> Fleet:
    """The plants of a case as large and as fast as a scenario says."""
    return make_fleet(
        case,
        scenario.interval_s,
        battery=scenario.battery,
        gas_turbine=scenario.gas_turbine,
        demand_response=scenario.demand_response,
    )
