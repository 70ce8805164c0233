"""Forecast errors have the size, growth and correlations that are stated."""

from __future__ import annotations

import numpy as np
import pytest

from control.telemetry.forecast import (
    LOAD,
    PV,
    RENEWAL_S,
    WIND,
    ForecastConfig,
    between_renewals,
    dispatch_errors,
    forecast_errors,
    renewable_forecast_mw,
)
from control.telemetry.noise import autoregress, memory

N_FORECAST = 10_000


@pytest.fixture(scope="module")
def independent_errors() -> np.ndarray:
    """Ten thousand forecasts far apart in time, [forecast, quantity, horizon]."""
    white = np.random.default_rng(1).standard_normal((N_FORECAST, 15))
    return forecast_errors(white, ForecastConfig(), dt_s=1e9)


def test_errors_have_the_stated_size_and_growth(independent_errors: np.ndarray) -> None:
    h = np.arange(1.0, 6.0)
    stated_percent = np.stack([0.71 * h**0.70, 0.83 * h**0.90, 1.28 * h**0.88])
    found_percent = 100.0 * independent_errors.std(axis=0)
    # Standard error of a standard deviation: 1/sqrt(2 n) = 0.7 %; four of them, for fifteen numbers.
    np.testing.assert_allclose(found_percent, stated_percent, rtol=0.028)
    np.testing.assert_allclose(
        100.0 * independent_errors.mean(axis=0) / stated_percent,
        0.0,
        atol=0.04,  # four standard errors of a mean, 4/sqrt(n)
    )


def test_errors_of_neighbouring_horizons_are_alike(independent_errors: np.ndarray) -> None:
    h = np.arange(5)
    stated = 0.93 ** np.abs(h[:, None] - h)
    for quantity in (LOAD, WIND, PV):
        found = np.corrcoef(independent_errors[:, quantity].T)
        # Standard error of a correlation is (1 - r²)/sqrt(n) <= 0.0044 for r >= 0.75; four of them.
        np.testing.assert_allclose(found, stated, atol=0.018)


def test_errors_of_load_wind_and_sun_are_independent(independent_errors: np.ndarray) -> None:
    found = np.corrcoef(independent_errors[:, :, 2].T) - np.eye(3)
    np.testing.assert_allclose(found, 0.0, atol=0.04)  # four standard errors, 4/sqrt(n)


def test_errors_fade_in_time_with_their_memory() -> None:
    config, dt_s = ForecastConfig(), 60.0
    white = np.random.default_rng(2).standard_normal((200_000, 15))
    error = forecast_errors(white, config, dt_s)
    for steps in (1, 5, 20):
        found = np.corrcoef(error[:-steps, WIND, 0], error[steps:, WIND, 0])[0, 1]
        # About 200,000 x 60 s / (2 x 1200 s) = 5000 independent samples: four standard errors.
        assert found == pytest.approx(np.exp(-steps * dt_s / 1200.0), abs=4.0 / np.sqrt(5000.0))


def test_errors_keep_their_size_between_renewals() -> None:
    config = ForecastConfig()
    white = np.random.default_rng(9).standard_normal((200_000, 15))
    error = forecast_errors(white, config, RENEWAL_S)
    midway = between_renewals(error, RENEWAL_S * (np.arange(199_000) + 0.5), config)
    # 12,000,000 s hold about 5000 independent values: 1 % on a standard deviation; four of them.
    np.testing.assert_allclose(midway.std(axis=0), config.sigma, rtol=0.04)
    np.testing.assert_allclose(midway.std(axis=0), error.std(axis=0), rtol=2e-3)
    on_time = between_renewals(error[:10], RENEWAL_S * np.arange(9.0), config)
    np.testing.assert_allclose(on_time, error[:9], rtol=1e-12)


def test_a_forecast_stays_within_the_plants_and_is_dark_at_night() -> None:
    actual = np.array([0.0, 10.0, 90.0, 50.0])
    forecast = renewable_forecast_mw(actual, np.array([5.0, -20.0, 20.0, 7.0]), 100.0)
    np.testing.assert_array_equal(forecast, [0.0, 0.0, 100.0, 57.0])


def test_dispatch_errors_have_the_stated_size_and_memory() -> None:
    error = dispatch_errors(np.random.default_rng(3).standard_normal((100_000, 3)), ForecastConfig())
    # n (1 - 0.49)/(1 + 0.49) = 34,000 independent samples: 4/sqrt(2 x 34,000) = 1.5 %.
    np.testing.assert_allclose(100.0 * error.std(axis=0), [0.5, 3.0, 5.0], rtol=0.016)
    for quantity in (LOAD, WIND, PV):
        found = np.corrcoef(error[:-1, quantity], error[1:, quantity])[0, 1]
        assert found == pytest.approx(0.7, abs=4.0 / np.sqrt(34_000.0))


def test_an_autoregressive_process_is_stationary_from_its_first_value() -> None:
    white = np.random.default_rng(4).standard_normal((3, 50_000))
    x = autoregress(white, np.full(50_000, memory(4.0, 150.0)))
    # Standard error of a variance is sqrt(2/n) = 0.63 %; four of them.
    np.testing.assert_allclose(x.var(axis=1), 1.0, rtol=0.026)


def test_a_configuration_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon_correlation"):
        ForecastConfig(horizon_correlation=1.0)
    with pytest.raises(ValueError, match="wind_percent"):
        ForecastConfig(wind_percent=-1.0)
