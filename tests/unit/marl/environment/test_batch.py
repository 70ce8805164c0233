"""The environment as its learner and its users meet it: batch and PettingZoo twin."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from cases.ieee68 import load_ieee68
from control.plants.gas_turbine import GasTurbineParameters
from control.scenario.suites import SCENARIOS
from control.task.limits import FrequencyLimits
from grid_model.dynamics.events import Event
from marl.environment.batch import ActionError, make_batch
from marl.environment.pettingzoo_env import parallel_env
from marl.protocol import BatchedEnvironment

CASE = load_ieee68()
CIRCUIT = CASE.branch.name.index("30-61 #1")
UNIT = CASE.machine.name.index("G6")
SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=8)
EVENTFUL = replace(
    SHORT,
    events=(
        Event(time_s=5.0, kind="branch_out", index=CIRCUIT),
        Event(time_s=13.0, kind="branch_in", index=CIRCUIT),
        Event(time_s=22.0, kind="machine_out", index=UNIT),
    ),
)


def still(batch):
    return {g.name: np.zeros((batch.n_env, g.n_agent, 1), np.float32) for g in batch.groups}


def drawn(batch, rng):
    return {g.name: rng.uniform(-1, 1, (batch.n_env, g.n_agent, 1)).astype(np.float32) for g in batch.groups}


def assert_same(a, b):
    """Observation or Transition, bit for bit."""
    if hasattr(a, "reward"):
        for name in ("reward", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert a.terms.keys() == b.terms.keys()
        for name in a.terms:
            np.testing.assert_array_equal(a.terms[name], b.terms[name], err_msg=name)
        assert_same(a.observation, b.observation)
        assert_same(a.final_observation, b.final_observation)
        return
    np.testing.assert_array_equal(a.state, b.state)
    assert a.observations.keys() == b.observations.keys()
    for group in a.observations:
        np.testing.assert_array_equal(a.observations[group], b.observations[group])


def row(observed, env):
    return {name: x[env] for name, x in observed.observations.items()} | {"state": observed.state[env]}


@pytest.fixture(scope="module")
def one():
    return make_batch(SHORT, 1, check=False)


@pytest.fixture(scope="module")
def two():
    return make_batch(SHORT, 2, check=False)


@pytest.fixture(scope="module")
def zoo():
    return parallel_env(scenario=SHORT, check=False)


def test_the_batch_speaks_the_learners_protocol(two):
    assert isinstance(two, BatchedEnvironment)
    assert [(g.name, g.n_agent, g.observation_size, g.action_size) for g in two.groups] == [
        ("bess", 5, 15, 1), ("gas", 8, 15, 1), ("dr", 7, 15, 1),
    ]  # fmt: skip
    observed = two.reset(np.array([1, 2]))
    assert {k: v.shape for k, v in observed.observations.items()} == {
        "bess": (2, 5, 15), "gas": (2, 8, 15), "dr": (2, 7, 15),
    }  # fmt: skip
    assert observed.state.shape == (2, 140)
    assert two.state_size == 140
    assert observed.state.dtype == observed.observations["gas"].dtype == np.float32


def test_scada_numbers_are_two_intervals_old_and_local_ones_are_fresh(one):
    observed, loop = one.reset(np.array([5])), one.loop
    rng = np.random.default_rng(0)
    bus, nearest = CASE.resource.bus, one.task._observer.nearest
    history = []
    for t in range(7):
        if t:
            observed = one.step(drawn(one, rng)).final_observation
        deviation_mw = loop.forecast_renewable_deviation_mw[0, t]
        history.append((loop.grid.coi_df_hz()[0], loop.grid.bus_df_hz()[0], deviation_mw))
        seen = np.concatenate([observed.observations[k][0] for k in ("bess", "gas", "dr")])
        coi_hz, bus_hz, forecast_mw = history[max(t - 2, 0)]
        expected = np.empty((20, 15))
        expected[:, 0] = history[t][1][bus] / 0.05
        at_bus_mw = np.zeros(68)
        np.add.at(at_bus_mw, CASE.load.bus, loop.grid.injections.load_mw[0])
        nominal_mw = np.zeros(68)
        np.add.at(nominal_mw, CASE.load.bus, CASE.load.p_mw)
        expected[:, 1] = np.where(
            nominal_mw[bus] > 0.0, at_bus_mw[bus] / np.maximum(nominal_mw[bus], 1e-9), 0.0
        )
        expected[:, 2] = loop.resources.output_mw[0] / np.repeat([50.0, 75.0, 40.0], [5, 8, 7])
        expected[:, 3] = coi_hz / 0.05
        expected[:, 4:9] = bus_hz[nearest] / 0.05
        expected[:, 9:12] = forecast_mw[[0, 2, 4]] / 500.0
        expected[:, 12] = loop.episode[0].hour_of_day[t] / 12.0 - 1.0
        expected[:, 13] = loop.episode[0].day_of_week[t] / 3.0 - 1.0
        expected[:5, 14] = 2.0 * loop.resources.energy_mwh[0, :5] / 25.0 - 1.0
        expected[5:, 14] = loop.resources.output_mw[0, 5:] / np.repeat([75.0, 40.0], [8, 7])
        # Seven digits of float32, on numbers of order one.
        np.testing.assert_allclose(seen, expected, rtol=1e-6, atol=1e-6)


def test_the_extended_observation_adds_own_past_and_the_schedules_slope():
    batch = make_batch(SHORT, 1, observation="extended", check=False)
    first = batch.reset(np.array([5]))
    assert batch.groups[0].observation_size == 18
    assert np.all(first.observations["dr"][0, :, 15:17] == 0.0)
    action = {k: np.full_like(v, 0.25) for k, v in still(batch).items()}
    before = batch.step(action).final_observation.observations["gas"][0, :, 0]
    seen = batch.step(action).final_observation.observations["gas"][0]
    np.testing.assert_array_equal(seen[:, 15], before)
    np.testing.assert_array_equal(seen[:, 16], 0.25)
    schedule_mw = batch.loop.schedule_mw[0].sum(axis=1)
    assert seen[0, 17] == pytest.approx((schedule_mw[3] - schedule_mw[2]) / 100.0, rel=1e-6)  # float32


def test_the_observation_with_a_memory_adds_the_own_frequency_of_before_and_its_averages():
    """a' = f + (a - f) exp(-4 s / T) from rest, with T = 20 s and 100 s."""
    batch = make_batch(SHORT, 1, observation="memory", check=False)
    first = batch.reset(np.array([5])).observations["bess"]
    assert first.shape[2] == 22
    assert np.all(first[0, :, 18:21] == 0.0)
    own = []
    average = np.zeros((2, 5))
    for _ in range(3):
        seen = batch.step(still(batch)).final_observation.observations["bess"][0]
        own.append(seen[:, 0])
        average = own[-1] + (average - own[-1]) * np.exp(-4.0 / np.array([[20.0], [100.0]]))
    np.testing.assert_array_equal(seen[:, 15], own[1])
    np.testing.assert_array_equal(seen[:, 18], own[0])
    np.testing.assert_allclose(seen[:, 19:21], average.T, rtol=1e-6, atol=1e-7)  # own frequencies are float32
    half_empty = np.abs(seen[:, 14]) <= 0.5
    assert half_empty.any()
    np.testing.assert_array_equal(seen[half_empty, 21], 0.0)


