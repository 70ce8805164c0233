"""Settings every test shares: one thread per worker, a plain failure for a foreign `control`, and limits of time."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

# Before numpy: numpy and scipy each load an OpenBLAS that would start a thread per core in every worker.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cases", "grid_model", "control", "marl")
KERNEL = re.compile(r"^@(numba\.njit|compiled|_?intrinsic|overload)", re.MULTILINE)
KERNELS_OF = (PACKAGES[:3], PACKAGES[3:])  # the grid's, and the learner's, which know nothing of each other
NOUN = re.compile(r"^class (\w+)\(NamedTuple\)", re.MULTILINE)


def kernel_sources(root: Path, packages: tuple[str, ...] = PACKAGES) -> list[Path]:
    """Files of compiled functions, and of the named tuples that those, or such tuples themselves, speak of."""
    text = {
        path: path.read_text(encoding="utf-8")
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }
    found = {path for path, content in text.items() if KERNEL.search(content)}
    nouns = {path: set(NOUN.findall(content)) for path, content in text.items()}
    words: set[str] = set()
    grown = True
    while grown:
        words |= {word for path in found for word in re.findall(r"\w+", text[path])}
        more = {path for path, names in nouns.items() if names & words} - found
        found |= more
        grown = bool(more)
    return sorted(found)


def forget_stale_kernels(root: Path) -> list[Path]:
    """Remove compiled functions that are older than any source of compiled functions; returns what was removed.

    numba compiles anew when a function's own file has changed, not when that of a function it calls has, nor that of
    a named tuple it takes: after two fields of one type have changed places it would read the wrong one. Its index
    (.nbi) may be newer than some of what it points to (.nbc): it is written again with every new signature.
    """
    stale = []
    for packages in KERNELS_OF:
        changed = [path.stat().st_mtime for path in kernel_sources(root, packages)]
        stale += [
            kept
            for package in packages
            for kept in (root / package).rglob("__pycache__/*.nb[ic]")
            if changed and kept.stat().st_mtime < max(changed)
        ]
    for kept in stale:
        kept.unlink(missing_ok=True)  # another worker may have been first
    return stale


def pytest_configure(config: pytest.Config) -> None:
    """Stop at once, with one plain sentence, if another library stands in the place of our packages."""
    from cases.installation import ForeignPackageError, require_own_package

    forget_stale_kernels(ROOT)
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
