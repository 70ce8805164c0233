"""Which of its rounds the benchmark reports."""

import pytest

import benchmark
import update_readme
from benchmarks import figures
from command_line import OptionError


def test_speeds_and_times_are_of_the_fastest_round_and_ratios_of_the_middle_one():
    """Larger is faster for a speed, smaller for a time, and neither for a ratio."""
    reported, medians = figures.summary(
        {
            "env_steps_per_s_64": [7.0, 9.0, 8.0],
            "act_64_ms": [3.0, 1.5, 2.0],
            "update_ratio_to_floor": [1.4, 1.0, 1.1],
        }
    )
    assert reported == {"env_steps_per_s_64": 9.0, "act_64_ms": 1.5, "update_ratio_to_floor": 1.1}
    assert medians == {"env_steps_per_s_64": 8.0, "act_64_ms": 2.0}


def test_no_ratio_is_of_its_fastest_round():
    """Its two times are taken in the same round, and a disturbance of either moves it either way."""
    ratios = [figure for key, figure in figures.FIGURES.items() if "ratio" in key]
    assert ratios
    assert {figure.of_rounds for figure in ratios} == {figures.median}


def test_figures_that_take_long_or_need_no_learner_are_measured_when_they_are_asked_for():
    large = {"power_flow_ratio_to_lightsim2grid_300", "power_flow_ratio_to_lightsim2grid_9241"}
    everything = benchmark.wanted_of(benchmark.Options(large_grids=True, whole_training=True))
    on_a_cluster = {*("ray_two_sampler_ratio", "ray_overhead_percent")}  # need the extra ray
    assert everything == set(figures.FIGURES) - on_a_cluster
    assert benchmark.wanted_of(benchmark.Options(keys=tuple(on_a_cluster))) == on_a_cluster
    assert large < everything - benchmark.wanted_of(benchmark.Options())
    assert benchmark.wanted_of(benchmark.Options(keys=tuple(large))) == large
    assert everything - benchmark.wanted_of(benchmark.Options(large_grids=True)) == {
        "training_s",
        "time_to_agc_s",
    }
    assert benchmark.wanted_of(benchmark.Options(keys=("training_s",))) == {"training_s"}
    assert everything - benchmark.wanted_of(benchmark.Options(large_grids=True, learner=False)) == {
        "training_s", "time_to_agc_s",
        "training_steps_per_s", "update_s",
        "update_ratio_to_floor", "update_two_thread_ratio", "act_64_ms", "act_ratio_to_floor",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "row"), [("act_64_ms", "| 1.50 | 2.00 |"), ("two_process_ratio", "| 1.80 |  |")]
)
def test_the_readme_shows_the_median_beside_the_fastest_round(key, row):
    result = {"act_64_ms": 1.5, "two_process_ratio": 1.8, figures.MEDIANS: {"act_64_ms": 2.0}}
    lines = update_readme.benchmark(result)
    (line,) = [line for line in lines if line.startswith(f"| {figures.FIGURES[key].words} |")]
    assert line.endswith(row)


def test_keys_without_a_name_are_refused():
    with pytest.raises(OptionError, match="--keys names no figure, expected of "):
        benchmark.Options(keys=())
