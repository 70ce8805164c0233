"""Between arrays of all environments, [group, n], and the blocks of eight lanes that the swing equations are solved in.

Environment `lanes.first + lane` of group a is in column `lane % 8` of the rows of part `a n_part + lane // 8`, one for
each quantity: all that a step reads of a group lies side by side, at distances that are known when it is compiled.
"""

from __future__ import annotations

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, load, store, store_at
from grid_model.kernels.structs import Lanes

# What a block has a row of for each group and part.
(
    DF,
    THETA,
    VALVE,
    REHEAT,
    POWER,  # what governors ask for, then all that drives the group
    PULL,  # angle that ties feel
    MINUS_GAIN,
    UP,
    MINUS_DOWN,
    MOST,  # that valves move in a step
    BAND,  # from nominal frequency to the edge of the governors' dead band
    DAMPING,
    INERTIA,
    LINE,  # straight part of what drives the group, at the beginning
    SLOPE,  # and its growth to the end
    LOW,  # range of frequency without anything but governors as designed
    HIGH,
    LOWEST,  # extremes
    HIGHEST,
    GROWTH,  # of machines: of the frequency in the last step
    EARLIER,  # and in the one before
    YIELDING,  # growth per power
    ANCHOR,  # power between machines at the beginning
    SINE,
    COSINE,
    SYNCHRONISING,
) = range(26)
N_QUANTITY = 26

__all__ = ["give", "give_pairs", "take", "take_pairs", "trace_groups", "trace_turbines"]


@compiled
def take(lanes: Lanes, wide: FloatArray, rest: float, block: FloatArray, quantity: int) -> None:
    """Bring an array [group, n] into a block; `rest` goes to lanes without an environment."""
    for a in range(wide.shape[0]):
        for part in range(lanes.n_part):
            row, first = (a * lanes.n_part + part) * N_QUANTITY + quantity, part * N_LANE
            store(block, row, rest)
            for lane in range(min(N_LANE, lanes.width - first)):
                block[row, lane] = wide[a, lanes.first + first + lane]


@compiled
def take_pairs(lanes: Lanes, wide: FloatArray, block: FloatArray, base: int) -> None:
    """The same of an array [row, column, n] from row `base` on; zero goes to lanes without an environment."""
    for a in range(wide.shape[0]):
        for b in range(wide.shape[1]):
            for part in range(lanes.n_part):
                row, first = base + (a * wide.shape[1] + b) * lanes.n_part + part, part * N_LANE
                store(block, row, 0.0)
                for lane in range(min(N_LANE, lanes.width - first)):
                    block[row, lane] = wide[a, b, lanes.first + first + lane]


@compiled
def give(lanes: Lanes, block: FloatArray, quantity: int, wide: FloatArray) -> None:
    """Put a quantity of a block back into an array [group, n]."""
    for a in range(wide.shape[0]):
        for part in range(lanes.n_part):
            row, first = (a * lanes.n_part + part) * N_QUANTITY + quantity, part * N_LANE
            for lane in range(min(N_LANE, lanes.width - first)):
                wide[a, lanes.first + first + lane] = block[row, lane]


@compiled
def give_pairs(lanes: Lanes, block: FloatArray, base: int, wide: FloatArray) -> None:
    """The same of rows from `base` on into an array [row, column, n]."""
    for a in range(wide.shape[0]):
        for b in range(wide.shape[1]):
            for part in range(lanes.n_part):
                row, first = base + (a * wide.shape[1] + b) * lanes.n_part + part, part * N_LANE
                for lane in range(min(N_LANE, lanes.width - first)):
                    wide[a, b, lanes.first + first + lane] = block[row, lane]


@compiled
def trace_groups(lanes: Lanes, block: FloatArray, trace: FloatArray, step: int) -> None:
    """Write the groups' frequencies of one step into a trace [step, group, n], unless it has length 0."""
    if trace.shape[0] > 0:
        for a in range(lanes.n_group):
            for part in range(lanes.n_part):
                row, first = (a * lanes.n_part + part) * N_QUANTITY + DF, part * N_LANE
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
    high_pressure_fraction: float,
    trace: FloatArray,
    step: int,
) -> None:
    """The same of what the groups' turbines give."""
    if trace.shape[0] > 0:
        f_high = high_pressure_fraction
        for a in range(lanes.n_group):
            for lane in range(lanes.width):
                own, column = (a * lanes.n_part + lane // N_LANE) * N_QUANTITY, lane % N_LANE
                opened, heated = block[own + VALVE, column], block[own + REHEAT, column]
                trace[step, a, lanes.first + lane] = f_high * opened + (1.0 - f_high) * heated
