"""Which of its rounds the benchmark reports."""

import pytest

import update_readme
from benchmarks import figures


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


def test_every_figure_with_a_fastest_round_has_words():
    assert set(figures.WORDS) >= figures.SPEEDS | figures.TIMES
    assert not figures.SPEEDS & figures.TIMES
    assert not any("ratio" in key for key in figures.SPEEDS | figures.TIMES)


@pytest.mark.parametrize(
    ("key", "row"), [("act_64_ms", "| 1.50 | 2.00 |"), ("two_process_ratio", "| 1.80 |  |")]
)
def test_the_readme_shows_the_median_beside_the_fastest_round(key, row):
    result = {"act_64_ms": 1.5, "two_process_ratio": 1.8, figures.MEDIANS: {"act_64_ms": 2.0}}
    lines = update_readme.benchmark(result)
    (line,) = [line for line in lines if line.startswith(f"| {figures.WORDS[key][0]} |")]
    assert line.endswith(row)