def test_the_critics_state_holds_the_grid_as_it_is(one):
    one.reset(np.array([5]))
    state = one.step(still(one)).final_observation.state[0]
    loop = one.loop
    load_mw, wind_and_sun_mw = loop.grid.injections.load_mw[0], loop.grid.injections.renewable_mw[0]
    largest = np.argsort(-CASE.load.p_mw, kind="stable")[:30]
    hour, day = loop.episode[0].hour_of_day[1] / 24.0, loop.episode[0].day_of_week[1] / 7.0
    expected = np.concatenate(
        [
            loop.grid.bus_df_hz()[0] / 0.05,
            loop.resources.output_mw[0] / np.repeat([50.0, 75.0, 40.0], [5, 8, 7]),
            wind_and_sun_mw / CASE.renewable.p_max_mw,
            (load_mw / CASE.load.p_mw)[largest],
            np.sin(2 * np.pi * np.array([hour, hour + 0.25, day, day + 0.25])),
            [load_mw.sum() / CASE.load.p_mw.sum(), wind_and_sun_mw.sum() / load_mw.sum()],
            [2.0 * (loop.resources.energy_mwh[0, :5] / 25.0).mean() - 1.0, 0.0],
        ]
    )
    np.testing.assert_allclose(state, expected, rtol=1e-6, atol=1e-6)  # float32


