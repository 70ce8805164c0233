"""Figures that describe the real series and the noise laid over them; arrays in, named numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.signal import periodogram

from cases.arrays import FloatArray
from cases.case import Case
from cases.series import NOMINAL_LOAD_MW, Series, read_raw_load
from control.scenario.config import ScenarioConfig
from control.scenario.episode import Episode, EpisodeBuilder
from control.task.closed_loop import BALANCE_S, ClosedLoop
from control.telemetry.forecast import ForecastConfig
from grid_model.dynamics.events import SWITCHING_KINDS

SAMPLES_PER_DAY = 288
RAMP_MINUTES = (5, 15, 60)
# AC losses of the base case and how they fall with load: enough for a balance that is shown, not simulated.
BASE_LOSSES_MW = 174.0
# Noon of 9 April: sun and wind plants are in the middle of their range, so limits do not bend the noise.
SPECTRUM_MINUTE = 99.0 * 1440.0 + 705.0


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """Load of a year and its changes."""

    min_mw: float
    mean_mw: float
    max_mw: float
    largest_5min_change_percent: float
    changes_over_3_percent: int
    ramp_rms_mw: tuple[float, ...]  # of load less wind and sun, over RAMP_MINUTES
    ramp_999_mw: tuple[float, ...]  # exceeded by one change in a thousand


@dataclass(frozen=True, kw_only=True)
class UncontrolledEpisode:
    """What an episode asks of control while no plant moves; every array is [time]."""

    demand_mw: FloatArray  # load and losses less wind and sun
    schedule_mw: FloatArray  # of the machines in service

    @property
    def missing_mw(self) -> FloatArray:
        """What the machines' schedule leaves to control."""
        return self.demand_mw - self.schedule_mw


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Power spectral density of one noise, per unit of its variance."""

    name: str
    frequency_hz: FloatArray
    found_s: FloatArray
    designed_s: FloatArray
    found_sd: float  # in the unit of designed_sd
    designed_sd: float
    unit: str


def net_load_mw(load_mw: FloatArray, series: Series, case: Case) -> FloatArray:
    """Load less wind and sun at the case's capacities [MW], shape [sample]."""
    plants = series.renewable_pu[:, series.columns(case.renewable.series)].astype(np.float64)
    net: FloatArray = load_mw.sum(axis=1) - plants @ case.renewable.p_max_mw
    return net


