"""Cloning recovers a linear expert; DAgger repairs what cloning cannot know."""

import numpy as np
import pytest
import torch

from marl.config.training import NetworkConfig
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Observation, Transition
from marl.training import imitation
from marl.training.imitation import fit, gather, imitate
from unit.marl.toys import Target

GROUP = (AgentGroup(name="walker", agents=("walker_0",), observation_size=1, action_size=1),)
LINEAR = NetworkConfig(actor_hidden=(32,), actor_linear=True, dead_zone=0.0)


class Unstable:
    """x' = 1.3 x + a: begun near zero. Its expert a = -1.3 x (cut at 1) takes it to zero at once and stays there.

    So cloning sees x within 0.1 alone. Whoever adds a constant error d to the expert's action is at d for good; one
    that answers too weakly far out leaves for good beyond |x| = 1 / 0.3, where no action brings it back.
    """

    groups = GROUP
    state_size = 1

    def __init__(self, n_env=16, spread=0.1, push=0.0):
        self.n_env, self.spread, self.push = n_env, spread, push

    def _seen(self):
        x = self.x.astype(np.float32)
        return Observation(observations={"walker": x[:, None, None].copy()}, state=x[:, None].copy())

    def reset(self, seeds=None):
        self.rng = np.random.default_rng(None if seeds is None else int(seeds[0]))
        self.x, self.t = self.rng.uniform(-self.spread, self.spread, self.n_env), 0
        return self._seen()

    def step(self, actions):
        a = np.clip(actions["walker"][:, 0, 0].astype(np.float64), -1, 1)
        self.x, self.t = np.clip(1.3 * self.x + a, -50.0, 50.0), self.t + 1
        over = np.zeros(self.n_env, dtype=np.bool_)
        return Transition(
            observation=self._seen(),
            final_observation=self._seen(),
            reward=-np.square(self.x),
            terminated=over,
            truncated=over,
            terms={},
        )


class Law:
    """A linear law of the first number that every agent of every group sees."""

    def __init__(self, gain):
        self.gain, self.heard = gain, 0

    def reset(self, envs, seeds):
        pass

    def act(self, observation):
        return {
            name: np.clip(self.gain * x[..., :1], -1, 1).astype(np.float32)
            for name, x in observation.observations.items()
        }

    def took(self, actions):
        self.heard += 1