def test_the_reward_is_the_sum_of_its_logged_terms(two):
    two.reset(np.array([1, 2]))
    transition = two.step(drawn(two, np.random.default_rng(1)))
    total = sum(value for name, value in transition.terms.items() if name.startswith("reward_"))
    np.testing.assert_allclose(transition.reward, total, rtol=1e-14)  # order of the sum
    assert np.all(transition.reward < 0.0)


def test_truncation_hands_over_the_true_last_observation_and_starts_the_next_episode(two):
    two.reset(np.array([1, 2]))
    actions = drawn(two, np.random.default_rng(2))
    for t in range(1, 9):
        transition = two.step(actions)
        assert np.all(transition.truncated == (t == 8))
        assert not transition.terminated.any()
    assert np.all(two.loop.interval == 0)
    output = transition.final_observation.observations["bess"][:, :, 2]
    pushed = np.sign(actions["bess"][:, :, 0])
    assert np.array_equal(np.sign(output), pushed)  # 8 intervals the same way: far from zero
    assert np.all(transition.observation.observations["bess"][:, :, 2] == 0.0)
    assert np.all(transition.observation.state[:, :68] == 0.0)
    follow = two.step(still(two))
    assert not follow.truncated.any()


def test_observed_and_final_agree_where_nothing_ended(two):
    two.reset(np.array([1, 2]))
    transition = two.step(still(two))
    assert_same(transition.observation, transition.final_observation)


def test_a_lost_grid_terminates_and_pays_for_every_interval_left():
    """60 GW more at one bus from second 4 on: the second of eight intervals finds no solution, six are left."""
    batch = make_batch(
        replace(SHORT, events=(Event(time_s=4.0, kind="load_step", index=3, p_mw=60_000.0),)), 1, check=False
    )
    batch.reset(np.array([1]))
    assert not batch.step(still(batch)).terminated[0]
    transition = batch.step(still(batch))
    assert transition.terminated.tolist() == [True]
    assert transition.truncated.tolist() == [False]
    assert transition.terms["reward_lost"].tolist() == [-60_000.0]
    assert np.isfinite(transition.reward).all()
    assert np.isfinite(transition.final_observation.state).all()
    assert batch.loop.interval[0] == 0
    assert not batch.step(still(batch)).terminated[0]  # the new episode is whole


def test_a_grid_lost_in_the_last_interval_is_terminated_not_truncated(one):
    one.reset(np.array([1]))
    limits = one.loop.limits
    for _ in range(7):
        one.step(still(one))
    one.loop.limits = FrequencyLimits(lost_hz=1e-6)
    transition = one.step(still(one))
    one.loop.limits = limits
    assert transition.terminated[0]
    assert not transition.truncated[0]
    assert transition.terms["reward_lost"][0] == 0.0


def test_the_same_seed_gives_the_same_episode_through_batch_and_pettingzoo(one, zoo):
    """Two episodes on end: the seed's, and the one its generator draws next."""
    observed = one.reset(np.array([77]))
    by_agent, _ = zoo.reset(seed=77)
    rng = np.random.default_rng(3)
    for _ in range(2):
        for _ in range(8):
            joint = drawn(one, rng)
            actions = {a: joint[g.name][0, i] for g in one.groups for i, a in enumerate(g.agents)}
            for group in one.groups:
                for i, agent in enumerate(group.agents):
                    np.testing.assert_array_equal(by_agent[agent], observed.observations[group.name][0, i])
            np.testing.assert_array_equal(zoo.state(), observed.state[0])
            transition = one.step(joint)
            by_agent, reward, _, truncated, infos = zoo.step(actions)
            assert set(reward.values()) == {float(transition.reward[0])}
            assert infos["gas_3"]["reward_effort"] == transition.terms["reward_effort"][0]
            observed = transition.observation
        assert all(truncated.values())
        assert not zoo.agents
        by_agent, _ = zoo.reset()


def test_other_seeds_give_other_episodes(two):
    first = two.reset(np.array([1, 2]))
    assert not np.array_equal(first.state[0], first.state[1])
    assert_same(two.reset(np.array([1, 2])), first)


def test_the_parallel_interface_is_as_pettingzoo_wants_it(zoo):
    parallel_api_test(zoo, num_cycles=20)


def test_seeding_is_as_pettingzoo_wants_it():
    parallel_seed_test(lambda: parallel_env(scenario=SHORT, check=False), num_cycles=6)


