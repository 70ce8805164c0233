"""Figures of played intervals against traces that are given."""

import numpy as np

from control.evaluation.grid_record import Figures
from marl.environment.batch import make_batch


def test_rate_of_change_is_found_between_the_samples_and_across_the_ends_of_intervals(monkeypatch):
    """A ramp of 0.2 Hz/s for 0.5 s, from 3.76 s to 4.26 s: 0.24 s of it in one interval of 4 s, the rest in the next.

    The windows of 0.5 s that end in the first hold at most 0.048 Hz: 0.096 Hz/s; one of the second holds all.
    """
    batch = make_batch("normal", 1, check=False)
    batch.reset(np.array([5]))
    time_s = 0.02 * np.arange(1, 401)
    ramp_hz = -0.2 * np.clip(time_s - 3.76, 0.0, 0.5)
    figures = Figures(batch)
    step = batch.step({g.name: np.zeros((1, g.n_agent, 1), np.float32) for g in batch.groups})
    found = []
    for k in range(2):
        trace = ramp_hz[200 * k : 200 * (k + 1), None]
        monkeypatch.setattr(batch.loop.grid, "coi_trace_hz", lambda trace=trace: trace)
        found.append(figures.measure(step))
    rates = [float(f["rocof_hz_per_s"][0]) for f in found]
    # Rounding of differences of 0.1 Hz.
    np.testing.assert_allclose(rates, [0.096, 0.2], rtol=1e-12)
    np.testing.assert_allclose([f["lowest_hz"][0] for f in found], [-0.048, -0.1], rtol=1e-12)
    assert [f["highest_hz"][0] for f in found] == [0.0, ramp_hz[200]]
    # Beyond 50 mHz from 4.02 s on.
    assert found[0]["alert"][0] == 0.0
    assert found[1]["alert"][0] == 1.0
