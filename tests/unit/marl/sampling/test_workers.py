"""Environments in worker processes: the same episodes, whatever the number of workers."""

import dataclasses
import multiprocessing
import os
import signal
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from marl.sampling.workers import WorkerBatch, WorkerError
from unit.marl.toys import Drift


def make(n_env: int) -> Drift:
    """At module level: spawned workers import it by name."""
    return Drift(n_env=n_env, length=4)


class Fragile(Drift):
    def step(self, actions):
        if self.t[0] == 2:
            raise ArithmeticError("no solution in environment 0")
        return super().step(actions)


def make_fragile(n_env: int) -> Fragile:
    return Fragile(n_env=n_env)


class Staggered(Drift):
    """Environments whose episodes end at different times, as their seeds say."""

    def reset(self, seeds=None):
        observed = super().reset(seeds)
        if seeds is not None:
            self.t = np.asarray(seeds) % self.length
            observed = self._observation()
        return observed


def make_staggered(n_env: int) -> Staggered:
    return Staggered(n_env=n_env, length=4)


def actions(k: int, n_env: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(k)
    return {
        "left": rng.uniform(-1, 1, (n_env, 2, 1)).astype(np.float32),
        "right": rng.uniform(-1, 1, (n_env, 1, 2)).astype(np.float32),
    }


def assert_equal(a, b) -> None:
    for name in a.observation.observations:
        np.testing.assert_array_equal(a.observation.observations[name], b.observation.observations[name])
        np.testing.assert_array_equal(
            a.final_observation.observations[name], b.final_observation.observations[name]
        )
        np.testing.assert_array_equal(a.observation.in_service[name], b.observation.in_service[name])
    np.testing.assert_array_equal(a.final_observation.state, b.final_observation.state)
    np.testing.assert_array_equal(a.observation.state, b.observation.state)
    np.testing.assert_array_equal(a.reward, b.reward)
    np.testing.assert_array_equal(a.truncated, b.truncated)
    for name in a.terms:
        np.testing.assert_array_equal(a.terms[name], b.terms[name])


def test_workers_give_the_same_episodes_as_one_process_and_resume():
    """Five environments over two workers, over the end of episodes, then continued in new workers."""
    alone, seeds = make(5), np.arange(5) + 40
    alone.reset(seeds)
    with WorkerBatch(make, 5, 2) as batch:
        with pytest.raises(ValueError, match="needs a seed"):
            batch.reset()
        batch.reset(seeds)
        for k in range(6):
            assert_equal(batch.step(actions(k, 5)), alone.step(actions(k, 5)))
        saved = batch.get_state()
    with WorkerBatch(make, 5, 2) as batch:
        with pytest.raises(ValueError, match="had 1 workers, this one has 2"):
            batch.set_state({"workers": saved["workers"][:1]})
        batch.set_state(saved)
        for k in range(6, 9):
            assert_equal(batch.step(actions(k, 5)), alone.step(actions(k, 5)))


def test_last_observations_are_those_of_the_episodes_that_ended_in_either_worker():
    """Ends fall into one worker, into the other, into both and into none."""
    alone, seeds = make_staggered(4), np.array([0, 0, 1, 3])
    alone.reset(seeds)
    ended = []
    with WorkerBatch(make_staggered, 4, 2) as batch:
        batch.reset(seeds)
        for k in range(9):
            transition = batch.step(actions(k, 4))
            assert_equal(transition, alone.step(actions(k, 4)))
            ended.append((bool(transition.truncated[:2].any()), bool(transition.truncated[2:].any())))
    assert {(False, False), (False, True), (True, False)} <= set(ended)


def test_what_a_step_returned_stays_as_it_was_when_the_next_one_is_made():
    with WorkerBatch(make, 2, 2) as batch:
        batch.reset(np.arange(2))
        first = batch.step(actions(0, 2))
        kept = first.observation.state.copy()
        batch.step(actions(1, 2))
        np.testing.assert_array_equal(first.observation.state, kept)


def test_shared_memory_is_gone_with_the_batch():
    with WorkerBatch(make, 2, 2) as batch:
        name = batch._shared.name
        with pytest.raises(FileNotFoundError):  # already nameless: not even a killed run leaves it behind
            SharedMemory(name)
    batch.close()  # a second time does no harm


class Staged(Drift):
    """Pays what its scenario is called."""

    def draw_from(self, scenario):
        self.pay = float(scenario)

    def step(self, actions):
        return dataclasses.replace(super().step(actions), reward=np.full(self.n_env, self.pay))


def make_staged(n_env: int) -> Staged:
    return Staged(n_env=n_env)


def test_a_change_of_scenario_reaches_every_worker():
    with WorkerBatch(make_staged, 2, 2) as batch:
        batch.reset(np.arange(2))
        batch.draw_from("3.5")
        assert batch.step(actions(0, 2)).reward.tolist() == [3.5, 3.5]
    with WorkerBatch(make, 2, 2) as batch, pytest.raises(TypeError, match="Drift draws from one alone"):
        batch.draw_from("3.5")


class Placed(Drift):
    def cores(self):
        return os.sched_getaffinity(0)


def make_placed(n_env: int) -> Placed:
    return Placed(n_env=n_env, length=4)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores"
)
def test_workers_keep_to_a_core_each_only_where_there_are_as_many_cores():
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("needs two cores")
    two = set(sorted(before)[:2])
    os.sched_setaffinity(0, two)
    try:
        with WorkerBatch(make_placed, 2, 2) as batch:
            assert batch._call("cores", [(), ()]) == [{core} for core in sorted(two)]
        with WorkerBatch(make_placed, 2, 1) as batch:
            assert batch._call("cores", [()]) == [two]
    finally:
        os.sched_setaffinity(0, before)


