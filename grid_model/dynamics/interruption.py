"""What was not served in a control interval: dark buses and load cut off, as means over the interval.

Buses go dark and loads are shed at instants inside an interval. What stood before such an instant is weighed by the
time that it stood, so that energy not served is the sum over intervals of mean power times length, to within the
movement of the loads themselves inside one interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled

__all__ = ["Interruption", "Interruptions", "mean_unserved_load"]


class Interruption(NamedTuple):
    """Means over an interval."""

    dark_share: FloatArray  # share of the interval in which each bus was without voltage, [env, bus]
    unserved_share: FloatArray  # mean share of each load that was not served, [env, load]


class Interruptions:
    """Interruptions of every environment in the last interval.

    Attributes (read them; the arrays stay):
        mean: over the interval, right once it is over.
    """

    def __init__(self, bus_live: BoolArray, served_share: FloatArray, load_bus: IntArray) -> None:
        """Args: bus_live [env, bus] and served_share [env, load], arrays that stay; load_bus [load]."""
        self._bus_live, self._served_share, self._load_bus = bus_live, served_share, load_bus
        shapes = bus_live.shape, served_share.shape
        self.mean = Interruption(*(np.zeros(shape) for shape in shapes))
        self._now = Interruption(*(np.zeros(shape) for shape in shapes))
        self._every = np.arange(len(bus_live))

    def begin(self) -> None:
        """A new interval: things stay as they are until a change is told."""
        _look(self._bus_live, self._served_share, self._load_bus, self._every, *self._now)
        self.mean.dark_share[...], self.mean.unserved_share[...] = self._now

    def change(self, env: int, at: float) -> None:
        """Breakers of one environment have moved at a fraction `at` of the interval."""
        before = [now[env].copy() for now in self._now]
        _look(self._bus_live, self._served_share, self._load_bus, np.array([env]), *self._now)
        for mean, now, was in zip(self.mean, self._now, before, strict=True):
            mean[env] += (1.0 - at) * (now[env] - was)


@compiled
def _look(
    bus_live: BoolArray,
    served_share: FloatArray,
    load_bus: IntArray,
    envs: IntArray,
    dark_share: FloatArray,
    unserved_share: FloatArray,
) -> None:
    """How things stand now in some environments, [n]; their rows of the last two, see `Interruption`, are filled."""
    for e in envs:
        for k in range(bus_live.shape[1]):
            dark_share[e, k] = 0.0 if bus_live[e, k] else 1.0
        for i in range(load_bus.size):
            unserved_share[e, i] = 1.0 - served_share[e, i] if bus_live[e, load_bus[i]] else 1.0


@compiled
def mean_unserved_load(
    load_mw: FloatArray, load_step_mw: FloatArray, unserved_share: FloatArray
) -> FloatArray:
    """Load that was not served, mean over the interval [MW], all [env, load] -> [env]; loads as at its end."""
    unserved_mw = np.zeros(load_mw.shape[0])
    for e in range(load_mw.shape[0]):
        for i in range(load_mw.shape[1]):
            unserved_mw[e] += unserved_share[e, i] * (load_mw[e, i] + load_step_mw[e, i])
    return unserved_mw
