"""Samplers in a Ray cluster of two local nodes: the bits of one process, whatever their number and whoever dies."""

import contextlib
import dataclasses
import os
import signal
import sys

import pytest

from marl.checkpoint import load
from marl.cluster import connection
from marl.cluster.connection import ClusterError, HeadLost, connected
from marl.sampling.inline import InlineSampler
from marl.training.run_directory import CHECKPOINT
from marl.training.trainer import TrainingFailed
from unit.marl.sampling.test_rollout_part import PartsHere, assert_same, config, trained
from unit.marl.toys import make_uneven
from unit.marl.training.test_trainer import rows

pytest.importorskip("ray", reason="samplers elsewhere need Ray: pip install -e '.[ray]'")
pytestmark = pytest.mark.within(seconds=180)  # some ten on a machine that does nothing else

STORE_BYTES = 100 * 2**20


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Actors import this project and the toys as this process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="module")
def nodes():
    """A head that plays nothing, and the two nodes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES},
    )
    for _ in range(2):
        cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
    yield cluster
    with contextlib.suppress(Exception):
        cluster.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("alone"), InlineSampler(make_uneven, 8))


def sampler(cluster, n_part, make=make_uneven, **options):
    from marl.sampling.ray_sampler import RaySampler

    return RaySampler(cluster, make, 8, n_part, **options)


@pytest.mark.parametrize("n_part", [1, 2, 4])
def test_weights_are_those_of_one_process_for_any_number_of_samplers(tmp_path, nodes, alone, n_part):
    with connected(nodes.address) as cluster:
        batch = sampler(cluster, n_part)
        hosts = cluster.ray.get([part.actor.where.remote() for part in batch._parts])
        assert len(set(hosts)) == min(n_part, 2)  # over both nodes
        assert_same(trained(tmp_path, batch), alone)
        assert batch.n_replaced == 0


def test_where_no_processor_is_idle_they_share_the_nodes_that_have_some(nodes):
    """The head, which lends none, plays nothing even then."""
    with connected(nodes.address) as cluster:

        class Idler:
            def here(self):
                return True

        idlers = [cluster.ray.remote(Idler).options(num_cpus=1).remote() for _ in range(cluster.n_cpu)]
        cluster.ray.get([idler.here.remote() for idler in idlers])
        batch = sampler(cluster, 4)
        hosts = cluster.ray.get([part.actor.where.remote() for part in batch._parts])
        assert sorted(hosts.count(node) for node in cluster.nodes_with_cpu()) == [2, 2]


def test_so_they_are_on_the_grid(tmp_path, nodes):
    """The recommended recipe in small: staggered episodes that end within, over two nodes; two updates."""
    from marl.algorithms.mappo import MAPPO
    from marl.config.presets import recommended
    from marl.environment.grid_training import make_trainer

    base = recommended()
    settings = dataclasses.replace(
        base,
        total_episodes=8,
        episode_steps=8,
        n_envs=4,
        device="cpu",
        ppo=dataclasses.replace(base.ppo, buffer_steps=32, minibatch_steps=16, epochs=2),
        evaluation=dataclasses.replace(base.evaluation, eval_every=0),
    )

    def found(directory, **options):
        with make_trainer(settings, MAPPO, directory, tensorboard=False, **options) as trainer:
            trainer.run()
            return trainer.algorithm.state()

    expected = found(tmp_path / "alone")
    with connected(nodes.address) as cluster:
        assert_same(found(tmp_path / "elsewhere", cluster=cluster, samplers=2), expected)


@pytest.mark.slow  # five actors, each of which starts for seconds
def test_samplers_ahead_resume_with_what_was_still_out(tmp_path, nodes):
    """Stopped after three updates with a rollout out and taken up: what the uninterrupted run ends with."""
    from marl.algorithms.mappo import MAPPO
    from marl.training.trainer import Trainer

    def trainer(directory, cluster, n_part, resume=False):
        batch = sampler(cluster, n_part, n_ahead=1)
        return Trainer(
            config(), batch, algorithm=MAPPO, directory=directory, tensorboard=False, resume=resume
        )

    whole = trained(tmp_path / "whole", PartsHere(8, (4,), n_ahead=1))
    with connected(nodes.address) as cluster:
        broken = trainer(tmp_path / "broken", cluster, 2)

        def enough(progress):
            if progress.update == 3:
                broken.stop.reason = "enough"

        broken.on_progress = enough
        broken.run()
        assert len(load(tmp_path / "broken" / CHECKPOINT, "run")["environment"]["errands"]) == 1
        again = trainer(tmp_path / "broken", cluster, 1, resume=True)  # and goes on with two parts
        again.run()
        assert_same(again.algorithm.state(), whole[0])


def fails(n_env):
    raise ArithmeticError("no such grid")


def test_what_fails_in_a_sampler_is_raised_here_as_it_was(nodes):
    with connected(nodes.address) as cluster, pytest.raises(ArithmeticError, match="no such grid"):
        sampler(cluster, 1, fails)


def test_without_a_cluster_there_is_one_line():
    with pytest.raises(ClusterError, match="--ray 127.0.0.1:9: no cluster"), connected("127.0.0.1:9"):
        pass


def test_an_actor_and_a_node_that_die_in_the_middle_change_no_bit(tmp_path, nodes, alone):
    """One actor is killed in the middle of the second rollout, a whole node before the fifth: the nodes' last test."""
    with connected(nodes.address) as cluster:
        batch, take = sampler(cluster, 2), None
        taken = 0

        def disturbed():
            nonlocal taken
            taken += 1
            if taken == 4:
                os.kill(cluster.ray.get(batch._parts[1].actor.pid.remote()), signal.SIGKILL)
            if taken == 9:
                host = cluster.ray.get(batch._parts[0].actor.where.remote())
                node = next(node for node in nodes.worker_nodes if node.node_id == host)
                nodes.remove_node(node, allow_graceful=False)
            return take()

        take, batch.take = batch.take, disturbed
        assert_same(trained(tmp_path, batch), alone)
        assert batch.n_replaced >= 2


