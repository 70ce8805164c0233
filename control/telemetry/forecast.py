"""Forecasts of load, wind and sun, and how wrong they are.

Two kinds of forecast meet here. Every interval a short forecast looks 5 to 25 minutes ahead; its error grows
with the horizon h (in steps of 5 min), is alike at neighbouring horizons and changes slowly in time. Every
15 minutes the re-dispatch uses a forecast of its own, whose error is an AR(1) process from mark to mark.
Size and growth were measured as the persistence error of the series themselves (whole fleets, raw RTS-GMLC
data). The two correlations are round figures within what the same measurement gives on the cleaned year: 0.86 to 0.99
between the errors of neighbouring horizons, 0.93 here; and between errors 5 minutes apart 0.48 (sun, 5 min ahead) to
0.98 (load, 25 min ahead), 0.78 here at every horizon.

A forecast is the series at the target time plus the error, cut to what the plants can deliver, and zero
where the sun does not shine. Errors of load, wind and sun are independent of each other. Left out: bias,
days that are hard to forecast, and any improvement of the dispatch by the short forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cases.arrays import FloatArray
from control.telemetry.noise import autoregress, memory

N_HORIZON = 5  # steps ahead
HORIZON_S = 300.0  # length of one step
RENEWAL_S = 60.0  # the short forecast is made anew once a minute and turns into the next one gradually
N_QUANTITY = 3  # load, wind, sun: the order of every [.., quantity] axis here
LOAD, WIND, PV = range(N_QUANTITY)


@dataclass(frozen=True, kw_only=True)
class ForecastConfig:
    """Errors of the short forecast, σ_h = size h^growth, and of the forecast behind the dispatch."""

    load_percent: float = 0.71  # of mean load, at h = 1
    load_growth: float = 0.70
    wind_percent: float = 0.83  # of wind capacity
    wind_growth: float = 0.90
    pv_percent: float = 1.28  # of photovoltaic capacity
    pv_growth: float = 0.88
    horizon_correlation: float = 0.93  # between neighbouring horizons: ρ^|h - h'|
    memory_s: float = 1200.0  # correlation in time falls as exp(-Δt / memory); 0.78 after 5 min

    dispatch_load_percent: float = 0.5  # of the load forecast
    dispatch_wind_percent: float = 3.0  # of wind capacity
    dispatch_pv_percent: float = 5.0  # of the output forecast
    dispatch_correlation: float = 0.7  # from one mark to the next

    def __post_init__(self) -> None:
        for name in ("horizon_correlation", "dispatch_correlation"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"forecast: {name} = {getattr(self, name)}, expected 0 <= ρ < 1.")
        if not self.memory_s > 0.0:
            raise ValueError(f"forecast: memory_s = {self.memory_s}, expected > 0.")
        for name in ("load", "wind", "pv", "dispatch_load", "dispatch_wind", "dispatch_pv"):
            if not getattr(self, f"{name}_percent") >= 0.0:
                raise ValueError(f"forecast: {name}_percent is negative, expected >= 0.")

    @cached_property
    def sigma(self) -> FloatArray:
        """σ_h as a share of mean load, wind capacity and photovoltaic capacity, shape [quantity, horizon]."""
        h = np.arange(1, N_HORIZON + 1)
        size = np.array([self.load_percent, self.wind_percent, self.pv_percent])
        growth = np.array([self.load_growth, self.wind_growth, self.pv_growth])
        sigma: FloatArray = size[:, None] / 100.0 * h ** growth[:, None]
        return sigma

    @cached_property
    def mixing(self) -> FloatArray:
        """Matrix that gives independent numbers the correlation ρ^|h - h'| along the horizon."""
        h = np.arange(N_HORIZON)
        correlation = self.horizon_correlation ** np.abs(h[:, None] - h)
        return np.linalg.cholesky(correlation)


def forecast_errors(white: FloatArray, config: ForecastConfig, dt_s: float) -> FloatArray:
    """Errors of the short forecast as shares of mean load, wind capacity and photovoltaic capacity.

        e_h(t) = σ_h z_h(t),   corr(z_h(t), z_h'(t')) = ρ^|h - h'| exp(-|t - t'| / memory)

    Args:
        white: independent standard normal numbers, overwritten, shape [time, quantity x horizon].
        config: sizes and correlations.
        dt_s: time from one row to the next [s].

    Returns:
        Errors, shape [time, quantity, horizon].
    """
    n = N_QUANTITY * N_HORIZON
    slow = autoregress(white, np.full(n, memory(dt_s, config.memory_s)))
    z: FloatArray = slow.reshape(-1, N_HORIZON) @ config.mixing.T
    return config.sigma * z.reshape(-1, N_QUANTITY, N_HORIZON)


def between_renewals(error: FloatArray, time_s: FloatArray, config: ForecastConfig) -> FloatArray:
    """Errors at any time from those at the renewals, one every RENEWAL_S from 0 on, without loss of size.

        e(t) = ((1 - w) e_k + w e_k+1) / sqrt((1 - w)² + w² + 2 w (1 - w) a),   a = exp(-renewal / memory)

    The root is the standard deviation of the mean of two values with correlation a; dividing by it keeps the
    stated size between renewals too. A new error every 4 s would make forecasts flicker as no forecast does.

    Args:
        error: at the renewals, shape [renewal, quantity, horizon].
        time_s: from the first renewal to the last [s], shape [time].
        config: holds the memory.

    Returns:
        Errors, shape [time, quantity, horizon].
    """
    position = time_s / RENEWAL_S
    k = np.minimum(position.astype(np.int64), len(error) - 2)
    w = position - k
    root = np.sqrt((1.0 - w) ** 2 + w**2 + 2.0 * w * (1.0 - w) * memory(RENEWAL_S, config.memory_s))
    early, late = (1.0 - w) / root, w / root
    between: FloatArray = early[:, None, None] * error[k] + late[:, None, None] * error[k + 1]
    return between


def renewable_forecast_mw(actual_mw: FloatArray, error_mw: FloatArray, capacity_mw: float) -> FloatArray:
    """Forecast of a fleet: what will be plus the error, within [0, capacity], zero where nothing will be.

    Nothing at all is to come only from the sun, at night; no forecaster would announce power then.
    """
    forecast_mw = np.clip(actual_mw + error_mw, 0.0, capacity_mw)
    return np.where(actual_mw > 0.0, forecast_mw, 0.0)


def dispatch_errors(white: FloatArray, config: ForecastConfig) -> FloatArray:
    """Errors of the forecast behind each dispatch mark, AR(1) from mark to mark.

    Args:
        white: independent standard normal numbers, overwritten, shape [mark, quantity].
        config: sizes and correlation.

    Returns:
        Errors as shares of load, of wind capacity and of photovoltaic output, shape [mark, quantity].
    """
    share = np.array([config.dispatch_load_percent, config.dispatch_wind_percent, config.dispatch_pv_percent])
    return share / 100.0 * autoregress(white, np.full(N_QUANTITY, config.dispatch_correlation))
