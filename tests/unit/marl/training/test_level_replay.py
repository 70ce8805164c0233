"""Prioritised level replay: its probabilities by hand, whose score is whose, and seeds that stay out of reach."""

import numpy as np
import pytest

from marl.algorithms.mappo import MAPPO
from marl.checkpoint import load, save
from marl.protocol import begin_next
from marl.training.curriculum import Draw
from marl.training.level_replay import LevelReplay, replay_probabilities
from marl.training.trainer import Trainer
from unit.marl.toys import Drift
from unit.marl.training.test_trainer import small

BELOW = 1000


class Seeded(Drift):
    """Plays the episodes it is told to, and remembers which it played."""

    def __init__(self, **options):
        super().__init__(**options)
        self.queue, self.played = [[] for _ in range(self.n_env)], []

    def begin_next(self, seeds):
        self.queue = [[int(seed) for seed in row] for row in seeds]

    def reset(self, seeds=None):
        self.queue = [[] for _ in range(self.n_env)]
        self.played += [] if seeds is None else [int(seed) for seed in seeds]
        return super().reset(seeds)

    def step(self, actions):
        for env in np.flatnonzero(self.t + 1 >= self.length):
            if self.queue[env]:
                seed = self.queue[env].pop(0)
                self.played.append(seed)
                # Drift draws a step's noise before the new episode's beginning: the seed shapes what is left of both.
                self.rngs[env] = np.random.default_rng(seed)
        return super().step(actions)

    def get_state(self):
        return super().get_state() | {"queue": [list(row) for row in self.queue]}

    def set_state(self, state):
        super().set_state(state)
        self.queue = [list(row) for row in state["queue"]]


def levels(**options) -> LevelReplay:
    defaults = {"size": 4, "share": 1.0, "temperature": 0.5, "staleness": 0.25, "seed": 0, "below": BELOW}
    return LevelReplay(**(defaults | options))


def test_probabilities_by_hand():
    """Scores 1, 4, 2 have ranks 3, 1, 2; beta = 1/2 squares 1/rank: 1/9, 1, 1/4 of 49/36. Ages 1, 0, 3; rho = 1/4."""
    p = replay_probabilities(
        np.array([1.0, 4.0, 2.0]), np.array([1.0, 0.0, 3.0]), temperature=0.5, staleness=0.25
    )
    by_score = np.array([4 / 49, 36 / 49, 9 / 49])
    np.testing.assert_allclose(p, 0.75 * by_score + 0.25 * np.array([0.25, 0.0, 0.75]), rtol=1e-14)


def test_levels_come_as_often_as_their_probabilities_say():
    """Without staleness chances stand still: 30,000 draws, each count within four standard deviations."""
    curriculum = levels(staleness=0.0)
    for seed, score in ((10, 1.0), (11, 4.0), (12, 2.0), (13, 8.0)):
        curriculum._score(seed, score)
    n = 30_000
    drawn = [curriculum._next() for _ in range(n)]
    weight = {13: 1.0, 11: 1 / 4, 12: 1 / 9, 10: 1 / 16}
    for seed, w in weight.items():
        p = w / sum(weight.values())
        assert abs(drawn.count(seed) - n * p) < 4.0 * np.sqrt(n * p * (1 - p))


def test_a_score_is_the_mean_error_of_the_whole_episode_wherever_rollouts_end():
    """Environment 0 ends after three steps, in the second rollout: (1 + 2 + 6) / 3; environment 1 after the first."""
    curriculum = levels()
    first = curriculum.begin(2)
    curriculum.take_in(np.array([[1.0, 5.0], [2.0, 7.0]]), np.array([[False, True], [False, False]]))
    assert curriculum.levels == {int(first.seeds[1]): 5.0}
    draw = curriculum.after_update(0.0, {})
    assert draw.seeds is None
    assert draw.then[0].tolist() == first.then[0].tolist()  # nothing has ended there
    assert draw.then[1, 0] == first.then[1, 1]  # the one it plays now has left the list
    curriculum.take_in(np.array([[6.0, 1.0]]), np.array([[True, True]]))
    assert curriculum.levels[int(first.seeds[0])] == 3.0
    assert curriculum.levels[int(first.then[1, 0])] == 4.0
    assert curriculum.after_update(0.0, {}) is not None
    assert curriculum.after_update(0.0, {}) is None


