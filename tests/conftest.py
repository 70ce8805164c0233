"""Settings every test shares: one thread per worker, a plain failure for a foreign `control`, and limits of time."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

# Before numpy: numpy and scipy each load an OpenBLAS that would start a thread per core in every worker.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402

PACKAGES = ("cases", "grid_model", "control", "marl")


def pytest_configure(config: pytest.Config) -> None:
    """Stop at once, with one plain sentence, if another library stands in the place of our packages."""
    from cases.installation import ForeignPackageError, require_own_package

    try:
        for name in PACKAGES:
            require_own_package(name)
    except ForeignPackageError as error:
        pytest.exit(str(error), returncode=4)


@contextlib.contextmanager
def ends_in_time(item: pytest.Item) -> Iterator[None]:
    """Fails what a test marked `within(seconds=...)` does for longer: a cluster that cannot start would hang."""
    mark = item.get_closest_marker("within")
    if mark is None or not hasattr(signal, "SIGALRM"):
        yield
        return
    limit_s = mark.kwargs["seconds"]

    def late(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"not over after {limit_s} s")

    before = signal.signal(signal.SIGALRM, late)
    # Again and again: the first one may fall into a block that takes every exception for its own.
    signal.setitimer(signal.ITIMER_REAL, limit_s, 10.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with ends_in_time(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with ends_in_time(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with ends_in_time(item):
        return (yield)
