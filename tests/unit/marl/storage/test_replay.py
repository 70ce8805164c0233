"""Replay: n-step returns by hand, importance weights by formula, and a state that is all of it."""

import numpy as np
import pytest
import torch

from marl.checkpoint import load, save
from marl.protocol import AgentGroup, Observation, Transition
from marl.storage.replay import PRIORITY_FLOOR, ReplayBuffer
from marl.storage.storage import Decision

GROUPS = (AgentGroup(name="a", agents=("a_0", "a_1"), observation_size=1, action_size=1),)


def observed(value: float, n_env: int = 1) -> Observation:
    return Observation(
        observations={"a": np.full((n_env, 2, 1), value, dtype=np.float32)},
        state=np.full((n_env, 1), value, dtype=np.float32),
    )


def buffer(**options) -> ReplayBuffer:
    defaults = {"capacity": 16, "n_env": 1, "n_step": 2, "gamma": 0.5, "alpha": 1.0, "first": 1}
    return ReplayBuffer(GROUPS, state_size=1, n_value=1, **(defaults | options))


def play(
    replay: ReplayBuffer, t: int, *, n_env=1, reward=None, terminated=False, truncated=False, shown=None
):
    """Step t shows t, pays 10^t where nothing else is said, and leads to t + 1; an episode's own last is t + 0.5."""
    ended = terminated or truncated
    replay.add(
        Decision(
            observation=observed(t if shown is None else shown, n_env),
            actions={"a": torch.full((n_env, 2, 1), float(-t))},
            log_probs=torch.zeros(n_env, 2),
        ),
        np.full((n_env, 1), 10.0**t if reward is None else reward, dtype=np.float32),
        Transition(
            observation=observed(t + 1, n_env),
            final_observation=observed(t + 0.5 if ended else t + 1, n_env),
            reward=np.zeros(n_env),
            terminated=np.full(n_env, terminated),
            truncated=np.full(n_env, truncated),
            terms={},
        ),
    )


def drawn(replay: ReplayBuffer) -> dict[float, tuple[float, float, float]]:
    """What each step is drawn as: shown -> (R, factor, shown next)."""
    batch = replay.sample(400, 1.0, np.random.default_rng(0))
    rows = zip(batch.state, batch.rewards, batch.factor, batch.next_state, strict=True)
    return {float(s): (float(r), float(f), float(n)) for s, r, f, n in rows}


def test_returns_of_two_steps_by_hand():
    """gamma = 1/2, rewards 1, 10, 100, 1000: R_0 = 1 + 10/2, R_1 = 10 + 100/2, and gamma^2 of what comes after."""
    replay = buffer()
    for t in range(4):
        play(replay, t)
    assert drawn(replay) == {0.0: (6.0, 0.25, 2.0), 1.0: (60.0, 0.25, 3.0)}


def test_nothing_comes_after_a_termination_and_the_true_last_observation_after_a_truncation():
    replay = buffer()
    play(replay, 0)
    play(replay, 1, terminated=True)
    play(replay, 2)
    play(replay, 3, truncated=True)
    play(replay, 4)
    play(replay, 5)
    assert drawn(replay) == {
        0.0: (6.0, 0.0, 2.0),  # 1 + 10/2; what is shown next counts for nothing
        1.0: (10.0, 0.0, 2.0),
        2.0: (600.0, 0.25, 3.5),  # 100 + 1000/2, then the old episode's last
        3.0: (1000.0, 0.5, 3.5),  # one step only
    }


def test_an_episode_that_was_begun_anew_from_outside_was_truncated_there():
    """After step 1 led to 2, step 2 shows 50: whoever holds the environment has reset it."""
    replay = buffer()
    play(replay, 0)
    play(replay, 1)
    play(replay, 2, shown=50)
    play(replay, 3)
    assert drawn(replay) == {0.0: (6.0, 0.25, 2.0), 1.0: (10.0, 0.5, 2.0)}