def test_a_linear_expert_is_recovered():
    """Actors with a linear part: the expert's action is 0.8 x of two inputs; its variance is 0.64 / 3."""
    environment = Target(n_env=16)
    torch.manual_seed(0)
    policy = Policy(environment.groups, LINEAR)
    losses = imitate(
        policy,
        environment,
        Law(0.8),
        np.arange(16)[None],
        rounds=1,
        n_step=40,
        epochs=60,
        minibatch=64,
        lr=1e-2,
    )
    assert losses[-1] < 1e-4  # an rms error of 0.01, one part in forty of the action's own 0.46
    seen = np.random.default_rng(9).uniform(-1, 1, (50, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(policy.act({"mover": seen})["mover"], 0.8 * seen[..., :1], atol=0.06)


def cost(policy, environment):
    """Mean |x| over 20 steps of new episodes that begin as far out as 2."""
    seen, total = environment.reset(np.array([77])), 0.0
    for _ in range(20):
        seen = environment.step(policy.act(seen.observations)).observation
        total += float(np.abs(environment.x).mean())
    return total / 20


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_actors_play_in_all_rounds_but_the_first(rounds):
    expert, environment = Law(-1.3), Unstable(n_env=4)
    policy = Policy(GROUP, LINEAR)
    imitate(policy, environment, expert, np.zeros((rounds, 4), np.int64), rounds=rounds, n_step=5, epochs=1)
    assert expert.heard == 5 * (rounds - 1)


def test_an_expert_may_be_asked_now_and_then():
    """Of five steps that the actors play those of 0 and 3 have an answer; whoever leads is asked at every one."""
    expert, environment = Law(-1.3), Unstable(n_env=4)
    policy = Policy(GROUP, LINEAR)
    shown = gather(environment, expert, policy, np.zeros(4, np.int64), n_step=5, led=False, ask_every=3)
    assert expert.heard == 2
    asked = torch.tensor([True, False, False, True, False])
    assert torch.equal(shown.in_service["walker"][0, :, :, 0], asked[:, None].expand(5, 4))
    seen = shown.observations["walker"][0, asked]
    assert torch.allclose(shown.actions["walker"][0, asked], (-1.3 * seen).clamp(-1, 1))
    led = gather(environment, expert, policy, np.zeros(4, np.int64), n_step=5, led=True, ask_every=3)
    assert bool(led.in_service["walker"].all())


@pytest.mark.parametrize("part", [{"ask_every": 4}, {"n_agent": 1}])
def test_a_linear_expert_is_recovered_from_a_part_of_what_it_would_say(part):
    """As well as from all: of steps without an answer nothing is learned, where the last one stands, far from right;
    and agents share a network, which serves those who were not learned from as well."""
    environment = Target(n_env=16)
    torch.manual_seed(0)
    policy = Policy(environment.groups, LINEAR)
    seeds = np.arange(16)[None].repeat(2, 0)
    few = imitate(policy, environment, Law(0.8), seeds, rounds=2, n_step=40, epochs=60, lr=1e-2, **part)
    assert few[-1] < 1e-4  # an rms error of 0.01, as above
    seen = np.random.default_rng(9).uniform(-1, 1, (50, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(policy.act({"mover": seen})["mover"], 0.8 * seen[..., :1], atol=0.06)


def test_some_agents_of_each_group_are_learned_from():
    """Of the two that see numbers of their own, one in each environment, with what it saw and was told."""
    environment, expert = Target(n_env=32), Law(0.8)
    policy = Policy(environment.groups, LINEAR)
    one = np.arange(32)[:, None] % 2
    whole, part = (
        gather(environment, expert, policy, np.arange(32), n_step=3, led=True, agents=agents)
        for agents in (None, {"mover": one})
    )
    row = torch.from_numpy(one)[None, None, :, :, None]
    for all_of_them, some in ((whole.observations, part.observations), (whole.actions, part.actions)):
        x = all_of_them["mover"]
        assert torch.equal(some["mover"], x.take_along_dim(row.expand(1, 3, 32, 1, x.shape[-1]), dim=3))
    assert part.in_service["mover"].shape == (1, 3, 32, 1)


def test_agents_to_learn_from_are_drawn_for_each_environment():
    five = AgentGroup(name="walker", agents=tuple("abcde"), observation_size=1, action_size=1)
    policy = Policy((five,), LINEAR)
    drawn = imitation._drawn(policy, np.arange(400), 2)["walker"]
    assert (drawn[:, 0] != drawn[:, 1]).all()
    # 800 draws, 160 of each expected, standard deviation 400 x 0.4 x 0.6 = 9.8^2.
    assert np.abs(np.bincount(drawn.ravel(), minlength=5) - 160).max() < 40
    assert np.array_equal(drawn, imitation._drawn(policy, np.arange(400), 2)["walker"])


def test_dagger_improves_on_cloning_where_errors_compound():
    """Cloning is shown one step away from zero, and nothing of where its own errors lead; DAgger is.

    Both have as many samples and passes in all. A cloned constant error d is not answered, for the states it leads to
    were never shown: by construction x grows until something answers it.
    """
    found = {}
    for name, rounds in (("clone", 1), ("dagger", 4)):
        torch.manual_seed(1)
        policy = Policy(GROUP, NetworkConfig(actor_hidden=(32,), layer_norm=False, dead_zone=0.0))
        environment = Unstable(spread=0.02)
        seeds = np.arange(16 * rounds).reshape(rounds, 16)
        imitate(
            policy,
            environment,
            Law(-1.3),
            seeds,
            rounds=rounds,
            n_step=40 // rounds,
            epochs=12 // rounds,
            minibatch=64,
            lr=3e-3,
        )
        found[name] = cost(policy, Unstable(spread=0.5))
    assert found["dagger"] < 0.5 * found["clone"]


def test_agents_out_of_service_are_not_learned_from():
    environment = Target(n_env=4)
    policy = Policy(environment.groups, LINEAR)
    shown = gather(environment, Law(0.5), policy, np.arange(4), n_step=3, led=True)
    shown.in_service["mover"][..., 1] = False
    shown.actions["mover"][..., 1, :] = 1e6  # whatever stands there
    assert fit(policy, shown, epochs=1, minibatch=4, lr=1e-3, seed=0)[-1] < 1.0


class Delayed:
    """What is seen is noise; an episode of 10 steps ends on its own.

    Its expert answers 0.8 times what was seen the step before, and nothing with the first step of an episode: no actor
    without a memory can know that.
    """

    groups = GROUP
    state_size = 1

    def __init__(self, n_env=16):
        self.n_env = n_env

    def _seen(self):
        self.x = self.rng.uniform(-1, 1, self.n_env).astype(np.float32)
        return Observation(
            observations={"walker": self.x[:, None, None].copy()}, state=self.x[:, None].copy()
        )

    def reset(self, seeds=None):
        self.rng, self.t = np.random.default_rng(None if seeds is None else int(seeds[0])), 0
        return self._seen()

    def step(self, actions):
        self.t += 1
        over = np.full(self.n_env, self.t % 10 == 0)
        seen = self._seen()
        return Transition(
            observation=seen,
            final_observation=seen,
            reward=np.zeros(self.n_env),
            terminated=np.zeros(self.n_env, dtype=np.bool_),
            truncated=over,
            terms={},
        )


class Recalls:
    """See `Delayed`."""

    def __init__(self, n_env=16):
        self.before = np.zeros((n_env, 1, 1), dtype=np.float32)

    def reset(self, envs, seeds):
        self.before[envs] = 0.0

    def act(self, observation):
        found, self.before = 0.8 * self.before, observation.observations["walker"].copy()
        return {"walker": found}


def miss(policy, n_step=40):
    """Mean square of what the deterministic actions are off the expert's in new episodes."""
    environment, expert, every = Delayed(), Recalls(), np.arange(16)
    seen, found = environment.reset(np.array([77])), []
    policy.reset(every, every)
    expert.reset(every, every)
    for _ in range(n_step):
        wanted, done = expert.act(seen), policy.act(seen.observations)
        found.append(np.square(wanted["walker"] - done["walker"]).mean())
        step = environment.step(done)
        if step.truncated[0]:
            policy.reset(every, every)
            expert.reset(every, every)
        seen = step.observation
    return np.mean(found)


def test_a_memory_learns_what_an_expert_recalls():
    """Whoever recalls nothing can at best do nothing: it misses the variance, 0.9 of 0.64 / 3, which is 0.192."""
    found = {}
    for actor in ("mlp", "gru"):
        torch.manual_seed(2)
        network = NetworkConfig(actor=actor, actor_hidden=(16,), memory_size=16, dead_zone=0.0)
        policy = Policy(GROUP, network)
        seeds = np.arange(32).reshape(2, 16)
        imitate(policy, Delayed(), Recalls(), seeds, rounds=2, n_step=60, epochs=30, minibatch=16, lr=1e-2)
        found[actor] = miss(policy)
    assert found["mlp"] > 0.9 * 0.192  # to the noise of 640 draws
    assert found["gru"] < 0.1 * 0.192


def test_gradients_of_a_memory_are_those_of_the_episode_cut_into_chunks(monkeypatch):
    """With chunks as long as the episode and a step size of nothing the loss is that of `act`, step by step."""
    policy = Policy(GROUP, NetworkConfig(actor="gru", actor_hidden=(8,), memory_size=4, dead_zone=0.0))
    environment, expert = Delayed(), Recalls()
    shown = gather(environment, expert, policy, np.arange(16), n_step=25, led=True)
    assert shown.begins[0, :, 0].nonzero().flatten().tolist() == [0, 10, 20]
    losses = [fit(policy, shown, epochs=1, minibatch=16, lr=0.0, seed=0)[0]]
    monkeypatch.setattr(imitation, "CHUNK_STEPS", 7)  # hidden states are handed on from chunk to chunk
    losses.append(fit(policy, shown, epochs=1, minibatch=4, lr=0.0, seed=0)[0])
    every, by_step = np.arange(16), []
    policy.reset(every, every)
    for t in range(25):
        if t in (10, 20):
            policy.reset(every, every)
        done = policy.act({"walker": shown.observations["walker"][0, t].numpy()})["walker"]
        by_step.append(np.square(done - shown.actions["walker"][0, t].numpy()).mean())
    np.testing.assert_allclose(losses, np.mean(by_step), rtol=1e-5)  # single precision


def test_an_expert_with_zones_is_imitated_before_them():
    """What it does is nothing at all; what it wants is 0.5 x."""

    class Zoned(Law):
        def act(self, observation):
            self.wanted = super().act(observation)
            return {name: np.zeros_like(x) for name, x in self.wanted.items()}

        def before_zones(self):
            return self.wanted

    environment = Target(n_env=4)
    shown = gather(
        environment, Zoned(0.5), Policy(environment.groups, LINEAR), np.arange(4), n_step=2, led=True
    )
    np.testing.assert_allclose(shown.actions["mover"], 0.5 * shown.observations["mover"][..., :1], rtol=1e-6)
