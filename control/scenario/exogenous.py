"""Load, wind and sun of an episode: a stretch of the real year, with noise inside its five minutes.

Loads follow the region of the data that stands for their area (`GridSetting.region_of_area`; NETS region 1, NYPS
region 2, the three equivalent areas region 3). The total is that of the data exactly; `regional_share` says how far
the regions may differ from it. Reactive load and tap changers are not here.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import NOMINAL_LOAD_MW, Series
from control.scenario.config import ScenarioConfig
from control.telemetry.noise import autoregress, memory
from grid_model.compilation import compiled

__all__ = ["ExogenousPowers", "between_knots"]


class ExogenousPowers:
    """What the real year says of the loads and renewable plants of a grid, and the noise of a scenario.

    Attributes (read them):
        is_wind, is_pv: of each renewable plant, [renewable]; capacity_mw: its own, [renewable].
        fleet_mw: capacity of wind and of sun by quantity of a forecast; that of load is not used, [quantity].
        load_region: region of the data behind each load, [load].
        nominal_mw: load of the whole grid as published; mean_load_mw: of the year.
        region_weight: share of each region in the nominal load, [region].
        column: of the series that drives each renewable plant, [renewable].
        n_white: independent random numbers that the noise takes in an interval.
    """

    def __init__(self, case: Case, series: Series, config: ScenarioConfig, time_s: FloatArray) -> None:
        """For episodes of these times [s], [time]."""
        self._case, self._series, self._config, self._time_s = case, series, config, time_s
        self.column = series.columns(case.renewable.series)
        kind = np.array(case.renewable.kind)
        self.is_wind: BoolArray = kind == "wind"
        self.is_pv: BoolArray = kind == "pv"
        self._size(config.renewable_scale)
        self._load_area = case.bus.area[case.load.bus]
        region_of_area = np.array(case.setting.region_of_area, dtype=np.int64)
        n_region = series.load_mw.shape[1]
        self.load_region: IntArray = region_of_area[self._load_area % len(region_of_area)] % n_region
        self.nominal_mw = float(case.load.p_mw.sum())
        self.region_weight: FloatArray = (
            np.bincount(self.load_region, case.load.p_mw, minlength=n_region) / self.nominal_mw
        )
        total_mw = series.load_mw.sum(axis=1, dtype=np.float64)
        self._mean_share = (series.load_mw / total_mw[:, None]).mean(axis=0)
        self.mean_load_mw = float(total_mw.mean()) / NOMINAL_LOAD_MW * self.nominal_mw
        n_of_load = case.n_load + case.n_area
        renewable_tau_s = np.where(self.is_wind, config.wind_tau_s, config.pv_tau_s)
        self._noise_memory = memory(
            config.interval_s,
            np.concatenate(
                [
                    np.full(n_of_load, config.load_slow_tau_s),
                    np.full(n_of_load, config.load_fast_tau_s),
                    renewable_tau_s,
                ]
            ),
        )

    @property
    def n_white(self) -> int:
        """Random numbers an interval."""
        return len(self._noise_memory)

    def sized(self, scale: float) -> ExogenousPowers:
        """The same with renewable plants of so many times the published capacity."""
        other = copy(self)
        other._size(scale)
        return other

    def _size(self, scale: float) -> None:
        self.capacity_mw: FloatArray = scale * self._case.renewable.p_max_mw
        self.fleet_mw = np.array(
            [0.0, self.capacity_mw[self.is_wind].sum(), self.capacity_mw[self.is_pv].sum()]
        )

    def available_mw(self, knot: IntArray) -> FloatArray:
        """Wind and sun of each plant at samples of the year [MW], [knot, renewable]."""
        found: FloatArray = self._series.renewable_pu[knot % self._series.n_sample][:, self.column] * (
            self.capacity_mw
        )
        return found

    def total_mw(self, level: FloatArray, available_mw: FloatArray) -> FloatArray:
        """Load, wind and sun of the whole grid [MW], [knot, quantity]; see `load_level` and `available_mw`."""
        return np.column_stack(
            [
                level @ self.region_weight * self.nominal_mw,
                available_mw[:, self.is_wind].sum(axis=1),
                available_mw[:, self.is_pv].sum(axis=1),
            ]
        )

    def load_level(self, knot: IntArray) -> FloatArray:
        """Load over nominal load in each region, whose weighted sum is that of the total, [knot, region]."""
        load_mw = self._series.load_mw[knot % self._series.n_sample].astype(np.float64)
        total_mw = load_mw.sum(axis=1, keepdims=True)
        relative = 1.0 + self._config.regional_share * (load_mw / total_mw / self._mean_share - 1.0)
        relative /= (relative @ self.region_weight)[:, None]
        level: FloatArray = total_mw / NOMINAL_LOAD_MW * relative
        return level

    def with_noise(
        self, white: FloatArray, knot_s: FloatArray, level: FloatArray, available_mw: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Power of every load [time, load] and of every renewable plant [time, renewable] [MW], and the sums of noise
        in them: of load slow and fast, of wind, of sun, [time, 4]."""
        config, case, time_s = self._config, self._case, self._time_s
        noise = autoregress(white, self._noise_memory)
        n_load, n_area = case.n_load, case.n_area
        own, common = float(np.sqrt(1.0 - config.load_area_share)), float(np.sqrt(config.load_area_share))
        slow_share, fast_share = config.load_slow_percent / 100.0, config.load_fast_percent / 100.0
        of_loads_mw = np.empty((3, len(time_s), n_load))
        _noisy_loads(
            noise,
            between_knots(time_s, knot_s, level),
            case.load.p_mw,
            self.load_region,
            self._load_area,
            n_area,
            _LoadNoise(slow_share, fast_share, own, common),
            of_loads_mw,
        )
        p_load_mw, slow_mw, fast_mw = of_loads_mw
        renewable = noise[:, 2 * (n_load + n_area) :]

        # Laid out row by row, as everywhere: for columns the kernel would be compiled once more.
        p_mw = between_knots(time_s, knot_s, np.ascontiguousarray(available_mw))
        amplitude_mw = np.where(
            self.is_wind, config.wind_percent / 100.0 * self.capacity_mw, config.pv_percent / 100.0 * p_mw
        )
        p_renewable_mw = np.clip(p_mw + amplitude_mw * renewable, 0.0, self.capacity_mw)
        noise_mw = np.empty((len(time_s), 4))
        noise_mw[:, 0] = slow_share * np.sum(slow_mw, axis=1)
        noise_mw[:, 1] = fast_share * np.sum(fast_mw, axis=1)
        for k, those in ((2, self.is_wind), (3, self.is_pv)):
            noise_mw[:, k] = (p_renewable_mw - p_mw)[:, those].sum(axis=1)
        return p_load_mw, p_renewable_mw, noise_mw


