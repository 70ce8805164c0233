"""Islands that can live do so, each with a frequency of its own; what cannot goes dark, says why, and costs."""

from dataclasses import replace

import numpy as np
import pytest

from control.scenario.suites import NORMAL
from grid_model.dynamics.events import Event
from grid_model.dynamics.island_groups import NO_GROUP, group_by_island
from grid_model.dynamics.parameters import SwingConfig
from marl.environment.batch import make_batch
from marl.environment.render import describe
from tests.physics.test_coupling import CASE, balanced

SIX_TIES = [CASE.branch.name.index(f"{pair} #{k}") for pair in ("54-53", "61-60", "27-53") for k in (1, 2)]
NETS = CASE.bus.area == CASE.area_names.index("NETS")
AREA_OF_MACHINE = CASE.bus.area[CASE.machine.bus]


def out(rows, time_s=1.0):
    return [Event(time_s=time_s, kind="branch_out", index=int(row)) for row in rows]


def around(numbers):
    """Circuits between these buses and the rest."""
    inside = np.isin(CASE.bus.bus_number, numbers)
    return np.flatnonzero(inside[CASE.branch.from_bus] != inside[CASE.branch.to_bus])


@pytest.mark.parametrize("level", ["area", "machine"])
def test_two_halves_of_the_grid_settle_where_their_own_governors_put_them(level):
    """Df = dP / (D + gain) in each half, dP what it exported before; damping D is 1 %/% of its load."""
    config = SwingConfig(level=level, load_shedding=None)
    grid, inputs = balanced(2, config)
    ends = CASE.bus.area[CASE.branch.from_bus[SIX_TIES]] == 0
    exported_mw = np.where(
        ends, grid.engine.s_from_mva[0].real[SIX_TIES], grid.engine.s_to_mva[0].real[SIX_TIES]
    )
    losses_mw = (grid.engine.s_from_mva + grid.engine.s_to_mva).real[0]
    inside = NETS[CASE.branch.from_bus] & NETS[CASE.branch.to_bus]
    assert grid.advance(inputs, {0: out(SIX_TIES)}).all()
    for _ in range(60):
        assert grid.advance(inputs).all()
    assert grid.engine.bus_live.all()
    assert grid.topology.n_island.tolist() == [2, 1]
    assert grid.dark[0] == ()
    # Every bus of a half stands at one frequency.
    df_hz = grid.bus_df_hz()[0]
    for half in (NETS, ~NETS):
        assert np.ptp(df_hz[half]) < 1e-4  # 240 s later swings have decayed
    now_mw = (grid.engine.s_from_mva + grid.engine.s_to_mva).real[0]
    more_losses_mw = (now_mw - losses_mw)[inside].sum()
    share = CASE.machine.rating_mva[NETS[CASE.machine.bus]].sum() / CASE.machine.rating_mva.sum()
    load_mw = inputs.load_mw[0, NETS[CASE.load.bus]].sum()
    surplus_mw, f = exported_mw.sum() - more_losses_mw, df_hz[NETS].mean()
    governor = config.governor
    beyond = np.sign(f) * max(abs(f) - governor.dead_band_hz, 0.0)
    given_mw = config.load_damping / 60.0 * load_mw * f + share * governor.gain_mw_per_hz * beyond
    # The reheaters' rest after 240 s is below a megawatt of several hundred.
    assert given_mw == pytest.approx(surplus_mw, abs=1.0)
    # The environment beside it has not noticed.
    alone, _ = balanced(1, config)
    for _ in range(61):
        alone.advance(type(inputs)(*(x[1:] for x in inputs)))
    np.testing.assert_array_equal(grid.df_hz[:, 1], alone.df_hz[:, 0])


def test_an_area_that_is_cut_off_lives_and_joins_the_grid_again():
    """Area 4 holds G15 and a load and exports little; both its ties open and close again after 20 s."""
    ties = [CASE.branch.name.index(name) for name in ("41-42", "42-18")]
    area = CASE.bus.area == CASE.area_names.index("area4")
    for level in ("area", "machine"):
        grid, inputs = balanced(2, SwingConfig(level=level, load_shedding=None))
        assert grid.advance(inputs, {0: out(ties)}).all()
        for _ in range(5):
            assert grid.advance(inputs).all()
        assert not grid.unserved_mw().any()
        df_hz = grid.bus_df_hz()[0]
        assert abs(df_hz[area].mean() - df_hz[~area].mean()) > 0.01
        back = [Event(time_s=1.0, kind="branch_in", index=tie) for tie in ties]
        assert grid.advance(inputs, {0: back}).all()
        for _ in range(150):
            assert grid.advance(inputs).all()
        # 600 s later swings and reheaters have decayed; the loads' way back to their powers, with 60 s, has exp(-10) =
        # 5e-5 left of the few per cent that voltages were off: 1e-5 of some Hz and pu.
        np.testing.assert_allclose(grid.df_hz[:, 0], grid.df_hz[:, 1], rtol=0.0, atol=1e-5)
        np.testing.assert_allclose(
            np.abs(grid.engine.v_pu[0]), np.abs(grid.engine.v_pu[1]), rtol=0.0, atol=1e-5
        )


