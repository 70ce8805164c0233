"""Rollout storage and its minibatches."""

import dataclasses

import numpy as np
import pytest
import torch

from marl.protocol import AgentGroup, Observation, Transition
from marl.storage.rollout import Batch, RolloutBuffer, minibatches
from marl.storage.storage import Decision

GROUPS = (
    AgentGroup(name="a", agents=("a_0", "a_1"), observation_size=1, action_size=1),
    AgentGroup(name="b", agents=("b_0",), observation_size=2, action_size=1),
)
CPU = torch.device("cpu")


def observed(value: float, n_env: int = 2) -> Observation:
    return Observation(
        observations={
            "a": np.full((n_env, 2, 1), value, dtype=np.float32),
            "b": np.full((n_env, 1, 2), value, dtype=np.float32),
        },
        state=np.full((n_env, 3), value, dtype=np.float32),
    )


def transition(t: float, *, terminated=(False, False), truncated=(False, False)) -> Transition:
    return Transition(
        observation=observed(t + 1.0),
        final_observation=observed(t + 0.5),
        reward=np.zeros(2),
        terminated=np.array(terminated),
        truncated=np.array(truncated),
        terms={},
    )


def fill(buffer: RolloutBuffer, t: int, *, terminated=(False, False), truncated=(False, False)) -> None:
    decision = Decision(
        observation=observed(t),
        actions={"a": torch.full((2, 2, 1), t + 0.1), "b": torch.full((2, 1, 1), t + 0.2)},
        log_probs=torch.full((2, 3), -float(t)),
        hidden={name: torch.full(x.shape[1:], t + 0.3) for name, x in buffer.hidden.items()},
    )
    rewards = np.full((2, 1), 10.0 * t, dtype=np.float32)
    buffer.add(decision, rewards, transition(t, terminated=terminated, truncated=truncated))


def make() -> RolloutBuffer:
    return RolloutBuffer(GROUPS, n_step=3, n_env=2, state_size=3, n_value=1)


