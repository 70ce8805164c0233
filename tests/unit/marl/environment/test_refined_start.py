"""A run's refinement: whose episodes it learns from, whose it judges by, and what it is kept by."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from control.scenario.suites import FIRST_HELD_OUT_SEED, VALIDATION_SEEDS
from marl.config.check import ConfigError
from marl.config.refinement import RefinementConfig
from marl.config.training import NetworkConfig, TrainingConfig
from marl.environment import refined_start
from marl.environment.grid_training import beginning
from marl.environment.refined_start import _decisive, begin_refining
from marl.networks.policy import Policy

CONFIG = TrainingConfig(
    episode_steps=6,
    scenario="training",
    network=NetworkConfig(actor_hidden=(8,)),
    refinement=RefinementConfig(refine_passes=2, refine_episodes=12, refine_envs=4, refine_window=3),
)


@pytest.fixture
def seen(monkeypatch):
    """Seeds that were recorded, and the refinement that was made of them."""
    found = {"seeds": [], "made": None}
    record, made = refined_start.record, refined_start.Refinement

    def recorded(environment, policy, seeds):
        found["seeds"].append((environment.scenario.name, np.array(seeds)))
        return record(environment, policy, seeds)

    def making(**options):
        found["made"] = made(**options)
        return found["made"]

    monkeypatch.setattr(refined_start, "record", recorded)
    monkeypatch.setattr(refined_start, "Refinement", making)
    return found


def begin(config, tmp_path):
    start = beginning(config, tmp_path)
    assert isinstance(start, partial)
    assert start.func is begin_refining
    build = start.keywords["build"]
    environment = build(config.scenario, 1)
    policy = Policy(environment.groups, config.network)
    start(policy)
    return policy


def test_training_seeds_are_recorded_others_for_every_scenario_and_run(seen, tmp_path):
    """Below those for validation and the held-out ones, and none twice."""
    config = replace(CONFIG, refinement=replace(CONFIG.refinement, refine_scenarios="training,training_n1"))
    begin(config, tmp_path)
    begin(replace(config, seed=1), tmp_path / "other")
    assert [name for name, _ in seen["seeds"]] == ["training", "training_n1"] * 2
    every = np.concatenate([seeds for _, seeds in seen["seeds"]])
    assert len(every) == len(set(every.tolist())) == 48
    assert every.max() < VALIDATION_SEEDS.first < FIRST_HELD_OUT_SEED


def test_the_episodes_that_judge_are_not_learned_from(seen, tmp_path):
    begin(CONFIG, tmp_path)
    (learned_from,), (judged_on,) = seen["made"].learned_from, seen["made"].judged_on
    assert (learned_from.n_env, judged_on.n_env) == (10, 2)
    for episode in range(judged_on.n_env):
        same = (learned_from.driving["begin_mw"] == judged_on.driving["begin_mw"][:, [episode]]).all(dim=0)
        assert not same.any()


def test_it_learns_as_its_settings_say(seen, tmp_path):
    settings = RefinementConfig(
        refine_passes=1, refine_episodes=12, refine_envs=5, refine_window=3, refine_cut=4.0, refine_lr=1e-3
    )
    begin(replace(CONFIG, seed=7, refinement=settings), tmp_path)
    made = seen["made"]
    assert (made.passes, made.n_env, made.window, made.cut, made.lr, made.seed) == (1, 5, 3, 4.0, 1e-3, 7)


def test_what_is_kept_tells_of_its_actors_and_settings(tmp_path):
    """Other actors, another seed or scenario: none of theirs is gone on with."""
    environment = beginning(CONFIG, tmp_path).keywords["build"]("training", 1)
    one, other = (Policy(environment.groups, CONFIG.network) for _ in range(2))
    told = _decisive(one, CONFIG, {"training": "a"})
    assert told == _decisive(one, CONFIG, {"training": "a"})
    assert told != _decisive(other, CONFIG, {"training": "a"})
    assert told != _decisive(one, CONFIG, {"training": "b"})  # its file, or the grid's, was edited
    for changed in (
        replace(CONFIG, seed=1),
        replace(CONFIG, network=replace(CONFIG.network, dead_zone=0.3)),
        replace(CONFIG, refinement=replace(CONFIG.refinement, refine_window=2)),
        replace(CONFIG, episode_steps=7),
        replace(CONFIG, level="system"),
    ):
        assert told != _decisive(one, changed, {"training": "a"})


def test_episodes_that_the_reduced_model_cannot_play_are_refused(tmp_path):
    """Batteries with a droop of their own, which only the full simulator has."""
    file = tmp_path / "droop.toml"
    file.write_text('base = "normal"\nname = "droop"\nn_intervals = 6\n[battery]\ndroop_mw_per_hz = 100.0\n')
    with pytest.raises(
        ConfigError, match="records .*droop.toml on the reduced model: .* respond to frequency"
    ):
        begin(
            replace(CONFIG, refinement=replace(CONFIG.refinement, refine_scenarios=str(file))),
            tmp_path / "run",
        )


def test_one_whole_episode_is_too_few(tmp_path, monkeypatch):
    """There is none to judge by; with two there is one of each."""
    record = refined_start.record

    def all_but(n):
        return lambda environment, policy, seeds: record(environment, policy, seeds).some(range(n))

    monkeypatch.setattr(refined_start, "record", all_but(1))
    with pytest.raises(ConfigError, match="asks for two whole episodes of training at least.*in 11 of 12"):
        begin(CONFIG, tmp_path)
    monkeypatch.setattr(refined_start, "record", all_but(2))
    begin(CONFIG, tmp_path)
