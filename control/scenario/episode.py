"""Building an episode: everything that will happen to the grid, whatever its controllers do.

An episode is a stretch of the real year with noise inside five minutes, the dispatch of the machines on a
forecast that errs, the short forecasts the agents may see, and outages. All of it is drawn at once from one
generator, so an episode depends on its configuration and that generator alone, not on actions, nor on how
many others are built beside it. Its times are the ends of control intervals, 0 to T; between them powers are
straight lines.

Load, wind and sun are in `exogenous.py`, the machines' schedule in `dispatch_plan.py`.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cases.arrays import FloatArray, IntArray, freeze_arrays
from cases.case import Case
from cases.series import SAMPLE_MIN, YEAR_FIRST_WEEKDAY, Series
from control.scenario.config import ScenarioConfig, ScenarioError
from control.scenario.dispatch_plan import DispatchPlanner, HoldsFunction, LossFunction, is_running
from control.scenario.exogenous import ExogenousPowers, between_knots
from control.scenario.outages import Plan, RandomOutages, SecureFunction
from control.scenario.wide import Dynamics, WideScenarioConfig
from control.scheduling.commitment import priority_list
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
from grid_model.dynamics.events import INSTANT_KINDS, Event, check_events, ramp_profile_mw

__all__ = ["Episode", "EpisodeBuilder"]


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


class EpisodeBuilder:
    """Holds what all episodes of a configuration share, and builds them."""

    def __init__(self, case: Case, series: Series, config: ScenarioConfig) -> None:
        self.case, self.series, self.config = case, series, config
        n = config.n_intervals
        self.time_s: FloatArray = config.interval_s * np.arange(n + 1, dtype=np.float64)
        self._ahead_s = self.time_s[:, None] + HORIZON_S * np.arange(1, N_HORIZON + 1)

        self.powers = ExogenousPowers(case, series, config, self.time_s)
        self._planner = DispatchPlanner(case, config, self.time_s)
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
            builder.powers = self.powers.sized(dynamics.renewable_scale)
            return replace(builder._build(rng, losses_mw, secure, holds), dynamics=dynamics)
        return self._build(rng, losses_mw, secure, holds)

    def _build(
        self,
        rng: np.random.Generator,
        losses_mw: LossFunction,
        secure: SecureFunction | None,
        holds: HoldsFunction | None,
    ) -> Episode:
        config, case, powers, planner = self.config, self.case, self.powers, self._planner
        start_minute = self._draw_start(rng)
        events = self._outages.draw(rng)
        white = rng.standard_normal((len(self.time_s), powers.n_white))
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
        level, available_mw = powers.load_level(knot), powers.available_mw(knot)
        total_mw = powers.total_mw(level, available_mw)  # [knot, quantity]

        # Tertiary control on its own forecast.
        mark_mw = between_knots(mark_s, knot_s, total_mw)
        error = dispatch_errors(white_dispatch, config.forecast)
        planned_load_mw = mark_mw[:, LOAD] * (1.0 + error[:, LOAD])
        wind_mw = renewable_forecast_mw(
            mark_mw[:, WIND], error[:, WIND] * powers.fleet_mw[WIND], float(powers.fleet_mw[WIND])
        )
        pv_mw = renewable_forecast_mw(
            mark_mw[:, PV], error[:, PV] * mark_mw[:, PV], float(powers.fleet_mw[PV])
        )

        planned = planner.planned_powers(
            powers, mark_s, planned_load_mw, wind_mw + pv_mw, knot_s, level, available_mw
        )
        share = planner.commitment(planned.area_load_mw, planned.area_renewable_mw)
        # A unit that the configuration trips or returns is meant to run.
        named = [event.index for event in config.events if event.kind.startswith("machine")]
        share[:, named] = 1.0

        def plan(outages: tuple[Event, ...]) -> Plan:
            made = planner.redispatch(mark_s, outages, planned, share, losses_mw)
            assert made is not None  # as nobody judges it
            return made

        waiting: list[int] = []
        if config.commitment and holds is not None:
            order = priority_list(case.machine, planner.limits.p_max_mw).tolist()
            waiting = [unit for unit in order if share[:, unit].min() == 0.0]
        while waiting and holds is not None:
            # Frequency first, which takes no power flow, and ends a plan at its first mark that does not stand a loss.
            made = planner.redispatch(
                mark_s, events, planned, share, losses_mw, partial(planner.stands_a_loss, planned, share)
            )
            if made is not None:
                p_mark_mw, keep = made
                if holds(planned.bus_mw, keep[: len(p_mark_mw), None] * planned.plant_mw, p_mark_mw):
                    break
            share[:, waiting.pop(0)] = 1.0
        else:
            p_mark_mw, keep = plan(events)
        if config.commitment:
            running = self._outages.of_running_units(events, partial(is_running, mark_s, share), scada_key)
            if running != events:
                events = running
                p_mark_mw, keep = plan(events)
        time_s = self.time_s
        p_load_mw, p_renewable_mw, noise_mw = powers.with_noise(white, knot_s, level, available_mw)
        if secure is not None and config.outage_screened and len(events) > len(config.events):
            events, (p_mark_mw, keep) = self._outages.secured(
                events,
                (p_mark_mw, keep),
                plan,
                partial(self._powers_at, mark_s, p_load_mw, p_renewable_mw),
                partial(is_running, mark_s, share),
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
            np.clip(p_renewable_mw, 0.0, powers.capacity_mw, out=p_renewable_mw)

        # What agents are told about the next 25 minutes.
        renewed = forecast_errors(white_forecast, config.forecast, RENEWAL_S)
        short = between_renewals(renewed, time_s, config.forecast)
        ahead_s = self._ahead_s
        load_ahead_mw = np.interp(ahead_s, knot_s, total_mw[:, LOAD])
        renewable_ahead_mw = np.zeros_like(load_ahead_mw)
        for quantity in (WIND, PV):
            capacity_mw = float(powers.fleet_mw[quantity])
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
            load_level=p_load_mw.sum(axis=1) / powers.nominal_mw,
            p_load_mw=p_load_mw,
            p_renewable_mw=p_renewable_mw,
            noise_mw=noise_mw,
            p_schedule_mw=between_knots(time_s, mark_s[:n_machine_mark], p_mark_mw),
            committed_share=share[np.searchsorted(mark_s, time_s, side="right") - 1],
            p_load_schedule_mw=np.interp(time_s, mark_s, planned_load_mw),
            p_renewable_schedule_mw=np.interp(time_s, mark_s, planned_renewable_mw),
            forecast_load_mw=np.maximum(load_ahead_mw + short[:, LOAD] * powers.mean_load_mw, 0.0),
            forecast_renewable_mw=renewable_ahead_mw * np.interp(ahead_s, mark_s, keep),
            schedule_load_ahead_mw=np.interp(ahead_s, mark_s, planned_load_mw),
            schedule_renewable_ahead_mw=np.interp(ahead_s, mark_s, planned_renewable_mw),
            events=tuple(event for event in events if event.kind in INSTANT_KINDS),
            soc_start=soc_start,
            scada_key=scada_key,
        )

    def year_of_commitment(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Load and renewables of the whole grid [MW], [mark], at the marks of a year, and how much of each machine a
        perfect forecast has in the schedule from each of them on, [mark, machine]."""
        config = self.config
        mark = np.arange(
            0, self.series.n_sample, max(1, round(config.dispatch.interval_s / 60.0 / SAMPLE_MIN))
        )
        powers, planner = self.powers, self._planner
        load_mw = powers.load_level(mark)[:, powers.load_region] * self.case.load.p_mw
        area_load_mw = load_mw @ planner.area_of_load
        area_renewable_mw = powers.available_mw(mark) @ planner.area_of_renewable
        load_mw, renewable_mw = area_load_mw.sum(axis=1), area_renewable_mw.sum(axis=1)
        share = planner.commitment(area_load_mw, area_renewable_mw)
        return load_mw, renewable_mw, share

    def _allowed_starts(self) -> IntArray:
        """Samples of the year in whose five minutes an episode may begin.

        Raises:
            ScenarioError: there is none, or the scenario begins beyond the year.
        """
        config = self.config
        if config.start_minute is not None and config.start_minute >= self.series.n_minute:
            raise ScenarioError(
                f"scenario {config.name!r}: start_minute = {config.start_minute:g}, expected a minute of the year, "
                f"from 0 to below {self.series.n_minute:.0f}."
            )
        length_min = config.duration_s / 60.0 + SAMPLE_MIN
        allowed = self.series.starts_without_load_step(config.max_load_step_percent, length_min)
        if config.start_ramp_quantile > 0.0:
            capacity_mw = np.zeros(self.series.renewable_pu.shape[1])
            np.add.at(capacity_mw, self.powers.column, self.powers.capacity_mw)
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
            return self.config.start_minute
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
        p_machine_mw = between_knots(at_s, mark_s[: len(p_mark_mw)], p_mark_mw)[0]
        return p_load_mw[row], p_renewable_mw[row] * np.interp(at_s, mark_s, keep), p_machine_mw

    def _mark_times(self, start_minute: float) -> FloatArray:
        """Dispatch marks, on the quarter hours of the clock, from the last before the start [s]."""
        interval_s = self.config.dispatch.interval_s
        before_s = start_minute * 60.0 % interval_s
        n_mark = int(np.ceil((before_s + float(self._ahead_s[-1, -1])) / interval_s)) + 1
        return interval_s * np.arange(n_mark, dtype=np.float64) - before_s
