"""Stages advance by measured success, and a run goes on where its stage was."""

import itertools

import numpy as np
import pytest

from control.scenario.config import ScenarioConfig
from control.scenario.suites import FIRST_HELD_OUT_SEED, SCENARIOS, STAGES, VALIDATION_SEEDS
from marl.training.stages import StageCurriculum, Stages


def three(**options) -> StageCurriculum:
    settings = {"threshold": 0.9, "n_update": 2, "seed": 3, "below": 1000} | options
    return StageCurriculum(Stages(("calm", "noisy", "severe"), success="within"), **settings)


def test_the_next_stage_begins_once_the_mean_of_two_updates_is_enough():
    curriculum = three()
    draw = curriculum.begin(4)
    assert (draw.scenario, draw.seeds.shape) == ("calm", (4,))
    said = []
    for within in (0.99, 0.80, 0.99, 0.82, 0.99, 0.95, 0.85, 0.94, 0.99, 0.99):
        draw = curriculum.after_update(0.0, {"within": within})
        said.append(None if draw is None else draw.scenario)
    # Means of two: -, .895, .895, .905 -> noisy; then -, .97 -> severe; the last stage has none after it.
    assert said == [None, None, None, "noisy", None, "severe", None, None, None, None]
    assert curriculum.scenario == "severe"


def test_each_stage_has_episodes_of_its_own_below_what_is_held_out():
    curriculum = three(n_update=1)
    seeds = [curriculum.begin(5).seeds]
    seeds += [curriculum.after_update(0.0, {"within": 1.0}).seeds for _ in range(2)]
    assert not np.array_equal(seeds[0], seeds[1])
    assert not np.array_equal(seeds[1], seeds[2])
    assert np.concatenate(seeds).max() < 1000


def test_its_state_is_the_stage_by_name_and_the_successes_in_it():
    one, other = three(), three()
    one.begin(2)
    for within in (1.0, 1.0, 0.95):
        one.after_update(0.0, {"within": within})
    other.load_state(one.state())
    assert other.scenario == "noisy"
    a, b = (c.after_update(0.5, {"within": 0.9}) for c in (one, other))
    assert a.scenario == b.scenario == "severe"
    assert np.array_equal(a.seeds, b.seeds)
    with pytest.raises(ValueError, match="no stage is called 'gone'"):
        other.load_state({"stage": "gone", "recent": [], "n_env": 2})


def test_what_is_not_measured_cannot_be_mastered():
    with pytest.raises(ValueError, match="success is 'within', which is not among"):
        three().after_update(0.0, {"return": 1.0})


def test_the_grids_stages_grow_harder_and_stay_short_of_the_suites():
    """No stage is a suite that policies are judged on, and the hardest is milder than `shift`."""
    stages: list[ScenarioConfig] = [SCENARIOS[name] for name in STAGES]
    for easier, harder in itertools.pairwise(stages):
        assert easier.outages_min <= harder.outages_min
        assert easier.load_slow_percent <= harder.load_slow_percent
        assert easier.scada_delay_intervals <= harder.scada_delay_intervals
        assert easier.outage_rate_per_h <= harder.outage_rate_per_h
    last, shift = stages[-1], SCENARIOS["shift"]
    assert last.inertia_scale_to_mws > shift.inertia_scale_to_mws
    assert last.scada_delay_intervals < shift.scada_delay_intervals
    assert VALIDATION_SEEDS.first < FIRST_HELD_OUT_SEED
