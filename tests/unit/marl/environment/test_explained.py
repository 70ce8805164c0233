"""Shares of a controller's actions that a policy, a plant's numbers, and all plants' numbers explain."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from control.evaluation import learning_figures
from control.evaluation.contender import ComparisonError
from control.scenario.suites import TRAINING
from marl.environment import explained as module
from marl.environment.explained import PAST, Explained, explained
from marl.environment.policy_report import PolicyReport, load_policy

DATA = Path(__file__).parents[4] / "marl" / "data"
MODEL = DATA / "informed_seed0.pt"  # sees 22 numbers
SHORT = replace(TRAINING, n_intervals=24)


def progress(total):
    return tqdm(total=total, disable=True)


def report(model=MODEL):
    return PolicyReport(policy=load_policy(model), scenario=SHORT, first=0)


def shares_of(wanted, own, together, done=None):
    return module._shares(wanted, 0.0 * wanted if done is None else done, own, together)


@pytest.fixture
def seen():
    """Noise that two agents of a kind and a third one read, [interval, env, agent, number]."""
    return 0.2 * np.random.default_rng(0).standard_normal((200, 40, 3, 4))


def test_what_is_linear_in_a_plants_own_past_its_numbers_tell(seen):
    """a(t) = 0.5 x(t) - x(t - 3) of its own; a policy that does nothing explains none of it, and half of it 3/4."""
    wanted = np.zeros((200, 40, 2))
    wanted[3:] = 0.5 * seen[3:, :, :2, 0] - seen[:-3, :, :2, 0]
    found = shares_of(wanted, seen[:, :, :2], seen, 0.5 * wanted)
    assert found.own == pytest.approx(1.0, abs=1e-3)  # the ridge shrinks weights by 10 in 2,000 x 0.04
    assert found.together == pytest.approx(1.0, abs=1e-3)
    assert found.policy == pytest.approx(0.75, rel=1e-12)
    assert shares_of(wanted, seen[:, :, :2], seen).policy == 0.0


def test_what_hangs_on_what_another_reads_all_numbers_alone_tell(seen):
    wanted = np.repeat(seen[:, :, 2, 1], 2).reshape(200, 40, 2)
    found = shares_of(wanted, seen[:, :, :2], seen)
    # Noise is fitted by 49 numbers to 3,780 instants, which costs 1.3 % of the variance of others without a ridge.
    assert -0.02 < found.own < 0.01
    assert found.together == pytest.approx(1.0, abs=1e-3)


def test_what_is_noise_nobody_tells(seen):
    wanted = 0.2 * np.random.default_rng(1).standard_normal((200, 40, 2))
    found = shares_of(wanted, seen[:, :, :2], seen)
    assert -0.02 < found.own < 0.01
    assert -0.02 < found.together < 0.01
    # Of a normal number of spread 0.2, the share beyond 0.02 is that of a standard one beyond 0.1.
    assert found.moved == pytest.approx(0.92, abs=0.01)


def test_a_policy_does_all_of_its_own_actions_and_a_controller_that_never_moves_asks_for_none():
    by_itself = explained(report(), str(MODEL), 8, progress)
    assert list(by_itself) == ["bess", "gas", "dr"]
    assert by_itself["bess"].moved > 0.0
    assert by_itself["bess"].policy == 1.0
    idle = explained(report(), "do_nothing", 8, progress)
    assert all(
        of_kind == Explained(moved=0.0, policy=0.0, own=0.0, together=0.0) for of_kind in idle.values()
    )


@pytest.mark.parametrize("expert", ["nobody", "bound", "linear,mpc", "all"])
def test_who_is_asked_has_to_be_one_controller(expert):
    with pytest.raises(ComparisonError, match=expert):
        explained(report(), expert, 8, progress)


def test_a_controller_that_sees_more_than_the_agents_cannot_be_asked():
    with pytest.raises(ComparisonError, match="linear_memory sees the memory observation"):
        explained(report(DATA / "recommended_seed0.pt"), "linear_memory", 8, progress)
    with pytest.raises(ValueError, match="n_episodes = 3, expected 8 to 1000"):
        explained(report(), "linear_memory", 3, progress)


def test_agents_that_see_more_than_plants_by_themselves_are_refused():
    """Telemetry of all plants, or coordinators: what their numbers tell is no question of one plant or all."""
    policy = load_policy(MODEL)
    for seen in ("telemetry", "hierarchy"):
        policy.metadata = {**policy.metadata, "observation": seen}
        with pytest.raises(ComparisonError, match=f"the policy sees the {seen} observation, expected one of"):
            explained(PolicyReport(policy=policy, scenario=SHORT, first=0), "linear", 8, progress)


def test_episodes_are_longer_than_what_plants_look_back_over():
    policy, scenario = load_policy(MODEL), replace(SHORT, n_intervals=23)
    with pytest.raises(ValueError, match="n_intervals = 23 of .*, expected at least 24"):
        explained(PolicyReport(policy=policy, scenario=scenario, first=0), "linear", 8, progress)


def test_the_table_says_nothing_of_who_does_not_move():
    assert PAST == 12  # as the table's head says
    shares = {
        "bess": Explained(moved=0.5, policy=0.875, own=0.5, together=0.625),
        "dr": Explained(moved=0.004, policy=-1.0, own=0.0, together=0.0),
    }
    told = {kind: asdict(of_kind) for kind, of_kind in shares.items()}
    lines = learning_figures.explained([{"scenario": "normal", "shares": told}])
    assert lines[2:] == [
        "| `normal`, bess | 50.0 % | 88 % | 50 % | 62 % |",
        "| `normal`, dr | 0.4 % | - | - | - |",
    ]
