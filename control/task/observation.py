"""What each agent may see, and what the critic sees, from the state of the closed loop.

Fifteen numbers per agent; `layout.py` says which one stands where, at which scale, and which ones are fresh.
`observation="extended"` appends the own frequency deviation one interval ago, the own last action, and the slope of the
machines' total schedule; `"memory"` appends to these the own frequency deviation two intervals ago, its leaky averages
over 20 s and 100 s, and how near the plant is to a limit.

The state for the critic has 140 numbers, all fresh: 68 bus frequency deviations, 20 outputs, 14 renewable
outputs, the 30 largest loads, and 8 features: sine and cosine of hour and weekday, load level, renewable share,
mean state of charge, elements out of service.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.plants.fleet import Fleet
from control.plants.fleet_state import BESS
from control.task.layout import (
    AVERAGE_DF,
    BEFORE_DF,
    DF_HZ,
    EARLIER_DF,
    EXTENDED_SIZE,
    FORECAST,
    FORECAST_MW,
    FORECAST_STEPS,
    HOUR,
    LAST_ACTION,
    N_NEAREST,
    NEAR_LIMIT,
    NEAR_LIMIT_FROM,
    NEAREST_DF,
    OBSERVATION_SIZE,
    OWN_DF,
    OWN_LOAD,
    OWN_OUTPUT,
    SLOPE,
    SLOPE_MW,
    SYSTEM_DF,
    UTILISATION,
    WEEKDAY,
)
from grid_model.compilation import compiled
from grid_model.kernels.held import hold
from grid_model.network.topology import weighted_laplacian

__all__ = [
    "Measured",
    "ObservedPlants",
    "Observer",
    "electrical_distance_pu",
    "electrically_nearest_buses",
    "observe_agents",
    "observe_state",
    "state_size",
]

N_LARGEST_LOADS = 30
N_FEATURES = 8
ELEMENTS_OUT = 2.0  # scale of the critic's count of elements out of service
# Compiled code takes numbers, not slices.
FIRST_NEAREST, FIRST_FORECAST, FIRST_AVERAGE = NEAREST_DF.start, FORECAST.start, AVERAGE_DF.start

Float32Array = npt.NDArray[np.float32]


def electrical_distance_pu(case: Case) -> FloatArray:
    """Effective reactance between any two buses, on the system's base.

        d_ij = X_ii + X_jj - 2 X_ij,   X the pseudo-inverse of the Laplacian of 1/x

    Reference: Klein & Randic, Resistance distance, J. Math. Chemistry 12, 1993, for resistors.

    Returns:
        [bus, bus].
    """
    laplacian = weighted_laplacian(case, 1.0 / case.branch.reactance_pu)
    x = np.linalg.pinv(laplacian, hermitian=True)
    distance: FloatArray = np.diag(x)[:, None] + np.diag(x)[None, :] - 2.0 * x
    return distance


def electrically_nearest_buses(case: Case, bus: IntArray, n_nearest: int = N_NEAREST) -> IntArray:
    """Buses of least electrical distance from each given bus, the bus itself left out; ties go to the lower bus.

    Args:
        case: the grid.
        bus: positions, [n].
        n_nearest: buses asked for.

    Returns:
        Positions, nearest first, [n, n_nearest].
    """
    distance = electrical_distance_pu(case)
    np.fill_diagonal(distance, -1.0)
    # Rounding keeps two corridors of equal reactance a tie whatever the order of summation.
    order = np.argsort(distance[bus].round(9), axis=1, kind="stable")
    nearest = order[:, 1 : n_nearest + 1]
    missing = n_nearest - nearest.shape[1]
    # A grid of fewer buses shows the farthest of them again.
    return np.pad(nearest, ((0, 0), (0, missing)), mode="edge") if missing else nearest


def observe_agents(
    *,
    own_df_hz: FloatArray,
    own_load_share: FloatArray,
    own_output_share: FloatArray,
    system_df_hz: FloatArray,
    nearest_df_hz: FloatArray,
    forecast_deviation_mw: FloatArray,
    hour: FloatArray,
    weekday: FloatArray,
    utilisation: FloatArray,
) -> FloatArray:
    """The fifteen numbers of every agent.

    Args:
        own_df_hz: deviation at its bus [Hz], [env, resource].
        own_load_share: load at its bus, of nominal, [env, resource].
        own_output_share: its output, of its range, [env, resource].
        system_df_hz: deviation of the centre of inertia, late [Hz], [env].
        nearest_df_hz: deviation at the nearest buses, late [Hz], [env, resource, nearest].
        forecast_deviation_mw: renewable forecast less its schedule, late [MW], [env, 3].
        hour: 0 to 24, [env].
        weekday: 0 to 6, [env].
        utilisation: of its capacity, -1 to 1, a battery's 2 SOC - 1, [env, resource].

    Returns:
        [env, resource, 15], scaled to order one.
    """
    n_env, n_resource = own_df_hz.shape
    out = np.empty((n_env, n_resource, OBSERVATION_SIZE))
    out[:, :, OWN_DF] = own_df_hz / DF_HZ
    out[:, :, OWN_LOAD] = own_load_share
    out[:, :, OWN_OUTPUT] = own_output_share
    out[:, :, SYSTEM_DF] = (system_df_hz / DF_HZ)[:, None]
    out[:, :, NEAREST_DF] = nearest_df_hz / DF_HZ
    out[:, :, FORECAST] = (forecast_deviation_mw / FORECAST_MW)[:, None, :]
    out[:, :, HOUR] = (hour / 12.0 - 1.0)[:, None]
    out[:, :, WEEKDAY] = (weekday / 3.0 - 1.0)[:, None]
    out[:, :, UTILISATION] = utilisation
    return out


def state_size(case: Case) -> int:
    """Length of the critic's state: 140 on the 68-bus system."""
    return case.n_bus + case.n_resource + case.n_renewable + min(N_LARGEST_LOADS, case.n_load) + N_FEATURES


