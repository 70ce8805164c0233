"""The shared reward's terms against numbers worked out by hand."""

import numpy as np
import pytest

from control.task.limits import Judged
from control.task.reward import REWARD_TERMS, RewardConfig, RewardPrices, _sum_row, charge


def terms(**changes):
    arguments = {
        "sum_bus_square_hz2": np.array([0.0]),
        "set_point_change_mw": np.zeros((1, 3)),
        "cost_per_mw": np.array([0.5, 1.0, 2.0]),
        "cost_per_mw2": np.array([0.5, 1.0, 1.5]),
        "violations": np.array([0]),
        "grid_lost": np.array([False]),
        "interval": np.array([400]),
        "n_intervals": 500,
        "config": RewardConfig(),
    } | changes
    config = arguments.pop("config")
    prices = RewardPrices(
        cost_per_mw=arguments.pop("cost_per_mw"),
        cost_per_mw2=arguments.pop("cost_per_mw2"),
        frequency_per_hz2=config.frequency_per_hz2,
        movement=config.movement,
        effort=config.effort,
        violation=config.violation,
        n_intervals=arguments.pop("n_intervals"),
    )
    found = np.empty((len(REWARD_TERMS), len(arguments["violations"])))
    total, interval = np.empty(found.shape[1]), arguments.pop("interval")
    nothing = {name: np.zeros(found.shape[1]) for name in Judged._fields}
    charge(Judged(**nothing | arguments), interval, prices, found, total)
    np.testing.assert_allclose(total, found.sum(axis=0), rtol=1e-15)  # five numbers of one sign
    return {name: value.tolist() for name, value in zip(REWARD_TERMS, found, strict=True)}


def test_nothing_happening_costs_nothing():
    assert terms() == {key: [0.0] for key in ("frequency", "movement", "effort", "violations", "lost")}


def test_frequency_costs_a_thousand_for_each_square_hertz_of_each_bus():
    """68 buses 10 mHz away: 1000 x 68 x 1e-4 = 6.8."""
    assert terms(sum_bus_square_hz2=np.array([68 * 1e-4]))["frequency"] == pytest.approx([-6.8], rel=1e-15)


def test_movement_costs_by_the_size_of_the_change_whichever_way_it_goes():
    """0.5 x 2 + 1 x 0.5 + 2 x 0.25 = 2."""
    change_mw = np.array([[2.0, -0.5, 0.25], [-2.0, 0.5, -0.25]])
    two = {name: np.zeros(2) for name in ("sum_bus_square_hz2",)}
    found = terms(
        set_point_change_mw=change_mw,
        violations=np.zeros(2, dtype=np.int64),
        grid_lost=np.zeros(2, dtype=np.bool_),
        interval=np.array([491, 491]),
        **two,
    )
    assert found["movement"] == [-2.0, -2.0]


def test_effort_costs_a_tenth_of_the_weighted_squares():
    """0.1 (0.5 x 2^2 + 1 x 2^2 + 1.5 x 2^2) = 0.1 x 12 = 1.2."""
    found = terms(set_point_change_mw=np.full((1, 3), 2.0))
    assert found["effort"] == pytest.approx([-1.2], rel=1e-15)


def test_every_kind_of_limit_broken_costs_ten_thousand():
    assert [terms(violations=np.array([n]))["violations"][0] for n in range(5)] == [
        0.0, -10_000.0, -20_000.0, -30_000.0, -40_000.0,
    ]  # fmt: skip


def test_a_lost_grid_pays_for_every_interval_left_and_ending_early_never_gains():
    """With 100 intervals to go it costs a million; all three limits broken to the end would cost no less each."""
    assert terms(grid_lost=np.array([True]))["lost"] == [-1_000_000.0]
    assert terms(grid_lost=np.array([True]), interval=np.array([500]))["lost"] == [0.0]
    assert terms(grid_lost=np.array([False]))["lost"] == [0.0]


def test_weights_belong_to_the_configuration():
    config = RewardConfig(frequency_per_hz2=1.0, movement=3.0, effort=2.0, violation=5.0)
    found = terms(
        sum_bus_square_hz2=np.array([0.25]),
        set_point_change_mw=np.array([[1.0, 0.0, 0.0]]),
        violations=np.array([2]),
        grid_lost=np.array([True]),
        interval=np.array([497]),
        config=config,
    )
    assert found == {
        "frequency": [-0.25], "movement": [-1.5], "effort": [-1.0], "violations": [-10.0], "lost": [-15.0],
    }  # fmt: skip


def test_rows_are_added_in_the_order_of_numpy():
    """To the bit, so that returns and trained weights are those of the array arithmetic it replaced."""
    rng = np.random.default_rng(0)
    for n in range(1, 129):
        rows = rng.normal(size=(20, n)) * 10.0 ** rng.uniform(-3.0, 3.0, (20, n))
        np.testing.assert_array_equal([_sum_row(row) for row in rows], np.sum(rows, axis=1))
