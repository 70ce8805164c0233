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
    14  capacity utilisation: set-point / range; for a battery its
        state of charge, 0..1 -> -1..1                                  fresh

`observation="extended"` appends the own frequency deviation one interval ago (/ 0.05 Hz), the own last action, and the
slope of the machines' total schedule (/ 100 MW per interval).

The state for the critic has 140 numbers, all fresh: 68 bus frequency deviations, 20 outputs, 14 renewable
outputs, the 30 largest loads, and 8 features: sine and cosine of hour and weekday, load level, renewable share,
mean state of charge, elements out of service.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case

__all__ = [
    "EXTENDED_SIZE",
    "FORECAST_STEPS",
    "OBSERVATION_SIZE",
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
