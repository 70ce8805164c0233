"""Compiled functions that may rest on older sources are compiled anew before any test."""

import os

import pytest

from conftest import PACKAGES, forget_stale_kernels


@pytest.mark.parametrize("source", ["@numba.njit\n", "class GroupState(NamedTuple):\n"])
def test_kernels_older_than_a_source_of_kernels_are_forgotten(tmp_path, source):
    """Of three compiled at times 10, 20 and 30, the first two are older than a source of time 25."""
    for package in PACKAGES:
        (tmp_path / package / "__pycache__").mkdir(parents=True)
    others = "class Verdict(NamedTuple):\n"  # of which no kernel speaks
    kernel = "@compiled\ndef swing(state: GroupState) -> None:\n"
    for name, text, time_s in (
        *(("source.py", source, 25.0), ("kernel.py", kernel, 5.0)),
        *(("plain.py", "", 40.0), ("others.py", others, 40.0)),
    ):
        (tmp_path / "cases" / name).write_text(text)
        os.utime(tmp_path / "cases" / name, (time_s, time_s))
    # The index of a function is as new as its newest signature; an older signature of it may be stale.
    times_s = {
        "first.nbi": 10.0,
        "first.1.nbc": 10.0,
        "second.nbi": 30.0,
        "second.1.nbc": 20.0,
        "second.2.nbc": 30.0,
    }
    for name, time_s in times_s.items():
        path = tmp_path / "control" / "__pycache__" / name
        path.touch()
        os.utime(path, (time_s, time_s))
    stale = {path.name for path in forget_stale_kernels(tmp_path)}
    assert stale == {"first.nbi", "first.1.nbc", "second.1.nbc"}
    assert {path.name for path in (tmp_path / "control" / "__pycache__").iterdir()} == set(times_s) - stale


def test_the_learners_kernels_do_not_depend_on_the_grids(tmp_path):
    for package, time_s in (("grid_model", 25.0), ("marl", 5.0)):
        kept = tmp_path / package / "__pycache__" / "kernel.nbi"
        kept.parent.mkdir(parents=True)
        kept.touch()
        os.utime(kept, (10.0, 10.0))
        source = tmp_path / package / "kernel.py"
        source.write_text("@compiled\n")
        os.utime(source, (time_s, time_s))
    assert forget_stale_kernels(tmp_path) == [tmp_path / "grid_model" / "__pycache__" / "kernel.nbi"]
