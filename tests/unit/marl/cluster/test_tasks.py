"""Work on a Ray cluster behind the interface of executors: results, errors, and pieces whose process was killed."""

import os
import signal
import sys
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path

import pytest

from marl.cluster import connection
from marl.cluster.connection import ClusterError
from marl.cluster.tasks import pool_on

pytestmark = pytest.mark.within(seconds=180)  # some ten on a machine that does nothing else


def square(x):
    return x * x


def refuse(x):
    raise ArithmeticError(f"no root of {x}")


def die_once(mark: Path):
    """Kills its own process the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done again"


def test_pieces_are_done_wherever_there_is_room(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="tasks elsewhere need Ray: pip install -e '.[ray]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    with pool_on("local") as pool:
        futures = {pool.submit(square, k): k for k in range(20)}
        assert {futures[done]: done.result() for done in as_completed(futures)} == {
            k: k * k for k in range(20)
        }
        assert pool.submit(partial(max, 3), 5).result() == 5
        with pytest.raises(ArithmeticError, match="no root of -1"):
            pool.submit(refuse, -1).result()
        assert pool.submit(die_once, tmp_path / "mark").result() == "done again"
        monkeypatch.setattr(connection, "HEAD_PATIENCE_S", 1.0)
        pool.cluster.ray._private.worker._global_node.kill_gcs_server()
        with pytest.raises(ClusterError, match="the head of the Ray cluster at .* is gone"):
            pool.submit(die_once, tmp_path / "other").result()


def test_without_an_address_there_is_no_pool():
    with pool_on("") as pool:
        assert pool is None


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:9", "no cluster"), ("nowhere", "expected local, auto or HOST")]
)
def test_without_a_cluster_there_is_one_line(address, why):
    pytest.importorskip("ray", reason="needs Ray: pip install -e '.[ray]'")
    with pytest.raises(ClusterError, match=f"--ray {address}: {why}"), pool_on(address):
        pass