def observe_state(
    *,
    bus_df_hz: FloatArray,
    output_share: FloatArray,
    renewable_share: FloatArray,
    largest_load_share: FloatArray,
    hour: FloatArray,
    weekday: FloatArray,
    load_level: FloatArray,
    renewable_of_load: FloatArray,
    mean_soc: FloatArray,
    elements_out: FloatArray,
) -> FloatArray:
    """The critic's view of the grid.

    Args:
        bus_df_hz: deviation at every bus [Hz], [env, bus].
        output_share: output of the plants, of their range, [env, resource].
        renewable_share: output of wind and sun, of capacity, [env, renewable].
        largest_load_share: the largest loads, of nominal, [env, 30].
        hour: 0 to 24, [env].
        weekday: 0 to 6, [env].
        load_level: load of the grid, of nominal, [env].
        renewable_of_load: renewable power over load, [env].
        mean_soc: mean state of charge, 0 to 1, [env].
        elements_out: circuits and machines out of service, [env].

    Returns:
        [env, state], scaled to order one.
    """
    day, week = 2.0 * np.pi * hour / 24.0, 2.0 * np.pi * weekday / 7.0
    features = np.stack(
        [
            np.sin(day),
            np.cos(day),
            np.sin(week),
            np.cos(week),
            load_level,
            renewable_of_load,
            2.0 * mean_soc - 1.0,
            elements_out / ELEMENTS_OUT,
        ],
        axis=1,
    )
    return np.concatenate(
        [bus_df_hz / DF_HZ, output_share, renewable_share, largest_load_share, features], axis=1
    )


class Measured(NamedTuple):
    """What both views are made of at one instant."""

    bus_df_hz: FloatArray  # [env, bus]
    late: FloatArray  # what the control centre shows: system, every bus, forecasts, [env, signal]
    load_mw: FloatArray  # [env, load]
    renewable_mw: FloatArray  # [env, renewable]
    output_mw: FloatArray  # [env, resource]
    energy_mwh: FloatArray  # [env, resource]
    hour: FloatArray  # [env]
    weekday: FloatArray  # [env]
    elements_out: IntArray  # [env]
    # Only the extended observation, and the one with a memory, reads these.
    before_hz: FloatArray  # own frequency deviation one interval ago, [env, resource]
    last_action: FloatArray  # [env, resource]
    slope_mw: FloatArray  # change of the machines' total schedule in the coming interval, [env]
    # Only the observation with a memory: own frequency deviation two intervals ago, then its averages.
    past_hz: FloatArray  # [past, env, resource]