# At the end: Ray of a process that has seen a cluster's head die cancels actors that it is to start on another.
@pytest.mark.slow  # two clusters of its own
@pytest.mark.parametrize(
    ("call", "count", "steps"), [("take", 6, 256), ("request", 4, 384)], ids=["in a rollout", "behind one"]
)
def test_losing_the_head_ends_in_one_line_and_a_checkpoint_that_resumes(
    tmp_path, monkeypatch, alone, call, count, steps
):
    """The cluster is its own. What is taken up on another ends with the same bits, and the same rows of metrics.

    A rollout is taken in two pieces, so that it breaks off in the middle of the third, or when a fourth is asked for.
    """
    from marl.algorithms.mappo import MAPPO
    from marl.training.trainer import Trainer

    monkeypatch.setattr(connection, "HEAD_PATIENCE_S", 1.0)
    with connected("local", object_store_bytes=STORE_BYTES) as cluster:
        batch = sampler(cluster, 2)
        trainer = Trainer(config(), batch, algorithm=MAPPO, directory=tmp_path, tensorboard=False)
        undisturbed, calls = getattr(batch, call), []

        def disturbed(*arguments):
            calls.append(True)
            if len(calls) == count:
                head = cluster.ray._private.worker._global_node
                head.kill_gcs_server()
                os.kill(batch_pid, signal.SIGKILL)
                # What is waited for next may have come already: it is asked of the dead.
                (pieces, state), missing = batch._parts[0].out[0], batch._parts[0].actor.get_state.remote()
                pieces, state = ([pieces[0], missing], state) if call == "take" else (pieces, missing)
                batch._parts[0].out[0] = (pieces, state)
            return undisturbed(*arguments)

        batch_pid = cluster.ray.get(batch._parts[0].actor.pid.remote())
        setattr(batch, call, disturbed)
        gone = f"the head of the Ray cluster .* is gone after {steps} steps"
        with pytest.raises(TrainingFailed, match=gone):
            trainer.run()
    assert issubclass(HeadLost, ClusterError)
    assert load(tmp_path / CHECKPOINT, "run")["environment"]["taken"] == (call == "request")
    with connected("local", object_store_bytes=STORE_BYTES) as cluster:
        again = Trainer(
            config(),
            sampler(cluster, 2),
            algorithm=MAPPO,
            directory=tmp_path,
            tensorboard=False,
            resume=True,
        )
        again.run()
        assert_same((again.algorithm.state(), rows(tmp_path)), alone)
