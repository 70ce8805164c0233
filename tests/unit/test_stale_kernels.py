"""Compiled functions that may rest on older sources are compiled anew before any test."""

import os

from conftest import PACKAGES, forget_stale_kernels


def test_kernels_older_than_a_source_of_kernels_are_forgotten(tmp_path):
    """Of three compiled at times 10, 20 and 30, the first two are older than a source of time 25."""
    for package in PACKAGES:
        (tmp_path / package / "__pycache__").mkdir(parents=True)
    for name, text, time_s in (("kernel.py", "@numba.njit\n", 25.0), ("plain.py", "", 40.0)):
        (tmp_path / "cases" / name).write_text(text)
        os.utime(tmp_path / "cases" / name, (time_s, time_s))
    indices = [tmp_path / "marl" / "__pycache__" / f"of_{k}.nbi" for k in (10, 20, 30)]
    for index, time_s in zip(indices, (10.0, 20.0, 30.0), strict=True):
        index.touch()
        os.utime(index, (time_s, time_s))
    assert sorted(forget_stale_kernels(tmp_path)) == indices[:2]
    assert [index.exists() for index in indices] == [False, False, True]
