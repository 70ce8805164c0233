"""Internal voltages of one environment's machines as their fields make them of the voltage that is being solved for."""

from __future__ import annotations

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.structs import GridArrays
from grid_model.kernels.voltage_laws import field_step

__all__ = ["field_laws"]


@compiled
def field_laws(grid: GridArrays, e: int, constant_pu: FloatArray, slope: FloatArray) -> None:
    """E' = a + b V of every machine, see `field_step`.

    Args:
        grid: of which the fields of the environment are read.
        e: the environment.
        constant_pu: filled with a, zero out of service, [machine].
        slope: filled with b, zero out of service, [machine].
    """
    for i in range(constant_pu.size):
        constant_pu[i], slope[i] = 0.0, 0.0
        if grid.status.machine[e, i]:
            constant_pu[i], slope[i] = field_step(grid, e, i)