class ObservedPlants(NamedTuple):
    """What the views need of plants and grid; arrays lead with the resource unless said otherwise."""

    bus: IntArray
    nearest: IntArray  # [resource, nearest]
    own_load: IntArray  # row of the load at the resource's bus
    per_own_load_mw: FloatArray  # one over that load's nominal power, zero where there is none
    is_bess: npt.NDArray[np.bool_]
    capacity_mwh: FloatArray
    range_mw: FloatArray
    low_mw: FloatArray
    high_mw: FloatArray
    renewable_mw: FloatArray  # capacity of the renewable plants, [renewable]
    largest: IntArray  # rows of the largest loads, [30]
    nominal_mw: FloatArray  # of all loads, [load]
    forecast_mw: float  # scales of forecast and slope
    slope_mw: float


class Observer:
    """Makes both views for a whole batch at once, compiled; `observe_agents` and `observe_state` say the same slowly.

    Attributes:
        nearest: electrically nearest buses of each plant, [resource, nearest].
        plants: what the views need of plants and grid.
        size: numbers of an agent's view; state_size: of the critic's.
    """

    def __init__(
        self, case: Case, fleet: Fleet, renewable_scale: float, size: int = OBSERVATION_SIZE
    ) -> None:
        """For this grid and fleet.

        Args:
            case: the grid.
            fleet: the plants that are controlled.
            renewable_scale: of the case's renewable capacity.
            size: 15, 18 for the extended observation, or 22 for the one with a memory.
        """
        bus = case.resource.bus
        at_bus = case.load.bus[:, None] == bus  # the cases have one load a bus at most
        own_mw = case.load.p_mw[at_bus.argmax(axis=0)]
        has_load = at_bus.any(axis=0) & (own_mw > 0.0)  # what a file feeds in as a negative load is none
        self.size, self.state_size = size, state_size(case)
        self.nearest = electrically_nearest_buses(case, bus)
        self.plants = ObservedPlants(
            bus=bus,
            nearest=self.nearest,
            own_load=at_bus.argmax(axis=0),
            per_own_load_mw=np.where(has_load, 1.0 / np.where(has_load, own_mw, 1.0), 0.0),
            is_bess=fleet.kind == BESS,
            capacity_mwh=fleet.energy_mwh,
            range_mw=fleet.range_mw,
            low_mw=fleet.low_mw,
            high_mw=fleet.high_mw,
            renewable_mw=case.renewable.p_max_mw * renewable_scale,
            largest=np.argsort(-case.load.p_mw, kind="stable")[:N_LARGEST_LOADS],
            nominal_mw=case.load.p_mw,
            forecast_mw=FORECAST_MW * case.setting.size,
            slope_mw=SLOPE_MW * case.setting.size,
        )
        self._held = hold(self.plants)

    def observe(self, now: Measured) -> tuple[Float32Array, Float32Array]:
        """The agents' view [env, resource, 15, 18 or 22] and the critic's [env, state], in single precision."""
        n_env, n_resource = now.output_mw.shape
        agents = np.empty((n_env, n_resource, self.size), dtype=np.float32)
        state = np.empty((n_env, self.state_size), dtype=np.float32)
        _fill(self._held, agents, state, *now)
        return agents, state


