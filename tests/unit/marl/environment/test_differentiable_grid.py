"""Recorded episodes played again: frequency, costs and views as the reduced model has them, and exact gradients."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from control.scenario.suites import N1, NORMAL, TRAINING_ENERGY, TRAINING_NEAR
from control.task.layout import DF_HZ, LAYOUT
from marl.config.check import ConfigError
from marl.environment.batch import make_batch
from marl.environment.recorded_episodes import record
from marl.networks.memory import Memory
from marl.networks.policy import Policy
from marl.training import refinement
from marl.training.refinement import costs

DATA = Path(__file__).parents[4] / "marl" / "data"
PLAYER, OTHER = (Policy.load(DATA / f"{name}_seed0.pt") for name in ("blended", "informed"))
LONG = 150
SEEDS = np.arange(7_000, 7_006)


def build(scenario=NORMAL, n_env=6, n=LONG, **options):
    short = replace(scenario, n_intervals=n)
    return make_batch(short, n_env, observation="memory", physics="reduced", check=False, **options)


def really_cost(batch, policy, n, seeds=SEEDS):
    """What the reduced model charges for frequency, movement and effort, and what agents saw, by interval."""
    shown = batch.reset(seeds)
    policy.reset(np.arange(len(seeds)), seeds)
    cost, seen = np.zeros(len(seeds)), []
    for _ in range(n):
        seen.append(shown.observations)
        step = batch.step(policy.act(shown.observations))
        cost -= sum(step.terms[f"reward_{name}"] for name in ("frequency", "movement", "effort"))
        shown = step.observation
    return cost, seen


def smooth(policy):
    """The same actors without zones, whose actions have a slope everywhere."""
    content = policy.content()
    content["network"] |= {"dead_zone": 0.0, "dead_zones": [], "soft_zones": []}
    return Policy.from_content(content)


@pytest.mark.parametrize("head", ["bess", "gas", "dr"])
def test_a_policys_gradient_in_closed_loop_is_that_of_its_costs(head, monkeypatch):
    """Through plants, frequency, what agents see of both, and their memory: by differences along the gradient itself.

    Before anything is cut of it. 5 %: single precision, and prices that bend where a move changes its sign.
    """
    monkeypatch.setattr(refinement, "_usual", lambda gradient: gradient)
    policy = smooth(PLAYER)
    n = 16
    episodes = record(
        build(replace(NORMAL, soc_start_min=0.3, soc_start_max=0.3), n_env=4, n=n), policy, SEEDS[:4]
    )
    parameters = [x for name, x in policy.named_parameters() if f".{head}." in name and "log_std" not in name]
    state, memory, total = episodes.begin(), Memory(), torch.zeros(4)
    state, total = refinement._played(policy, episodes, state, memory, 0, episodes.n_interval)
    gradients = torch.autograd.grad(total.mean(), parameters, allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, parameters, strict=True)]
    norm = float(torch.sqrt(sum((g.double() ** 2).sum() for g in gradients)))
    assert norm > 0.0
    begun = [x.detach().clone() for x in parameters]

    def cost_at(distance):
        with torch.no_grad():
            for x, x0, g in zip(parameters, begun, gradients, strict=True):
                x.copy_(x0 + (distance / norm) * g)
        return float(costs(policy, episodes).mean())

    step = 1e-4
    slope = (cost_at(step) - cost_at(-step)) / (2.0 * step)
    np.testing.assert_allclose(slope, norm, rtol=0.05)


@pytest.mark.parametrize(("interval_s", "most"), [(2.0, 0.02), (10.0, 0.1)])
def test_intervals_of_other_lengths_have_as_long_steps(interval_s, most):
    """A second at most: in four of 2.5 s costs were off by half. A loop of 10 s nearly swings, small errors grow."""
    n = 30
    batch = build(replace(NORMAL, interval_s=interval_s), n=n)
    episodes = record(batch, PLAYER, SEEDS)
    cost, _ = really_cost(batch, PLAYER, n - 1)
    np.testing.assert_allclose(costs(PLAYER, episodes), cost, rtol=most)


@pytest.mark.parametrize("level", ["area", "system"])
def test_with_the_recorded_actions_frequency_is_where_it_was(level):
    """The correction is chosen so; what is left is single precision, and a controller that answers to it."""
    batch = build(level=level)
    episodes = record(batch, PLAYER, SEEDS)
    assert (episodes.n_env, episodes.n_interval) == (len(SEEDS), LONG - 1)
    cost, _ = really_cost(batch, PLAYER, LONG - 1)
    # 1 %: the square of frequency is taken in four steps an interval, and areas have frequencies of their own.
    np.testing.assert_allclose(costs(PLAYER, episodes), cost, rtol=0.01)


@pytest.mark.parametrize("scenario", [NORMAL, N1, TRAINING_NEAR], ids=lambda s: s.name)
def test_another_policy_costs_what_it_does_on_the_reduced_model(scenario):
    """Outages within intervals and dynamics of each episode's own included: nothing was fitted to this policy.

    2 %, as the reduced model is held to the full one.
    """
    batch = build(scenario)
    episodes = record(batch, PLAYER, SEEDS)
    cost, _ = really_cost(batch, OTHER, LONG - 1)
    found = costs(OTHER, episodes)
    np.testing.assert_allclose(found.mean(), cost.mean(), rtol=0.02)
    assert np.corrcoef(found, cost)[0, 1] > 0.99
    assert np.abs(cost / costs(PLAYER, episodes) - 1.0).max() > 0.03  # they are two policies indeed


@pytest.mark.parametrize(
    ("scenario", "most_hz"),
    # Areas that swing after an outage do so a little otherwise when plants have moved otherwise before.
    [(NORMAL, 0.0005), (replace(TRAINING_NEAR, outages_min=1, soc_start_min=0.4, soc_start_max=0.6), 0.02)],
    ids=["normal", "outages"],
)
def test_agents_see_what_the_reduced_model_would_show_them(scenario, most_hz):
    """All 22 numbers under a policy that was not recorded; with outages and telemetry as late as each episode's."""
    n = 60
    batch = build(scenario, n=n)
    episodes = record(batch, PLAYER, SEEDS)
    _, really = really_cost(batch, OTHER, n - 1)
    names = [quantity.name for quantity in LAYOUT for _ in range(quantity.size)]
    limits = np.array([most_hz / DF_HZ if "frequency" in name else 1e-3 for name in names])
    state = episodes.begin()
    OTHER.reset(np.arange(len(SEEDS)), SEEDS)
    with torch.no_grad():
        for k in range(n - 1):
            shown, seen = episodes.observe(k, state)
            for kind, x in shown.items():
                apart = np.abs(x.numpy() - really[k][kind]).max(axis=(0, 1))
                wrong = [names[i] for i in np.flatnonzero(apart >= limits)]
                assert not wrong, (k, kind, wrong, apart)
            # The same actions in both: nothing but the models differs.
            actions = {kind: torch.from_numpy(x) for kind, x in OTHER.act(really[k]).items()}
            state, _ = episodes.step(k, state, seen, actions)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_batteries_stop_before_they_are_empty_or_full(sign):
    """Asked for all they have, from any charge; there they stop in whole steps, here by a root: 1 % of their energy."""
    batch = build(TRAINING_ENERGY)
    episodes = record(batch, PLAYER, SEEDS)
    batch.reset(SEEDS)
    bess = batch.task.of_kind["bess"]
    done = {g.name: np.zeros((len(SEEDS), g.n_agent, 1), dtype=np.float32) for g in batch.groups}
    done["bess"][:] = sign
    state, capacity = episodes.begin(), batch.loop.fleet.energy_mwh[bess]
    with torch.no_grad():
        for k in range(LONG - 1):
            _, seen = episodes.observe(k, state)
            state, _ = episodes.step(k, state, seen, {kind: torch.from_numpy(x) for kind, x in done.items()})
            batch.step(done)
            apart = (state.energy_mwh.numpy() - batch.loop.resources.energy_mwh)[:, bess]
            assert np.abs(apart / capacity).max() < 0.01
    left = state.energy_mwh.numpy()[:, bess] / capacity
    assert (left < 0.02).any() if sign > 0 else (left > 0.98).any()