class _LoadNoise(NamedTuple):
    slow_share: float  # of the load
    fast_share: float
    own: float  # weight of a load's own noise
    common: float  # weight of its area's


@compiled
def _noisy_loads(
    noise: FloatArray,
    level: FloatArray,
    p_mw: FloatArray,
    region: IntArray,
    area: IntArray,
    n_area: int,
    size: _LoadNoise,
    found_mw: FloatArray,
) -> None:
    """Loads with their slow and fast noise; see `ExogenousPowers.with_noise`.

    Args:
        noise: of variance one, in its first columns slow of loads and areas, then fast, [time, process].
        level: load over nominal load, [time, region].
        p_mw: nominal powers [MW], [load].
        region: of each load, [load].
        area: of each load, [load].
        n_area: number of areas.
        size: of the noise.
        found_mw: filled with the loads, and with what slow and what fast noise would be at a share of one [MW],
            [3, time, load].
    """
    n_time, n_load = found_mw.shape[1:]
    for t in range(n_time):
        for i in range(n_load):
            slow, fast = noise[t, i], noise[t, n_load + n_area + i]
            slow_of_area = noise[t, n_load + area[i]]
            fast_of_area = noise[t, 2 * n_load + n_area + area[i]]
            z = size.slow_share * slow + size.fast_share * fast
            z_of_area = size.slow_share * slow_of_area + size.fast_share * fast_of_area
            at = level[t, region[i]]
            found_mw[0, t, i] = at * (p_mw[i] * (1.0 + (size.own * z + size.common * z_of_area)))
            weight_mw = at * p_mw[i]
            found_mw[1, t, i] = weight_mw * (size.own * slow + size.common * slow_of_area)
            found_mw[2, t, i] = weight_mw * (size.own * fast + size.common * fast_of_area)


@compiled
def between_knots(time_s: FloatArray, knot_s: FloatArray, values: FloatArray) -> FloatArray:
    """Straight lines between equally spaced knots, for all columns at once, shape [time, column]."""
    result = np.empty((time_s.size, values.shape[1]))
    for row in range(time_s.size):
        position = (time_s[row] - knot_s[0]) / (knot_s[1] - knot_s[0])
        index = min(max(int(position), 0), knot_s.size - 2)
        weight = position - index
        for column in range(values.shape[1]):
            result[row, column] = (1.0 - weight) * values[index, column] + weight * values[index + 1, column]
    return result
