"""What each agent may see, and what the critic sees, from the state of the closed loop.

Fifteen numbers per agent, in this order; `fresh` ones are measured on the spot, `SCADA` ones come through the control
centre and are as late as the scenario says (two intervals by default):

     0  frequency deviation at the own bus                              fresh   / 0.05 Hz
     1  load at the own bus                                             fresh   / its nominal load
     2  own output                                                      fresh   / own range
     3  frequency deviation of the system (centre of inertia)           SCADA   / 0.05 Hz
     4  .. 8  frequency deviation of the 5 electrically nearest buses   SCADA   / 0.05 Hz
     9  .. 11 renewable forecast 5, 15, 25 min ahead less its schedule  SCADA   / 500 MW
    12  hour of the day                                                 fresh   0..24 h -> -1..1
    13  day of the week                                                 fresh   0..6    -> -1..1
    14  capacity utilisation: output / range on the output's side, as
        number 2 where the range is symmetric; for a battery its
        state of charge, 0..1 -> -1..1                                  fresh

`observation="extended"` appends the own frequency deviation one interval ago (/ 0.05 Hz), the own last action, and the
slope of the machines' total schedule (/ 100 MW per interval).

The state for the critic has 140 numbers, all fresh: 68 bus frequency deviations, 20 outputs, 14 renewable
outputs, the 30 largest loads, and 8 features: sine and cosine of hour and weekday, load level, renewable share,
mean state of charge, elements out of service.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.plants.fleet import BESS, Fleet

__all__ = [
    "EXTENDED_SIZE",
    "FORECAST_STEPS",
    "OBSERVATION_SIZE",
    "Observer",
    "electrically_nearest_buses",
    "observe_agents",
    "observe_state",
    "state_size",
]

N_NEAREST = 5
FORECAST_STEPS = (0, 2, 4)  # steps 1, 3 and 5 of 5 minutes
OBSERVATION_SIZE = 4 + N_NEAREST + len(FORECAST_STEPS) + 3
EXTENDED_SIZE = OBSERVATION_SIZE + 3
N_LARGEST_LOADS = 30
N_FEATURES = 8

# Scales that bring every number to order one.
DF_HZ = 0.05
FORECAST_MW = 500.0
SLOPE_MW = 100.0
ELEMENTS_OUT = 2.0


def electrically_nearest_buses(case: Case, bus: IntArray, n_nearest: int = N_NEAREST) -> IntArray:
    """Buses of least electrical distance from each given bus, the bus itself left out.

        d_ij = X_ii + X_jj - 2 X_ij,   X the pseudo-inverse of the Laplacian of 1/x

    The effective reactance between two buses (Klein & Randic, Resistance distance, J. Math. Chemistry 12, 1993, for
    resistors). Ties go to the lower bus.

    Args:
        case: the grid; bus: positions, [n].

    Returns:
        Positions, nearest first, [n, n_nearest].
    """
    f, t = case.branch.from_bus, case.branch.to_bus
    weight = 1.0 / case.branch.x_pu
    laplacian = np.zeros((case.n_bus, case.n_bus))
    np.add.at(laplacian, (f, f), weight)
    np.add.at(laplacian, (t, t), weight)
    np.add.at(laplacian, (f, t), -weight)
    np.add.at(laplacian, (t, f), -weight)
    x = np.linalg.pinv(laplacian, hermitian=True)
    distance = np.diag(x)[:, None] + np.diag(x)[None, :] - 2.0 * x
    np.fill_diagonal(distance, -1.0)
    # Rounding keeps two corridors of equal reactance a tie whatever the order of summation.
    order = np.argsort(distance[bus].round(9), axis=1, kind="stable")
    return order[:, 1 : n_nearest + 1]


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
        own_df_hz, own_load_share, own_output_share, utilisation: [env, resource].
        system_df_hz: late, [env]; nearest_df_hz: late, [env, resource, nearest].
        forecast_deviation_mw: late, [env, 3].
        hour: 0 to 24, [env]; weekday: 0 to 6, [env].

    Returns:
        [env, resource, 15].
    """
    n_env, n_resource = own_df_hz.shape
    out = np.empty((n_env, n_resource, OBSERVATION_SIZE))
    out[:, :, 0] = own_df_hz / DF_HZ
    out[:, :, 1] = own_load_share
    out[:, :, 2] = own_output_share
    out[:, :, 3] = (system_df_hz / DF_HZ)[:, None]
    out[:, :, 4:9] = nearest_df_hz / DF_HZ
    out[:, :, 9:12] = (forecast_deviation_mw / FORECAST_MW)[:, None, :]
    out[:, :, 12] = (hour / 12.0 - 1.0)[:, None]
    out[:, :, 13] = (weekday / 3.0 - 1.0)[:, None]
    out[:, :, 14] = utilisation
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
        bus_df_hz: [env, bus]; output_share: of the range, [env, resource]; renewable_share: of capacity,
            [env, renewable]; largest_load_share: of nominal, [env, 30].
        hour, weekday, load_level, renewable_of_load, mean_soc, elements_out: [env].

    Returns:
        [env, state].
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


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Makes both views for a whole batch at once, compiled; `observe_agents` and `observe_state` say the same slowly.

    Built for one case and fleet; arrays lead with the resource unless said otherwise.
    """

    bus: IntArray  # of each resource
    nearest: IntArray  # [resource, nearest]
    own_load: IntArray  # row of the load at the resource's bus
    per_own_load_mw: FloatArray  # one over that load's nominal power, zero where there is none
    is_bess: npt.NDArray[np.bool_]
    capacity_mwh: FloatArray
    range_mw: FloatArray
    low_mw: FloatArray
    high_mw: FloatArray
    capacity_mw: FloatArray  # of the renewable plants, [renewable]
    largest: IntArray  # rows of the largest loads, [30]
    nominal_mw: FloatArray  # of all loads, [load]

    @classmethod
    def of(cls, case: Case, fleet: Fleet, renewable_scale: float) -> Observer:
        """For this grid and fleet; renewable_scale: of the case's renewable capacity."""
        bus = case.resource.bus
        at_bus = case.load.bus[:, None] == bus  # the cases have one load a bus at most
        own_mw = np.maximum(case.load.p_mw[at_bus.argmax(axis=0)], 1e-9)
        return cls(
            bus=bus,
            nearest=electrically_nearest_buses(case, bus),
            own_load=at_bus.argmax(axis=0),
            per_own_load_mw=np.where(at_bus.any(axis=0), 1.0 / own_mw, 0.0),
            is_bess=fleet.kind == BESS,
            capacity_mwh=fleet.energy_mwh,
            range_mw=fleet.range_mw,
            low_mw=fleet.low_mw,
            high_mw=fleet.high_mw,
            capacity_mw=case.renewable.p_max_mw * renewable_scale,
            largest=np.argsort(-case.load.p_mw, kind="stable")[:N_LARGEST_LOADS],
            nominal_mw=case.load.p_mw,
        )

    def observe(
        self,
        *,
        bus_df_hz: FloatArray,
        late: FloatArray,
        load_mw: FloatArray,
        renewable_mw: FloatArray,
        output_mw: FloatArray,
        energy_mwh: FloatArray,
        hour: FloatArray,
        weekday: FloatArray,
        elements_out: IntArray,
        more: FloatArray | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The agents' view [env, resource, 15 or 18] and the critic's [env, state], in single precision.

        Args:
            bus_df_hz: [env, bus]; late: what the control centre shows: system, every bus, forecasts, [env, signal].
            load_mw, renewable_mw: [env, load] and [env, renewable]; output_mw, energy_mwh: [env, resource].
            hour, weekday, elements_out: [env].
            more: what the extended observation appends, scaled, [env, resource, 3].
        """
        n_env, n_bus = bus_df_hz.shape
        n_resource, n_renewable = len(self.bus), len(self.capacity_mw)
        size = OBSERVATION_SIZE + (0 if more is None else more.shape[2])
        agents = np.empty((n_env, n_resource, size), dtype=np.float32)
        if more is not None:
            agents[:, :, OBSERVATION_SIZE:] = more
        state = np.empty(
            (n_env, n_bus + n_resource + n_renewable + len(self.largest) + N_FEATURES), dtype=np.float32
        )
        _fill(
            bus_df_hz,
            late,
            load_mw,
            renewable_mw,
            output_mw,
            energy_mwh,
            hour,
            weekday,
            elements_out,
            self.bus,
            self.nearest,
            self.own_load,
            self.per_own_load_mw,
            self.is_bess,
            self.capacity_mwh,
            self.range_mw,
            self.low_mw,
            self.high_mw,
            self.capacity_mw,
            self.largest,
            self.nominal_mw,
            agents,
            state,
        )
        return agents, state


@numba.njit(cache=True)
def _fill(
    bus_df_hz: FloatArray,
    late: FloatArray,
    load_mw: FloatArray,
    renewable_mw: FloatArray,
    output_mw: FloatArray,
    energy_mwh: FloatArray,
    hour: FloatArray,
    weekday: FloatArray,
    elements_out: IntArray,
    bus: IntArray,
    nearest: IntArray,
    own_load: IntArray,
    per_own_load_mw: FloatArray,
    is_bess: npt.NDArray[np.bool_],
    capacity_mwh: FloatArray,
    range_mw: FloatArray,
    low_mw: FloatArray,
    high_mw: FloatArray,
    capacity_mw: FloatArray,
    largest: IntArray,
    nominal_mw: FloatArray,
    agents: npt.NDArray[np.float32],
    state: npt.NDArray[np.float32],
) -> None:
    """Both views, environment by environment; see Observer.observe."""
    n_env, n_bus = bus_df_hz.shape
    n_resource, n_nearest = nearest.shape
    n_load, n_renewable = load_mw.shape[1], renewable_mw.shape[1]
    nominal_total_mw = 0.0
    for k in range(n_load):
        nominal_total_mw += nominal_mw[k]
    for e in range(n_env):
        soc_sum, n_bess = 0.0, 0
        at = n_bus
        for i in range(n_resource):
            x = output_mw[e, i]
            if is_bess[i]:
                soc = energy_mwh[e, i] / capacity_mwh[i]
                soc_sum += soc
                n_bess += 1
                use = 2.0 * soc - 1.0
            else:
                reach_mw = high_mw[i] if x >= 0.0 else -low_mw[i]
                use = x / reach_mw if reach_mw > 0.0 else 0.0
            agents[e, i, 0] = bus_df_hz[e, bus[i]] / DF_HZ
            agents[e, i, 1] = load_mw[e, own_load[i]] * per_own_load_mw[i]
            agents[e, i, 2] = x / range_mw[i]
            agents[e, i, 3] = late[e, 0] / DF_HZ
            for j in range(n_nearest):
                agents[e, i, 4 + j] = late[e, 1 + nearest[i, j]] / DF_HZ
            for j, step in enumerate(FORECAST_STEPS):
                agents[e, i, 9 + j] = late[e, 1 + n_bus + step] / FORECAST_MW
            agents[e, i, 12] = hour[e] / 12.0 - 1.0
            agents[e, i, 13] = weekday[e] / 3.0 - 1.0
            agents[e, i, 14] = use
            state[e, at + i] = x / range_mw[i]
        for k in range(n_bus):
            state[e, k] = bus_df_hz[e, k] / DF_HZ
        at += n_resource
        total_renewable_mw = 0.0
        for k in range(n_renewable):
            total_renewable_mw += renewable_mw[e, k]
            state[e, at + k] = renewable_mw[e, k] / capacity_mw[k]
        at += n_renewable
        for k in range(len(largest)):
            state[e, at + k] = load_mw[e, largest[k]] / nominal_mw[largest[k]]
        at += len(largest)
        total_load_mw = 0.0
        for k in range(n_load):
            total_load_mw += load_mw[e, k]
        day, week = 2.0 * np.pi * hour[e] / 24.0, 2.0 * np.pi * weekday[e] / 7.0
        state[e, at] = np.sin(day)
        state[e, at + 1] = np.cos(day)
        state[e, at + 2] = np.sin(week)
        state[e, at + 3] = np.cos(week)
        state[e, at + 4] = total_load_mw / nominal_total_mw
        state[e, at + 5] = total_renewable_mw / total_load_mw
        state[e, at + 6] = 2.0 * soc_sum / max(n_bess, 1) - 1.0
        state[e, at + 7] = elements_out[e] / ELEMENTS_OUT
