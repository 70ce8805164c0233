"""Episodes and suites: balance, noise, marks, outages, seeds and a user's own file."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from cases.arrays import FloatArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.series import NOMINAL_LOAD_MW, Series, load_series
from control.plants.fleet_state import DR, GAS
from control.scenario.config import ScenarioConfig, ScenarioError
from control.scenario.episode import Episode, EpisodeBuilder
from control.scenario.exogenous import between_knots
from control.scenario.file import read_scenario, scenario_named
from control.scenario.fleet_sizing import fleet_of
from control.scenario.suites import (
    FIRST_HELD_OUT_SEED,
    HELD_OUT,
    SCENARIOS,
    VALIDATION_SEEDS,
    event_words,
    require_training_seed,
)
from control.telemetry.forecast import ForecastConfig
from control.telemetry.scada import ScadaConfig
from grid_model.dynamics.events import DisturbanceError, Event
from grid_model.network.topology import bridges

NOISELESS = ScenarioConfig(
    name="noiseless",
    load_slow_percent=0.0,
    load_fast_percent=0.0,
    wind_percent=0.0,
    pv_percent=0.0,
    forecast=ForecastConfig(
        load_percent=0.0,
        wind_percent=0.0,
        pv_percent=0.0,
        dispatch_load_percent=0.0,
        dispatch_wind_percent=0.0,
        dispatch_pv_percent=0.0,
    ),
)


@pytest.fixture(scope="module")
def case() -> Case:
    return load_ieee68()


@pytest.fixture(scope="module")
def series() -> Series:
    return load_series(progress=False)


def losses_mw(p_load: FloatArray, p_renewable: FloatArray, p_machine: FloatArray) -> float:
    """About what the grid loses: 174 MW at nominal load, falling with its square."""
    return 174.0 * float(p_load.sum() / NOMINAL_LOAD_MW) ** 2


def build(case: Case, series: Series, config: ScenarioConfig, seed: int) -> Episode:
    return EpisodeBuilder(case, series, config).build(np.random.default_rng(seed), losses_mw)


def imbalance_mw(episode: Episode) -> FloatArray:
    """True load and losses, less wind, sun and the schedule [MW], shape [time]."""
    load = episode.p_load_mw.sum(axis=1)
    loss = 174.0 * (load / NOMINAL_LOAD_MW) ** 2
    imbalance: FloatArray = (
        load + loss - episode.p_renewable_mw.sum(axis=1) - episode.p_schedule_mw.sum(axis=1)
    )
    return imbalance


def test_an_episode_has_the_agreed_shapes(case: Case, series: Series) -> None:
    episode = build(case, series, SCENARIOS["normal"], 1)
    shapes = {
        f.name: getattr(episode, f.name).shape
        for f in fields(episode)
        if isinstance(getattr(episode, f.name), np.ndarray)
    }
    assert shapes == {
        "hour_of_day": (501,),
        "day_of_week": (501,),
        "load_level": (501,),
        "p_load_mw": (501, 35),
        "p_renewable_mw": (501, 14),
        "noise_mw": (501, 4),
        "p_schedule_mw": (501, 16),
        "committed_share": (501, 16),
        "p_load_schedule_mw": (501,),
        "p_renewable_schedule_mw": (501,),
        "forecast_load_mw": (501, 5),
        "forecast_renewable_mw": (501, 5),
        "schedule_load_ahead_mw": (501, 5),
        "schedule_renewable_ahead_mw": (501, 5),
        "soc_start": (5,),
    }


def test_the_same_generator_gives_the_same_episode(case: Case, series: Series) -> None:
    builder = EpisodeBuilder(case, series, SCENARIOS["n1"])
    first = builder.build(np.random.default_rng(7), losses_mw)
    builder.build(np.random.default_rng(8), losses_mw)
    again = builder.build(np.random.default_rng(7), losses_mw)
    for f in fields(first):
        np.testing.assert_array_equal(getattr(first, f.name), getattr(again, f.name))


def test_without_noise_and_errors_the_schedule_balances_at_the_marks(case: Case, series: Series) -> None:
    start = 100 * 1440.0 + 600.0  # at a quarter hour: marks at 0, 900 and 1800 s
    episode = build(case, series, replace(NOISELESS, start_minute=start), 1)
    # Losses were taken at a first solution: their second-order change is under 2 % of 60 to 170 MW; here
    # they depend on load alone, so only rounding of sums of 10,000 MW is left.
    np.testing.assert_allclose(imbalance_mw(episode)[[0, 225, 450]], 0.0, atol=1e-6)
    assert np.abs(imbalance_mw(episode)).max() > 1.0  # real ramps between the marks


def test_without_noise_loads_sum_to_the_data(case: Case, series: Series) -> None:
    for share in (0.0, 1.0):
        config = replace(NOISELESS, start_minute=123_450.0, regional_share=share)
        episode = build(case, series, config, 1)
        # Start and 300 s later are samples; the case's loads sum to 18,233.9 and not 18,234 MW.
        level = series.load_mw[24_690:24_692].sum(axis=1, dtype=np.float64) / NOMINAL_LOAD_MW
        np.testing.assert_allclose(episode.load_level[[0, 75]], level, rtol=1e-12)


def test_what_an_episode_calls_noise_is_what_the_same_episode_without_noise_lacks(
    case: Case, series: Series
) -> None:
    """Sums over the plants of each kind; wind and sun are cut at their capacity in both."""
    config = replace(SCENARIOS["normal"], start_minute=180 * 1440.0 + 700.0)
    noisy = build(case, series, config, 5)
    slow_alone = build(case, series, replace(config, load_fast_percent=0.0), 5)
    quiet = build(
        case, series,
        replace(config, load_slow_percent=0.0, load_fast_percent=0.0, wind_percent=0.0, pv_percent=0.0), 5,
    )  # fmt: skip
    np.testing.assert_array_equal(quiet.noise_mw, 0.0)
    wind = np.array(case.renewable.kind) == "wind"
    renewable_mw = noisy.p_renewable_mw - quiet.p_renewable_mw
    expected = [
        (slow_alone.p_load_mw - quiet.p_load_mw).sum(axis=1), (noisy.p_load_mw - slow_alone.p_load_mw).sum(axis=1),
        renewable_mw[:, wind].sum(axis=1), renewable_mw[:, ~wind].sum(axis=1),
    ]  # fmt: skip
    # Differences of sums of 1e4 MW in float64.
    np.testing.assert_allclose(noisy.noise_mw.T, expected, atol=1e-8)
    assert np.abs(noisy.noise_mw).max(axis=0).min() > 0.1


def test_load_noise_has_its_size_and_is_half_common_to_an_area(case: Case, series: Series) -> None:
    start = 100 * 1440.0 + 600.0
    noisy = EpisodeBuilder(case, series, replace(SCENARIOS["normal"], start_minute=start))
    quiet = build(case, series, replace(NOISELESS, start_minute=start), 0)
    samples = [noisy.build(np.random.default_rng(seed), losses_mw).p_load_mw for seed in range(150)]
    noise = np.array([p / quiet.p_load_mw - 1.0 for p in samples])[:, ::125]  # 500 s apart: independent
    # 0.25 % and 0.06 % together, of 150 x 5 x 35 values that hold 150 x 5 x 20 independent ones or more.
    assert 100.0 * noise.std() == pytest.approx(np.hypot(0.25, 0.06), rel=0.03)
    area = case.bus.area[case.load.bus]
    a, b = np.flatnonzero(area == 0)[:2]
    c = np.flatnonzero(area == 1)[0]
    flat = noise.reshape(-1, noise.shape[-1])
    # Four standard errors of a correlation over 750 values.
    assert np.corrcoef(flat[:, a], flat[:, b])[0, 1] == pytest.approx(0.5, abs=0.12)
    assert np.corrcoef(flat[:, a], flat[:, c])[0, 1] == pytest.approx(0.0, abs=0.15)


def test_wind_and_sun_stay_within_capacity_and_the_sun_sets(case: Case, series: Series) -> None:
    builder = EpisodeBuilder(case, series, replace(SCENARIOS["shift"], start_minute=50 * 1440.0))
    episode = builder.build(np.random.default_rng(3), losses_mw)
    assert np.all(episode.p_renewable_mw >= 0.0)
    assert np.all(episode.p_renewable_mw <= 2.0 * case.renewable.p_max_mw)
    assert np.all(episode.p_renewable_mw[:, np.array(case.renewable.kind) == "pv"] == 0.0)  # midnight


def test_the_schedule_is_straight_between_quarter_hours(case: Case, series: Series) -> None:
    episode = build(case, series, replace(SCENARIOS["normal"], start_minute=3000.0 + 5.0), 4)
    bend = np.abs(np.diff(episode.p_schedule_mw.sum(axis=1), 2))
    # From five past the hour the marks come after 600 and 1500 s: points 150 and 375 of the 4 s grid.
    assert set(np.flatnonzero(bend > 1e-6) + 1) == {150, 375}


def test_an_hourly_dispatch_plans_from_the_load_at_its_last_mark(case: Case, series: Series) -> None:
    """40 minutes into the hour the plan is on the straight line between the loads at both full hours."""
    hourly = replace(NOISELESS, dispatch=replace(NOISELESS.dispatch, interval_s=3600.0))
    hour = 3000.0  # minute of the year
    at_hour = build(case, series, replace(hourly, start_minute=hour), 1).p_load_mw[0].sum()
    episode = build(case, series, replace(hourly, start_minute=hour + 40.0), 1)
    at_next = episode.p_load_mw[300].sum()  # 1200 s later
    expected = at_hour + (at_next - at_hour) * 40.0 / 60.0
    assert episode.p_load_schedule_mw[0] == pytest.approx(expected, rel=1e-9)  # rounding of sums of 35 loads


def test_forecasts_without_errors_are_what_will_be(case: Case, series: Series) -> None:
    episode = build(case, series, replace(NOISELESS, start_minute=100 * 1440.0 + 601.0), 1)
    load, renewable = episode.p_load_mw.sum(axis=1), episode.p_renewable_mw.sum(axis=1)
    for horizon in range(5):
        steps = 75 * (horizon + 1)  # 300 s of 4 s
        np.testing.assert_allclose(episode.forecast_load_mw[:-steps, horizon], load[steps:], rtol=1e-12)
        np.testing.assert_allclose(
            episode.forecast_renewable_mw[:-steps, horizon], renewable[steps:], rtol=1e-9
        )
        np.testing.assert_allclose(
            episode.schedule_load_ahead_mw[:-steps, horizon], episode.p_load_schedule_mw[steps:], rtol=1e-12
        )


def test_forecast_errors_are_shares_of_mean_load_and_of_wind_capacity(case: Case, series: Series) -> None:
    """In MW at 5 and 25 minutes; the spread of 300 independent errors is known to 4 % (1/sqrt(600)), four of them."""
    mean_load_mw = series.load_mw.sum(axis=1).mean() / NOMINAL_LOAD_MW * case.load.p_mw.sum()
    wind_mw = case.renewable.p_max_mw[np.array(case.renewable.kind) == "wind"].sum()
    quiet = replace(NOISELESS, n_intervals=1)
    errs = replace(quiet, forecast=replace(quiet.forecast, load_percent=0.71, wind_percent=0.83))
    plain, wrong = EpisodeBuilder(case, series, quiet), EpisodeBuilder(case, series, errs)
    load, wind = [], []
    for seed in range(300):
        right = plain.build(np.random.default_rng(seed), losses_mw)
        false = wrong.build(np.random.default_rng(seed), losses_mw)
        load.append((false.forecast_load_mw - right.forecast_load_mw)[0, [0, 4]])
        wind.append((false.forecast_renewable_mw - right.forecast_renewable_mw)[0, [0, 4]])
    growth = np.array([1.0, 5.0])
    np.testing.assert_allclose(np.std(load, axis=0), 0.0071 * growth**0.7 * mean_load_mw, rtol=0.16)
    # Calm hours cut what would be negative: a little less than stated, never more.
    share = np.std(wind, axis=0) / (0.0083 * growth**0.9 * wind_mw)
    assert (share > 0.75).all()
    assert (share < 1.16).all()


def test_calendar_runs_with_the_clock(case: Case, series: Series) -> None:
    episode = build(case, series, replace(NOISELESS, start_minute=4 * 1440.0 - 10.0), 1)
    # 1 January 2020 was a Wednesday, so its fourth day is a Saturday and the fifth a Sunday.
    assert episode.day_of_week[0] == 5.0
    assert episode.day_of_week[-1] == 6.0
    assert episode.hour_of_day[0] == pytest.approx(24.0 - 1.0 / 6.0)
    assert episode.hour_of_day[-1] == pytest.approx(2000.0 / 3600.0 - 1.0 / 6.0)


def test_outages_are_single_elements_of_the_allowed_kind(case: Case, series: Series) -> None:
    builder = EpisodeBuilder(case, series, replace(SCENARIOS["n1"], outage_rate_per_h=3.0))
    step_ups, lost = set(bridges(case)), set[int]()
    n_out = 0
    for seed in range(60):
        out = 0
        for event in builder.build(np.random.default_rng(seed), losses_mw).events:
            out += 1 if event.kind.endswith("_out") else -1
            assert 0 <= out <= 1
            n_out += event.kind.endswith("_out")
            if event.kind == "branch_out":
                lost.add(event.index)
                assert event.index not in step_ups  # their loss is that of their unit
            if event.kind == "machine_out":
                assert not case.machine.is_equivalent[event.index]
                assert 500.0 <= case.machine.p_mw[event.index] <= 800.0
    assert n_out >= 60
    assert len(lost) > 25  # of 83 circuits; no list spares any


def test_the_schedule_makes_good_an_outage_from_the_mark_after_it(case: Case, series: Series) -> None:
    trip = Event(time_s=100.0, kind="machine_out", index=5)
    config = replace(NOISELESS, start_minute=100 * 1440.0 + 600.0)
    before = build(case, series, config, 1).p_schedule_mw
    after = build(case, series, replace(config, events=(trip,)), 1).p_schedule_mw
    np.testing.assert_array_equal(after[:226], before[:226])  # decided before it was known, up to 900 s
    assert after[450, 5] == 0.0
    assert after[450].sum() == pytest.approx(before[450].sum(), rel=1e-12)


def test_more_sun_and_wind_than_the_grid_can_take_is_curtailed(case: Case, series: Series) -> None:
    config = replace(NOISELESS, start_minute=100 * 1440.0 + 720.0, renewable_scale=8.0, commitment=False)
    episode = build(case, series, config, 1)
    sample = (100 * 1440 + 720) // 5  # of five minutes each
    available = series.renewable_pu[sample].astype(np.float64) @ (8.0 * case.renewable.p_max_mw)
    assert episode.p_renewable_mw[0].sum() < available
    np.testing.assert_allclose(episode.p_schedule_mw[0], 0.1 * case.machine.p_mw, rtol=1e-9)
    np.testing.assert_allclose(imbalance_mw(episode)[0], 0.0, atol=1e-6)


def test_areas_keep_their_interchange_whatever_the_wind_does(case: Case, series: Series) -> None:
    start = 100 * 1440.0 + 600.0
    config = replace(NOISELESS, start_minute=start, regional_share=0.0)
    exports = []
    for scale in (0.0, 1.0):
        episode = build(case, series, replace(config, renewable_scale=scale), 1)
        exports.append(
            [
                episode.p_schedule_mw[0, case.bus.area[case.machine.bus] == area].sum()
                + episode.p_renewable_mw[0, case.bus.area[case.renewable.bus] == area].sum()
                - episode.p_load_mw[0, case.bus.area[case.load.bus] == area].sum()
                for area in range(case.n_area)
            ]
        )
    # The losses assumed here depend on the load alone; rounding of sums of 10,000 MW.
    np.testing.assert_allclose(exports[1], exports[0], atol=1e-6)


def test_ramp_events_are_folded_into_the_powers(case: Case, series: Series) -> None:
    ramp = Event(time_s=400.0, kind="load_ramp", index=2, p_mw=60.0, duration_s=200.0)
    config = replace(NOISELESS, start_minute=100_000.0)
    plain = build(case, series, config, 1)
    ramped = build(case, series, replace(config, events=(ramp,)), 1)
    difference = ramped.p_load_mw - plain.p_load_mw
    np.testing.assert_allclose(difference[[100, 125, 150, 500], 2], [0.0, 30.0, 60.0, 60.0], atol=1e-9)
    assert ramped.events == ()


def test_ramp_suites_start_where_wind_and_sun_change_fast(case: Case, series: Series) -> None:
    def mean_change_mw(name: str) -> float:
        builder = EpisodeBuilder(case, series, SCENARIOS[name])
        changes = []
        for seed in range(30):
            p = builder.build(np.random.default_rng(seed), losses_mw).p_renewable_mw.sum(axis=1)
            changes.append(abs(p[300] - p[0]))
        return float(np.mean(changes))

    assert mean_change_mw("renewable_ramp") > 3.0 * mean_change_mw("normal")


def test_what_is_left_to_balance_in_normal_is_half_to_one_percent_of_load(case: Case, series: Series) -> None:
    """The size of usual balancing needs, over enough episodes that the mean is known to 5 % of itself."""
    builder = EpisodeBuilder(case, series, SCENARIOS["normal"])
    episodes = [builder.build(np.random.default_rng(seed), losses_mw) for seed in range(300)]
    rms_mw = np.sqrt(np.mean([np.square(imbalance_mw(e)) for e in episodes]))
    assert 0.005 < rms_mw / np.mean([e.p_load_mw.sum(axis=1) for e in episodes]) < 0.01


@pytest.mark.parametrize(
    ("sizes", "tau_s"),
    [
        ({"load_slow_percent": 0.25}, 150.0),
        ({"load_fast_percent": 0.06}, 20.0),
        ({"wind_percent": 0.8}, 180.0),
    ],
)
def test_noise_forgets_as_it_is_designed_to(
    case: Case, series: Series, sizes: dict[str, float], tau_s: float
) -> None:
    """An Ornstein-Uhlenbeck process: correlation exp(-lag/tau), here at half of tau."""
    start = 145 * 1440.0 + 720.0
    config = replace(NOISELESS, start_minute=start, load_area_share=0.0, **sizes)
    noisy, quiet = (
        EpisodeBuilder(case, series, config),
        build(case, series, replace(NOISELESS, start_minute=start), 0),
    )
    lag = round(0.5 * tau_s / config.interval_s)
    product = square = 0.0
    for seed in range(60):
        episode = noisy.build(np.random.default_rng(seed), losses_mw)
        if "wind_percent" in sizes:
            wind = np.array(case.renewable.kind) == "wind"
            # Only plants that no limit cuts.
            inside = wind & np.all(
                (quiet.p_renewable_mw > 0.1 * case.renewable.p_max_mw)
                & (quiet.p_renewable_mw < 0.9 * case.renewable.p_max_mw),
                axis=0,
            )
            assert inside.any()
            noise = (episode.p_renewable_mw - quiet.p_renewable_mw)[:, inside] / case.renewable.p_max_mw[
                inside
            ]
        else:
            noise = episode.p_load_mw / quiet.p_load_mw - 1.0
        product += float(np.mean(noise[lag:] * noise[:-lag]))
        square += float(np.mean(np.square(noise)))
    # An episode of 2000 s holds 2000/(2 tau) independent values of each process: 330 of one wind plant in 60 episodes,
    # 14,000 of the loads. A correlation of 0.61 has a standard error of (1 - 0.37)/sqrt(n) = 0.035 at most; three.
    assert product / square == pytest.approx(np.exp(-lag * config.interval_s / tau_s), abs=0.1)


def test_suites_are_what_they_are_defined_to_be() -> None:
    """The definitions of the published results; whoever changes one changes results, and says so in the changelog."""
    normal = SCENARIOS["normal"]
    forecast = normal.forecast
    assert (normal.n_intervals, normal.interval_s, normal.scada_delay_intervals) == (500, 4.0, 2)
    assert (normal.load_slow_percent, normal.load_fast_percent) == (0.25, 0.06)
    assert (normal.wind_percent, normal.pv_percent, normal.outage_rate_per_h, normal.outages_min) == (
        0.8,
        1.5,
        0.0,
        0,
    )
    assert (forecast.load_percent, forecast.wind_percent, forecast.pv_percent) == (0.71, 0.83, 1.28)
    assert (forecast.dispatch_load_percent, forecast.dispatch_wind_percent) == (0.5, 3.0)
    assert (forecast.dispatch_pv_percent, forecast.dispatch_correlation) == (5.0, 0.7)
    assert SCENARIOS["n1"] == replace(normal, name="n1", outages_min=1)
    ramp = SCENARIOS["renewable_ramp"]
    assert (ramp.start_ramp_quantile, ramp.forecast.dispatch_wind_percent) == (0.98, 6.0)
    assert SCENARIOS["shift"] == replace(
        normal,
        name="shift",
        inertia_scale_to_mws=90_000.0,
        governor_dead_band_hz=0.036,
        scada_delay_intervals=4,
        renewable_scale=2.0,
    )


def test_seeds_of_suites_are_held_out_and_apart() -> None:
    sizes = {name: len(HELD_OUT[name].seeds) for name in ("normal", "n1", "renewable_ramp", "shift")}
    assert sizes == {"normal": 100, "n1": 50, "renewable_ramp": 30, "shift": 50}
    everything = np.concatenate([seeds.seeds for seeds in HELD_OUT.values()])
    assert len(set(everything)) == len(everything)
    assert everything.min() >= FIRST_HELD_OUT_SEED
    assert VALIDATION_SEEDS.seeds.max() < FIRST_HELD_OUT_SEED
    require_training_seed(int(VALIDATION_SEEDS.seeds[0]))
    with pytest.raises(ScenarioError, match="held out"):
        require_training_seed(int(everything[0]))


def test_a_scenario_file_changes_what_it_names(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "evening.toml"
    path.write_text(
        'base = "n1"\noutages_min = 0\nstart_minute = 1000\n[forecast]\ndispatch_wind_percent = 6.0\n'
        '[[event]]\ntime_s = 120.0\nkind = "machine_out"\nelement = "G6"\n'
    )
    config = scenario_named(str(path), case)
    assert config.name == "evening"
    assert config.outages_min == 0
    assert config.start_minute == 1000.0
    assert config.forecast == ForecastConfig(dispatch_wind_percent=6.0)
    assert config.events == (Event(time_s=120.0, kind="machine_out", index=5),)
    assert config.unit_p_max_mw == SCENARIOS["n1"].unit_p_max_mw


def test_a_scenario_sets_the_quality_of_its_telemetry(case: Case, tmp_path: Path) -> None:
    assert SCENARIOS["normal"].scada == ScadaConfig(delay_intervals=(2, 2, 2))
    assert SCENARIOS["shift"].scada.delay_intervals == (4, 4, 4)
    path = tmp_path / "late.toml"
    path.write_text("scada_class_delays = [0, 1, 5]\npacket_loss = 0.1\nscada_noise = 2.0\n")
    late = read_scenario(path, case).scada
    assert late == ScadaConfig(delay_intervals=(0, 1, 5), packet_loss=0.1, noise_sd=(0.002, 0.002, 0.0))


def test_a_scenario_file_sizes_the_plants_and_says_whether_they_run(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(
        "[battery]\nenergy_mwh = 5\n[gas_turbine]\noperating_point_mw = 120.0\n[demand_response]\ndepth_mw = 10.0\n"
    )
    fleet = fleet_of(case, read_scenario(path, case))
    assert set(fleet.energy_mwh[fleet.bess]) == {5.0}
    gas, dr = fleet.of_kind(GAS), fleet.of_kind(DR)
    # 120 MW stands 20 above minimum load and 130 below the rating, of which the range takes 75.
    assert (set(fleet.low_mw[gas]), set(fleet.high_mw[gas])) == ({-20.0}, {75.0})
    assert (set(fleet.low_mw[dr]), set(fleet.high_mw[dr])) == ({-10.0}, {10.0})

    path.write_text("[gas_turbine]\nrunning = false\n")
    idle = fleet_of(case, read_scenario(path, case))
    assert not idle.low_mw[gas].any()
    assert not idle.high_mw[gas].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("battery = 3", "battery = 3, expected a table"),
        ("[battery]\nenergy_mwh = 0", "energy_mwh = 0.0, expected > 0"),
        ("[gas_turbine]\nrunning = 1", "gas_turbine.running = 1, expected true or false"),
        (
            "[gas_turbine]\noperating_point_mw = 90.0",
            "operating_point_mw = 90.0, expected between minimum load",
        ),
        ("base = 'nowhere'", "base = 'nowhere', expected one of normal"),
        ("wind = 3", "unknown key wind"),
        ("[forecast]\nwind = 3", "unknown key forecast.wind"),
        ("n_intervals = 2.5", "n_intervals = 2.5, expected a whole number"),
        ("interval_s = 'long'", "expected a number"),
        ("packet_loss = 1.5", "packet_loss = 1.5, expected 0 to below 1"),
        ("[[event]]\ntime_s = 1.0\nkind = 'machine_out'\nelement = 'G99'", "element = 'G99'"),
        ("[[event]]\nkind = 'machine_out'\nelement = 'G1'", "no time_s"),
        ("[[event]]\ntime_s = -1.0\nkind = 'machine_out'\nelement = 'G1'", "time_s = -1.0"),
        ("not toml at all", "is not TOML"),
        ("n_intervals = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        ("start_minute = " + "9" * 400, "start_minute is beyond 1e308"),
        ("base = ['n1']", r"base = \['n1'\], expected one of normal"),
        ("event = 3", r"event = 3, expected a table \[\[event\]\] for each"),
        ("event = [3]", r"event = \[3\], expected a table \[\[event\]\] for each"),
        ("[event]\ntime_s = 1.0\nkind = 'machine_out'\nelement = 'G1'", r"expected a table \[\[event\]\]"),
        ("events = 5", "unknown key events, expected one of base, name, .*, event"),
        (
            "[[event]]\ntime_s = 1.0\nkind = ['machine_out']\nelement = 'G1'",
            r"kind = \['machine_out'\], expected",
        ),
        (
            "[[event]]\ntime_s = 1.0\nkind = 'machine_out'\nelement = ['G1']",
            r"element = \['G1'\], expected a name",
        ),
        (
            "[[event]]\ntime_s = 'soon'\nkind = 'machine_out'\nelement = 'G1'",
            "time_s = 'soon', expected a number",
        ),
        ("[[event]]\ntime_s = inf\nkind = 'machine_out'\nelement = 'G1'", "time_s = inf, expected >= 0"),
        (
            "[[event]]\ntime_s = 1.0\nkind = 'machine_in'\nelement = 'G1'",
            "element 'G1', .* in service already",
        ),
        (
            "[[event]]\ntime_s = 1.0\nkind = 'machine_out'\nelement = 'G13'",
            "element 'G13', .* a whole region",
        ),
        (
            "[[event]]\ntime_s = 1.0\nkind = 'machine_out'\nelement = 'G6'\n"
            "[[event]]\ntime_s = 2.0\nkind = 'machine_out'\nelement = 'G6'",
            "element 'G6', event at 2 s, .* out already",
        ),
        ("scada_class_delays = 3", "scada_class_delays = 3, expected three whole numbers from 0 to 5"),
        ("scada_class_delays = ['a', 1, 2]", "expected three whole numbers from 0 to 5"),
        ("scada_class_delays = [1.5, 2, 2]", "expected three whole numbers from 0 to 5"),
        ("scada_class_delays = [1, 2]", "expected three whole numbers from 0 to 5"),
        ("[dispatch]\np_max_share = 0.05", "machine row .* has p_min .* above p_max"),
        ("interval_s = 0.03", "interval_s = 0.03, expected a whole number of steps of 0.02 s"),
        ("start_minute = nan", "start_minute = nan, expected a finite number"),
        ("repair_min_s = inf\nrepair_max_s = inf", "repair_min_s = inf, expected a finite number"),
        ("outage_rate_per_h = inf", "outage_rate_per_h = inf, expected a finite number"),
        ("renewable_scale = inf", "renewable_scale = inf, expected a finite number"),
        ("[dispatch]\ninterval_s = inf", "dispatch.interval_s = inf, expected a finite number"),
        ("[forecast]\nload_growth = nan", "forecast.load_growth = nan, expected a finite number"),
        ("[battery]\nenergy_mwh = inf", "battery.energy_mwh = inf, expected a finite number"),
        ("outages_min = 2", "outages_min = 2, expected 0 or 1: only one element is out at a time"),
    ],
)
def test_a_wrong_scenario_file_is_explained(case: Case, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=message) as error:
        read_scenario(path, case)
    assert "wrong.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_scenario_file_that_is_not_utf8_is_explained(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes('name = "Äpfel"'.encode("latin-1"))  # Ä is the single byte 0xC4, the ninth
    with pytest.raises(
        ScenarioError, match="wrong.toml is not UTF-8 text: invalid continuation byte, byte 8"
    ):
        read_scenario(path, case)


@pytest.mark.parametrize(
    "name", [f.name for f in fields(ScenarioConfig) if f.type in ("float", "float | None")]
)
def test_every_number_of_a_scenario_must_be_finite(name: str) -> None:
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ScenarioError, match=f"{name} = {value}, expected"):
            replace(SCENARIOS["normal"], **{name: value})


def test_a_scenario_file_may_be_given_as_a_path(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "calm.toml"
    path.write_text("outages_min = 0")
    assert scenario_named(path, case) == scenario_named(str(path), case)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event(time_s=1.0, kind="machine_out", index=5), "G6 lost"),
        (Event(time_s=1.0, kind="machine_in", index=5), "G6 back"),
        (Event(time_s=1.0, kind="load_step", index=0, p_mw=-50.0), "load 17 -50 MW"),
    ],
)
def test_events_are_told_in_the_names_of_the_tables(case: Case, event: Event, words: str) -> None:
    assert event_words(event, case) == words


def test_names_that_are_no_scenario_are_explained(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="expected one of normal"):
        scenario_named("abnormal", case)
    with pytest.raises(ScenarioError, match="cannot read"):
        scenario_named(str(tmp_path / "missing.toml"), case)


def test_an_equivalent_never_trips(case: Case, series: Series) -> None:
    trip = Event(time_s=1.0, kind="machine_out", index=12)
    with pytest.raises(DisturbanceError, match="whole region"):
        EpisodeBuilder(case, series, replace(NOISELESS, events=(trip,)))


def test_an_outage_the_grid_cannot_stand_gives_its_place_to_another(case: Case, series: Series) -> None:
    """A judge that refuses some elements: none of them is lost, all else about the episode stays."""
    config = replace(SCENARIOS["n1"], outage_unit_share=1.0)
    builder = EpisodeBuilder(case, series, config)
    unjudged = [builder.build(np.random.default_rng(seed), losses_mw) for seed in range(20)]
    refused = unjudged[0].events[0].index

    def judge(outage: Event, *powers: FloatArray | bool) -> bool:
        return outage.index != refused

    for seed, before in enumerate(unjudged):
        episode = builder.build(np.random.default_rng(seed), losses_mw, judge)
        was, now = before.events[0], episode.events[0]
        assert now.index != refused
        assert (now.time_s, now.kind) == (was.time_s, "machine_out")
        if was.index != refused:
            assert now == was
            np.testing.assert_array_equal(episode.p_schedule_mw, before.p_schedule_mw)
        else:  # the unit drawn instead is dispatched to nothing, the one refused stays
            # Made good fully at the second mark after it, at most 1800 s later.
            assert episode.p_schedule_mw[-1, now.index] == 0.0 or now.time_s > 200.0
            assert episode.p_schedule_mw[-1, refused] > 0.0
        np.testing.assert_array_equal(episode.p_load_mw, before.p_load_mw)


def test_nothing_is_lost_where_nothing_may_be(case: Case, series: Series) -> None:
    event = Event(time_s=100.0, kind="branch_out", index=3)
    builder = EpisodeBuilder(case, series, replace(SCENARIOS["n1"], events=(event,)))
    episode = builder.build(np.random.default_rng(1), losses_mw, lambda *state: False)
    assert episode.events == (event,)  # what a user asks for happens all the same


def test_straight_lines_between_knots_are_those_of_numpy():
    rng = np.random.default_rng(0)
    knot_s, values = -37.0 + 300.0 * np.arange(5), rng.normal(size=(5, 3))
    time_s = np.sort(rng.uniform(knot_s[0], knot_s[-1], 200))
    expected = np.column_stack([np.interp(time_s, knot_s, column) for column in values.T])
    # Two ways to weigh two numbers of order one.
    np.testing.assert_allclose(between_knots(time_s, knot_s, values), expected, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 1000 + "]" * 1000, "wrong.toml is nested deeper than any scenario is"),
        ("event = " + "[" * 200 + "]" * 200, r"event = \[\[.*\.\.\..*, expected a table"),
        (f"name = 3\nbase = '{'x' * 10_000}'", r"base = 'x+\.\.\.x+', expected one of normal"),
        ("[battery]\nenergy_mwh = 1e300", r"battery.energy_mwh = 1e\+300, expected -1e\+09 to 1e\+09"),
        ("inertia_scale_to_mws = 1e12", r"inertia_scale_to_mws = 1e\+12, expected -1e\+09 to 1e\+09"),
        (
            "[[event]]\ntime_s = 1e9\nkind = 'machine_out'\nelement = 'G6'",
            r"element 'G6', event machine_out at 1e\+09 s, expected before the end of the episode at 2000 s",
        ),
        (
            "n_intervals = 10\n[[event]]\ntime_s = 40.0\nkind = 'machine_out'\nelement = 'G6'",
            "expected before the end of the episode at 40 s",
        ),
        (
            "[[event]]\ntime_s = 1.0\nkind = 'load_step'\nelement = 'load 41'\np_mw = 1e200",
            r"event p_mw = 1e\+200, expected -1e\+09 to 1e\+09",
        ),
        ("# " + "x" * 1_000_000, "wrong.toml is larger than a million bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_scenario_beyond_all_sense_is_explained_in_one_short_line(
    case: Case, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=message) as error:
        read_scenario(path, case)
    assert "\n" not in str(error.value)
    assert (
        len(str(error.value)) < len(str(path)) + 1500
    )  # names of all keys, but nothing of the file's length


@pytest.mark.parametrize("minute", [-5.0, 366.0 * 1440.0, 1e8])
def test_a_start_beyond_the_year_is_refused(case, series, minute):
    """Taken modulo the year, -5 was five minutes before its end."""
    with pytest.raises(ScenarioError, match="start_minute = .*, expected a minute of the year, from 0"):
        EpisodeBuilder(case, series, ScenarioConfig(start_minute=minute))
