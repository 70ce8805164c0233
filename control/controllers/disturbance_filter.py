"""What disturbance a planner takes for real: a bank of Kalman filters, one for each share of the machines in service.

    M df/dt = P_plants + P_governors + d - D f,      d' = d + h s + c,    s' = fade s

From frequency alone nobody sees which machines are in service, and a plan for all of them moves too much where half of
them turn: at low load a commitment turns the others off. So every share is taken for true by a filter of its own, and
counts by how well it foresaw the frequencies of the last minutes (multiple model estimation):

    w_i ~ v_i^(-n/2),      v_i the mean square of filter i's surprises, n the intervals it is the mean of

which is the likelihood of the frequencies with each filter's spread estimated along with it, so that nobody has to say
how large disturbances are. c is what is known of a change otherwise, see `load_watch.py`.

References:
    Y. Bar-Shalom, X. R. Li, T. Kirubarajan, Estimation with applications to tracking and navigation, 2001, sec. 11.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.controllers.one_mass import OneMass, as_committed

__all__ = ["SHARES", "DisturbanceFilter", "FilterConfig", "kalman_gain"]

# Of the published inertia and of the governors' gain: a factor of 1.2 apart, from a fifth to all of it.
SHARES = tuple(float(x) for x in np.geomspace(0.2, 1.0, 10).round(3))
MEMORY_INTERVALS = 150.0  # that a filter is judged by
# A surprise counts as no larger: an outage, which no filter foresees, would outweigh minutes of quiet.
LARGEST_SURPRISE_HZ = 0.01
FIRST_SURPRISE_HZ = 0.004  # that all begin with


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """The filters' picture of the world, per interval."""

    frequency_sd_hz: float = 0.0001  # mean of the agents' buses against the common motion
    model_sd_hz: float = 0.0003
    disturbance_sd_mw: float = 4.3  # by which the disturbance of `normal` changes in an interval
    slope_sd_mw_per_s: float = 0.15
    slope_fades_s: float = 60.0

    @classmethod
    def of(cls, case: Case) -> FilterConfig:
        """The usual choices at the size of a grid: its imbalances are in proportion to its load."""
        usual, size = cls(), case.setting.size
        return replace(
            usual,
            disturbance_sd_mw=usual.disturbance_sd_mw * size,
            slope_sd_mw_per_s=usual.slope_sd_mw_per_s * size,
        )


def kalman_gain(model: OneMass, config: FilterConfig) -> FloatArray:
    """Stationary gain of the filter on frequency, disturbance and its slope, from frequency alone, [3].

        f' = f + (h/M) d,    d' = d + h s,    s' = fade s

    Damping and governors are known inputs here, they hardly matter within an interval. The disturbance moves by
    `disturbance_sd_mw` along a line, as injections do (`grid_model/dynamics/injections.py`), so half of the interval
    times it moves f as well.
    """
    h = model.interval_s
    a = np.array(
        [
            [1.0, h / model.inertia_mws_per_hz, 0.5 * h * h / model.inertia_mws_per_hz],
            [0.0, 1.0, h],
            [0.0, 0.0, np.exp(-h / config.slope_fades_s)],
        ]
    )
    q = np.diag(np.square([config.model_sd_hz, 0.0, config.slope_sd_mw_per_s]))
    walk = np.array([[h / (2.0 * model.inertia_mws_per_hz)], [1.0], [0.0]]) * config.disturbance_sd_mw
    q = q + walk @ walk.T
    c = np.array([[1.0, 0.0, 0.0]])
    r = np.array([[config.frequency_sd_hz**2]])
    p = linalg.solve_discrete_are(a.T, c.T, q, r)
    gain: FloatArray = (p @ c.T / (c @ p @ c.T + r))[:, 0]
    return gain