def test_spaces_are_offered_as_dictionaries_and_as_methods(zoo):
    assert zoo.possible_agents == [*CASE.resource.name]
    assert list(zoo.observation_spaces) == list(zoo.action_spaces) == zoo.possible_agents
    assert zoo.observation_space("dr_6") is zoo.observation_spaces["dr_6"]
    assert zoo.action_space("bess_0").shape == (1,)
    zoo.reset(seed=0)
    assert zoo.state_space.contains(zoo.state())


def test_a_grid_is_described_in_words(zoo):
    zoo.reset(seed=0)
    zoo.step({agent: np.zeros(1, np.float32) for agent in zoo.agents})
    text = zoo.render()
    assert "interval 1/8" in text
    assert "state of charge" in text
    assert "heaviest branch" in text


def test_after_the_last_step_the_episode_that_ended_is_described(zoo):
    zoo.reset(seed=0)
    while zoo.agents:
        zoo.step({agent: np.zeros(1, np.float32) for agent in zoo.agents})
    assert "interval 8/8" in zoo.render()
    first, _ = zoo.reset()
    assert "interval 0/8" in zoo.render()
    # Without a seed the generator's next episode follows, as in a batch that goes on by itself.
    batch = make_batch(SHORT, 1, check=False)
    batch.reset(np.array([0]))
    for _ in range(8):
        transition = batch.step(still(batch))
    np.testing.assert_array_equal(first["gas_0"], transition.observation.observations["gas"][0, 0])


def test_a_load_step_and_shedding_show_where_the_load_is_seen():
    """300 MW more at the bus of dr_2: its own number and the critic's level rise by the event over nominal power."""
    bus = CASE.resource.bus[CASE.resource.of_kind("dr")[2]]
    load = int(np.flatnonzero(CASE.load.bus == bus)[0])
    event = Event(time_s=1.0, kind="load_step", index=load, p_mw=300.0)
    seen = []
    for events in ((), (event,)):
        batch = make_batch(replace(SHORT, events=events), 1, check=False)
        batch.reset(np.array([5]))
        seen.append(batch.step(still(batch)).final_observation)
    own = [observed.observations["dr"][0, 2, 1] for observed in seen]
    # Differences of float32 numbers of order one.
    assert own[1] - own[0] == pytest.approx(300.0 / CASE.load.p_mw[load], abs=1e-6)
    level = [observed.state[0, -4] for observed in seen]
    assert level[1] - level[0] == pytest.approx(300.0 / CASE.load.p_mw.sum(), abs=1e-6)
    served_mw = batch.loop.grid.served_mw()[0]
    batch.loop.grid.profile.served_share[0] = 0.9
    np.testing.assert_allclose(batch.loop.grid.served_mw()[0], 0.9 * served_mw, rtol=1e-12)


def test_plants_without_a_range_are_out_of_service():
    idle = replace(SHORT, gas_turbine=GasTurbineParameters(running=False))
    in_service = make_batch(idle, 2, check=False).reset(np.array([1, 2])).in_service
    assert {kind: bool(x.all()) for kind, x in in_service.items()} == {"bess": True, "gas": False, "dr": True}
    assert not in_service["gas"].any()
    assert make_batch(SHORT, 1, check=False).reset().in_service is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a["gas"].__setitem__((0, 2, 0), np.nan), "gas_2 in environment 0 is nan"),
        (lambda a: a["dr"].__setitem__((1, 0, 0), -np.inf), "dr_0 in environment 1 is -inf"),
        (lambda a: a.update(bess=np.zeros((2, 5))), "bess.*shape \\(2, 5\\), expected \\(2, 5, 1\\)"),
        (lambda a: a.update(bess=np.zeros((1, 5, 1))), "shape"),
        (lambda a: a.update(bess="up"), "not a number"),
        (lambda a: a.pop("dr"), "no action for group 'dr'"),
        (
            lambda a: a.update(wind=a["dr"]),
            "actions for 'wind', which is no group, expected of bess, gas, dr",
        ),
        (lambda a: a.update(gas=a["gas"] + 1j), "not a number"),
    ],
)
def test_a_bad_action_is_refused_and_changes_nothing(two, spoil, message):
    two.reset(np.array([1, 2]))
    two.step(still(two))
    before = two.get_state()
    bad = still(two)
    spoil(bad)
    with pytest.raises(ActionError, match=message):
        two.step(bad)
    good = drawn(two, np.random.default_rng(9))
    after = two.step(good)
    two.set_state(before)
    assert_same(after, two.step(good))


