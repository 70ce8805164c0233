"""What several runs come to."""

import numpy as np
import pytest

from marl.verification import run
from marl.verification.run import bootstrap_interval, interquartile_mean


def test_the_interquartile_mean_drops_a_quarter_at_each_end():
    """Of eight runs the middle four: (3 + 4 + 5 + 6)/4 = 4.5, whatever the extremes are."""
    x = np.array([-100.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1000.0])
    assert interquartile_mean(x) == 4.5


def test_runs_that_agree_leave_nothing_open():
    low, high = bootstrap_interval(np.full(5, 0.9))
    assert low == pytest.approx(0.9)
    assert high == pytest.approx(0.9)


def test_runs_are_told_of_one_by_one_and_summed_up(monkeypatch):
    """The middle half of 0.5, 0.9, 1.0 and 9.0 has the mean 0.95, and no resampled mean leaves their range."""
    scores = [0.9, 9.0, 0.5, 1.0]
    monkeypatch.setattr(run, "train", lambda frames, seed, first, held_out, learner, task: scores[seed])
    said: list[str] = []
    found = run.verify(30_000, 4, 1_000_000, None, said.append)
    assert [line.split()[:6] for line in said] == [
        ["mappo", "seed", f"{seed}:", "evaluation", "return", f"{score:.3f}"]
        for seed, score in enumerate(scores)
    ]
    one = found["learners"]["mappo"]
    assert one["returns"] == scores
    assert one["iqm"] == pytest.approx(0.95)
    low, high = one["iqm_ci95"]
    assert 0.5 <= low <= 0.95 <= high <= 9.0
    assert one["config"]["total_episodes"] == 300  # of 100 steps each
    assert "0.950" in run.in_words(found)