def test_gradients_are_what_the_reduced_model_does_when_an_action_is_another():
    """One action of one plant a little more and a little less: the compiled model's cost, by central differences."""
    n = 40
    batch = build(n=n, n_env=2)
    seeds = SEEDS[:2]
    episodes = record(batch, PLAYER, seeds)
    shown = batch.reset(seeds)
    PLAYER.reset(np.arange(2), seeds)
    done = []
    for _ in range(n - 1):
        done.append({kind: x.copy() for kind, x in PLAYER.act(shown.observations).items()})
        shown = batch.step(done[-1]).observation

    def cost_with(k, kind, agent, change):
        batch.reset(seeds)
        cost = np.zeros(2)
        for j, acted in enumerate(done):
            actions = {name: x.copy() for name, x in acted.items()}
            if j == k:
                actions[kind][:, agent] += change
            terms = batch.step(actions).terms
            cost -= sum(terms[f"reward_{name}"] for name in ("frequency", "movement", "effort"))
        return cost

    actions = [{kind: torch.from_numpy(x).requires_grad_() for kind, x in a.items()} for a in done]
    state, total = episodes.begin(), torch.zeros(2)
    for k in range(n - 1):
        _, seen = episodes.observe(k, state)
        state, cost = episodes.step(k, state, seen, actions[k])
        total = total + cost
    total.sum().backward()
    checked = 0
    for k, kind, agent in [(5, "bess", 0), (12, "bess", 3), (20, "gas", 2), (9, "dr", 1)]:
        found = actions[k][kind].grad[:, agent, 0].numpy()
        if np.abs(done[k][kind][:, agent]).max() > 0.9:
            continue  # at its cut, where there are two slopes
        size = 0.05
        plain = (
            np.abs(done[k][kind][:, agent, 0]) > size
        )  # else the price of a move bends within the difference
        slope = (cost_with(k, kind, agent, size) - cost_with(k, kind, agent, -size)) / (2 * size)
        # 3 % of the largest: single precision, and areas that swing against each other a little.
        np.testing.assert_allclose(found[plain], slope[plain], rtol=0.03, atol=0.03 * np.abs(slope).max())
        checked += int(plain.sum())
    assert checked >= 2