@pytest.mark.parametrize(
    ("agent", "action", "message"),
    [
        ("bess_1", None, "no action for agent 'bess_1'"),
        ("gas_2", np.array([np.nan]), "gas_2.* is nan"),
        ("gas_2", np.zeros(2), "gas_2.*shape"),
        ("gas_2", np.array([1.5]), "gas_2.*1.5, expected -1 to 1"),
        ("dr_0", "up", "dr_0.*not a number"),
    ],
)
def test_a_bad_action_through_pettingzoo_names_its_agent(zoo, agent, action, message):
    zoo.reset(seed=4)
    good = {a: np.full(1, 0.5, np.float32) for a in zoo.agents}
    bad = {a: x for a, x in good.items() if a != agent} | ({} if action is None else {agent: action})
    with pytest.raises(ActionError, match=message):
        zoo.step(bad)
    after = zoo.step(good)
    zoo.reset(seed=4)
    again = zoo.step(good)
    assert after[1] == again[1]
    np.testing.assert_array_equal(after[0]["dr_3"], again[0]["dr_3"])


def test_no_step_before_a_reset_or_after_the_end(zoo):
    zoo.reset(seed=0)
    actions = {agent: np.zeros(1, np.float32) for agent in zoo.agents}
    for _ in range(8):
        zoo.step(actions)
    with pytest.raises(ActionError, match="reset"):
        zoo.step(actions)


def test_a_batch_that_does_not_begin_anew_stays_as_it_ended():
    batch = make_batch(SHORT, 2, check=False, auto_reset=False)
    batch.reset()
    for _ in range(8):
        end = batch.step(still(batch))
    assert end.truncated.all()
    with pytest.raises(RuntimeError, match="call reset first"):
        batch.step(still(batch))
    assert batch.loop.interval.tolist() == [8, 8]


def test_the_batch_clips_what_a_gaussian_policy_asks_for(one):
    """Sampled actions have no bounds; the protocol leaves the clipping to the environment."""
    one.reset(np.array([1]))
    far = one.step({k: v + 3.0 for k, v in still(one).items()})
    one.reset(np.array([1]))
    assert_same(far, one.step({k: v + 1.0 for k, v in still(one).items()}))


def test_outages_show_in_the_critics_state_and_end_with_the_repair():
    batch = make_batch(EVENTFUL, 1, check=False)
    batch.reset(np.array([6]))
    out = [2.0 * batch.step(still(batch)).final_observation.state[0, -1] for _ in range(8)]
    # Ends of intervals at 4, 8, .. 32 s: circuit out from 5 to 13 s, unit from 22 s.
    assert out == [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def test_an_episode_goes_on_bit_for_bit_from_a_saved_state():
    """Saved between an outage and its repair, restored in another batch and after other episodes."""
    batch, other = (make_batch(EVENTFUL, 2, seed=k, observation="memory", check=False) for k in (0, 9))
    rng = np.random.default_rng(4)
    batch.reset()
    for _ in range(3):
        batch.step(drawn(batch, rng))
    state = pickle.loads(pickle.dumps(batch.get_state()))
    actions = [drawn(batch, rng) for _ in range(8)]  # beyond the end, into the next episode
    expected = [batch.step(a) for a in actions]
    other.reset()
    other.step(actions[0])
    other.set_state(state)
    for a, transition in zip(actions, expected, strict=True):
        assert_same(other.step(a), transition)


def test_a_state_of_other_episodes_is_refused():
    """Another scenario of the same shape would go on with a mixture of both."""
    batch = make_batch(EVENTFUL, 2, check=False)
    batch.reset()
    state = batch.get_state()
    with pytest.raises(ValueError, match="another scenario than"):
        make_batch(replace(EVENTFUL, load_fast_percent=0.0), 2, check=False).set_state(state)
    with pytest.raises(ValueError, match="of 2 environments, this batch has 3"):
        make_batch(EVENTFUL, 3, check=False).set_state(state)
    del state["loop"]["grid"]["valve_mw"]
    with pytest.raises(ValueError, match="lacks loop.grid.valve_mw; it is of another version"):
        make_batch(EVENTFUL, 2, check=False).set_state(state)


def test_an_episode_goes_on_bit_for_bit_from_the_midst_of_load_shedding():
    """3 GW more at one bus pull the frequency below 59.5 Hz within seconds; saved after every interval."""
    deep = replace(SHORT, events=(Event(time_s=5.0, kind="load_step", index=3, p_mw=3_000.0),))
    batch, other = make_batch(deep, 1, check=False), make_batch(deep, 1, seed=9, check=False)
    batch.reset(np.array([2]))
    shed_mw = []
    for _ in range(7):
        state = pickle.loads(pickle.dumps(batch.get_state()))
        transition = batch.step(still(batch))
        shed_mw.append(transition.terms["unserved_mw"][0])
        other.set_state(state)
        assert_same(other.step(still(other)), transition)
    assert max(shed_mw) > 100.0


def test_a_pickled_environment_goes_on_bit_for_bit():
    env = parallel_env(scenario=EVENTFUL, check=False, observation="extended")
    env.reset(seed=3)
    rng = np.random.default_rng(4)
    actions = [{a: rng.uniform(-1, 1, 1).astype(np.float32) for a in env.agents} for _ in range(8)]
    for a in actions[:3]:
        env.step(a)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copy.state(), env.state())
    for a in actions[3:]:
        mine, its = env.step(a), copy.step(a)
        assert mine[1:] == its[1:]
        for agent in mine[0]:
            np.testing.assert_array_equal(mine[0][agent], its[0][agent])
    assert env.agents == copy.agents == []


