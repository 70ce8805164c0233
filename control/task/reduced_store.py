"""Episodes of the reduced model as its kernels read them: packed side by side, one for each environment or a pool.

A pool is drawn once and played again and again, in any order and with other states of charge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.scenario.config import ScenarioConfig
from control.scenario.episode import Episode, EpisodeBuilder
from control.scenario.suites import SeedRange, require_training_seed
from control.task.reduced_episode import EpisodeReducer, ReducedEpisode
from control.task.reduced_kernel import Stored
from grid_model.kernels.lanes import N_LANE
from grid_model.reduced.motion import Constants, Sizes

__all__ = ["POOL_SEEDS", "Columns", "EpisodeStore", "PackedEpisode"]

FEW_SEGMENTS = 4  # room for so many at first
# Training seeds of pools: the same in every run, and far from those for choosing models.
POOL_SEEDS = SeedRange(first=2**30, count=65_536)


class Columns(NamedTuple):
    """Where the columns of `Stored.rows` begin."""

    load: int
    renewable: int
    schedule: int
    forecast: int
    hour: int
    weekday: int
    feature: int  # of the critic: sine and cosine of hour and weekday, load level, renewable share
    elements_out: int
    n: int


class PackedEpisode(NamedTuple):
    """An episode as it is stored."""

    rows: npt.NDArray[np.float32]  # [time, column]
    segments: FloatArray  # [segment, row]
    soc_start: FloatArray  # [bess]
    scada_key: int
    episode: Episode | None


def _without_series(episode: Episode | None) -> Episode | None:
    """What is left of an episode without its arrays over time: its beginning and its events."""
    if episode is None:
        return None
    series: dict[str, Any] = {
        f.name: np.empty((0, *getattr(episode, f.name).shape[1:]))
        for f in fields(episode)
        if isinstance(getattr(episode, f.name), np.ndarray)
    }
    return replace(episode, **series)


class EpisodeStore:
    """Where the packed episodes of a batch lie.

    Attributes (read them):
        columns: where the columns of a row begin; rows: [slot, time, column], in single precision.
        slot: of the present episode of each environment, an array that stays, [env].
        pool: episodes of a pool; 0 where every episode is new.
    """

    def __init__(
        self,
        case: Case,
        scenario: ScenarioConfig,
        reducer: EpisodeReducer,
        sizes: Sizes,
        constants: Constants,
        n_env: int,
        pool: int,
    ) -> None:
        """Nothing is stored.

        Args:
            case: the grid.
            scenario: what episodes are made of.
            reducer: draws and reduces them.
            sizes: of the model.
            constants: of the model.
            n_env: environments.
            pool: episodes of POOL_SEEDS that are drawn once; 0 draws a new one every time.

        Raises:
            ValueError: pool is negative or too large.
        """
        if not 0 <= pool <= POOL_SEEDS.count:
            raise ValueError(f"pool = {pool}, expected 0 to {POOL_SEEDS.count} episodes")
        self.pool, self._scenario, self._reducer = pool, scenario, reducer
        self._sizes, self._constants = sizes, constants
        self._n_battery = len(case.resource.of_kind("bess"))
        g, m = sizes.n_group, sizes.n_machine
        at = 3 * g + 2 * m + np.cumsum([0, case.n_load, case.n_renewable, 1, 5, 1, 1, 6, 1])
        at[-1] += -at[-1] % N_LANE  # read in eights
        self.columns = Columns(*(int(k) for k in at))
        self._nominal_mw = float(case.load.p_mw.sum())
        self._first_row = 2 + 3 * g
        n_slot = 0 if pool > 0 else n_env
        self.rows = np.zeros((n_slot, scenario.n_intervals + 1, self.columns.n), dtype=np.float32)
        self._segments = np.zeros((n_slot, FEW_SEGMENTS, self._first_row + sizes.segment))
        over = reducer.config.over_frequency
        self._curtail_per_hz = 0.0 if over is None else 1.0 / (over.renewable_droop * case.f0_hz)
        self._pool_of: dict[EpisodeBuilder, int] = {}
        self._pooled: list[PackedEpisode] = []
        self.slot: IntArray = np.arange(n_env)
        self._handed_out: tuple[Any, Any] = (None, None)

    def stored(self) -> Stored:
        """As the kernels read it; to be asked for again once `has_moved`."""
        self._handed_out = self.rows, self._segments
        return Stored(self.rows.ravel(), self.rows.shape[1], self.columns.n, self._segments, self.slot)

    @property
    def has_moved(self) -> bool:
        """Whether more room has been made since the kernels were told where everything lies."""
        return self._handed_out[0] is not self.rows or self._handed_out[1] is not self._segments

    def draw(
        self, envs: IntArray, generators: Sequence[np.random.Generator], builders: Sequence[EpisodeBuilder]
    ) -> Iterator[tuple[int, PackedEpisode]]:
        """Store a new episode for each environment named, one after the other.

        Environments whose generators stand alike, as those of candidates that are compared, share what is drawn.

        Args:
            envs: environments, [n].
            generators: of these, [n].
            builders: of the episodes of all environments, [env].

        Yields:
            Each environment with its episode.
        """
        alike: dict[tuple[EpisodeBuilder, str], tuple[PackedEpisode, Any]] = {}
        for env, generator in zip(np.asarray(envs).tolist(), generators, strict=True):
            if self.pool > 0:
                first = self._first_of_pool(builders[env])
                self.slot[env] = first + int(generator.integers(self.pool))
                yield (
                    env,
                    self._pooled[self.slot[env]]._replace(
                        soc_start=self._scenario.draw_soc(generator, self._n_battery),
                        scada_key=int(generator.integers(0, 2**63)),
                    ),
                )
            else:
                key = builders[env], repr(generator.bit_generator.state)
                if key not in alike:
                    drawn = self._reducer.reduce(generator, self._constants.dt_s, builders[env])
                    alike[key] = self._pack(drawn), generator.bit_generator.state
                packed, generator.bit_generator.state = alike[key]
                self._store(env, packed)
                yield env, packed

    def _first_of_pool(self, builder: EpisodeBuilder) -> int:
        """Slot of the first episode of a builder's pool, which is drawn when it is asked for first."""
        if builder not in self._pool_of:
            first = len(self._pooled)
            self._pool_of[builder] = first
            rows = np.zeros((first + self.pool, *self.rows.shape[1:]), dtype=np.float32)
            rows[:first] = self.rows[:first]
            segments = np.zeros((first + self.pool, *self._segments.shape[1:]))
            segments[:first] = self._segments[:first]
            self.rows, self._segments = rows, segments
            for k in range(self.pool):
                seed = POOL_SEEDS.first + k
                require_training_seed(seed)
                generator = np.random.default_rng(seed)
                packed = self._pack(self._reducer.reduce(generator, self._constants.dt_s, builder))
                self._store(first + k, packed)
                self._pooled.append(
                    packed._replace(rows=packed.rows[:0].copy(), episode=_without_series(packed.episode))
                )
        return self._pool_of[builder]

    def _pack(self, episode: ReducedEpisode) -> PackedEpisode:
        """As the kernels read it."""
        drawn, order = episode.episode, self._reducer.machine_order
        day = 2.0 * np.pi * drawn.hour_of_day / 24.0
        week = 2.0 * np.pi * drawn.day_of_week / 7.0
        load_mw = episode.load_mw.sum(axis=1)
        rows = np.concatenate(
            [
                episode.damping_mw_per_hz,
                episode.curtailable_mw * self._curtail_per_hz,
                episode.room_up_mw[:, order],
                episode.room_down_mw[:, order],
                episode.accelerating_mw,
                episode.load_mw,
                episode.renewable_mw,
                episode.schedule_mw[:, None],
                episode.forecast_mw,
                drawn.hour_of_day[:, None],
                drawn.day_of_week[:, None],
                np.sin(day)[:, None],
                np.cos(day)[:, None],
                np.sin(week)[:, None],
                np.cos(week)[:, None],
                (load_mw / self._nominal_mw)[:, None],
                (episode.renewable_mw.sum(axis=1) / load_mw)[:, None],
                episode.elements_out[:, None],
            ],
            axis=1,
            dtype=np.float32,
        )
        n_group, n_step = self._sizes.n_group, self._constants.n_step
        segments = np.zeros((len(episode.segments), self._segments.shape[2]))
        if len(episode.segments) > 1:
            segments[1:, 0] = episode.switch_interval
            segments[1:, 1] = np.minimum(np.round(episode.switch_at * n_step), n_step - 1)
            segments[1:, 2 : 2 + 3 * n_group] = np.concatenate(
                [episode.before_mw, episode.after_mw, episode.keep], axis=1
            )
        for k, s in enumerate(episode.segments):
            segments[k, self._first_row :] = np.concatenate(
                [
                    s.inertia_mws_per_hz,
                    s.rate_mw_per_s,
                    s.stiffness_mw_per_rad.ravel(),
                    (s.bus_frequency.T @ s.bus_frequency).ravel(),
                    s.gain_mw_per_hz[order],
                    s.plant_share.ravel(),
                    s.plant_relief.ravel(),
                    s.bus_frequency.ravel(),
                ]
            )
        return PackedEpisode(rows, segments, drawn.soc_start, drawn.scada_key, drawn)

    def _store(self, slot: int, packed: PackedEpisode) -> None:
        n = len(packed.segments)
        if n > self._segments.shape[1]:
            more = np.zeros((len(self._segments), 2 * n, self._segments.shape[2]))
            more[:, : self._segments.shape[1]] = self._segments
            self._segments = more
        self.rows[slot, :, : packed.rows.shape[1]] = packed.rows
        self._segments[slot] = 0.0
        self._segments[slot, :n] = packed.segments