def test_a_rollout_keeps_the_order_of_steps_and_the_observation_after_them():
    buffer = make()
    for t in range(3):
        fill(buffer, t)
    rollout = buffer.rollout(CPU)
    assert rollout.state[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert rollout.observations["b"][:, 1, 0, 1].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert rollout.rewards[:, 0, 0].tolist() == [0.0, 10.0, 20.0]
    assert rollout.log_probs[:, 0, 2].tolist() == [0.0, -1.0, -2.0]
    assert rollout.truncated_step.tolist() == []


def test_actions_are_kept_as_they_were_drawn_beyond_the_range_too():
    """Their log-probabilities are those of the unclipped ones."""
    buffer = make()
    for t in range(3):
        fill(buffer, t)
    rollout = buffer.rollout(CPU)
    np.testing.assert_allclose(rollout.actions["a"][:, 0, 1, 0], [0.1, 1.1, 2.1], rtol=1e-7)  # float32
    np.testing.assert_allclose(rollout.actions["b"][:, 1, 0, 0], [0.2, 1.2, 2.2], rtol=1e-7)


def test_the_mask_has_agents_in_the_groups_order():
    buffer = make()
    for t in range(3):
        seen = dataclasses.replace(
            observed(t), in_service={"b": np.array([[t != 1]] * 2), "a": np.array([[True, t != 2]] * 2)}
        )
        decision = Decision(
            observation=seen,
            actions={"a": torch.zeros(2, 2, 1), "b": torch.zeros(2, 1, 1)},
            log_probs=torch.zeros(2, 3),
        )
        buffer.add(decision, np.zeros((2, 1), np.float32), transition(t))
    rollout = buffer.rollout(CPU)
    assert rollout.in_service[:, 0].tolist() == [[True, True, True], [True, True, False], [True, False, True]]


def test_only_truncations_keep_their_true_last_observation():
    buffer = make()
    fill(buffer, 0, truncated=(False, True))
    fill(buffer, 1, terminated=(True, False))
    fill(buffer, 2, terminated=(False, True), truncated=(True, True))  # both at once is a termination
    rollout = buffer.rollout(CPU)
    assert rollout.truncated_step.tolist() == [0, 2]
    assert rollout.truncated_env.tolist() == [1, 0]
    assert rollout.final_state[:, 0].tolist() == [0.5, 2.5]
    assert rollout.final_observations["a"][:, 0, 0].tolist() == [0.5, 2.5]
    assert rollout.truncated.tolist() == [[False, True], [False, False], [True, False]]
    assert rollout.terminated.tolist() == [[False, False], [True, False], [False, True]]


def test_a_second_rollout_knows_nothing_of_the_first():
    buffer = make()
    for t in range(3):
        fill(buffer, t, truncated=(True, True))
    buffer.rollout(CPU)
    buffer.clear()
    for t in range(3):
        fill(buffer, t)
    rollout = buffer.rollout(CPU)
    assert rollout.truncated_step.tolist() == []
    assert not rollout.truncated.any()


def test_a_full_buffer_takes_no_more_and_an_unfilled_one_gives_nothing():
    buffer = make()
    with pytest.raises(RuntimeError, match="0 of 3"):
        buffer.rollout(CPU)
    for t in range(3):
        fill(buffer, t)
    with pytest.raises(RuntimeError, match="full"):
        fill(buffer, 3)


def test_what_a_memory_held_is_kept_with_every_step_and_the_mask_tells_where_it_begins_anew():
    """Episodes end after the first step of environment 0 and, by time, after the second of environment 1."""
    buffer = RolloutBuffer(GROUPS, n_step=3, n_env=2, state_size=3, n_value=1, hidden_sizes={"b": 4})
    fill(buffer, 0, terminated=(True, False))
    fill(buffer, 1, truncated=(False, True))
    fill(buffer, 2)
    rollout = buffer.rollout(CPU)
    assert set(rollout.hidden) == {"b"}
    assert rollout.hidden["b"].shape == (3, 2, 1, 4)
    np.testing.assert_allclose(rollout.hidden["b"][:, 0, 0, 0], [0.3, 1.3, 2.3], rtol=1e-6)  # float32
    assert rollout.continues.tolist() == [[True, True], [False, True], [True, False]]


def test_a_half_filled_buffer_goes_on_elsewhere_as_if_nothing_had_happened():
    one, two = make(), make()
    fill(one, 0, truncated=(False, True))
    fill(one, 1)
    state = one.state()
    fill(one, 2)  # must not reach what was handed out
    two.load_state(state)
    fill(two, 2)
    a, b = one.rollout(CPU), two.rollout(CPU)
    for name in ("state", "log_probs", "in_service", "rewards", "terminated", "truncated", "truncated_step",
                 "truncated_env", "final_state"):  # fmt: skip
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    for name in ("observations", "actions", "final_observations"):
        assert all(torch.equal(x, getattr(b, name)[group]) for group, x in getattr(a, name).items()), name
    one.clear()
    assert one.state() == {"position": 0}  # between two updates there is nothing to keep


@pytest.mark.parametrize("size", [1, 7, 32, 100])
def test_minibatches_visit_each_sample_once_and_keep_its_parts_together(size):
    n = 100
    tags = torch.arange(n, dtype=torch.float32)

    def per_head(x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"h": x}

    batch = Batch(
        actor_inputs=per_head(tags.reshape(n, 1, 1)),
        critic_inputs=per_head(tags.reshape(n, 1)),
        actions=per_head(tags.reshape(n, 1, 1)),
        log_probs=per_head(tags.reshape(n, 1)),
        weights=per_head(tags.reshape(n, 1)),
        advantages=per_head(tags.reshape(n, 1)),
        returns=tags.reshape(n, 1),
        values=tags.reshape(n, 1),
        value_weights=tags.reshape(n, 1),
    )
    seen: list[float] = []
    for index in minibatches(batch.n_sample, size, torch.Generator().manual_seed(3)):
        part = batch.select(index)
        mine = part.returns.flatten().tolist()
        for x in (part.actor_inputs, part.critic_inputs, part.actions, part.log_probs, part.advantages):
            assert x["h"].flatten().tolist() == mine
        seen += mine
    assert sorted(seen) == tags.tolist()
    assert seen != tags.tolist()  # in random order
