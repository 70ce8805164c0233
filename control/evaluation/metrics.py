"""Figures of merit of frequency control, as pure functions of what was measured.

Arrays are time series of one or many episodes with time last, unless said otherwise; intervals that were never
played are NaN and count for nothing, except where a function says so. Frequencies are deviations from nominal in Hz,
powers in MW.

Sources: NERC Reliability Standard BAL-001-2 (control performance); Commission Regulation (EU) 2017/1485, the System
Operation Guideline, SOGL (alert state).
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray

__all__ = [
    "ALERT_HZ",
    "EPSILON_EASTERN_HZ",
    "EPSILON_WESTERN_HZ",
    "alert_share",
    "control_performance_1",
    "control_performance_1_percent",
    "energy_mwh",
    "mileage_mw",
    "percentile_hz",
    "unserved_mwh",
]

# Targets of the yearly rms of one-minute mean frequency error (NERC): Eastern and Western Interconnection.
EPSILON_EASTERN_HZ = 0.018
EPSILON_WESTERN_HZ = 0.0228
ALERT_HZ = 0.050  # standard frequency range of Continental Europe (SOGL, annex III, table 1)
S_PER_H = 3600.0
S_PER_MIN = 60.0


def percentile_hz(df_hz: FloatArray, percent: float = 95.0) -> FloatArray:
    """Magnitude of the deviation that is exceeded only (100 - percent) % of the time [Hz]."""
    found: FloatArray = np.nanpercentile(np.abs(df_hz), percent, axis=-1)
    return found


def control_performance_1(
    ace_mw: FloatArray,
    df_hz: FloatArray,
    bias_mw_per_decihertz: FloatArray | float,
    interval_s: float,
    epsilon_hz: float = EPSILON_EASTERN_HZ,
) -> FloatArray:
    """Compliance factor CF of one area.

        CF = mean over minutes( mean[ACE / (-10 B)] x mean[Df] ) / eps^2

    where the inner means are over a clock minute. A minute that is not complete does not count.

    Args:
        ace_mw: ACE, with its sign, [..., time].
        df_hz: Df, [..., time].
        bias_mw_per_decihertz: B, negative [MW/0.1 Hz], a number or [...].
        interval_s: between samples; a whole number of them makes a minute.
        epsilon_hz: eps.

    Raises:
        ValueError: no whole number of intervals makes a minute, or there is no whole minute.

    Reference:
        NERC BAL-001-2, attachment 1.
    """
    n = round(S_PER_MIN / interval_s)
    if n < 1 or abs(n * interval_s - S_PER_MIN) > 1e-9:
        raise ValueError(f"interval_s = {interval_s}, expected a whole number of them in a minute.")
    minutes = ace_mw.shape[-1] // n
    if minutes < 1:
        raise ValueError(f"{ace_mw.shape[-1]} samples of {interval_s} s, expected a minute or more.")
    shape = (*ace_mw.shape[:-1], minutes, n)
    ace = ace_mw[..., : minutes * n].reshape(shape).mean(axis=-1)
    df = df_hz[..., : minutes * n].reshape(shape).mean(axis=-1)
    bias = -10.0 * np.asarray(bias_mw_per_decihertz)[..., None]
    factor: FloatArray = np.nanmean(ace / bias * df, axis=-1) / epsilon_hz**2
    return factor


def control_performance_1_percent(compliance_factor: FloatArray) -> FloatArray:
    """CPS1 = 100 (2 - CF) %; 100 % complies, 200 % is without fault."""
    return 100.0 * (2.0 - compliance_factor)


def mileage_mw(moved_mw: FloatArray) -> FloatArray:
    """MW moved: sum of |dP| of the set-points over time."""
    total: FloatArray = np.nansum(np.abs(moved_mw), axis=-1)
    return total


def energy_mwh(output_mw: FloatArray, interval_s: float) -> FloatArray:
    """Energy given and taken: sum of |P| over time [MWh], each sample standing for an interval."""
    total: FloatArray = np.nansum(np.abs(output_mw), axis=-1) * (interval_s / S_PER_H)
    return total


def unserved_mwh(unserved_mw: FloatArray, interval_s: float) -> FloatArray:
    """Load that was not served [MWh]."""
    total: FloatArray = np.nansum(unserved_mw, axis=-1) * (interval_s / S_PER_H)
    return total


def alert_share(df_hz: FloatArray, limit_broken: BoolArray) -> FloatArray:
    """Share of a stretch of time in which the grid was not in its normal state.

    Frequency outside the standard range of 50 mHz, or any limit broken. SOGL art. 18 has operators declare the alert
    state once frequency has been out of that range for 15 min (100 mHz: 5 min) and the emergency state once a limit is
    broken; half an hour is too short for such waiting, so every moment counts here.

    Args:
        df_hz: deviation [Hz], [..., time].
        limit_broken: whether any limit was, in the whole stretch, [...].
    """
    share: FloatArray = np.where(limit_broken, 1.0, (np.abs(df_hz) > ALERT_HZ).mean(axis=-1))
    return share