def test_the_oldest_steps_make_room_for_new_ones():
    replay = buffer(capacity=5)
    for t in range(9):
        play(replay, t, truncated=t % 3 == 2)
        assert replay.n_transition == max(min(t + 1, 5) - 2, 0)
    shown = drawn(replay)
    assert sorted(shown) == [4.0, 5.0, 6.0]  # steps 4 to 8 are kept, and the last two are not whole yet
    assert shown[4.0][1:] == (0.25, 5.5)
    assert shown[5.0][1:] == (0.5, 5.5)


def test_draws_and_weights_follow_the_paper():
    """P(i) = p^alpha / sum, w = (N P)^-beta / max w (Schaul et al. 2016, eq. 1 and sec. 3.4), N = 3."""
    replay = buffer(alpha=0.6, n_step=1)
    for t in range(4):
        play(replay, t)
    errors = np.array([0.5, -2.0, 1.0])
    replay.set_errors(np.arange(3), errors)
    p = (np.abs(errors) + PRIORITY_FLOOR) ** 0.6
    n, beta = 30_000, 0.4
    batch = replay.sample(n, beta, np.random.default_rng(1))
    # Stratified draws miss an expected count by at most two.
    np.testing.assert_allclose(np.bincount(batch.positions, minlength=3)[:3], n * p / p.sum(), atol=2.0)
    weight = (3 * p / p.sum()) ** -beta
    expected = (weight / weight.max())[batch.positions]
    np.testing.assert_allclose(
        batch.weights.numpy(), expected, rtol=3e-7
    )  # float32, and a few roundings before


def test_a_new_transition_is_drawn_as_the_largest_error_so_far():
    replay = buffer(n_step=1)
    for t in range(3):
        play(replay, t)
    replay.set_errors(np.array([0]), np.array([7.0]))
    play(replay, 3)
    assert replay._tree.priorities[:4].tolist() == [7.0 + PRIORITY_FLOOR, 1.0, 7.0 + PRIORITY_FLOOR, 0.0]


def test_it_is_ready_once_enough_can_be_drawn():
    replay = buffer(n_env=2, capacity=20, first=6, n_step=2)
    ready = []
    for t in range(6):
        play(replay, t, n_env=2)
        ready.append(replay.is_ready)
    assert ready == [False, False, False, False, True, True]  # 2 (t + 1 - 2) >= 6 from the fifth step on


def test_what_a_checkpoint_holds_of_it_is_all_of_it(tmp_path):
    """Draws after a round trip through a file are the same to the bit, in the ring's second round as well."""
    one = buffer(n_env=3, capacity=30)
    for t in range(17):
        play(one, t, n_env=3, reward=float(t), truncated=t % 4 == 3)
    one.set_errors(np.arange(6), np.arange(6.0))
    save(tmp_path / "kept.pt", "run", {"storage": one.state()})
    other = buffer(n_env=3, capacity=30)
    other.load_state(load(tmp_path / "kept.pt", "run")["storage"])
    for replay in (one, other):  # begun anew outside: it has to know what it was shown last
        play(replay, 40, n_env=3, reward=1.0)
        play(replay, 41, n_env=3, reward=2.0)
        play(replay, 42, n_env=3, reward=3.0)
    a, b = (replay.sample(64, 0.5, np.random.default_rng(2)) for replay in (one, other))
    for name in ("state", "rewards", "factor", "next_state", "weights"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert torch.equal(a.next_observations["a"], b.next_observations["a"])
    assert np.array_equal(a.positions, b.positions)


def test_little_is_saved_of_what_was_not_filled():
    replay = buffer(capacity=1000)
    play(replay, 0)
    assert len(replay.state()["arrays"]["state"]) == 1


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="holds 3 of each of 1 environments, expected at least 4"):
        buffer(capacity=3)
    with pytest.raises(ValueError, match="the saved replay has 16 steps, this one 8"):
        buffer(capacity=8).load_state(buffer().state())
