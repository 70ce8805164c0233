"""Configuration of a scenario: everything an episode is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from control.plants.battery import BatteryParameters
from control.plants.demand_response import DemandResponseParameters
from control.plants.gas_turbine import GasTurbineParameters
from control.scheduling.dispatch import DispatchConfig
from control.telemetry.forecast import ForecastConfig
from control.telemetry.scada import ScadaConfig, scaled_sd
from grid_model.dynamics.events import Event, sort_events
from grid_model.dynamics.parameters import SwingConfig

# No quantity of a grid comes near it in the units here; squares and cubes of it still are numbers.
LARGEST = 1e9


class ScenarioError(ValueError):
    """A scenario is unknown or contradicts itself; the message says which and what was expected."""


@dataclass(frozen=True, kw_only=True)
class ScenarioConfig:
    """Everything that shapes an episode apart from its seed. Defaults are those of suite `normal`."""

    name: str = "normal"
    n_intervals: int = 500
    interval_s: float = 4.0

    # When in the year it may start.
    start_minute: float | None = None  # of the year; drawn at random if None
    start_ramp_quantile: float = 0.0  # only where wind and sun change as fast as in this quantile of the year
    start_ramp_min: float = 20.0  # the time over which that change is taken
    max_load_step_percent: float = 3.0  # never over a larger 5-minute load step: artefacts of the data

    # Size and make-up of the grid.
    renewable_scale: float = 1.0  # of the capacity in the case
    regional_share: float = 1.0  # 0: all loads follow the total; 1: each area follows its region of the data
    inertia_scale_to_mws: float | None = None  # sum of H S with all machines running; as published if None
    governor_dead_band_hz: float = 0.017

    # Noise inside five minutes, Ornstein-Uhlenbeck.
    load_slow_percent: float = 0.25  # of each load
    load_slow_tau_s: float = 150.0
    load_fast_percent: float = 0.06
    load_fast_tau_s: float = 20.0
    load_area_share: float = 0.5  # of the variance of load noise: common to all loads of an area
    wind_percent: float = 0.8  # of capacity
    wind_tau_s: float = 180.0
    pv_percent: float = 1.5  # of output
    pv_tau_s: float = 60.0
    forecast: ForecastConfig = field(default_factory=ForecastConfig)
    dispatch: DispatchConfig = field(default_factory=DispatchConfig)
    commitment: bool = True  # machines out of the schedule are out of service; False: all run all the time

    # Telemetry.
    scada_delay_intervals: int = 2
    scada_class_delays: tuple[int, int, int] | None = None  # by class, instead of one for all
    packet_loss: float = 0.0  # share of values that do not arrive
    packet_loss_burst_intervals: float = 1.0  # mean length of a gap; 1 means independent losses
    scada_noise: float = 0.0  # in units of the typical standard deviation, TYPICAL_SD in scada.py
    scada_bias: float = 0.0  # the same

    # Outages.
    outage_rate_per_h: float = 0.0
    # 1: one in every episode, whatever the rate. No more can be asked for: one element is out at a time, so a second
    # outage is left out where the first has not ended, see outages.py.
    outages_min: int = 0
    outage_unit_share: float = 0.4  # of outages that hit a unit, not a circuit or transformer
    outage_screened: bool = True  # draw again an outage that would break limits whatever agents do
    unit_p_min_mw: float = 500.0  # published output of the units that may trip
    unit_p_max_mw: float = 800.0
    outage_first_s: float = 60.0
    outage_last_s: float = 1400.0
    repair_probability: float = 0.5  # of a circuit within the episode; units do not return
    repair_min_s: float = 300.0
    repair_max_s: float = 900.0
    events: tuple[Event, ...] = ()  # besides the random ones

    # The agents' plants: sizes of each class, and where they start.
    battery: BatteryParameters = field(default_factory=BatteryParameters)
    gas_turbine: GasTurbineParameters = field(default_factory=GasTurbineParameters)
    demand_response: DemandResponseParameters = field(default_factory=DemandResponseParameters)
    soc_start_min: float = 0.3
    soc_start_max: float = 0.7
    soc_start_alike: bool = False  # one state of charge for all batteries of an episode, not one for each

    def __post_init__(self) -> None:
        def need(condition: bool, name: str, expected: str) -> None:
            if not condition:
                raise ScenarioError(
                    f"scenario {self.name!r}: {name} = {getattr(self, name)!r}, expected {expected}."
                )

        for name, value in _not_finite(self):
            expected = "a finite number" if not isfinite(value) else f"-{LARGEST:g} to {LARGEST:g}"
            raise ScenarioError(f"scenario {self.name!r}: {name} = {value}, expected {expected}.")
        # Bounds far beyond all sense, for a slip of the pen: without them it ends in a lack of memory or an overflow.
        if self.start_minute is not None:
            need(self.start_minute >= 0.0, "start_minute", "a minute of the year, from 0 on")
        need(1 <= self.n_intervals <= 1_000_000, "n_intervals", "1 to a million")
        need(self.outage_rate_per_h <= 3600.0, "outage_rate_per_h", "at most one a second")
        for table, name, low, high in (
            ("dispatch", "interval_s", 1.0, 86_400.0),
            ("forecast", "load_growth", -10.0, 10.0),
            ("forecast", "wind_growth", -10.0, 10.0),
            ("forecast", "pv_growth", -10.0, 10.0),
        ):
            value = getattr(getattr(self, table), name)
            if not low <= value <= high:
                raise ScenarioError(
                    f"scenario {self.name!r}: {table}.{name} = {value}, expected {low:g} to {high:g}."
                )
        for name in ("interval_s", "load_slow_tau_s", "load_fast_tau_s", "wind_tau_s", "pv_tau_s"):
            need(getattr(self, name) > 0.0, name, "> 0")
        for name in (
            "renewable_scale",
            "governor_dead_band_hz",
            "load_slow_percent",
            "load_fast_percent",
            "wind_percent",
            "pv_percent",
            "scada_noise",
            "scada_bias",
            "outage_rate_per_h",
            "max_load_step_percent",
            "repair_min_s",
        ):
            need(getattr(self, name) >= 0.0, name, ">= 0")
        for name in (
            "regional_share",
            "load_area_share",
            "outage_unit_share",
            "repair_probability",
            "soc_start_min",
            "soc_start_max",
        ):
            need(0.0 <= getattr(self, name) <= 1.0, name, "0 to 1")
        need(0.0 <= self.start_ramp_quantile < 1.0, "start_ramp_quantile", "0 to below 1")
        need(0.0 <= self.packet_loss < 1.0, "packet_loss", "0 to below 1")
        need(self.packet_loss_burst_intervals >= 1.0, "packet_loss_burst_intervals", "at least 1")
        need(0 <= self.scada_delay_intervals <= 5, "scada_delay_intervals", "0 to 5")
        need(self.outages_min in (0, 1), "outages_min", "0 or 1: only one element is out at a time")
        need(self.soc_start_min <= self.soc_start_max, "soc_start_min", "at most soc_start_max")
        need(self.unit_p_min_mw <= self.unit_p_max_mw, "unit_p_min_mw", "at most unit_p_max_mw")
        need(0.0 <= self.outage_first_s <= self.outage_last_s, "outage_first_s", "0 to outage_last_s")
        need(self.repair_min_s <= self.repair_max_s, "repair_min_s", "at most repair_max_s")
        if self.inertia_scale_to_mws is not None:
            need(self.inertia_scale_to_mws > 0.0, "inertia_scale_to_mws", "> 0, or nothing for the published")
        delays = self.scada_class_delays
        if delays is not None:
            need(
                isinstance(delays, tuple | list)
                and len(delays) == 3
                and all(type(d) is int and 0 <= d <= 5 for d in delays),
                "scada_class_delays",
                "three whole numbers from 0 to 5",
            )
            object.__setattr__(self, "scada_class_delays", tuple(delays))
        need(self.interval_s <= 300.0, "interval_s", "at most 300 s, the step of the data")
        object.__setattr__(self, "events", sort_events(self.events))

    @property
    def duration_s(self) -> float:
        """Length of an episode."""
        return self.n_intervals * self.interval_s

    def draw_soc(self, generator: np.random.Generator, n_battery: int) -> FloatArray:
        """States of charge that an episode begins with, [bess]."""
        drawn = generator.uniform(self.soc_start_min, self.soc_start_max, n_battery)
        return np.repeat(drawn[:1], n_battery) if self.soc_start_alike else drawn

    def frequency_model(self, published: SwingConfig) -> SwingConfig:
        """The frequency model of this scenario: the published grid's but for inertia, dead band and turbines' minimum.

        Raises:
            ValueError: the one given has an inertia or a dead band of its own.
        """
        standard = SwingConfig()
        if published.inertia_to_mws != standard.inertia_to_mws:
            raise ValueError("swing: inertia_to_mws belongs to the scenario, set inertia_scale_to_mws there")
        if published.governor.dead_band_hz != standard.governor.dead_band_hz:
            raise ValueError("swing: dead_band_hz belongs to the scenario, set governor_dead_band_hz there")
        return replace(
            published,
            inertia_to_mws=self.inertia_scale_to_mws,
            governor=replace(
                published.governor,
                dead_band_hz=self.governor_dead_band_hz,
                minimum_share=self.dispatch.stable_min_share
                if self.commitment
                else self.dispatch.p_min_share,
            ),
        )

    @property
    def scada(self) -> ScadaConfig:
        """Quality of the telemetry, as control/telemetry/scada.py wants it."""
        d = self.scada_delay_intervals
        return ScadaConfig(
            delay_intervals=self.scada_class_delays if self.scada_class_delays is not None else (d, d, d),
            packet_loss=self.packet_loss,
            mean_gap_intervals=self.packet_loss_burst_intervals,
            noise_sd=scaled_sd(self.scada_noise),
            bias_sd=scaled_sd(self.scada_bias),
        )


def _not_finite(config: Any) -> Iterator[tuple[str, float]]:
    """Names and values of numbers that are infinite, none or beyond all sense, in tables of the configuration too."""
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            yield from ((f"{f.name}.{name}", number) for name, number in _not_finite(value))
        elif isinstance(value, float) and not abs(value) <= LARGEST:
            yield f.name, value
