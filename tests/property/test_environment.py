"""Whatever is done to it, an environment is a function of its seed and its actions alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cases.ieee68 import load_ieee68
from control.scenario.suites import SCENARIOS
from grid_model.dynamics.events import Event
from marl.environment.batch import make_batch

CASE = load_ieee68()
# Outages far apart in kind, so that the environments of a batch have topologies of their own in between.
SHORT = replace(
    SCENARIOS["training_n1"],
    name="short",
    n_intervals=10,
    outage_first_s=2.0,
    outage_last_s=30.0,
    outage_rate_per_h=200.0,
    repair_min_s=5.0,
    repair_max_s=12.0,
    packet_loss=0.2,
    scada_noise=1.0,
)
# Shrinking would play the episode hundreds of times; a seed and a row are small enough as they are.
EXPLORE = (Phase.explicit, Phase.reuse, Phase.generate)
N_STEP = 14  # into the second episode


def actions(seed, n_env):
    """What each environment does depends on its own number only."""
    rng = [np.random.default_rng([seed, env]) for env in range(n_env)]
    return [
        {
            name: np.stack([r.uniform(-1.2, 1.2, (n, 1)) for r in rng]).astype(np.float32)
            for name, n in (("bess", 5), ("gas", 8), ("dr", 7))
        }
        for _ in range(N_STEP)
    ]


def history(batch, seeds, acts):
    """Everything the environments gave, a list of rows per environment."""
    observed = batch.reset(np.asarray(seeds))
    rows = [[] for _ in seeds]
    for act in acts:
        t = batch.step(act)
        for env, kept in enumerate(rows):
            kept.append(observed.state[env])
            kept += [x[env] for x in observed.observations.values()]
            kept += [x[env] for x in t.final_observation.observations.values()]
            kept += [t.final_observation.state[env], t.reward[env], t.terminated[env], t.truncated[env]]
            kept += [value[env] for value in t.terms.values()]
        observed = t.observation
    return rows


def assert_rows_equal(a, b):
    assert len(a) == len(b)
    for mine, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("level", ["area", "machine", "system"])
def test_a_batch_of_eight_is_eight_batches_of_one(level):
    eight = make_batch(SHORT, 8, check=False, level=level)
    one = make_batch(SHORT, 1, check=False, level=level)
    seeds, acts = np.arange(100, 108), actions(0, 8)
    together = history(eight, seeds, acts)
    for env in range(8):
        alone = history(
            one, seeds[env : env + 1], [{k: v[env : env + 1] for k, v in a.items()} for a in acts]
        )
        assert_rows_equal(alone[0], together[env])


def test_batches_of_64_of_8_and_of_1_agree_to_the_bit():
    """The first eight of 64 are a batch of 8; the 64th is a batch of 1."""
    brief = replace(SHORT, n_intervals=5)
    seeds, acts = np.arange(500, 564), actions(1, 64)[:6]

    def part(rows):
        return seeds[rows], [{k: v[rows] for k, v in a.items()} for a in acts]

    together = history(make_batch(brief, 64, check=False), seeds, acts)
    eight = history(make_batch(brief, 8, check=False), *part(slice(0, 8)))
    one = history(make_batch(brief, 1, check=False), *part(slice(63, 64)))
    for mine, other in zip([*eight, *one], [*together[:8], together[63]], strict=True):
        assert_rows_equal(mine, other)


BATCH = make_batch(SHORT, 2, check=False)


@settings(max_examples=6, deadline=None, phases=EXPLORE, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31 - 1), order=st.booleans())
def test_what_an_environment_meets_does_not_depend_on_its_neighbour_or_on_the_past(seed, order):
    """The same episode twice in one batch, beside different others, after different episodes."""
    acts = actions(seed % 1000, 2)
    mine = history(BATCH, [seed, seed + 1], acts)[0]
    swapped = [{k: v[::-1] for k, v in a.items()} for a in acts] if order else acts
    again = history(BATCH, [seed + 2, seed] if order else [seed, seed + 3], swapped)
    assert_rows_equal(mine, again[1 if order else 0])


@settings(max_examples=6, deadline=None, phases=EXPLORE, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31 - 1),
    level=st.sampled_from([-1.0, 0.0, 1.0]),
    row=st.integers(0, CASE.n_branch - 1),
    time_s=st.floats(0.0, 39.0),
)
def test_numbers_stay_finite_and_resources_within_their_limits_through_any_outage(seed, level, row, time_s):
    batch = ANY.setdefault(0, make_batch(SHORT, 1, check=False))
    batch.reset(np.array([seed]))
    event = Event(time_s=time_s, kind="branch_out", index=row)
    batch.loop.episode[0] = replace(batch.loop.episode[0], events=(event,))
    batch.loop.rows.arrays.next_event_s[0] = time_s
    act = {k: np.full((1, n, 1), level, np.float32) for k, n in (("bess", 5), ("gas", 8), ("dr", 7))}
    fleet = batch.loop.fleet
    for _ in range(10):
        t = batch.step(act)
        assert np.isfinite(t.reward).all()
        assert np.isfinite(t.final_observation.state).all()
        assert all(np.isfinite(value).all() for value in t.terms.values())
        output_mw = batch.last_result.resource_mw[0]
        assert np.all(output_mw <= fleet.high_mw + 1e-9)
        assert np.all(output_mw >= fleet.low_mw - 1e-9)
        soc = batch.last_result.utilisation[0, :5]
        assert np.all(soc >= -1e-12)
        assert np.all(soc <= 1.0 + 1e-12)
        if t.terminated[0] or t.truncated[0]:
            break


ANY = {}