def test_an_episode_that_the_environment_drew_by_itself_has_no_score():
    """Five episodes in one rollout: one under way, two named ahead, two nobody named."""
    curriculum = levels(size=10)
    first = curriculum.begin(1)
    curriculum.take_in(np.arange(1.0, 6.0)[:, None], np.ones((5, 1), dtype=np.bool_))
    known = [int(first.seeds[0]), *first.then[0].tolist()]
    assert curriculum.levels == dict(zip(known, [1.0, 2.0, 3.0], strict=True))
    draw = curriculum.after_update(0.0, {})
    curriculum.take_in(
        np.array([[9.0], [7.0]]), np.ones((2, 1), dtype=np.bool_)
    )  # the last unnamed one, then ours
    assert curriculum.levels[int(draw.then[0, 0])] == 7.0


def test_a_full_memory_gives_up_its_lowest_score():
    curriculum = levels(size=2)
    for seed, score in ((1, 5.0), (2, 3.0), (3, 4.0), (4, 1.0), (1, 2.0)):
        curriculum._score(seed, score)
    assert curriculum.levels == {1: 2.0, 3: 4.0}


def test_its_state_goes_through_a_file_and_on_as_before(tmp_path):
    one = levels()
    one.begin(3)
    rng = np.random.default_rng(1)

    def play(curriculum, error, ended):
        curriculum.take_in(error, ended)
        return curriculum.after_update(0.5, {})

    for _ in range(6):
        play(one, rng.random((4, 3)), rng.random((4, 3)) < 0.4)
    save(tmp_path / "kept.pt", "run", {"curriculum": one.state()})
    other = levels()
    other.load_state(load(tmp_path / "kept.pt", "run")["curriculum"])
    for _ in range(6):
        error, ended = rng.random((4, 3)), rng.random((4, 3)) < 0.4
        a, b = play(one, error, ended), play(other, error, ended)
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a.then, b.then)
    assert one.levels == other.levels


def trained(directory, environment, curriculum, **options):
    trainer = Trainer(
        small(),
        environment,
        algorithm=MAPPO,
        directory=directory,
        curriculum=curriculum,
        first_validation_seed=BELOW,
        tensorboard=False,
        **options,
    )
    trainer.run()
    return trainer


def test_no_episode_of_a_run_is_held_out_and_scores_are_of_those_that_were_played(tmp_path):
    environment, curriculum = Seeded(length=3), levels(size=8, share=0.7)
    trainer = trained(tmp_path, environment, curriculum)
    assert len(environment.played) > 20
    assert max(environment.played) < BELOW
    assert set(curriculum.levels) <= set(environment.played)
    assert len(set(environment.played)) < len(environment.played)  # some came again
    assert trainer.algorithm.value_error.shape == (trainer.config.rollout_steps, 8)
    kept = load(tmp_path / "checkpoint_last.pt", "run")["curriculum"]
    assert dict(zip(kept["seeds"].tolist(), kept["scores"].tolist(), strict=True)) == curriculum.levels


@pytest.mark.parametrize("what", ["seeds", "then"])
def test_a_curriculum_that_reaches_for_held_out_seeds_is_stopped(tmp_path, what):
    class Greedy(LevelReplay):
        def begin(self, n_env):
            draw = super().begin(n_env)
            return Draw(seeds=draw.seeds, then=draw.then) if what == "seeds" else draw

        def _ahead(self):
            return super()._ahead() + (BELOW if what == "then" else 0)

    curriculum = Greedy(size=4, share=0.5, temperature=0.1, staleness=0.1, seed=0, below=BELOW)
    if what == "seeds":
        curriculum.below = 10**9
    with pytest.raises(ValueError, match=r"draws seed \d+, but those from 1000 on are held out"):
        trained(tmp_path, Seeded(), curriculum)


def test_a_saved_level_that_is_held_out_now_is_refused():
    curriculum = levels(below=10**6)
    curriculum._score(5000, 1.0)
    with pytest.raises(ValueError, match="holds seed 5000, held out from 1000 on"):
        levels().load_state(curriculum.state())


def test_an_environment_that_draws_its_own_episodes_says_so():
    with pytest.raises(TypeError, match=r"Drift draws its own: it has no begin_next"):
        begin_next(Drift(), np.zeros((8, 1), dtype=np.int64))
