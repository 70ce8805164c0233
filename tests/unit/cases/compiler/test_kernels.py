"""Kernels that Python calls, and those that become part of others."""

from grid_model.compilation import compiled


@compiled
def half(x: float) -> float:
    """Of a number."""
    return 0.5 * x


@compiled
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