def test_groups_lie_in_one_island_each():
    """A piece of NYPS with G11 and load lives where a group is to spare for it; otherwise it goes dark and says so."""
    piece = around([11, 32, 33])
    on = np.ones(CASE.n_branch, dtype=bool)
    on[piece] = False
    machines = np.ones(CASE.n_machine, dtype=bool)
    g11 = CASE.machine.name.index("G11")
    spare = group_by_island(CASE, AREA_OF_MACHINE, CASE.n_area + 1, on, machines)
    assert spare.dark == ()
    assert spare.machine_group[g11] == CASE.n_area
    np.testing.assert_array_equal(np.delete(spare.machine_group, g11), np.delete(AREA_OF_MACHINE, g11))
    none = group_by_island(CASE, AREA_OF_MACHINE, CASE.n_area, on, machines)
    (dark,) = none.dark
    assert CASE.bus.bus_number[dark.bus].tolist() == [11, 32, 33]
    assert dark.reason == NO_GROUP
    assert np.flatnonzero(~none.machine_in_service).tolist() == [g11]
    # G11 out of service: nothing keeps the piece alive. G3 behind its transformer alone: no load to live for.
    machines[g11] = False
    assert group_by_island(CASE, AREA_OF_MACHINE, 9, on, machines).dark[0].reason == "no machine in service"
    on[:] = True
    on[CASE.branch.name.index("3-62")] = False
    (dark,) = group_by_island(CASE, AREA_OF_MACHINE, 9, on, np.ones_like(machines)).dark
    assert (CASE.bus.bus_number[dark.bus].tolist(), dark.reason) == ([3], "no load")


def test_a_small_island_that_runs_away_trips_and_the_rest_goes_on():
    """G11 with 1000 MW and the load of bus 33 alone: beyond 62.2 Hz within seconds."""
    config = SwingConfig(spare_groups=1, load_shedding=None)
    grid, inputs = balanced(1, config)
    solved = [
        bool(grid.advance(inputs, {0: out(around([11, 32, 33]))} if k == 0 else None)[0]) for k in range(6)
    ]
    assert all(solved)
    (dark,) = grid.dark[0]
    assert dark.reason == "its machines tripped 2.2 Hz away from nominal"
    assert CASE.bus.bus_number[~grid.engine.bus_live[0]].tolist() == [11, 32, 33]
    assert abs(grid.coi_df_hz()[0]) < 1.0


def test_relays_measure_the_island_of_their_load():
    """NETS falls by 1 Hz alone: relays there operate, those of NYPS and the others do not."""
    config = SwingConfig()
    grid, inputs = balanced(1, config)
    load = int(np.flatnonzero(NETS[CASE.load.bus])[0])
    step = Event(time_s=3.0, kind="load_step", index=load, p_mw=1500.0)
    grid.advance(inputs, {0: [*out(SIX_TIES), step]})
    for _ in range(5):
        grid.advance(inputs)
    operated = grid.relays.shed_stages[0].any(axis=1)
    assert operated[NETS[CASE.load.bus]].all()
    assert not operated[~NETS[CASE.load.bus]].any()


def test_cutting_the_grid_in_two_does_not_pay():
    """The same episode with and without the six ties; agents keep still. It used to cost a fifth of the intact one."""
    cost = []
    for events in ((), tuple(out(SIX_TIES, 20.0))):
        batch = make_batch(replace(NORMAL, n_intervals=60, events=events), 1, seed=3, check=False)
        batch.reset(np.array([5]))
        still = {g.name: np.zeros((1, g.n_agent, 1), np.float32) for g in batch.groups}
        total = 0.0
        for k in range(60):
            transition = batch.step(still)
            total -= float(transition.reward[0])
            if k == 30 and events:
                text = describe(batch.task, 0)
                assert "islands: " in text or "dark: " in text
            if transition.terminated[0]:
                break
        cost.append(total)
    assert cost[1] > 2.0 * cost[0]
