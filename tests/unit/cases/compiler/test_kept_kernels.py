"""Where compiled kernels are kept, and how long: beside the sources or in the user's cache, until sources change."""

import errno
import importlib.util
import os
import sys
from pathlib import Path

import pytest
from numba.core import caching

from cases.compiler import kept as keeping
from grid_model import compilation
from marl.kernels import compilation as learners_compilation

SOURCE = """
from grid_model.compilation import compiled


@compiled
def doubled(x: float) -> float:
    return 2.0 * x
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A checkout of one kernel, and a home of the user's."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "kernel_of_test.py").write_text(SOURCE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path / "tree"


def start(tree: Path) -> bool:
    """A start of the program that calls the kernel; whether it had to compile it."""
    spec = importlib.util.spec_from_file_location("kernel_of_test", tree / "kernel_of_test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.doubled(1.5) == 3.0
    return not module.doubled.stats.cache_hits


def unwritable(monkeypatch, *directories: Path) -> None:
    """To root nothing is unwritable by its permissions, so that numba is told it."""
    ensure, replace = caching._CacheLocator.ensure_cache_path, caching.IndexDataCacheFile._open_for_write

    def is_inside(path):
        return any(Path(path).is_relative_to(directory) for directory in directories)

    def refuse_directory(locator):
        if is_inside(locator.get_cache_path()):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        ensure(locator)

    def refuse_file(file, path):
        if is_inside(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return replace(file, path)

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse_directory)
    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", refuse_file)


def kept(directory: Path) -> int:
    return len(list(directory.rglob("*.nbc")))


def test_kernels_are_kept_beside_the_sources(tree):
    assert [start(tree), start(tree)] == [True, False]
    assert kept(tree) == 1


def test_what_an_unwritable_checkout_has_kept_is_read(tree, monkeypatch):
    """An installation by the administrator, or an image of a container."""
    assert start(tree)
    unwritable(monkeypatch, tree)
    assert not start(tree)
    assert kept(tree.parent / "home") == 0


def test_what_an_unwritable_checkout_lacks_is_kept_in_the_users_cache(tree, monkeypatch):
    unwritable(monkeypatch, tree)
    assert [start(tree), start(tree)] == [True, False]
    assert (kept(tree), kept(tree.parent / "home")) == (0, 1)


@pytest.mark.parametrize("before", [True, False])
def test_without_any_place_kernels_work_and_what_there_is_is_read(tree, monkeypatch, before):
    if before:
        start(tree)
    unwritable(monkeypatch, tree.parent)
    assert start(tree) is not before


def test_a_full_disk_keeps_no_kernel_and_ends_no_run(tree, monkeypatch):
    def full(file, key, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    assert [start(tree), start(tree)] == [True, True]


def test_sources_of_kernels_are_compiled_functions_and_their_named_tuples(tmp_path):
    for name, text in {
        "kernel.py": "@compiled\ndef swing(state: GroupState) -> None:\n",
        "vectors.py": "@_intrinsic\ndef load(array):\n",
        "structs.py": "class GroupState(NamedTuple):\n",
        "taught.py": "from numba.extending import overload\n",
        "others.py": "class Verdict(NamedTuple):\n",  # of which no kernel speaks
        "plain.py": "def read() -> None:  # what was @compiled\n",
    }.items():
        (tmp_path / name).write_text(text)
    found = keeping.sources_of_kernels((tmp_path,))
    assert {path.name for path in found} == {"kernel.py", "vectors.py", "structs.py", "taught.py"}


def test_a_kernel_is_compiled_anew_where_any_source_of_kernels_has_changed(tree, monkeypatch):
    """numba alone looks at the kernel's own file, and would go on with old parts of another."""
    assert [start(tree), start(tree)] == [True, False]
    monkeypatch.setattr(compilation.compiled.sources, "stamp", "after an update")
    assert [start(tree), start(tree)] == [True, False]


def test_a_kernel_of_somebody_elses_is_compiled_anew_where_its_own_file_has_changed(tree):
    start(tree)
    source = tree / "kernel_of_test.py"
    before = source.stat()
    source.write_text(SOURCE.replace("2.0 * x", "x + x "))  # as long as before
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert start(tree)


def test_the_learners_kernels_are_compiled_anew_where_any_of_their_sources_has_changed(tree, monkeypatch):
    source = tree / "kernel_of_test.py"
    source.write_text(SOURCE.replace("grid_model", "marl.kernels"))
    assert [start(tree), start(tree)] == [True, False]
    monkeypatch.setattr(learners_compilation.compiled.sources, "stamp", "after an update")
    assert [start(tree), start(tree)] == [True, False]
