"""The connection to a Ray cluster: one that is started for this process alone, or one that stands already.

    P. Moritz, R. Nishihara, S. Wang, A. Tumanov, R. Liaw, E. Liang, M. Elibol, Z. Yang, W. Paul, M. I. Jordan,
    I. Stoica, Ray: a distributed framework for emerging AI applications, OSDI 2018.

`local` starts one on this machine that listens on the loopback address only, sends no usage figures, has no dashboard,
bounds its object store and leaves no files; it ends with the connection. `auto` joins the cluster that this machine
belongs to (`ray start`), an address any other. Nodes need this project installed in the same version; where they
differ in processor, the last bits of what torch scales may differ as well. Whoever can reach a cluster can run code on
it: that is Ray's nature, and why nothing is reached unless its address is given.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marl.config.check import ConfigError

__all__ = ["Cluster", "ClusterError", "HeadLost", "connected"]

OBJECT_STORE_BYTES = 512 * 2**20  # of a local cluster; rollouts of the largest recipe take some 10 MB
HEAD_PATIENCE_S = 10.0  # the head may be silent for so long; Ray itself ends the process after a minute
# Read when Ray is imported. The first makes it keep to the loopback address, as it does on other systems; the second
# keeps it from sending figures of its use.
OF_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class ClusterError(RuntimeError):
    """A cluster cannot be started or joined, or its nodes cannot do what is asked."""


class HeadLost(ClusterError):
    """The head of the cluster has not answered for a while."""


class Cluster:
    """A connection that stands; `connected` makes it."""

    def __init__(self, ray: Any, address: str) -> None:
        """Args: ray: the library, connected. address: as it was asked for."""
        self.ray = ray
        self.address = address
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = (host.strip("[]"), int(port))

    @property
    def n_cpu(self) -> int:
        """Processors of all nodes."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    @property
    def n_idle_cpu(self) -> int:
        """Processors that nobody has claimed."""
        return int(self.ray.available_resources().get("CPU", 0))

    def nodes_with_cpu(self) -> list[str]:
        """Identifiers of the nodes that have processors to lend, in an order that stays."""
        return sorted(
            node["NodeID"]
            for node in self.ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) > 0
        )

    def wait(self, references: list[Any], timeout_s: float = 1.0) -> list[Any]:
        """One that has its result, or none where none has after this time.

        Raises:
            HeadLost: the head has not answered for ten seconds.
        """
        done, _ = self.ray.wait(references, num_returns=1, timeout=timeout_s)
        if not done:
            self.require_head()
        return list(done)

    @property
    def has_head(self) -> bool:
        """Whether the head answers at this moment: without one, what Ray is asked for may never return."""
        try:
            socket.create_connection(self._head, timeout=1.0).close()
        except OSError:
            return False
        return True

    def require_head(self) -> None:
        """Waits for the head to answer; to be called before anything is started or ended.

        Raises:
            HeadLost: it has not answered for ten seconds.
        """
        until = time.monotonic() + HEAD_PATIENCE_S
        while not self.has_head:
            if time.monotonic() > until:
                host, port = self._head
                raise HeadLost(f"the head of the Ray cluster at {host}:{port} is gone")
            time.sleep(0.5)


def _library(address: str) -> Any:
    """Ray, quiet.

    Raises:
        ConfigError: it is not installed.
    """
    if address == "local" and "ray" not in sys.modules:
        os.environ.update({name: os.environ.get(name, value) for name, value in OF_LOCAL.items()})
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"--ray {address} needs Ray: pip install -e '.[ray]'") from error
    return ray


def _require_listener(address: str) -> None:
    """Whether anybody is there at all: Ray itself waits for minutes.

    Raises:
        ClusterError: it is no address, or nobody listens there.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except ValueError as error:
        raise ClusterError(f"--ray {address}: expected local, auto or HOST:PORT") from error
    except OSError as error:
        raise ClusterError(f"--ray {address}: no cluster ({error.strerror or error})") from error


@contextlib.contextmanager
def connected(address: str, *, object_store_bytes: int = OBJECT_STORE_BYTES) -> Iterator[Cluster]:
    """A connection for as long as the block lasts; a process has one at a time.

    Args:
        address: `local`, `auto`, or HOST:PORT of a cluster's head.
        object_store_bytes: memory for what processes of a local cluster hand each other.

    Raises:
        ConfigError: Ray is not installed.
        ClusterError: there is no cluster at this address, or none can be started.
    """
    ray = _library(address)
    if address not in ("local", "auto"):
        _require_listener(address)
    quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    directory: Path | None = None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        if address == "local":
            directory = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets in it have at most 107 letters
            options = quiet | {
                "address": "local",
                "object_store_memory": object_store_bytes,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": str(directory),
            }
        else:
            options = {name: value for name, value in quiet.items() if name != "include_dashboard"}
            options["address"] = address
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise ClusterError(f"--ray {address}: no cluster ({line})") from error
        yield Cluster(ray, address)
    finally:
        ray.shutdown()
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
