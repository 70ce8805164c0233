"""Parts of the environments that play by themselves do to the bit what the learner does with all of them."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch

from marl.algorithms.mappo import MAPPO
from marl.cluster.connection import ClusterError
from marl.config.training import ConfigError, EvaluationConfig, NetworkConfig
from marl.networks.behaviour import Errand
from marl.sampling.inline import InlineSampler
from marl.sampling.rollout_part import RolloutPart, joined, joined_observations, observation_of
from marl.training.rollouts_away import RolloutsAway
from marl.training.trainer import Trainer, TrainingFailed
from unit.marl.toys import make_uneven
from unit.marl.training.test_trainer import rows, small

NETWORK = NetworkConfig(actor_hidden=(32,), critic_hidden=(32,), normalize_inputs=True, magnify_inputs=3.0)


def config(**changes):
    base = small(network=NETWORK, evaluation=EvaluationConfig(eval_every=0, eval_episodes=4), **changes)
    return dataclasses.replace(base, ppo=dataclasses.replace(base.ppo, noise_correlation=0.4))


class PartsHere:
    """A sampler of rollouts whose parts are in this process; it may hand them over in pieces, and lose its cluster.

    `pieces` are the steps in front of which a new one begins; at the take of number `lost_at` the cluster is gone.
    """

    per_agent_rewards = False

    def __init__(self, n_env, cuts, n_ahead=0, *, pieces=(), lost_at=None):
        self.n_env, self.n_ahead = n_env, n_ahead
        self.pieces, self.lost_at, self.n_taken = pieces, lost_at, 0
        edges = [0, *cuts, n_env]
        self.rows = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self.parts = [RolloutPart(make_uneven, rows.stop - rows.start) for rows in self.rows]
        self.groups, self.state_size, _ = self.parts[0].describe()
        self.out = []

    @property
    def n_pending(self):
        return len(self.out)

    def prepare(self, behaviour):
        for part in self.parts:
            part.prepare(behaviour)

    def request(self, errand):
        """Played at once; kept with it is what it began with."""
        start = [copy.deepcopy(part.get_state()) for part in self.parts]
        noise = np.split(errand.noise, self.pieces)
        weights = [errand.weights] + [None] * len(self.pieces)
        played = [
            joined([part.collect(w, x[:, rows]) for part, rows in zip(self.parts, self.rows, strict=True)])
            for w, x in zip(weights, noise, strict=True)
        ]
        self.out.append((played, start, errand))

    def take(self):
        self.n_taken += 1
        if self.n_taken == self.lost_at:
            raise ClusterError("the cluster is gone")
        played = self.out[0][0]
        piece = played.pop(0)
        if not played:
            self.out.pop(0)
        return piece

    def reset(self, seeds=None):
        states = [part.reset(seeds[rows]) for part, rows in zip(self.parts, self.rows, strict=True)]
        return joined_observations([observation_of(state) for state in states])

    def step(self, actions):
        raise TypeError

    def get_state(self):
        now = [part.get_state() for part in self.parts]
        errands = [{"weights": dict(e.weights), "noise": e.noise} for _, _, e in self.out]
        return {"parts": self.out[0][1] if self.out else now, "errands": errands}

    def set_state(self, state):
        for part, own in zip(self.parts, state["parts"], strict=True):
            part.set_state(own)
        for errand in state["errands"]:
            self.request(Errand(**errand))

    def close(self):
        pass


def trained(directory, environment, settings=None):
    with Trainer(
        settings or config(), environment, algorithm=MAPPO, directory=directory, tensorboard=False
    ) as trainer:
        trainer.run()
        return trainer.algorithm.state(), rows(directory)


def assert_same(a, b, where=""):
    """Bit for bit, through dictionaries and lists."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{k}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        np.testing.assert_array_equal(a, b, err_msg=where)


@pytest.mark.parametrize("cuts", [(), (4,), (1, 2, 5)])
def test_weights_and_metrics_are_those_of_one_process(tmp_path, cuts):
    alone = trained(tmp_path / "alone", InlineSampler(make_uneven, 8))
    parts = trained(tmp_path / "parts", PartsHere(8, cuts))
    assert_same(alone, parts)


def test_neither_pieces_nor_a_cluster_that_is_lost_between_two_change_what_is_learned(tmp_path):
    """Of the third rollout one of two pieces has come: the run goes back to its last update, in all it counts."""
    settings = config()
    settings = dataclasses.replace(settings, ppo=dataclasses.replace(settings.ppo, violation_budget=0.1))
    alone = trained(tmp_path / "alone", InlineSampler(make_uneven, 8), settings)
    assert_same(alone, trained(tmp_path / "pieces", PartsHere(8, (3,), pieces=(5,)), settings))

    broken = tmp_path / "broken"
    with pytest.raises(TrainingFailed, match="the cluster is gone after 256 steps"):
        trained(broken, PartsHere(8, (3,), pieces=(5,), lost_at=6), settings)
    with Trainer(
        settings,
        PartsHere(8, (3,), pieces=(5,)),
        algorithm=MAPPO,
        directory=broken,
        tensorboard=False,
        resume=True,
    ) as again:
        again.run()
        assert_same((again.algorithm.state(), rows(broken)), alone)


def test_samplers_that_are_ahead_act_with_older_weights_and_are_learned_from(tmp_path):
    """Ratios of the first epoch are no longer 1; what was learned is still the same wherever parts are cut."""
    once = trained(tmp_path / "once", PartsHere(8, (), n_ahead=1))
    twice = trained(tmp_path / "twice", PartsHere(8, (3,), n_ahead=1))
    assert_same(once, twice)
    behind = [float(row["train/updates_behind"]) for row in once[1]]
    assert behind == [0.0] + [1.0] * (len(behind) - 1)
    current = trained(tmp_path / "current", PartsHere(8, ()))
    assert current[1][0]["train/kl"] == once[1][0]["train/kl"]
    assert current[1][1]["train/kl"] != once[1][1]["train/kl"]


def test_networks_that_torch_runs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--ray needs actors that compiled kernels run"):
        trained(
            tmp_path,
            PartsHere(8, ()),
            dataclasses.replace(config(), network=dataclasses.replace(NETWORK, fused="off")),
        )


def test_an_algorithm_that_acts_by_itself_alone_is_refused():
    class Alone:
        name = "alone"

    with pytest.raises(ConfigError, match="alone acts beside its environments alone"):
        RolloutsAway.of(PartsHere(8, ()), Alone())
