"""Building an episode: everything that will happen to the grid, whatever its controllers do.

An episode is a stretch of the real year with noise inside five minutes, the dispatch of the machines on a
forecast that errs, the short forecasts the agents may see, and outages. All of it is drawn at once from one
generator, so an episode depends on its configuration and that generator alone, not on actions, nor on how
many others are built beside it. Its times are the ends of control intervals, 0 to T; between them powers are
straight lines.

Loads follow the region of the data that stands for their area (`GridSetting.region_of_area`; NETS region 1, NYPS
region 2, the three equivalent areas region 3). The total is that of the data exactly; `regional_share` says how far
the regions may differ from it. Reactive load and tap changers are not here.

`ScenarioConfig`, the suites and their seeds are in `suites.py` and can be imported from here too.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray, freeze_arrays
from cases.case import Case
from cases.series import NOMINAL_LOAD_MW, SAMPLE_MIN, YEAR_FIRST_WEEKDAY, Series
from control.scenario.config import ScenarioConfig, ScenarioError
from control.scenario.file import read_scenario, scenario_named
from control.scenario.outages import Plan, RandomOutages, SecureFunction
from control.scenario.suites import (
    FIRST_HELD_OUT_SEED,
    HELD_OUT,
    SCENARIOS,
    VALIDATION_SEEDS,
    SeedRange,
    held_out_seeds,
    require_training_seed,
)
from control.scenario.wide import Dynamics, WideScenarioConfig
from control.scheduling.commitment import (
    commit,
    priority_list,
    running_at_marks,
    settles_within,
)
from control.scheduling.dispatch import area_demand, bounds_at_mark, dispatch_by_area, dispatch_limits
from control.telemetry.forecast import (
    HORIZON_S,
    LOAD,
    N_HORIZON,
    N_QUANTITY,
    PV,
    RENEWAL_S,
    WIND,
    between_renewals,
    dispatch_errors,
    forecast_errors,
    renewable_forecast_mw,
)
from control.telemetry.noise import autoregress, memory
from grid_model.compilation import compiled
from grid_model.dynamics.events import INSTANT_KINDS, Event, check_events, ramp_profile_mw
from grid_model.dynamics.parameters import SwingConfig, swing_of
from grid_model.power_flow.solution import governor_share

__all__ = [
    "FIRST_HELD_OUT_SEED",
    "HELD_OUT",
    "SCENARIOS",
    "VALIDATION_SEEDS",
    "Episode",
    "EpisodeBuilder",
    "LossFunction",
    "ScenarioConfig",
    "ScenarioError",
    "SecureFunction",
    "SeedRange",
    "build_episode",
    "held_out_seeds",
    "read_scenario",
    "require_training_seed",
    "scenario_named",
]

# Losses [MW] of the grid at given powers [MW] of loads, renewable plants and machines.
LossFunction = Callable[[FloatArray, FloatArray, FloatArray], float]

# Whether the grid is within its limits in several states at powers [MW] of loads, renewable plants and machines, each
# [state, ...].
HoldsFunction = Callable[[FloatArray, FloatArray, FloatArray], bool]

FIRST_LOSS_SHARE = 0.01  # of load: a guess before losses are computed


@dataclass(frozen=True, kw_only=True)
class Episode:
    """All that is exogenous, known at reset; axis `time` has T + 1 entries, the ends of the intervals."""

    start_minute: float  # of the year
    hour_of_day: FloatArray  # [time], 0 to below 24
    day_of_week: FloatArray  # [time], whole numbers, Monday is 0
    load_level: FloatArray  # [time], true load over nominal load

    p_load_mw: FloatArray  # [time, load], at nominal frequency, with noise; steps of events not included
    p_renewable_mw: FloatArray  # [time, renewable]
    noise_mw: FloatArray  # what of it is noise within five minutes: load's slow, load's fast, wind's, sun's, [time, 4]

    p_schedule_mw: FloatArray  # [time, machine]; meaningless for a machine that is out
    committed_share: FloatArray  # how much of each machine is in the schedule, 0 to 1, [time, machine]
    p_load_schedule_mw: FloatArray  # [time], load that the dispatch assumed
    p_renewable_schedule_mw: FloatArray  # [time], wind and sun that it assumed

    forecast_load_mw: FloatArray  # [time, horizon], 5 to 25 minutes ahead as known at that time
    forecast_renewable_mw: FloatArray  # [time, horizon]
    schedule_load_ahead_mw: FloatArray  # [time, horizon], the schedule for those same moments
    schedule_renewable_ahead_mw: FloatArray  # [time, horizon]

    events: tuple[Event, ...]  # switching and load steps, in order of time; ramps are in the powers already
    soc_start: FloatArray  # [bess], share of its energy that each battery starts with
    scada_key: int  # from which control/telemetry/scada.py takes losses and noise, without drawing in between
    dynamics: Dynamics | None = None  # drawn for it alone; None: as the scenario says

    def __post_init__(self) -> None:
        freeze_arrays(self)


class PlannedPowers(NamedTuple):
    """What the dispatch expects at its marks [MW]."""

    load_mw: FloatArray  # of the whole grid, [mark], as the next also those after the episode
    renewable_mw: FloatArray  # [mark]
    bus_mw: FloatArray  # of each load, [mark, load]
    plant_mw: FloatArray  # of each wind and sun plant, [mark, renewable]
    area_load_mw: FloatArray  # [mark, area]
    area_renewable_mw: FloatArray  # [mark, area]


class _Marks(NamedTuple):
    """What the dispatch is asked for at its marks, as its compiled part takes it; powers in MW."""

    load_mw: FloatArray  # of the whole grid, [mark]
    renewable_mw: FloatArray  # [mark]
    area_load_mw: FloatArray  # [mark, area]
    area_renewable_mw: FloatArray  # [mark, area]
    area_total_mw: FloatArray  # load of all areas, [mark]
    level: FloatArray  # the same over nominal load, [mark]
    area_share: FloatArray  # of each area in the published output of the machines, [area]
    nominal_area_mw: FloatArray  # nominal load, [area]
    in_service: BoolArray  # [mark, machine]
    least_mw: FloatArray  # of each machine, [mark, machine]
    most_mw: FloatArray  # [mark, machine]
    least_total_mw: FloatArray  # of those in service, [mark]
    ramp_mw: FloatArray  # most that a machine moves from mark to mark, [machine]
    cost_linear: FloatArray  # [machine]
    cost_quadratic: FloatArray  # [machine]
    machine_area: IntArray  # [machine]


def build_episode(
    case: Case,
    series: Series,
    config: ScenarioConfig,
    rng: np.random.Generator,
    losses_mw: LossFunction,
) -> Episode:
    """One episode. For many of one kind make an `EpisodeBuilder` once: it is several times quicker."""
    return EpisodeBuilder(case, series, config).build(rng, losses_mw)


class EpisodeBuilder:
    """Holds what all episodes of a configuration share, and builds them."""

    def __init__(self, case: Case, series: Series, config: ScenarioConfig) -> None:
        self.case, self.series, self.config = case, series, config
        n = config.n_intervals
        self.time_s: FloatArray = config.interval_s * np.arange(n + 1, dtype=np.float64)
        self._ahead_s = self.time_s[:, None] + HORIZON_S * np.arange(1, N_HORIZON + 1)

        self._column = series.columns(case.renewable.series)
        kind = np.array(case.renewable.kind)
        self._is_wind: BoolArray = kind == "wind"
        self._is_pv: BoolArray = kind == "pv"
        self._size_renewables(config.renewable_scale)

        self._load_area = case.bus.area[case.load.bus]
        region_of_area = np.array(case.setting.region_of_area, dtype=np.int64)
        self._load_region = region_of_area[self._load_area % len(region_of_area)]
        n_region = series.load_mw.shape[1]
        self._load_region %= n_region
        self._nominal_mw = float(case.load.p_mw.sum())
        self._region_weight = (
            np.bincount(self._load_region, case.load.p_mw, minlength=n_region) / self._nominal_mw
        )
        total_mw = series.load_mw.sum(axis=1, dtype=np.float64)
        self._mean_share = (series.load_mw / total_mw[:, None]).mean(axis=0)
        self._mean_load_mw = float(total_mw.mean()) / NOMINAL_LOAD_MW * self._nominal_mw

        dt_s, n_load, n_area = config.interval_s, case.n_load, case.n_area
        renewable_tau_s = np.where(self._is_wind, config.wind_tau_s, config.pv_tau_s)
        self._noise_memory = memory(
            dt_s,
            np.concatenate(
                [
                    np.full(n_load + n_area, config.load_slow_tau_s),
                    np.full(n_load + n_area, config.load_fast_tau_s),
                    renewable_tau_s,
                ]
            ),
        )
        self._limits = dispatch_limits(case.machine, config.dispatch)
        # Units for whose loss the reserve is sized.
        self._credible: BoolArray = ~case.machine.is_equivalent & (
            case.machine.p_mw <= config.dispatch.reserve_unit_mw
        )
        self._load_damping = SwingConfig().load_damping
        self._gain_mw_per_hz = swing_of(case).governor.gain_mw_per_hz * governor_share(case.machine)
        area = np.arange(n_area)
        self._machine_area = case.bus.area[case.machine.bus]
        self._area_of_load = (self._load_area[:, None] == area).astype(np.float64)  # [load, area]
        self._area_of_renewable = (case.bus.area[case.renewable.bus][:, None] == area).astype(np.float64)
        self._nominal_area_mw = case.load.p_mw @ self._area_of_load
        self._published_area_mw: FloatArray = np.bincount(
            self._machine_area, case.machine.p_mw, minlength=n_area
        ).astype(np.float64)
        self._start_samples = self._allowed_starts()

        self._outages = RandomOutages.of(case, config)
        check_events(
            config.events,
            n_branch=case.n_branch,
            n_machine=case.n_machine,
            n_load=case.n_load,
            n_renewable=case.n_renewable,
            can_trip=[not equivalent for equivalent in case.machine.is_equivalent],
        )

    def _size_renewables(self, scale: float) -> None:
        self._capacity_mw = scale * self.case.renewable.p_max_mw
        self._fleet_mw = np.array(
            [0.0, self._capacity_mw[self._is_wind].sum(), self._capacity_mw[self._is_pv].sum()]
        )  # [quantity]; that of load is not used

    def build(
        self,
        rng: np.random.Generator,
        losses_mw: LossFunction,
        secure: SecureFunction | None = None,
        holds: HoldsFunction | None = None,
    ) -> Episode:
        """Draw one episode.

        Args:
            rng: the episode is a function of its state.
            losses_mw: of the grid at given powers.
            secure: random outages that it refuses are drawn again, see `outages.py`; none is if it is None.
            holds: whether planned states are within limits; units join the schedule until all are, if any is given.
        """
        if isinstance(self.config, WideScenarioConfig):
            dynamics = self.config.drawn(rng)
            builder = copy(self)
            builder._size_renewables(dynamics.renewable_scale)
            return replace(builder._build(rng, losses_mw, secure, holds), dynamics=dynamics)
        return self._build(rng, losses_mw, secure, holds)

    def _build(
        self,
        rng: np.random.Generator,
        losses_mw: LossFunction,
        secure: SecureFunction | None,
        holds: HoldsFunction | None,
    ) -> Episode:
        config, case = self.config, self.case
        start_minute = self._draw_start(rng)
        events = self._outages.draw(rng)
        white = rng.standard_normal((len(self.time_s), len(self._noise_memory)))
        n_renewal = int(np.ceil(config.duration_s / RENEWAL_S)) + 2
        white_forecast = rng.standard_normal((n_renewal, N_QUANTITY * N_HORIZON))
        mark_s = self._mark_times(start_minute)
        white_dispatch = rng.standard_normal((len(mark_s), N_QUANTITY))
        n_battery = len(case.resource.of_kind("bess"))
        soc_start = config.draw_soc(rng, n_battery)
        scada_key = int(rng.integers(0, 2**63))

        # Both from the samples around the episode: every quantity is a straight line between them.
        first = int(np.floor(start_minute / SAMPLE_MIN))
        # The first mark lies at most one interval of the dispatch before the start.
        n_before = int(np.ceil(config.dispatch.interval_s / (60.0 * SAMPLE_MIN)))
        n_knot = int(np.ceil((mark_s[-1] - mark_s[0]) / (60.0 * SAMPLE_MIN))) + n_before + 1
        knot = np.arange(first - n_before, first - n_before + n_knot)
        knot_s = (knot.astype(np.float64) * SAMPLE_MIN - start_minute) * 60.0
        level = self._load_level(knot)
        available_mw = self.series.renewable_pu[knot % self.series.n_sample][:, self._column] * (
            self._capacity_mw
        )
        total_mw = np.column_stack(
            [
                level @ self._region_weight * self._nominal_mw,
                available_mw[:, self._is_wind].sum(axis=1),
                available_mw[:, self._is_pv].sum(axis=1),
            ]
        )  # [knot, quantity]

        # Tertiary control on its own forecast.
        mark_mw = _at(mark_s, knot_s, total_mw)
        error = dispatch_errors(white_dispatch, config.forecast)
        planned_load_mw = mark_mw[:, LOAD] * (1.0 + error[:, LOAD])
        wind_mw = renewable_forecast_mw(
            mark_mw[:, WIND], error[:, WIND] * self._fleet_mw[WIND], float(self._fleet_mw[WIND])
        )
        pv_mw = renewable_forecast_mw(
            mark_mw[:, PV], error[:, PV] * mark_mw[:, PV], float(self._fleet_mw[PV])
        )

        planned = self._planned_powers(mark_s, planned_load_mw, wind_mw + pv_mw, knot_s, level, available_mw)
        share = self._commitment(planned.area_load_mw, planned.area_renewable_mw)
        # A unit that the configuration trips or returns is meant to run.
        named = [event.index for event in config.events if event.kind.startswith("machine")]
        share[:, named] = 1.0

        def plan(outages: tuple[Event, ...]) -> Plan:
            made = self._redispatch(mark_s, outages, planned, share, losses_mw)
            assert made is not None  # as nobody judges it
            return made

        waiting: list[int] = []
        if config.commitment and holds is not None:
            order = priority_list(case.machine, self._limits.p_max_mw).tolist()
            waiting = [unit for unit in order if share[:, unit].min() == 0.0]
        while waiting and holds is not None:
            # Frequency first, which takes no power flow, and ends a plan at its first mark that does not stand a loss.
            made = self._redispatch(
                mark_s, events, planned, share, losses_mw, partial(self._stands_a_loss, planned, share)
            )
            if made is not None:
                p_mark_mw, keep = made
                if holds(planned.bus_mw, keep[: len(p_mark_mw), None] * planned.plant_mw, p_mark_mw):
                    break
            share[:, waiting.pop(0)] = 1.0
        else:
            p_mark_mw, keep = plan(events)
        if config.commitment:
            running = self._outages.of_running_units(events, partial(_is_running, mark_s, share), scada_key)
            if running != events:
                events = running
                p_mark_mw, keep = plan(events)
        time_s = self.time_s
        p_load_mw, p_renewable_mw, noise_mw = self._true_powers(white, knot_s, level, available_mw)
        if secure is not None and config.outage_screened and len(events) > len(config.events):
            events, (p_mark_mw, keep) = self._outages.secured(
                events,
                (p_mark_mw, keep),
                plan,
                partial(self._powers_at, mark_s, p_load_mw, p_renewable_mw),
                partial(_is_running, mark_s, share),
                secure,
                scada_key,
            )
        planned_renewable_mw = (wind_mw + pv_mw) * keep
        n_machine_mark = len(p_mark_mw)

        # What really happens.
        kept = np.interp(time_s, mark_s, keep)[:, None]
        p_renewable_mw *= kept
        noise_mw[:, 2:] *= kept
        if config.events:
            p_load_mw += ramp_profile_mw(config.events, "load_ramp", time_s, case.n_load)
            p_renewable_mw += ramp_profile_mw(config.events, "renewable_ramp", time_s, case.n_renewable)
            np.clip(p_load_mw, 0.0, None, out=p_load_mw)
            np.clip(p_renewable_mw, 0.0, self._capacity_mw, out=p_renewable_mw)

        # What agents are told about the next 25 minutes.
        renewed = forecast_errors(white_forecast, config.forecast, RENEWAL_S)
        short = between_renewals(renewed, time_s, config.forecast)
        ahead_s = self._ahead_s
        load_ahead_mw = np.interp(ahead_s, knot_s, total_mw[:, LOAD])
        renewable_ahead_mw = np.zeros_like(load_ahead_mw)
        for quantity in (WIND, PV):
            capacity_mw = float(self._fleet_mw[quantity])
            renewable_ahead_mw += renewable_forecast_mw(
                np.interp(ahead_s, knot_s, total_mw[:, quantity]),
                short[:, quantity] * capacity_mw,
                capacity_mw,
            )

        minute = start_minute + time_s / 60.0
        return Episode(
            start_minute=start_minute,
            hour_of_day=minute / 60.0 % 24.0,
            day_of_week=(np.floor(minute % self.series.n_minute / 1440.0) + YEAR_FIRST_WEEKDAY) % 7.0,
            load_level=p_load_mw.sum(axis=1) / self._nominal_mw,
            p_load_mw=p_load_mw,
            p_renewable_mw=p_renewable_mw,
            noise_mw=noise_mw,
            p_schedule_mw=_at(time_s, mark_s[:n_machine_mark], p_mark_mw),
            committed_share=share[np.searchsorted(mark_s, time_s, side="right") - 1],
            p_load_schedule_mw=np.interp(time_s, mark_s, planned_load_mw),
            p_renewable_schedule_mw=np.interp(time_s, mark_s, planned_renewable_mw),
            forecast_load_mw=np.maximum(load_ahead_mw + short[:, LOAD] * self._mean_load_mw, 0.0),
            forecast_renewable_mw=renewable_ahead_mw * np.interp(ahead_s, mark_s, keep),
            schedule_load_ahead_mw=np.interp(ahead_s, mark_s, planned_load_mw),
            schedule_renewable_ahead_mw=np.interp(ahead_s, mark_s, planned_renewable_mw),
            events=tuple(event for event in events if event.kind in INSTANT_KINDS),
            soc_start=soc_start,
            scada_key=scada_key,
        )

    def _stands_a_loss(self, planned: PlannedPowers, share: FloatArray, mark: int, p_mw: FloatArray) -> bool:
        """Whether frequency would settle near enough after the loss of any unit at a mark, p_mw [machine]."""
        damping_mw_per_hz = self._load_damping * float(planned.load_mw[mark]) / self.case.f0_hz
        settled_hz = settles_within(
            p_mw, share[mark], self._credible, self._gain_mw_per_hz, damping_mw_per_hz
        )
        return settled_hz <= self.config.dispatch.largest_loss_hz

    def year_of_commitment(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Load and renewables of the whole grid [MW], [mark], at the marks of a year, and how much of each machine a
        perfect forecast has in the schedule from each of them on, [mark, machine]."""
        config = self.config
        mark = np.arange(
            0, self.series.n_sample, max(1, round(config.dispatch.interval_s / 60.0 / SAMPLE_MIN))
        )
        area_load_mw = self._load_level(mark)[:, self._load_region] * self.case.load.p_mw @ self._area_of_load
        plant_mw = self.series.renewable_pu[mark][:, self._column] * self._capacity_mw
        area_renewable_mw = plant_mw @ self._area_of_renewable
        load_mw, renewable_mw = area_load_mw.sum(axis=1), area_renewable_mw.sum(axis=1)
        share = self._commitment(area_load_mw, area_renewable_mw)
        return load_mw, renewable_mw, share

    def _allowed_starts(self) -> IntArray:
        """Samples of the year in whose five minutes an episode may begin.

        Raises:
            ScenarioError: there is none.
        """
        config = self.config
        length_min = config.duration_s / 60.0 + SAMPLE_MIN
        allowed = self.series.starts_without_load_step(config.max_load_step_percent, length_min)
        if config.start_ramp_quantile > 0.0:
            capacity_mw = np.zeros(self.series.renewable_pu.shape[1])
            np.add.at(capacity_mw, self._column, self._capacity_mw)
            score_mw = self.series.ramp_score(capacity_mw, config.start_ramp_min)
            allowed &= score_mw >= np.quantile(score_mw, config.start_ramp_quantile)
        starts = np.flatnonzero(allowed)
        if len(starts) == 0:
            raise ScenarioError(
                f"scenario {config.name!r}: no moment of the year is without a load step above "
                f"{config.max_load_step_percent} % for {length_min:.0f} minutes, expected some."
            )
        return starts

    def _draw_start(self, rng: np.random.Generator) -> float:
        """Minute of the year at which the episode begins."""
        sample = self._start_samples[rng.integers(len(self._start_samples))]
        minute = float(sample + rng.uniform()) * SAMPLE_MIN
        if self.config.start_minute is not None:
            return self.config.start_minute % self.series.n_minute
        return minute

    def _powers_at(
        self,
        mark_s: FloatArray,
        p_load_mw: FloatArray,
        p_renewable_mw: FloatArray,
        plan: Plan,
        time_s: float,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Powers of loads, renewable plants and machines [MW] at the control interval before a time of a plan."""
        row = min(int(time_s / self.config.interval_s), len(self.time_s) - 1)
        at_s = self.time_s[row : row + 1]
        p_mark_mw, keep = plan
        p_machine_mw = _at(at_s, mark_s[: len(p_mark_mw)], p_mark_mw)[0]
        return p_load_mw[row], p_renewable_mw[row] * np.interp(at_s, mark_s, keep), p_machine_mw

    def _mark_times(self, start_minute: float) -> FloatArray:
        """Dispatch marks, on the quarter hours of the clock, from the last before the start [s]."""
        interval_s = self.config.dispatch.interval_s
        before_s = start_minute * 60.0 % interval_s
        n_mark = int(np.ceil((before_s + float(self._ahead_s[-1, -1])) / interval_s)) + 1
        return interval_s * np.arange(n_mark, dtype=np.float64) - before_s

    def _load_level(self, knot: IntArray) -> FloatArray:
        """Load over nominal load in each region, whose weighted sum is that of the total, [knot, region]."""
        load_mw = self.series.load_mw[knot % self.series.n_sample].astype(np.float64)
        total_mw = load_mw.sum(axis=1, keepdims=True)
        relative = 1.0 + self.config.regional_share * (load_mw / total_mw / self._mean_share - 1.0)
        relative /= (relative @ self._region_weight)[:, None]
        level: FloatArray = total_mw / NOMINAL_LOAD_MW * relative
        return level

    def _true_powers(
        self, white: FloatArray, knot_s: FloatArray, level: FloatArray, available_mw: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Power of every load [time, load] and of every renewable plant [time, renewable] [MW], and the sums of noise
        in them: of load slow and fast, of wind, of sun, [time, 4]."""
        config, case, time_s = self.config, self.case, self.time_s
        noise = autoregress(white, self._noise_memory)
        n_load, n_area = case.n_load, case.n_area
        own, common = np.sqrt(1.0 - config.load_area_share), np.sqrt(config.load_area_share)
        slow, fast, renewable = np.split(noise, [n_load + n_area, 2 * (n_load + n_area)], axis=1)
        z = config.load_slow_percent / 100.0 * slow + config.load_fast_percent / 100.0 * fast
        load_noise = own * z[:, :n_load] + common * z[:, n_load:][:, self._load_area]
        level_of_load = _at(time_s, knot_s, level)[:, self._load_region]
        p_load_mw = level_of_load * (case.load.p_mw * (1.0 + load_noise))
        weight_mw = level_of_load * case.load.p_mw

        p_mw = _at(time_s, knot_s, available_mw)
        amplitude_mw = np.where(
            self._is_wind, config.wind_percent / 100.0 * self._capacity_mw, config.pv_percent / 100.0 * p_mw
        )
        p_renewable_mw = np.clip(p_mw + amplitude_mw * renewable, 0.0, self._capacity_mw)
        noise_mw = np.empty((len(time_s), 4))
        for k, (percent, x) in enumerate(
            ((config.load_slow_percent, slow), (config.load_fast_percent, fast))
        ):
            of_load = own * x[:, :n_load] + common * x[:, n_load:][:, self._load_area]
            noise_mw[:, k] = percent / 100.0 * np.sum(weight_mw * of_load, axis=1)
        for k, those in ((2, self._is_wind), (3, self._is_pv)):
            noise_mw[:, k] = (p_renewable_mw - p_mw)[:, those].sum(axis=1)
        return p_load_mw, p_renewable_mw, noise_mw

    def _n_mark(self, mark_s: FloatArray) -> int:
        """Marks up to the first after the end of the episode."""
        return int(np.searchsorted(mark_s, self.time_s[-1])) + 1

    def _planned_powers(
        self,
        mark_s: FloatArray,
        planned_load_mw: FloatArray,
        planned_renewable_mw: FloatArray,
        knot_s: FloatArray,
        level: FloatArray,
        available_mw: FloatArray,
    ) -> PlannedPowers:
        """What loads, wind and sun will be at the marks up to the first after the end."""
        n_mark = self._n_mark(mark_s)
        mark_level = _at(mark_s[:n_mark], knot_s, level)
        mark_available_mw = _at(mark_s[:n_mark], knot_s, available_mw)
        actual_mw = np.maximum(mark_available_mw.sum(axis=1), 1e-9)
        plant_mw = mark_available_mw * (planned_renewable_mw[:n_mark] / actual_mw)[:, None]
        actual_load_mw = mark_level @ self._region_weight * self._nominal_mw
        bus_mw = (
            mark_level[:, self._load_region]
            * self.case.load.p_mw
            * (planned_load_mw[:n_mark] / actual_load_mw)[:, None]
        )
        return PlannedPowers(
            load_mw=planned_load_mw,
            renewable_mw=planned_renewable_mw,
            bus_mw=bus_mw,
            plant_mw=plant_mw,
            area_load_mw=bus_mw @ self._area_of_load,
            area_renewable_mw=plant_mw @ self._area_of_renewable,
        )

    def _commitment(self, area_load_mw: FloatArray, area_renewable_mw: FloatArray) -> FloatArray:
        """How much of each machine is in the schedule from each mark to the next, [mark, machine].

        Args:
            area_load_mw: load of each area as forecast [MW], [mark, area].
            area_renewable_mw: wind and sun likewise [MW], [mark, area].
        """
        machine, config = self.case.machine, self.config
        if not config.commitment:
            return np.ones((len(area_load_mw), len(machine.name)))
        demand_mw = area_demand(
            area_load_mw,
            area_renewable_mw,
            FIRST_LOSS_SHARE * area_load_mw.sum(axis=1, keepdims=True),
            self._nominal_area_mw,
            self._published_area_mw,
        )
        return commit(demand_mw, machine, self._machine_area, self._limits.p_max_mw, config.dispatch)

    def _redispatch(
        self,
        mark_s: FloatArray,
        events: tuple[Event, ...],
        planned: PlannedPowers,
        share: FloatArray,
        losses_mw: LossFunction,
        stands: Callable[[int, FloatArray], bool] | None = None,
    ) -> Plan | None:
        """Machine schedule at the marks, and the share of wind and sun that is not curtailed.

        The line from mark k - 1 to mark k is decided at k - 1, so an outage is made good from the first mark
        after it on, and fully at the second. Losses come from a power flow at a first solution; putting them
        in changes the flows by 1 % and the losses by no more than 2 % of themselves. Wind and sun are
        curtailed when machines at their lower limits and they together would exceed the demand.

        Args:
            mark_s: times of the marks [s], [mark].
            events: outages, and whatever else happens.
            planned: what the dispatch expects.
            share: how much of each machine is in the schedule, [mark, machine].
            losses_mw: of the grid at given powers.
            stands: judges the machines' powers at a mark by its number; the first mark refused ends the plan.

        Returns:
            Schedule [MW], shape [mark, machine], for marks up to the first after the end; share kept, [mark]. None
            where a mark was refused.
        """
        machine, config, n_mark = self.case.machine, self.config, self._n_mark(mark_s)
        in_service = np.ones((n_mark, len(machine.name)), dtype=np.bool_)
        for event in events:
            if event.kind in ("machine_out", "machine_in"):
                in_service[1:][event.time_s <= mark_s[: n_mark - 1], event.index] = event.kind == "machine_in"
        every_mark = np.ones((n_mark, 1))
        least_mw, most_mw = every_mark * self._limits.p_min_mw, every_mark * self._limits.p_max_mw
        if config.commitment:
            in_service &= running_at_marks(share)
            most_mw *= share
            least_mw = np.minimum(config.dispatch.committed_min_share * machine.p_mw * share, most_mw)
        area_total_mw = planned.area_load_mw.sum(axis=1)
        asked = _Marks(
            planned.load_mw,
            planned.renewable_mw,
            planned.area_load_mw,
            planned.area_renewable_mw,
            area_total_mw,
            area_total_mw / self._nominal_area_mw.sum(),
            self._published_area_mw / self._published_area_mw.sum(),
            self._nominal_area_mw,
            in_service,
            least_mw,
            most_mw,
            (least_mw * in_service).sum(axis=1),
            self._limits.ramp_mw,
            machine.cost_linear,
            machine.cost_quadratic,
            self._machine_area,
        )
        p_mw, keep = np.empty((n_mark, len(machine.name))), np.ones(len(mark_s))
        loss_mw = FIRST_LOSS_SHARE * float(planned.load_mw[0])
        for k in range(n_mark):
            _dispatch_mark(asked, k, loss_mw, p_mw, keep)
            loss_mw = losses_mw(planned.bus_mw[k], keep[k] * planned.plant_mw[k], p_mw[k])
            _dispatch_mark(asked, k, loss_mw, p_mw, keep)
            if stands is not None and not stands(k, p_mw[k]):
                return None
        keep[n_mark:] = keep[n_mark - 1]
        return p_mw, keep


@compiled
def _dispatch_mark(asked: _Marks, k: int, loss_mw: float, p_mw: FloatArray, keep: FloatArray) -> None:
    """Dispatch one mark with the losses expected there, after those before it; see `EpisodeBuilder._redispatch`.

    Args:
        asked: what is asked of the machines.
        k: number of the mark.
        loss_mw: losses of the whole grid [MW].
        p_mw: filled in [MW], [mark, machine].
        keep: share of wind and sun that is not curtailed, lowered where they leave the machines too little, [mark].
    """
    room_mw = asked.load_mw[k] + loss_mw - asked.least_total_mw[k]
    if asked.renewable_mw[k] > room_mw:
        keep[k] = max(room_mw, 0.0) / asked.renewable_mw[k]
    demand_mw = np.empty(asked.area_share.size)
    for a in range(demand_mw.size):
        demand_mw[a] = (
            asked.area_share[a] * (asked.area_total_mw[k] + loss_mw)
            + asked.area_load_mw[k, a]
            - asked.level[k] * asked.nominal_area_mw[a]
            - keep[k] * asked.area_renewable_mw[k, a]
        )
    least_mw, most_mw, in_service = asked.least_mw[k], asked.most_mw[k], asked.in_service[k]
    if k > 0:
        low_mw, high_mw = bounds_at_mark(least_mw, most_mw, asked.ramp_mw, p_mw[k - 1], in_service)
    else:
        low_mw, high_mw = bounds_at_mark(least_mw, most_mw, asked.ramp_mw, None, in_service)
    given_mw = dispatch_by_area(
        demand_mw, asked.machine_area, asked.cost_linear, asked.cost_quadratic, low_mw, high_mw
    )
    for i in range(given_mw.size):
        p_mw[k, i] = given_mw[i]


def _is_running(mark_s: FloatArray, share: FloatArray, machine: int, time_s: float) -> bool:
    """Whether a machine is in the schedule at a time."""
    mark = min(int(np.searchsorted(mark_s, time_s, side="right")) - 1, len(share) - 1)
    return bool(share[max(mark, 0), machine] > 0.0)


@compiled
def _at(time_s: FloatArray, knot_s: FloatArray, values: FloatArray) -> FloatArray:
    """Straight lines between equally spaced knots, for all columns at once, shape [time, column]."""
    result = np.empty((time_s.size, values.shape[1]))
    for row in range(time_s.size):
        position = (time_s[row] - knot_s[0]) / (knot_s[1] - knot_s[0])
        index = min(max(int(position), 0), knot_s.size - 2)
        weight = position - index
        for column in range(values.shape[1]):
            result[row, column] = (1.0 - weight) * values[index, column] + weight * values[index + 1, column]
    return result