def load_figures(load_mw: FloatArray, net_mw: FloatArray) -> LoadFigures:
    """What the year looks like."""
    total = load_mw.sum(axis=1)
    change = 100.0 * np.abs(np.diff(total)) / total[:-1]
    ramps = [net_mw[m // 5 :] - net_mw[: -(m // 5)] for m in RAMP_MINUTES]
    return LoadFigures(
        min_mw=float(total.min()),
        mean_mw=float(total.mean()),
        max_mw=float(total.max()),
        largest_5min_change_percent=float(change.max()),
        changes_over_3_percent=int(np.count_nonzero(change > 3.0)),
        ramp_rms_mw=tuple(float(np.sqrt(np.mean(r**2))) for r in ramps),
        ramp_999_mw=tuple(float(np.quantile(np.abs(r), 0.999)) for r in ramps),
    )


def by_day(values: FloatArray) -> FloatArray:
    """A year in rows of days, shape [day, sample of the day]."""
    return values[: len(values) // SAMPLES_PER_DAY * SAMPLES_PER_DAY].reshape(-1, SAMPLES_PER_DAY)


def losses_mw(p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray) -> float:
    """Losses of the base case, scaled with the square of the load [MW]."""
    return BASE_LOSSES_MW * float(p_load_mw.sum() / NOMINAL_LOAD_MW) ** 2


def imbalance_mw(episode: Episode) -> FloatArray:
    """What load and losses take beyond wind, sun and the machines' schedule [MW], shape [time]."""
    load = episode.p_load_mw.sum(axis=1)
    loss = BASE_LOSSES_MW * (load / NOMINAL_LOAD_MW) ** 2
    left: FloatArray = load + loss - episode.p_renewable_mw.sum(axis=1) - episode.p_schedule_mw.sum(axis=1)
    return left


def uncontrolled_episode(loop: ClosedLoop) -> UncontrolledEpisode:
    """Powers of the episode that the loop's first environment is at the beginning of.

    Load steps count from their instant, a unit that is out gives nothing, and the schedule begins in balance as the
    loop makes it. Losses are those of the power flow with all circuits in service.
    """
    episode, scenario = loop.episode[0], loop.scenario
    assert episode is not None
    time_s = scenario.interval_s * np.arange(scenario.n_intervals + 1)
    offset_mw = loop.grid.injections.schedule_mw[0] - episode.p_schedule_mw[0]
    machine_mw = episode.p_schedule_mw + np.maximum(0.0, 1.0 - time_s / BALANCE_S)[:, None] * offset_mw
    load_mw, on = episode.p_load_mw.copy(), np.ones(machine_mw.shape, dtype=np.bool_)
    for event in episode.events:
        after = time_s > event.time_s  # an event at the end of an interval belongs to the next
        if event.kind == "load_step":
            load_mw[after, event.index] += event.p_mw
        elif event.kind in ("machine_out", "machine_in"):
            on[after, event.index] = event.kind == "machine_in"
    machine_mw *= on
    loss_mw = [
        loop.plan.losses_mw(*powers)
        for powers in zip(load_mw, episode.p_renewable_mw, machine_mw, strict=True)
    ]
    return UncontrolledEpisode(
        demand_mw=load_mw.sum(axis=1) + np.array(loss_mw) - episode.p_renewable_mw.sum(axis=1),
        schedule_mw=machine_mw.sum(axis=1),
    )


def spectra(case: Case, noisy: EpisodeBuilder, quiet: Episode, seeds: Sequence[int]) -> list[Spectrum]:
    """Spectra of the noise inside five minutes, from episodes that differ from a quiet one by noise alone.

    Noise that the scenario switches off has none.
    """
    episodes = [noisy.build(np.random.default_rng(seed), losses_mw) for seed in seeds]
    config, dt_s = noisy.config, noisy.config.interval_s
    load = np.array([e.p_load_mw / quiet.p_load_mw - 1.0 for e in episodes]) * 100.0
    slow, fast = config.load_slow_percent**2, config.load_fast_percent**2
    kind = np.array(case.renewable.kind)
    found = []
    if slow + fast > 0.0:
        parts = [(slow, config.load_slow_tau_s), (fast, config.load_fast_tau_s)]
        found.append(_spectrum("each load", load, "% of load", dt_s, parts))
    for name, percent, tau_s in (
        ("wind", config.wind_percent, config.wind_tau_s),
        ("pv", config.pv_percent, config.pv_tau_s),
    ):
        base = quiet.p_renewable_mw[:, kind == name]
        capacity = case.renewable.p_max_mw[kind == name] * config.renewable_scale
        # Only plants that no limit cuts: in the middle of their range for the whole of the episode.
        inside = np.all((base > 0.1 * capacity) & (base < 0.9 * capacity), axis=0)
        if percent > 0.0 and inside.any():
            unit = capacity[inside] if name == "wind" else base[:, inside]
            noise = np.array(
                [(e.p_renewable_mw[:, kind == name][:, inside] - base[:, inside]) / unit for e in episodes]
            )
            what = "% of capacity" if name == "wind" else "% of output"
            found.append(_spectrum(f"each {name} plant", 100.0 * noise, what, dt_s, [(percent**2, tau_s)]))
    return found


def _spectrum(
    name: str, noise: FloatArray, unit: str, dt_s: float, parts: Sequence[tuple[float, float]]
) -> Spectrum:
    """Mean periodogram of noise [episode, time, process], and that of AR(1) processes (variance, τ)."""
    frequency, power = periodogram(noise, fs=1.0 / dt_s, window="hann", detrend=False, axis=1)
    designed = np.zeros_like(frequency)
    for variance, tau_s in parts:
        a = np.exp(-dt_s / tau_s)
        turn = 2.0 * np.pi * frequency * dt_s
        designed += 2.0 * dt_s * variance * (1.0 - a * a) / (1.0 - 2.0 * a * np.cos(turn) + a * a)
    total = sum(variance for variance, _ in parts)
    return Spectrum(
        name=name,
        frequency_hz=frequency[2:-1],  # the window smears what is constant into the first two
        found_s=power.mean(axis=(0, 2))[2:-1] / total,
        designed_s=designed[2:-1] / total,
        found_sd=float(noise.std()),
        designed_sd=float(np.sqrt(total)),
        unit=unit,
    )


def forecast_error_mw(episodes: Sequence[Episode], quiet_ahead: FloatArray) -> FloatArray:
    """Standard deviation of the short forecast of wind and sun, over episodes of one stretch of time [MW].

    quiet_ahead is the forecast without errors, [time, horizon].
    """
    error = np.array([e.forecast_renewable_mw - quiet_ahead for e in episodes])
    deviation: FloatArray = error.std(axis=(0, 1))
    return deviation


def without_outages(config: ScenarioConfig) -> ScenarioConfig:
    """The same scenario with everything in service throughout: its usual need, without the hole a unit leaves."""
    events = tuple(event for event in config.events if event.kind not in SWITCHING_KINDS)
    return replace(config, outage_rate_per_h=0.0, outages_min=0, events=events)


def quiet_config(config: ScenarioConfig, start_minute: float) -> ScenarioConfig:
    """The same scenario at one moment of the year, without noise, errors and outages."""
    none = ForecastConfig(
        load_percent=0.0,
        wind_percent=0.0,
        pv_percent=0.0,
        dispatch_load_percent=0.0,
        dispatch_wind_percent=0.0,
        dispatch_pv_percent=0.0,
    )
    return replace(
        config,
        start_minute=start_minute,
        load_slow_percent=0.0,
        load_fast_percent=0.0,
        wind_percent=0.0,
        pv_percent=0.0,
        forecast=none,
        outage_rate_per_h=0.0,
        outages_min=0,
        events=(),
    )


@dataclass(frozen=True, kw_only=True)
class ScenarioFigures:
    """What drives a grid in a scenario: the year behind it, noise, forecasts, and what they leave to control."""

    name: str
    raw: LoadFigures  # of the published year
    clean: LoadFigures  # of the year without its faults
    raw_net_mw: FloatArray  # load less wind and sun, [sample of the year]
    clean_net_mw: FloatArray
    spectra: Sequence[Spectrum]
    stated_mw: FloatArray  # standard deviation of the short forecast of wind and sun as configured, [horizon]
    found_mw: FloatArray  # and as found
    n_episode: int
    imbalance_rms_mw: float  # without outages
    load_mw: float  # mean of the episodes

    @property
    def imbalance_percent(self) -> float:
        """Imbalance in % of the mean load."""
        return 100.0 * self.imbalance_rms_mw / self.load_mw

    def summary(self) -> dict[str, Any]:
        """The figures by name, without the series."""
        return {
            "scenario": self.name,
            "raw": asdict(self.raw),
            "clean": asdict(self.clean),
            "noise": {
                s.name: {"found": s.found_sd, "designed": s.designed_sd, "unit": s.unit} for s in self.spectra
            },
            "forecast_error_mw": {
                "found": list(map(float, self.found_mw)),
                "stated": list(map(float, self.stated_mw)),
            },
            "imbalance_rms_mw": self.imbalance_rms_mw,
            "imbalance_percent_of_load": self.imbalance_percent,
        }


def scenario_figures(case: Case, series: Series, config: ScenarioConfig, n_episode: int) -> ScenarioFigures:
    """Measures a scenario over episodes of the seeds 0, 1, ...; everything of the year over the year.

    Args:
        case: the grid.
        series: the year of load, wind and sun.
        config: the scenario.
        n_episode: episodes that are built, none of them played.

    Raises:
        control.scenario.config.ScenarioError: the scenario does not fit the grid.
    """
    raw_mw, clean_mw = read_raw_load(), series.load_mw.astype(np.float64)
    raw_net_mw, clean_net_mw = net_load_mw(raw_mw, series, case), net_load_mw(clean_mw, series, case)
    usual = EpisodeBuilder(case, series, without_outages(config))
    episodes = [usual.build(np.random.default_rng(seed), losses_mw) for seed in range(n_episode)]
    still = EpisodeBuilder(case, series, quiet_config(config, SPECTRUM_MINUTE))
    quiet = still.build(np.random.default_rng(0), losses_mw)
    noisy = EpisodeBuilder(
        case,
        series,
        replace(config, start_minute=SPECTRUM_MINUTE, outage_rate_per_h=0.0, outages_min=0, events=()),
    )
    kind = np.array(case.renewable.kind)
    plant_mw = [config.renewable_scale * case.renewable.p_max_mw[kind == k].sum() for k in ("wind", "pv")]
    return ScenarioFigures(
        name=config.name,
        raw=load_figures(raw_mw, raw_net_mw),
        clean=load_figures(clean_mw, clean_net_mw),
        raw_net_mw=raw_net_mw,
        clean_net_mw=clean_net_mw,
        spectra=spectra(case, noisy, quiet, range(n_episode)),
        stated_mw=np.hypot(*(config.forecast.sigma[1:] * np.array(plant_mw)[:, None])),
        found_mw=forecast_error_mw(
            [noisy.build(np.random.default_rng(seed), losses_mw) for seed in range(n_episode)],
            quiet.forecast_renewable_mw,
        ),
        n_episode=n_episode,
        imbalance_rms_mw=float(np.sqrt(np.mean([np.mean(imbalance_mw(e) ** 2) for e in episodes]))),
        load_mw=float(np.mean([e.p_load_mw.sum(axis=1).mean() for e in episodes])),
    )


def table(found: ScenarioFigures) -> list[str]:
    """Raw beside cleaned series, and the noise as found beside the noise as designed, as lines of text."""
    raw, clean = found.raw, found.clean
    rows = [
        ("load, lowest", raw.min_mw, clean.min_mw, "MW"),
        ("load, mean", raw.mean_mw, clean.mean_mw, "MW"),
        ("load, highest", raw.max_mw, clean.max_mw, "MW"),
    ]
    lines = [f"{'a year of RTS-GMLC':34s}{'raw':>9s}{'cleaned':>9s}"]
    lines += [f"{name:34s}{before:9.0f}{after:9.0f}  {unit}" for name, before, after, unit in rows]
    largest = (raw.largest_5min_change_percent, clean.largest_5min_change_percent)
    lines.append(f"{'load, largest change in 5 min':34s}{largest[0]:9.1f}{largest[1]:9.1f}  % of load")
    count = (raw.changes_over_3_percent, clean.changes_over_3_percent)
    lines.append(f"{'load, changes over 3 % in 5 min':34s}{count[0]:9d}{count[1]:9d}  a year")
    for i, minutes in enumerate(RAMP_MINUTES):
        name = f"net load, change in {minutes} min"
        lines.append(f"{name:34s}{raw.ramp_rms_mw[i]:9.0f}{clean.ramp_rms_mw[i]:9.0f}  MW rms")
        name = "          exceeded 1 in 1000"
        lines.append(f"{name:34s}{raw.ramp_999_mw[i]:9.0f}{clean.ramp_999_mw[i]:9.0f}  MW")
    lines.append(f"\n{'standard deviations':34s}{'designed':>9s}{'found':>9s}")
    lines += [
        f"{'noise of ' + s.name:34s}{s.designed_sd:9.3f}{s.found_sd:9.3f}  {s.unit}" for s in found.spectra
    ]
    for h, (stated, measured) in enumerate(zip(found.stated_mw, found.found_mw, strict=True), start=1):
        lines.append(f"{f'wind and sun, {5 * h} min ahead':34s}{stated:9.0f}{measured:9.0f}  MW")
    lines.append(
        f"\nimbalance  {found.imbalance_rms_mw:.0f} MW rms over {found.n_episode} episodes of {found.name} without "
        f"outages, {found.imbalance_percent:.2f} % of {found.load_mw:.0f} MW mean load"
    )
    return lines