def test_a_pickled_batch_goes_on_bit_for_bit():
    batch = make_batch(EVENTFUL, 2, observation="extended", check=False)
    batch.reset(np.array([8, 9]))
    rng = np.random.default_rng(4)
    actions = [drawn(batch, rng) for _ in range(12)]
    for a in actions[:2]:
        batch.step(a)
    content = pickle.dumps(batch)
    assert len(content) < 1_000_000  # the real year stays at home
    copy = pickle.loads(content)
    for a in actions[2:]:
        assert_same(copy.step(a), batch.step(a))
    fresh = pickle.loads(pickle.dumps(make_batch(SHORT, 1, seed=5, check=False)))
    assert_same(fresh.reset(), make_batch(SHORT, 1, seed=5, check=False).reset())


def saved(batch):
    """The state of a batch two steps into its episodes."""
    batch.reset(np.arange(batch.n_env))
    for _ in range(2):
        batch.step(still(batch))
    return batch.get_state()


def without(state, name):
    """The state without what stands at the end of this path of names."""
    first, _, rest = name.partition(".")
    if not rest:
        return {key: part for key, part in state.items() if key != name}
    return state | {first: without(state[first], rest)}


@pytest.mark.parametrize(
    "name",
    [
        "scenario",
        "grid",
        "before_hz",
        "last_action",
        "past_hz",
        "generators",
        "before_episode",
        "loop.next_event",
        "loop.resources.energy_mwh",
        "loop.scada.shown",
        "loop.grid.df_hz",
    ],
)
def test_a_state_that_lacks_something_is_refused_before_anything_is_changed(two, name):
    state = saved(two)
    two.step(still(two))
    here = pickle.dumps(two.get_state())
    with pytest.raises(ValueError, match=f"the saved state lacks {name}; it is of another"):
        two.set_state(without(state, name))
    assert pickle.dumps(two.get_state()) == here
    two.set_state(state)


def test_a_state_of_an_array_of_another_shape_is_refused_before_anything_is_changed(two):
    state = saved(two)
    here = pickle.dumps(two.get_state())
    for part, wrong in (
        ({"last_action": state["last_action"][:, :3]}, r"last_action of shape \(2, 3\), expected \(2, 20\)"),
        ({"loop": 3}, "this is no state of a task"),
        ({"loop": state["loop"] | {"scada": 3}}, "has a int as loop.scada"),
        ({"generators": ["x", "y"]}, r"no state of a generator as generators\[0\]"),
    ):
        with pytest.raises(ValueError, match=wrong):
            two.set_state(state | part)
    assert pickle.dumps(two.get_state()) == here


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": "extended"}, "of observation = 'extended', this batch has observation = 'default'"),
        ({"observation": "memory"}, "of observation = 'memory', this batch has observation = 'default'"),
        ({"physics": "reduced"}, "of physics = 'reduced', this batch has physics = 'full'"),
        ({"level": "system"}, r"has loop\.grid\.df_hz of shape .*; it is of another version, grid, level"),
    ],
)
def test_a_state_of_another_observation_or_physics_is_refused(two, options, message):
    other = make_batch(SHORT, 2, check=False, **options)
    with pytest.raises(ValueError, match=message):
        two.set_state(saved(other))