def test_batteries_are_worth_most_when_half_full():
    """0.06 for the square of the MWh that all batteries together are away from it, as `HorizonConfig` has it."""
    episodes = record(build(n=4, n_env=2), PLAYER, SEEDS[:2])
    capacity, battery = episodes.fleet["capacity_mwh"], episodes.fleet["is_battery"]
    half = torch.where(battery, 0.5 * capacity, torch.zeros_like(capacity))
    state = episodes.begin()._replace(energy_mwh=torch.stack([half, half + 2.0 * battery]))
    away_mwh = 2.0 * int(battery.sum())
    np.testing.assert_allclose(episodes.ahead(state), [0.0, 0.06 * away_mwh**2], rtol=1e-5, atol=1e-6)
    lent = state._replace(energy_mwh=state.energy_mwh + ~battery)  # what demand response owes is no charge
    assert torch.equal(episodes.ahead(lent), episodes.ahead(state))


def test_episodes_that_lose_the_grid_are_left_out(monkeypatch):
    batch = build(n=20, n_env=3)
    step, lost = batch.step, []

    def step_that_loses(actions):
        found = step(actions)
        lost.append(True)
        return replace(found, terminated=np.array([False, len(lost) == 7, False]))

    monkeypatch.setattr(batch, "step", step_that_loses)
    assert record(batch, PLAYER, SEEDS[:3]).n_env == 2
    monkeypatch.setattr(
        batch, "step", lambda actions: replace(step(actions), terminated=np.ones(3, dtype=bool))
    )
    with pytest.raises(ConfigError, match="lost in all 3 recorded episodes of normal"):
        record(batch, PLAYER, SEEDS[:3])


def test_some_episodes_play_as_they_do_among_all():
    episodes = record(build(n=30), PLAYER, SEEDS)
    np.testing.assert_allclose(
        costs(PLAYER, episodes.some([1, 4])), costs(PLAYER, episodes)[[1, 4]], rtol=1e-4
    )
