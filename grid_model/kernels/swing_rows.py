"""Between arrays of all environments, [group, n], and the blocks of eight lanes that the swing equations are solved in.

Environment `lanes.first + lane` of a quantity's group a is in column `lane % 8` of row `base + a n_part + lane // 8`.
"""

from __future__ import annotations

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, load, store, store_at
from grid_model.kernels.structs import Lanes

__all__ = ["give", "give_pairs", "take", "take_pairs", "trace_groups", "trace_turbines"]


@compiled
def take(lanes: Lanes, wide: FloatArray, rest: float, block: FloatArray, base: int) -> None:
    """Bring an array [group, n] into a block from row `base` on; `rest` goes to lanes without an environment."""
    for a in range(wide.shape[0]):
        for part in range(lanes.n_part):
            row, first = base + a * lanes.n_part + part, part * N_LANE
            store(block, row, rest)
            for lane in range(min(N_LANE, lanes.width - first)):
                block[row, lane] = wide[a, lanes.first + first + lane]


@compiled
def take_pairs(lanes: Lanes, wide: FloatArray, block: FloatArray, base: int) -> None:
    """The same of an array [row, column, n]; zero goes to lanes without an environment."""
    for a in range(wide.shape[0]):
        take(lanes, wide[a], 0.0, block, base + a * wide.shape[1] * lanes.n_part)


@compiled
def give(lanes: Lanes, block: FloatArray, base: int, wide: FloatArray) -> None:
    """Put rows of a block back into an array [group, n]."""
    for a in range(wide.shape[0]):
        for part in range(lanes.n_part):
            row, first = base + a * lanes.n_part + part, part * N_LANE
            for lane in range(min(N_LANE, lanes.width - first)):
                wide[a, lanes.first + first + lane] = block[row, lane]


@compiled
def give_pairs(lanes: Lanes, block: FloatArray, base: int, wide: FloatArray) -> None:
    """The same into an array [row, column, n]."""
    for a in range(wide.shape[0]):
        give(lanes, block, base + a * wide.shape[1] * lanes.n_part, wide[a])


@compiled
def trace_groups(lanes: Lanes, block: FloatArray, base: int, trace: FloatArray, step: int) -> None:
    """Write one step of a trace [step, group, n], unless it has length 0."""
    if trace.shape[0] > 0:
        for a in range(lanes.n_group):
            for part in range(lanes.n_part):
                row, first = base + a * lanes.n_part + part, part * N_LANE
                if lanes.width >= first + N_LANE:
                    at = (step * trace.shape[1] + a) * trace.shape[2] + lanes.first + first
                    store_at(trace, at, load(block, row))
                else:
                    for lane in range(lanes.width - first):
                        trace[step, a, lanes.first + first + lane] = block[row, lane]


@compiled
def trace_turbines(
    lanes: Lanes,
    block: FloatArray,
    valve: int,
    reheat: int,
    high_pressure_fraction: float,
    trace: FloatArray,
    step: int,
) -> None:
    """The same of what the groups' turbines give."""
    if trace.shape[0] > 0:
        f_high = high_pressure_fraction
        for a in range(lanes.n_group):
            for lane in range(lanes.width):
                row, column = a * lanes.n_part + lane // N_LANE, lane % N_LANE
                opened, heated = block[valve + row, column], block[reheat + row, column]
                trace[step, a, lanes.first + lane] = f_high * opened + (1.0 - f_high) * heated
