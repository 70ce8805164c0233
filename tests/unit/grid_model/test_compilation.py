"""Who waits for a compiler is told so, once, and only then."""

import gc

import numba

from grid_model import compilation


def kernel(name):
    """A kernel of a module of ours that has not been compiled yet and is kept nowhere."""

    def double(x):
        return 2.0 * x

    double.__module__ = f"grid_model.{name}"
    return numba.njit(double)


def test_compilation_is_told_of_when_it_begins_and_when_it_ends(capsys):
    twice = kernel("toy")
    with compilation.announced() as told:
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
    with compilation.announced() as told:
        twice(2.0)
    assert told.n_compiled == 0
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    twice = kernel("toy")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with compilation.announced():
        twice(1.0)
    assert "|" in capsys.readouterr().err


def test_all_kernels_in_use_are_known():
    """Each decorated function of a module is found under its own name."""
    from grid_model.power_flow import newton_equations, newton_kernel

    found = compilation.kernels()
    assert {newton_kernel.solve_batch, newton_equations.evaluate} <= found


@compilation.compiled
def half(x: float) -> float:
    """Of a number."""
    return 0.5 * x


@compilation.compiled
def quarter(x: float) -> float:
    """Of a number, by way of its half."""
    return half(half(x))


def test_a_kernel_inside_another_becomes_part_of_it_and_python_can_call_it_as_well():
    """0.5 * 0.5 * 10 = 2.5; only what Python has called gets an entry for Python."""
    assert quarter(10.0) == 2.5
    assert quarter.signatures
    if half.part.overloads:  # empty where `quarter` was kept from an earlier run
        assert not half.signatures
    assert half(10.0) == 5.0
    assert half.signatures