class Unsendable(Exception):
    """Its constructor wants more than what is sent of it."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


class Awkward(Drift):
    def step(self, actions):
        raise Unsendable("environment 0", "no solution")


def make_awkward(n_env: int) -> Awkward:
    return Awkward(n_env=n_env)


def make_nothing(n_env: int) -> Drift:
    raise OSError("no data file")


def test_an_exception_that_cannot_be_sent_arrives_in_words():
    with WorkerBatch(make_awkward, 1, 1) as batch:
        batch.reset(np.arange(1))
        with pytest.raises(WorkerError, match="(?s)Unsendable in a worker: .*environment 0: no solution"):
            batch.step(actions(0, 1))


def test_a_worker_that_cannot_begin_says_why_and_leaves_none_behind():
    before = set(multiprocessing.active_children())
    with pytest.raises(OSError, match="no data file") as error:
        WorkerBatch(make_nothing, 2, 2)
    assert any("make_nothing" in note for note in error.value.__notes__)  # where in the worker it was
    assert set(multiprocessing.active_children()) == before


def test_workers_outlive_a_signal_to_the_whole_group():
    """A terminated job still has its environments when it saves its checkpoint."""
    with WorkerBatch(make, 2, 2) as batch:
        batch.reset(np.arange(2))
        for worker in batch._workers:
            os.kill(worker.process.pid, signal.SIGTERM)
        assert len(batch.get_state()["workers"]) == 2


def test_who_is_in_service_may_be_said_by_some_workers_only():
    with WorkerBatch(make, 3, 2) as batch:
        joined = batch._services([None, {"left": np.zeros((1, 2), bool), "right": np.ones((1, 1), bool)}])
    assert joined["left"].tolist() == [[True, True], [True, True], [False, False]]
    assert joined["right"].shape == (3, 1)


def test_a_number_that_is_none_stops_all_workers_before_any_has_stepped():
    with WorkerBatch(make, 2, 2) as batch:
        batch.reset(np.arange(2))
        wrong = actions(0, 2)
        wrong["left"][0, 0, 0] = np.nan
        before = batch.get_state()
        with pytest.raises(ValueError, match="actions of group 'left' hold numbers that are not finite"):
            batch.step(wrong)
        assert repr(batch.get_state()) == repr(before)


def test_a_workers_exception_arrives_and_a_dead_worker_is_named():
    with WorkerBatch(make_fragile, 2, 2) as batch:
        batch.reset(np.arange(2))
        batch.step(actions(0, 2))
        batch.step(actions(1, 2))
        with pytest.raises(ArithmeticError, match="no solution"):
            batch.step(actions(2, 2))
        os.kill(batch._workers[1].process.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="worker 1 of environments 1 to 1 died with exit status -9"):
            batch.reset(np.arange(2))
