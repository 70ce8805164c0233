"""A named tuple that compiled functions take as one argument, and the arrays that they share with their owners."""

from typing import NamedTuple

import numba
import numpy as np

from cases.arrays import FloatArray
from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.held import hold
from grid_model.validation.event_response import balanced_grid

CASE = load_ieee68()


class Tank(NamedTuple):
    level_m: FloatArray
    area_m2: float


class Plant(NamedTuple):
    upper: Tank
    lower: Tank
    pump: None


@numba.njit
def pump(plant: Plant, volume_m3: float) -> float:
    """Move water from the lower tank to the upper one; the head between them afterwards."""
    plant.lower.level_m[0] -= volume_m3 / plant.lower.area_m2
    plant.upper.level_m[0] += volume_m3 / plant.upper.area_m2
    return plant.upper.level_m[0] - plant.lower.level_m[0]


def test_what_is_held_reads_as_the_named_tuple_and_shares_its_arrays():
    """6 m3 are 3 m of a tank of 2 m2 and 1 m of one of 6 m2: levels go from 10 and 20 m to 7 and 21 m."""
    plant = Plant(upper=Tank(np.array([20.0]), 6.0), lower=Tank(np.array([10.0]), 2.0), pump=None)
    held = hold(plant)
    assert held.upper.area_m2 == 6.0
    assert held.pump is None
    assert pump(held, 6.0) == 21.0 - 7.0
    assert (plant.upper.level_m[0], plant.lower.level_m[0]) == (21.0, 7.0)
    plant.lower.level_m[0] = 11.0
    assert pump(held, 0.0) == 10.0
    assert pump(plant, 0.0) == 10.0  # compiled functions take either


def test_the_grids_parts_fill_their_arrays_in_place():
    """What compiled functions hold is still what engine, relays and state own after all that replaces contents."""
    grid, inputs = balanced_grid(CASE, 2, SwingConfig(), load_level=0.7)
    state = grid.get_state()
    events = [
        Event(time_s=1.0, kind="branch_out", index=CASE.branch.name.index("54-53 #1")),
        Event(time_s=2.0, kind="machine_out", index=0),
    ]
    grid.advance(inputs, {1: events})
    grid.set_state(state)
    grid.start(np.array([1]), type(inputs)(*(array[1:] for array in inputs)), np.zeros((1, 1)))
    engine, arrays = grid.engine, grid.arrays
    for held, owned in (
        (arrays.power_flow.v_pu, engine.v_pu),
        (arrays.power_flow.s_from_mva, engine.s_from_mva),
        (arrays.power_flow.s_to_mva, engine.s_to_mva),
        (arrays.power_flow.converged, engine.converged),
        (arrays.status.branch, engine.branch_in_service),
        (arrays.status.machine, engine.machine_in_service),
        (arrays.status.bus, engine.bus_live),
        (arrays.relay_pending, grid.relays.pending),
        (arrays.group_state.df_hz, grid.df_hz),
        (arrays.machine_state.p_mw, grid.machine_mw),
        (arrays.profile.end.load_mw, grid.injections.load_mw),
        (arrays.network.impact_share, grid.topology.impact_share),
    ):
        assert held is owned
