"""The shield: the projection against a general solver, limits that nobody can break, and what is counted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from cases.ieee68 import load_ieee68
from control.plants.battery import BatteryParameters
from control.scenario.fleet_sizing import fleet_of
from control.scenario.suites import NORMAL
from control.task.open_task import make_task
from control.task.shield import SHIELD_TERMS, Shield, ShieldConfig, nearest_within
from marl.environment.gymnasium_env import joint_env

CASE = load_ieee68()
SMALL = replace(NORMAL, n_intervals=8, battery=BatteryParameters(energy_mwh=3.0))
FLEET = fleet_of(CASE, SMALL)
BESS = FLEET.bess
AREA = CASE.bus.area[FLEET.bus[BESS]]
LOOSE = ShieldConfig(soc_min=0.0, soc_max=1.0, area_reserve_share=0.0)


def play(config, policy, n_interval, soc=0.5):
    """Stored energy of the batteries [interval, bess] of the fleet alone, and what was counted [interval, term]."""
    shield, state, energy, counted = Shield(config, CASE, FLEET), FLEET.start(1), [], []
    FLEET.reset(state, np.array([0]), np.full((1, len(BESS)), soc))
    for k in range(n_interval):
        terms = np.empty((len(SHIELD_TERMS), 1))
        action = shield.project(policy(k), state, terms)
        FLEET.advance(state, action)
        energy.append(state.energy_mwh[0, BESS].copy())
        counted.append(terms[:, 0])
    return np.array(energy), np.array(counted), state


def always(value):
    return lambda k: np.full((1, FLEET.n_resource), value)


@pytest.mark.parametrize("seed", range(12))
def test_the_projection_is_that_of_a_general_solver(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    asked, low = rng.uniform(-1.0, 1.0, n), rng.uniform(-1.0, 0.0, n)
    high, weight = rng.uniform(0.0, 1.0, n), rng.uniform(0.0, 3.0, n) * (rng.random(n) < 0.8)
    # Between the least that can be had and what the interval alone would leave, or beyond it.
    most = weight @ low + rng.uniform(0.05, 1.2) * (weight @ (np.clip(asked, low, high) - low))
    found = np.empty(n)
    nearest_within(asked, low, high, weight, most, found)
    solved = minimize(
        lambda a: 0.5 * np.square(a - asked).sum(),
        low,
        jac=lambda a: a - asked,
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "ineq", "fun": lambda a: most - weight @ a, "jac": lambda a: -weight},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert solved.success
    np.testing.assert_allclose(
        found, solved.x, atol=1e-6
    )  # the solver's own accuracy, root of its ftol and slack
    assert weight @ found <= most + 1e-12  # rounding of a sum of six


def test_where_the_sum_cannot_be_kept_as_little_as_can_be_is_given():
    found = np.empty(2)
    nearest_within(
        np.array([0.5, 0.5]), np.array([-0.2, -1.0]), np.ones(2), np.array([1.0, 0.0]), -1.0, found
    )
    np.testing.assert_allclose(found, [-0.2, 0.5], rtol=1e-15)  # the second has no part in the sum


def test_what_is_within_the_limits_is_left_as_it_is_to_the_bit():
    rng, shield, state = np.random.default_rng(0), Shield(ShieldConfig(), CASE, FLEET), FLEET.start(3)
    action, terms = rng.uniform(-1.0, 1.0, (3, FLEET.n_resource)), np.empty((3, 3))
    np.testing.assert_array_equal(shield.project(action, state, terms), action)
    np.testing.assert_array_equal(terms, 0.0)


@pytest.mark.parametrize(("asked", "bound"), [(1.0, 0.1), (-1.0, 0.9)])
def test_batteries_that_are_emptied_or_filled_come_to_rest_at_the_bound(asked, bound):
    energy, counted, state = play(replace(LOOSE, soc_min=0.1, soc_max=0.9), always(asked), 120)
    share = energy / FLEET.energy_mwh[BESS]
    # Nothing beyond but rounding; and no more is kept than that: a millionth of the energy.
    assert share.min() >= 0.1 - 1e-12
    assert share.max() <= 0.9 + 1e-12
    np.testing.assert_allclose(share[-1], bound, atol=1e-6)
    np.testing.assert_allclose(state.set_point_mw[0, BESS], 0.0, atol=1e-3)
    # First they do as they are told, in the end every battery is held, and no action of others is ever moved.
    assert counted[0, 0] == 0.0
    np.testing.assert_array_equal(counted[-1, :2], [1.0, len(BESS)])
    assert counted[-1, 2] == pytest.approx(FLEET.step_mw[BESS].sum(), abs=1e-2)  # of set-points near zero


def test_without_a_shield_the_same_policy_empties_them():
    state = FLEET.start(1)
    for k in range(120):
        FLEET.advance(state, always(1.0)(k))
    assert (state.energy_mwh[0, BESS] / FLEET.energy_mwh[BESS]).max() < 1e-6


def test_an_area_keeps_its_reserve_whoever_gives_it():
    """Whether all are asked for all that they have, or one of them is and the others rest."""
    config = replace(LOOSE, area_reserve_share=0.4)
    energy, counted, _ = play(config, always(1.0), 400)
    capacity = np.bincount(AREA, FLEET.energy_mwh[BESS])
    stored = np.array([np.bincount(AREA, row) for row in energy])
    assert (stored - 0.4 * capacity).min() >= -1e-9  # rounding of sums of some MWh
    there = capacity > 0.0
    # The last of it is given ever more slowly, a twentieth of what is left in an interval.
    np.testing.assert_allclose((stored[-1] / np.maximum(capacity, 1.0))[there], 0.4, atol=1e-3)
    assert counted[-1, 0] == 1.0

    area = AREA[np.argmax(np.bincount(AREA)[AREA])]
    mine = BESS[area == AREA]
    one = np.zeros((1, FLEET.n_resource))
    one[0, mine[0]] = 1.0
    energy, _, _ = play(config, lambda k: one, 120)
    last = energy[-1][area == AREA]
    assert last[0] < 0.4 * FLEET.energy_mwh[mine[0]]  # below its own share: the area's is what counts
    assert last.sum() >= 0.4 * FLEET.energy_mwh[mine].sum() - 1e-9


def test_random_actions_never_break_a_limit():
    rng = np.random.default_rng(3)
    config = ShieldConfig(
        soc_min=0.2, soc_max=0.8, ramp_share=0.6, area_reserve_share=0.35, look_ahead_intervals=26
    )
    pull = np.repeat(rng.choice([-1.0, 1.0], 10), 40)  # for long enough to meet every limit
    energy, _, _ = play(
        config, lambda k: np.clip(rng.normal(pull[k], 1.0, (1, FLEET.n_resource)), -1, 1), 400
    )
    share = energy / FLEET.energy_mwh[BESS]
    assert share.min() >= 0.2 - 1e-9
    assert share.max() <= 0.8 + 1e-9
    capacity = np.bincount(AREA, FLEET.energy_mwh[BESS])
    assert (np.array([np.bincount(AREA, row) for row in energy]) - 0.35 * capacity).min() >= -1e-9


def test_who_begins_below_the_reserve_is_brought_to_rest_and_not_made_to_charge():
    config = ShieldConfig(soc_min=0.3, area_reserve_share=0.5)
    energy, _, _ = play(config, always(1.0), 20, soc=0.2)
    np.testing.assert_allclose(energy / FLEET.energy_mwh[BESS], 0.2, rtol=1e-12)
    energy, counted, _ = play(config, always(-1.0), 5, soc=0.2)
    assert (energy[-1] > energy[0]).all()
    np.testing.assert_array_equal(counted, 0.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"soc_min": 0.9, "soc_max": 0.1}, "soc_min < soc_max"),
        ({"ramp_share": 0.0}, "ramp_share = 0.0"),
        ({"area_reserve_share": 1.0}, "area_reserve_share"),
        ({"look_ahead_intervals": 0}, "at least 1"),
    ],
)
def test_nonsense_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ShieldConfig(**wrong)


def test_a_look_ahead_in_which_nobody_comes_to_rest_is_refused():
    # 50 MW at 50 MW/min are a minute, 15 intervals, and a half for the middle of the first.
    with pytest.raises(ValueError, match=r"look_ahead_intervals = 15, but .* needs 16"):
        Shield(ShieldConfig(look_ahead_intervals=15), CASE, FLEET)
    Shield(ShieldConfig(look_ahead_intervals=16), CASE, FLEET)


@pytest.mark.parametrize("physics", ["full", "reduced"])
def test_a_task_counts_it_among_its_terms_and_is_as_before_without(physics):
    plain = make_task(SMALL, 2, check=False, physics=physics)
    shielded = make_task(
        SMALL,
        2,
        check=False,
        physics=physics,
        shield=ShieldConfig(soc_min=0.0, ramp_share=0.5, look_ahead_intervals=31),
    )
    seeds = np.array([3, 4])
    plain.reset(seeds)
    shielded.reset(seeds)
    for value in (0.5, 0.25, 1.0):
        action = np.full((2, CASE.n_resource), value)
        asked, held = plain.step(np.minimum(action, 0.5)), shielded.step(action)
        np.testing.assert_array_equal(held.reward, asked.reward)
        np.testing.assert_array_equal(held.observation.agents, asked.observation.agents)
        assert set(held.terms) - set(asked.terms) == set(SHIELD_TERMS)
    np.testing.assert_array_equal(held.terms["shielded"], 1.0)
    np.testing.assert_array_equal(held.terms["shielded_actions"], CASE.n_resource)
    np.testing.assert_allclose(held.terms["shielded_mw"], 0.5 * FLEET.step_mw.sum(), rtol=1e-12)


def test_other_interfaces_have_it_too():
    environment = joint_env(
        SMALL, check=False, physics="reduced", shield=ShieldConfig(ramp_share=0.5, look_ahead_intervals=31)
    )
    environment.reset(seed=1)
    info = environment.step(np.ones(CASE.n_resource, dtype=np.float32))[-1]
    assert info["shielded_actions"] == CASE.n_resource
