"""Presets against the specification, and settings that cannot be meant."""

import dataclasses
import json

import pytest

from control.controllers.registry import stored_parameters
from control.scenario import suites
from marl.config import evaluation
from marl.config.presets import preset, quick, recommended, reference, residual, thorough
from marl.config.refinement import RefinementConfig
from marl.config.training import (
    ConfigError,
    EvaluationConfig,
    NetworkConfig,
    PPOConfig,
    TrainingConfig,
    check_resume,
    from_dict,
)
from marl.environment.warm_start import with_own_zones


def test_the_reference_preset_is_the_specifications_table():
    config = reference()
    assert (config.total_episodes, config.episode_steps) == (1000, 500)
    assert config.network.actor_hidden == (128, 128)
    assert config.network.critic_hidden == (256, 256)
    assert config.network.layer_norm
    expected = {
        "lr_actor": 3e-4, "lr_critic": 1e-3, "gamma": 0.99, "gae_lambda": 0.95, "clip": 0.2, "entropy_coef": 0.01,
        "value_coef": 0.5, "max_grad_norm": 0.5, "buffer_steps": 2048, "minibatch_steps": 256, "epochs": 10,
    }  # fmt: skip
    assert {name: getattr(config.ppo, name) for name in expected} == expected


def test_the_default_is_the_recommended_preset():
    assert preset("recommended") == recommended() == TrainingConfig()


def test_the_residual_preset_rests_where_its_linear_policy_does():
    """The zones are the law's own where the run names none of a kind; a run from nothing has none of it."""
    stored = stored_parameters("linear_memory")["parameters"]
    found = with_own_zones(residual()).network
    assert list(found.dead_zones) == [
        min(zone, 0.999) for zone in stored["dead_zone"]
    ]  # a policy keeps below one
    assert list(found.soft_zones) == stored["soft_zone"]
    wide = stored_parameters("linear_wide")["parameters"]
    found = with_own_zones(dataclasses.replace(residual(), scenario="training_wide")).network
    assert list(found.soft_zones) == wide["soft_zone"]
    network = dataclasses.replace(residual().network, dead_zones=(0.1, 0.2, 0.3))
    mixed = with_own_zones(dataclasses.replace(residual(), network=network)).network
    assert mixed.dead_zones == (0.1, 0.2, 0.3)
    assert list(mixed.soft_zones) == stored["soft_zone"]
    network = dataclasses.replace(network, soft_zones=(0.0, 0.0, 0.0))
    own = dataclasses.replace(residual(), network=network)
    assert with_own_zones(own) is own
    assert with_own_zones(recommended()) == recommended()
    with pytest.raises(
        ConfigError, match="law for the observations default, extended, memory, not for 'areas'"
    ):
        with_own_zones(dataclasses.replace(residual(), observation="areas"))


def test_the_quick_preset_trains_seventy_five_thousand_steps():
    config = preset("quick")
    assert config == quick()
    assert (config.total_steps, config.n_updates, config.rollout_steps) == (75_000, 147, 16)


def test_all_presets_but_the_quick_one_train_half_a_million_steps():
    for config in (recommended(), reference(), thorough(), residual()):
        assert config.total_steps == 500_000
        # 244 full buffers of 2048 are 288 steps short, 61 of 8192 are 288, 30 of 16,384 are 8,480 short.
        assert config.n_updates == {2048: 245, 8192: 62, 16384: 31}[config.ppo.buffer_steps]
        assert config.rollout_steps * config.n_envs == config.ppo.buffer_steps


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (PPOConfig, {"gamma": 1.5}),
        (PPOConfig, {"clip": 0.0}),
        (PPOConfig, {"epochs": 0}),
        (PPOConfig, {"minibatch_steps": 300}),
        (PPOConfig, {"noise_correlation": -0.1}),
        (PPOConfig, {"lr_actor": float("nan")}),
        (NetworkConfig, {"actor_hidden": ()}),
        (NetworkConfig, {"dead_zone": 1.0}),
        (TrainingConfig, {"n_envs": 48}),
        (TrainingConfig, {"total_episodes": 0}),
    ],
)
def test_nonsense_is_refused_with_its_name_and_value(kind, change):
    name, value = next(iter(change.items()))
    with pytest.raises(ConfigError) as caught:
        kind(**change)
    assert name in str(caught.value)
    assert str(value) in str(caught.value)


