"""What a frequency response comes to: nadir, rate of change, settling. Pure functions of a trace.

A trace holds deviations from nominal frequency at equal steps, time first: [step] for the centre of inertia, [step,
bus] for all buses, [step, env] for a batch; every function keeps the axes behind the first. `event_step` is the step at
which the disturbance acts, the last one before frequency moves. Steps of an episode that were never played are NaN;
nadir and largest rate leave them out.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray

__all__ = ["largest_rocof_hz_per_s", "nadir_hz", "rocof_hz_per_s", "settling_hz", "settling_time_s"]


def nadir_hz(df_hz: FloatArray, event_step: int = 0) -> FloatArray:
    """Deviation furthest from zero after the event, with its sign: nadir of a loss, zenith of a surplus [Hz]."""
    after = df_hz[event_step:]
    low, high = np.nanmin(after, axis=0), np.nanmax(after, axis=0)
    return np.where(-low >= high, low, high)


def rocof_hz_per_s(
    df_hz: FloatArray, dt_s: float, event_step: int, window_s: float | None = None
) -> FloatArray:
    """Rate of change of frequency from the event on [Hz/s].

    Args:
        df_hz: trace of the deviation [Hz], [step, ...].
        dt_s: step of the trace [s].
        event_step: row at which the event happens.
        window_s: mean over this time, 0.5 s as relays measure it; None: over the first step alone.

    Raises:
        ValueError: the window is shorter than a step, or the trace ends before it.
    """
    steps = 1 if window_s is None else round(window_s / dt_s)
    if steps < 1 or event_step + steps >= len(df_hz):
        raise ValueError(
            f"rate of change over {steps} steps from step {event_step}: the trace has {len(df_hz)} steps"
        )
    rate: FloatArray = (df_hz[event_step + steps] - df_hz[event_step]) / (steps * dt_s)
    return rate


def largest_rocof_hz_per_s(df_hz: FloatArray, dt_s: float, window_s: float = 0.5) -> FloatArray:
    """Largest rate of change of frequency anywhere in a trace, |f(t + w) - f(t)| / w [Hz/s].

    Over a window of 0.5 s as ENTSO-E, Rate of Change of Frequency withstand capability, 2018, measures it.
    """
    steps = max(round(window_s / dt_s), 1)
    rate: FloatArray = np.nanmax(np.abs(df_hz[steps:] - df_hz[:-steps]), axis=0) / (steps * dt_s)
    return rate


def settling_hz(df_hz: FloatArray, dt_s: float, window_s: float = 10.0) -> FloatArray:
    """Deviation at which frequency settles: mean over the end of the trace [Hz]."""
    steps = min(max(1, round(window_s / dt_s)), len(df_hz))
    mean: FloatArray = df_hz[-steps:].mean(axis=0)
    return mean


def settling_time_s(
    df_hz: FloatArray, dt_s: float, event_step: int, band_hz: float = 0.01, window_s: float = 10.0
) -> FloatArray:
    """Time from the event until frequency stays within a band around where it settles [s].

    Args:
        df_hz: trace of the deviation [Hz], [step, ...].
        dt_s: step of the trace [s].
        event_step: row at which the event happens.
        band_hz: half the width of the band [Hz].
        window_s: as in `settling_hz`.

    Returns:
        Zero where the band is never left; NaN where it is left at the end of the trace, which is then too short.
    """
    outside = np.abs(df_hz[event_step:] - settling_hz(df_hz, dt_s, window_s)) > band_hz
    last = len(outside) - np.argmax(outside[::-1], axis=0)  # first step after the last one outside
    time_s = np.where(outside.any(axis=0), last * dt_s, 0.0)
    return np.where(outside[-1], np.nan, time_s)