class DisturbanceFilter:
    """The bank for a batch of environments.

    Attributes:
        masses: the grid as one mass with each share of its machines, [share].
        weight: how much each share counts, sums to one, [env, share].
    """

    def __init__(self, model: OneMass, n_env: int, config: FilterConfig | Sequence[FilterConfig]) -> None:
        """For a grid.

        Args:
            model: the grid as one mass with all machines; its damping is the mean load's in each filter.
            n_env: environments.
            config: what the filters expect, in all environments or in each.
        """
        of_each = [config] * n_env if isinstance(config, FilterConfig) else list(config)
        self.masses = [
            as_committed(
                model,
                inertia_mws_per_hz=share * model.inertia_mws_per_hz,
                governor_share=share,
                damping_mw_per_hz=model.damping_mw_per_hz,
            )
            for share in SHARES
        ]
        self._model = model
        gains = {one: [kalman_gain(mass, one) for mass in self.masses] for one in set(of_each)}
        self._gain = np.array([gains[one] for one in of_each])  # [env, share, 3]
        self._fade = np.exp(
            -model.interval_s / np.array([[one.slope_fades_s] for one in of_each])
        )  # [env, 1]
        shape = n_env, len(SHARES)
        self._estimate = np.zeros((*shape, 3))  # f [Hz], d [MW], slope [MW/s]
        self._reheat_mw = np.zeros(shape)
        self._square_hz2 = np.full(shape, FIRST_SURPRISE_HZ**2)
        self.weight = np.full(shape, 1.0 / len(SHARES))
        self._plants_mw = np.zeros(n_env)
        self._fresh = np.ones(n_env, dtype=np.bool_)

    def reset(self, envs: IntArray) -> None:
        """Forget what was seen in these environments."""
        self._fresh[envs] = True

    def observe(self, df_hz: FloatArray, plants_mw: FloatArray, change_mw: FloatArray) -> None:
        """The interval that has just ended; there is none before the first observation.

        Args:
            df_hz: frequency deviation at its end [Hz], [env].
            plants_mw: what the agents' plants give then [MW], [env].
            change_mw: what is known otherwise of the change of the disturbance in it [MW], [env].
        """
        model, g, h = self._model, self._model.governor, self._model.interval_s
        share = np.array(SHARES)
        known = change_mw[:, None]  # along a straight line
        f, d, s = np.moveaxis(self._estimate, 2, 0)
        now_hz = df_hz[:, None]
        # Governors over the interval at its mean frequency.
        middle = 0.5 * (f + now_hz)
        beyond = np.sign(middle) * np.maximum(np.abs(middle) - g.dead_band_hz, 0.0)
        target = -share * g.gain_mw_per_hz * beyond
        keep = np.exp(-h / g.t_reheat_s)
        after = target + (self._reheat_mw - target) * keep
        mean_reheat = target + (self._reheat_mw - target) * (1.0 - keep) * g.t_reheat_s / h
        governor = g.high_pressure_fraction * target + (1.0 - g.high_pressure_fraction) * mean_reheat
        plants = 0.5 * (self._plants_mw + plants_mw)[:, None]
        power = plants + governor + d + 0.5 * (h * s + known) - model.damping_mw_per_hz * middle
        expected = f + h / (share * model.inertia_mws_per_hz) * power
        surprise = now_hz - expected
        foreseen = np.stack([expected, d + h * s + known, self._fade * s], axis=2)
        estimate = foreseen + surprise[:, :, None] * self._gain

        fresh = self._fresh[:, None]
        begun = np.zeros_like(estimate)
        begun[:, :, 0] = now_hz
        self._estimate = np.where(fresh[:, :, None], begun, estimate)
        self._reheat_mw = np.where(fresh, 0.0, after)
        square = np.minimum(np.abs(surprise), LARGEST_SURPRISE_HZ) ** 2
        renewed = self._square_hz2 + (square - self._square_hz2) / MEMORY_INTERVALS
        self._square_hz2 = np.where(fresh, FIRST_SURPRISE_HZ**2, renewed)
        least = self._square_hz2.min(axis=1, keepdims=True)
        self.weight = (self._square_hz2 / least) ** (-0.5 * MEMORY_INTERVALS)
        self.weight /= self.weight.sum(axis=1, keepdims=True)
        self._plants_mw = plants_mw.copy()
        self._fresh[:] = False

    @property
    def likeliest(self) -> IntArray:
        """Which share the plan is to be made for: the weighted mean of the ratios, to the nearest, [env]."""
        mean = np.exp(self.weight @ np.log(SHARES))
        found: IntArray = np.abs(np.log(mean[:, None] / np.array(SHARES))).argmin(axis=1)
        return found

    def estimate(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Frequency [Hz], disturbance [MW], its slope [MW/s] and the reheaters' output [MW], means by weight, [env]."""
        f, d, s = np.einsum("eh,ehi->ie", self.weight, self._estimate)
        return f, d, s, (self.weight * self._reheat_mw).sum(axis=1)