def test_no_model_is_chosen_by_held_out_seeds():
    """The border is that of the suites; the last episode counts, and so does what an environment would fill in."""
    assert evaluation.FIRST_HELD_OUT_SEED == suites.FIRST_HELD_OUT_SEED
    last = suites.FIRST_HELD_OUT_SEED - 64
    assert EvaluationConfig(eval_seed=last, eval_episodes=64).eval_seed == last
    for seed, episodes in ((last + 1, 64), (int(suites.HELD_OUT["normal"].first), 1)):
        with pytest.raises(ConfigError, match=f"eval_seed = {seed} .* reaches the held-out seeds"):
            EvaluationConfig(eval_seed=seed, eval_episodes=episodes)
    many = TrainingConfig(evaluation=EvaluationConfig(eval_episodes=suites.VALIDATION_SEEDS.count + 1))
    with pytest.raises(ConfigError, match="reaches the held-out seeds"):
        many.validated_from(suites.VALIDATION_SEEDS.first)


def test_a_configuration_survives_json():
    config = dataclasses.replace(reference(), network=NetworkConfig(actor_hidden=(64, 32), sharing="agent"))
    assert from_dict(json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_a_setting_that_is_no_more_and_moved_no_result_is_read_over():
    config = dataclasses.replace(recommended(), seed=3)
    assert from_dict(dataclasses.asdict(config) | {"n_workers": 2}) == config
    with pytest.raises(ConfigError, match="of another version of this project: it has 'n_wokers'"):
        from_dict(dataclasses.asdict(config) | {"n_wokers": 2})


def test_a_resumed_run_may_train_longer_but_not_differently():
    config = recommended()
    check_resume(config, dataclasses.replace(config, total_episodes=2000))
    with pytest.raises(ConfigError, match="keeps n_envs: it was 64, asked for 32"):
        check_resume(config, dataclasses.replace(config, n_envs=32))
    with pytest.raises(ConfigError, match="refinement"):
        check_resume(config, dataclasses.replace(config, refinement=RefinementConfig(refine_passes=3)))
    with pytest.raises(ConfigError, match=r"keeps ppo\.buffer_steps"):
        check_resume(config, dataclasses.replace(config, ppo=PPOConfig(buffer_steps=4096)))


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("", "torch_threads", 100_000, "torch_threads = 100000, expected at most 256: more threads than"),
        ("", "torch_threads", 0, "torch_threads = 0, expected at least 1"),
        ("", "update_threads", 100_000, "update_threads = 100000, expected at most 256"),
        ("", "n_envs", 10**9, "n_envs = 1000000000, expected at most 65536: each is a grid of its own"),
        ("network", "actor_hidden", (10**8,), "actor_hidden = .100000000,., expected at most 4096: a layer"),
        ("network", "critic_hidden", (8, 5000), "critic_hidden = .8, 5000., expected at most 4096"),
        ("network", "critic_hidden", (8,) * 17, "17 layers, expected at most 16"),
        ("network", "memory_size", 10**8, "memory_size = 100000000, expected at most 4096"),
        ("network", "attention_size", 10**8, "attention_size = 100000000, expected at most 4096"),
        (
            "ppo",
            "buffer_steps",
            2**40,
            "buffer_steps = 1099511627776, expected at most 10000000: on the grid",
        ),
        ("off_policy", "replay_steps", 10**12, "replay_steps = 1000000000000, expected at most 10000000"),
    ],
)
def test_a_size_beyond_all_sense_is_refused_with_its_reason(part, name, value, said):
    config = TrainingConfig()
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(getattr(config, part) if part else config, **{name: value})