@compiled
def _fill(
    plants: ObservedPlants, agents: Float32Array, state: Float32Array, *measured: npt.NDArray[Any]
) -> None:
    """Both views, environment by environment; see Observer.observe. `measured`: the arrays of `Measured`, in turn."""
    now = Measured(*measured)
    n_env, n_bus = now.bus_df_hz.shape
    n_resource, n_nearest = plants.nearest.shape
    n_load, n_renewable, n_largest = now.load_mw.shape[1], now.renewable_mw.shape[1], plants.largest.size
    nominal_total_mw = 0.0
    for k in range(n_load):
        nominal_total_mw += plants.nominal_mw[k]
    for e in range(n_env):
        soc_sum, n_bess = 0.0, 0
        at = n_bus
        for i in range(n_resource):
            x = now.output_mw[e, i]
            if plants.is_bess[i]:
                soc = now.energy_mwh[e, i] / plants.capacity_mwh[i]
                soc_sum += soc
                n_bess += 1
                use = 2.0 * soc - 1.0
            else:
                reach_mw = plants.high_mw[i] if x >= 0.0 else -plants.low_mw[i]
                use = x / reach_mw if reach_mw > 0.0 else 0.0
            agents[e, i, OWN_DF] = now.bus_df_hz[e, plants.bus[i]] / DF_HZ
            agents[e, i, OWN_LOAD] = now.load_mw[e, plants.own_load[i]] * plants.per_own_load_mw[i]
            agents[e, i, OWN_OUTPUT] = x / plants.range_mw[i]
            agents[e, i, SYSTEM_DF] = now.late[e, 0] / DF_HZ
            for j in range(n_nearest):
                agents[e, i, FIRST_NEAREST + j] = now.late[e, 1 + plants.nearest[i, j]] / DF_HZ
            for j, step in enumerate(FORECAST_STEPS):
                agents[e, i, FIRST_FORECAST + j] = now.late[e, 1 + n_bus + step] / plants.forecast_mw
            agents[e, i, HOUR] = now.hour[e] / 12.0 - 1.0
            agents[e, i, WEEKDAY] = now.weekday[e] / 3.0 - 1.0
            agents[e, i, UTILISATION] = use
            if agents.shape[2] > OBSERVATION_SIZE:
                agents[e, i, BEFORE_DF] = now.before_hz[e, i] / DF_HZ
                agents[e, i, LAST_ACTION] = now.last_action[e, i]
                agents[e, i, SLOPE] = now.slope_mw[e] / plants.slope_mw
            if agents.shape[2] > EXTENDED_SIZE:
                agents[e, i, EARLIER_DF] = now.past_hz[0, e, i] / DF_HZ
                for j in range(1, now.past_hz.shape[0]):
                    agents[e, i, FIRST_AVERAGE + j - 1] = now.past_hz[j, e, i] / DF_HZ
                beyond = max(abs(use) - NEAR_LIMIT_FROM, 0.0) / (1.0 - NEAR_LIMIT_FROM)
                agents[e, i, NEAR_LIMIT] = beyond if use >= 0.0 else -beyond
            state[e, at + i] = x / plants.range_mw[i]
        for k in range(n_bus):
            state[e, k] = now.bus_df_hz[e, k] / DF_HZ
        at += n_resource
        total_renewable_mw = 0.0
        for k in range(n_renewable):
            total_renewable_mw += now.renewable_mw[e, k]
            state[e, at + k] = now.renewable_mw[e, k] / plants.renewable_mw[k]
        at += n_renewable
        for k in range(n_largest):
            state[e, at + k] = now.load_mw[e, plants.largest[k]] / plants.nominal_mw[plants.largest[k]]
        at += n_largest
        total_load_mw = 0.0
        for k in range(n_load):
            total_load_mw += now.load_mw[e, k]
        day, week = 2.0 * np.pi * now.hour[e] / 24.0, 2.0 * np.pi * now.weekday[e] / 7.0
        state[e, at] = np.sin(day)
        state[e, at + 1] = np.cos(day)
        state[e, at + 2] = np.sin(week)
        state[e, at + 3] = np.cos(week)
        state[e, at + 4] = total_load_mw / nominal_total_mw
        state[e, at + 5] = (
            total_renewable_mw / total_load_mw if total_load_mw > 0.0 else 0.0
        )  # all may be dark
        state[e, at + 6] = 2.0 * soc_sum / max(n_bess, 1) - 1.0
        state[e, at + 7] = now.elements_out[e] / ELEMENTS_OUT
