"""Who waits for a compiler is told so, once, and only then."""

import gc

import numba

from cases.compiler.announcement import announced, kernels
from grid_model.compilation import PACKAGES


def kernel(name):
    """A kernel of a module of ours that has not been compiled yet and is kept nowhere."""

    def double(x):
        return 2.0 * x

    double.__module__ = f"grid_model.{name}"
    return numba.njit(double)


def test_compilation_is_told_of_when_it_begins_and_when_it_ends(capsys):
    twice = kernel("toy")
    with announced(PACKAGES) as told:
        assert twice(1.5) == 3.0
    assert told.n_compiled == 1
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("compiling up to ")
    assert first.endswith("(once)")
    assert last.startswith("compiled 1 kernels in ")
    assert gc.get_freeze_count() == 0


def test_nothing_is_said_where_nothing_is_compiled(capsys):
    twice = kernel("toy")
    twice(1.0)
    with announced(PACKAGES) as told:
        twice(2.0)
    assert told.n_compiled == 0
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    twice = kernel("toy")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with announced(PACKAGES):
        twice(1.0)
    assert "|" in capsys.readouterr().err


def test_all_kernels_in_use_are_known():
    """Each decorated function of a module is found under its own name."""
    from grid_model.power_flow import newton_equations, newton_kernel

    found = kernels(PACKAGES)
    assert {newton_kernel.solve_batch, newton_equations.evaluate} <= found
