"""Response metrics against traces whose answers are known by construction."""

import numpy as np
import pytest

from grid_model.validation.response import (
    largest_rocof_hz_per_s,
    nadir_hz,
    rocof_hz_per_s,
    settling_hz,
    settling_time_s,
)

DT_S = 0.02
STEP = 50  # one second


def decay(final_hz: float, tau_s: float, duration_s: float = 60.0) -> np.ndarray:
    """Rest for one second, then an exponential approach to a final value."""
    time_s = DT_S * np.arange(round(duration_s / DT_S) + 1) - 1.0
    return np.where(time_s > 0.0, final_hz * (1.0 - np.exp(-np.maximum(time_s, 0.0) / tau_s)), 0.0)


def test_nadir_is_the_largest_deviation_with_its_sign():
    trace = np.array([0.0, -0.3, -0.1, 0.2])
    assert nadir_hz(trace) == -0.3
    assert nadir_hz(-trace) == 0.3


def test_nadir_looks_only_after_the_event():
    assert nadir_hz(np.array([-0.5, 0.0, -0.1]), event_step=1) == -0.1


def test_steps_that_were_never_played_are_left_out():
    trace = np.array([[0.1, -0.3, 0.2, np.nan], [0.2, 0.1, np.nan, np.nan]]).T
    assert nadir_hz(trace).tolist() == [-0.3, 0.2]
    # Steps of 0.5 s: from 0.1 to -0.3 Hz is 0.8 Hz/s and back up to 0.2 is 1 Hz/s; from 0.2 to 0.1 is 0.2 Hz/s.
    np.testing.assert_allclose(largest_rocof_hz_per_s(trace, 0.5), [1.0, 0.2], rtol=1e-12)


def test_largest_rocof_of_a_ramp_is_its_slope():
    """0.1 Hz/s for 1 s, then constant, sampled every 0.1 s: 0.05 Hz in 0.5 s."""
    df_hz = -0.1 * np.minimum(np.arange(20) * 0.1, 1.0)
    assert largest_rocof_hz_per_s(df_hz, 0.1) == pytest.approx(0.1)


def test_first_instant_rocof_of_an_exponential():
    """f = F (1 - exp(-t/T)): slope F/T at once; over a step h it is F (1 - exp(-h/T)) / h."""
    trace = decay(-0.4, 5.0)
    exact = -0.4 * (1.0 - np.exp(-DT_S / 5.0)) / DT_S
    assert rocof_hz_per_s(trace, DT_S, STEP) == pytest.approx(exact, rel=1e-12)


def test_rocof_over_500_ms_is_the_mean_slope():
    trace = decay(-0.4, 5.0)
    exact = -0.4 * (1.0 - np.exp(-0.5 / 5.0)) / 0.5
    assert rocof_hz_per_s(trace, DT_S, STEP, 0.5) == pytest.approx(exact, rel=1e-12)


def test_rocof_refuses_a_trace_that_is_too_short():
    with pytest.raises(ValueError, match="trace has 3 steps"):
        rocof_hz_per_s(np.zeros(3), DT_S, 1, 0.5)


def test_settling_frequency_is_the_mean_of_the_end():
    trace = np.concatenate([np.full(1000, -0.3), np.full(500, -0.2)])  # the last ten seconds at -0.2
    assert settling_hz(trace, DT_S) == pytest.approx(-0.2, abs=1e-12)


def test_settling_time_of_an_exponential():
    """|F| exp(-t/T) = band at t = T ln(|F| / band): 5 ln 40 = 18.44 s for 0.4 Hz and 10 mHz."""
    time_s = settling_time_s(decay(-0.4, 5.0, 121.0), DT_S, STEP)
    # One step, and the mean of the last ten seconds lies e^-22 above the final value.
    assert time_s == pytest.approx(5.0 * np.log(40.0), abs=DT_S)


def test_settling_time_is_zero_where_nothing_happened_and_nan_where_it_has_not_settled():
    ramp = -0.01 * DT_S * np.arange(3001)
    both = np.stack([np.zeros(3001), ramp], axis=1)
    time_s = settling_time_s(both, DT_S, STEP)
    assert time_s[0] == 0.0
    assert np.isnan(time_s[1])


def test_metrics_keep_the_axes_behind_time():
    trace = np.stack([decay(-0.4, 5.0), decay(0.2, 3.0)], axis=1)[:, :, None]
    assert nadir_hz(trace).shape == (2, 1)
    assert rocof_hz_per_s(trace, DT_S, STEP, 0.5).shape == (2, 1)
    assert settling_hz(trace, DT_S).shape == (2, 1)
    assert settling_time_s(trace, DT_S, STEP).shape == (2, 1)
