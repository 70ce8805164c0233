"""Beginning and end of a control interval of the closed loop, compiled: two calls around those of the grid.

At its beginning plants are moved and what acts at its end is looked up; at its end everything is measured, judged
against the limits, and sent to the control centre.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from control.plants.fleet_state import (
    FleetState,
    PlantParameters,
    advance_plants,
    disconnect_plants,
    utilisation_of,
)
from control.task.action import cut_action
from control.task.episode_rows import EpisodeArrays
from control.task.limits import GridLimits, Judgement, check_limits
from control.telemetry.scada import SignalParameters, SignalState, transmit
from grid_model.compilation import compiled
from grid_model.dynamics.group_sums import weigh_by_inertia, weigh_groups
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.interruption import Interruption
from grid_model.kernels.bus_injection import served_load
from grid_model.kernels.structs import GridArrays

__all__ = [
    "LoopArrays",
    "Measurement",
    "begin_interval",
    "empty_measurement",
    "end_interval",
    "measure",
]


class LoopArrays(NamedTuple):
    """All that the compiled functions know of the loop besides its grid."""

    episodes: EpisodeArrays
    plants: PlantParameters
    plant_state: FleetState
    plant_bus: IntArray  # [resource]
    bus_live: BoolArray  # [env, bus]
    interruption: Interruption  # of the last interval
    coming: Injections  # the grid's arrays for what acts at the end of the next interval
    limits: GridLimits
    telemetry: SignalState
    telemetry_parameters: SignalParameters


class Measurement(NamedTuple):
    """What is known at an interval's end, see the attributes of `ClosedLoop`."""

    bus_df_hz: FloatArray  # [env, bus]
    coi_df_hz: FloatArray  # [env]
    served_mw: FloatArray  # [env, load]
    hour: FloatArray  # [env]
    weekday: FloatArray  # [env]
    signals: FloatArray  # what is sent to the control centre, [env, signal]


N_MEASURED = len(Measurement._fields)


def empty_measurement(n_env: int, n_bus: int, n_load: int, n_signal: int) -> Measurement:
    """New arrays each time, so that what was given away stays as it was."""
    return Measurement(
        bus_df_hz=np.empty((n_env, n_bus)),
        coi_df_hz=np.empty(n_env),
        served_mw=np.empty((n_env, n_load)),
        hour=np.empty(n_env),
        weekday=np.empty(n_env),
        signals=np.empty((n_env, n_signal)),
    )


@compiled
def begin_interval(
    loop: LoopArrays, action: FloatArray, cut: FloatArray, change_mw: FloatArray
) -> tuple[int, int, bool, bool]:
    """Count one interval more, move every plant and look up what acts at the interval's end.

    Where an action is no number, or an episode is over, nothing of this is done: what follows would read beyond its
    end.

    Args:
        loop: of it `coming` is filled, and intervals and plants are moved on.
        action: of each plant, share of its largest change, [env, resource].
        cut: filled with the action cut at -1 and 1, which is carried out, [env, resource].
        change_mw: filled with the change of each plant's command [MW], [env, resource].

    Returns:
        Position of an action that is not finite, row by row, or -1; episodes that are over; whether an event falls into
        the new interval; and whether a new dispatch began with it.
    """
    episodes, plants, coming = loop.episodes, loop.plant_state, loop.coming
    interval, over = episodes.interval, 0
    wrong = cut_action(action, cut)
    for e in range(interval.size):
        over += int(interval[e] >= episodes.n_intervals)
    due, dispatched = False, False
    if over == 0 and wrong < 0:
        for e in range(interval.size):
            interval[e] += 1
            due |= episodes.next_event_s[e] < interval[e] * episodes.interval_s
            dispatched |= episodes.redispatched[e, interval[e]]
        advance_plants(plants, cut, loop.plants, loop.plant_bus, loop.bus_live, change_mw)
        for e in range(interval.size):
            at = interval[e]
            # Numba takes a second to compile an assignment of arrays; a loop costs nothing.
            for i in range(coming.load_mw.shape[1]):
                coming.load_mw[e, i] = episodes.load_mw[e, at, i]
                coming.load_mvar[e, i] = episodes.load_mw[e, at, i] * episodes.mvar_per_mw[i]
            for i in range(coming.renewable_mw.shape[1]):
                coming.renewable_mw[e, i] = episodes.renewable_mw[e, at, i]
            for i in range(coming.schedule_mw.shape[1]):
                coming.schedule_mw[e, i] = episodes.schedule_mw[e, at, i]
            for i in range(coming.set_point_mw.shape[1]):
                coming.set_point_mw[e, i] = plants.set_point_mw[e, i]
                coming.resource_mw[e, i] = plants.output_mw[e, i]
    return wrong, over, due, dispatched


@compiled
def end_interval(
    grid: GridArrays,
    loop: LoopArrays,
    violation_hz: float,
    lost_hz: float,
    solved: BoolArray,
    change_mw: FloatArray,
    utilisation: FloatArray,
    *filled: npt.NDArray[Any],
) -> int:
    """Measure and judge an interval's end, and send what was measured to the control centre.

    Args:
        grid: at the interval's end.
        loop: of it telemetry moves on, and plants on dead buses trip.
        violation_hz: deviation beyond which frequency has left its limits [Hz].
        lost_hz: deviation beyond which the grid is lost [Hz].
        solved: whether the grid still has a power flow, [env].
        change_mw: changes of the plants' commands, of which those on dead buses are set to nothing, [env, resource].
        utilisation: filled with that of the plants, [env, resource].
        filled: the arrays of a `Measurement`, then those of a `Judgement`; one by one they are handed over faster.

    Returns:
        Number of environments whose frequency left its limits, see `check_limits`.
    """
    disconnect_plants(loop.plant_state, loop.plant_bus, loop.bus_live, grid.profile.end, change_mw)
    measured, judgement = Measurement(*filled[:N_MEASURED]), Judgement(*filled[N_MEASURED:])
    measure(grid, loop.episodes, measured)
    utilisation_of(loop.plant_state, loop.plants, utilisation)
    transmit(measured.signals, loop.telemetry, loop.telemetry_parameters)
    return check_limits(grid, loop.limits, violation_hz, lost_hz, solved, loop.interruption, judgement)


@compiled
def measure(grid: GridArrays, episodes: EpisodeArrays, measured: Measurement) -> None:
    """Frequencies, loads, clock and what is sent to the control centre."""
    df_hz, profile, clock = grid.group_state.df_hz, grid.profile, episodes.clock
    bus_df_hz, coi_df_hz, signals = measured.bus_df_hz, measured.coi_df_hz, measured.signals
    forecast_mw = episodes.forecast_deviation_mw
    n_env, n_bus = bus_df_hz.shape
    weigh_groups(grid.network.bus_frequency, df_hz, bus_df_hz)
    inertia = grid.groups.inertia_mws_per_hz
    weigh_by_inertia(df_hz, inertia, coi_df_hz)
    served_load(
        profile.end.load_mw,
        profile.load_step_mw,
        profile.served_share,
        grid.status.bus,
        grid.placement.load_bus,
        measured.served_mw,
    )
    for e in range(n_env):
        at = episodes.interval[e]
        measured.hour[e], measured.weekday[e] = clock[e, at, 0], clock[e, at, 1]
        signals[e, 0] = coi_df_hz[e]
        for k in range(n_bus):
            signals[e, 1 + k] = bus_df_hz[e, k]
        for k in range(forecast_mw.shape[2]):
            signals[e, 1 + n_bus + k] = forecast_mw[e, at, k]