def test_a_state_of_an_earlier_version_tells_its_physics_by_what_it_holds(two):
    state = saved(make_batch(SHORT, 2, check=False, physics="reduced"))
    with pytest.raises(ValueError, match="of physics = 'reduced', this batch has physics = 'full'"):
        two.set_state(without(without(state, "physics"), "observation"))


def test_a_state_of_an_earlier_version_goes_on(two):
    """It says neither of which observation and physics it is nor of which grid, and has no averages."""
    state = saved(two)
    expected = two.step(still(two))
    for name in ("observation", "physics", "grid", "scenario", "past_hz"):
        state = without(state, name)
    two.set_state(state)
    assert_same(two.step(still(two)), expected)


def test_an_environment_is_pickled_before_its_first_episode_too():
    copy = pickle.loads(pickle.dumps(parallel_env(scenario=SHORT, check=False, seed=5)))
    mine = parallel_env(scenario=SHORT, check=False, seed=5)
    np.testing.assert_array_equal(mine.reset()[0]["gas_0"], copy.reset()[0]["gas_0"])


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="observation = 'all'"):
        make_batch(SHORT, 1, observation="all", check=False)
    with pytest.raises(ValueError, match="render_mode"):
        parallel_env(scenario=SHORT, render_mode="depth_array")
    with pytest.raises(ValueError, match="expected one of|no scenario|unknown"):
        make_batch("stormy", 1, check=False)
    batch = make_batch(SHORT, 1, check=False)
    with pytest.raises(ValueError, match="2 seeds for 1"):
        batch.reset(np.array([1, 2]))
    with pytest.raises(ValueError, match="seeds = 3, expected one for each of the 1 environments"):
        batch.reset(3)
    with pytest.raises(ValueError, match="no state of a task"):
        batch.set_state({})
    batch.reset()
    for actions, kind in ((None, "NoneType"), (np.zeros((1, 20)), "ndarray")):
        with pytest.raises(
            ActionError, match=f"actions are a {kind}, expected one array for each of bess, gas, dr"
        ):
            batch.step(actions)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_env": 1.5}, TypeError, "n_env = 1.5, expected a whole number"),
        ({"n_env": "2"}, TypeError, "n_env = '2', expected a whole number"),
        ({"n_env": True}, TypeError, "n_env = True, expected a whole number"),
        ({"case": 3}, TypeError, "case = 3, expected a grid by its name or file"),
        ({"case": "case9", "variant": "tr18"}, ValueError, "variant = 'tr18' is of the 68-bus system"),
    ],
)
def test_what_is_no_grid_or_number_of_environments_is_told(options, error, message):
    with pytest.raises(error, match=message):
        make_batch(SHORT, check=False, **options)


def test_files_may_be_paths(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text('base = "normal"\nn_intervals = 7\n')
    assert make_batch(path, check=False).scenario.n_intervals == 7


def test_a_copied_batch_staggers_its_episodes_as_the_original_does():
    batch = make_batch(replace(SCENARIOS["training"], n_intervals=8), 2, check=False, stagger=True)
    copy = pickle.loads(pickle.dumps(batch))
    seeds = np.array([5, 6])
    ends = []
    for one in (batch, copy):
        one.reset(seeds)
        still = {g.name: np.zeros((2, g.n_agent, 1), np.float32) for g in one.groups}
        ends.append([one.step(still).truncated.tolist() for _ in range(8)])
    assert ends[0] == ends[1]
    assert not all(ends[0][7])  # some ended earlier and are in their next episode


def test_a_step_before_the_first_episode_is_refused():
    batch = make_batch("training", 1, check=False)
    with pytest.raises(ActionError, match="call reset first"):
        batch.step({g.name: np.zeros((1, g.n_agent, 1), np.float32) for g in batch.groups})


@pytest.mark.parametrize(
    ("seed", "error"), [(1.5, TypeError), ("1", TypeError), (True, TypeError), (-1, ValueError)]
)
def test_an_episode_of_a_seed_that_is_no_whole_number_is_refused(zoo, seed, error):
    zoo.reset(seed=3)
    with pytest.raises(error, match=f"seed = {seed!r}, expected a whole number from 0 on"):
        zoo.reset(seed=seed)
