"""Several machines at one bus, and shunts that draw active power: what a bus sends out counts once, and all of it."""

from dataclasses import replace

import numpy as np
import pytest

from cases.case import Case
from cases.ieee68 import load_ieee68
from control.controllers.registry import make_baseline
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.scenario.suites import NORMAL
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import SwingConfig
from grid_model.validation.event_response import balanced_grid
from marl.environment.batch import make_batch

CASE = load_ieee68("rogers")
G5, G9 = CASE.machine.name.index("G5"), CASE.machine.name.index("G9")
SIZES = ("p_mw", "base_mva", "rating_mva")


def split(case: Case, machine: int, part: float, moved_mw: float = 0.0) -> Case:
    """A machine as two at its bus, of these parts of its size and schedule, some of it moved; the second comes last."""
    table, excitation = case.machine, case.excitation
    rows = {name: np.append(getattr(table, name), getattr(table, name)[machine]) for name in
            table.__dataclass_fields__ if name != "name"}  # fmt: skip
    for name in SIZES:
        rows[name][[machine, -1]] *= (part, 1.0 - part)
    rows["p_mw"][[machine, -1]] += (moved_mw, -moved_mw)
    rows["cost_quadratic"][[machine, -1]] /= (part, 1.0 - part)
    rows["slack"][-1] = False
    field = {name: np.append(getattr(excitation, name), getattr(excitation, name)[machine]) for name in
             excitation.__dataclass_fields__}  # fmt: skip
    return replace(
        case,
        machine=replace(table, name=(*table.name, f"second {table.name[machine]}"), **rows),
        excitation=replace(excitation, **field),
    )


@pytest.mark.parametrize("level", ["system", "area", "machine"])
def test_two_machines_at_a_bus_are_one_of_their_size(level):
    """Frequencies of all buses after an outage elsewhere and more load, to the power flow's tolerance."""
    traces, powers = [], []
    for case in (CASE, split(CASE, G5, 0.3)):
        grid, inputs = balanced_grid(case, 1, SwingConfig(level=level), load_level=0.8)
        found = []
        for k in range(8):
            event = Event(time_s=1.0, kind="machine_out", index=G9)
            assert grid.advance(inputs, {0: [event]} if k == 1 else None)[0]
            found.append(grid.bus_df_hz()[0])
        traces.append(found)
        powers.append(grid.machine_mw[0].copy())
    assert np.abs(traces[0]).max() > 0.05
    np.testing.assert_allclose(traces[1], traces[0], atol=1e-7)
    one, two = powers
    assert two[[G5, -1]] == pytest.approx(one[G5] * np.array([0.3, 0.7]), abs=0.01)
    np.testing.assert_allclose(np.delete(two[:-1], G5), np.delete(one, G5), atol=0.01)


def test_what_is_sent_out_by_two_machines_with_schedules_of_their_own_is_what_each_was_asked_for():
    grid, inputs = balanced_grid(split(CASE, G5, 0.5, moved_mw=100.0), 1, SwingConfig(), load_level=0.8)
    np.testing.assert_allclose(grid.machine_mw[0], inputs.schedule_mw[0], atol=1e-5)
    assert grid.machine_mw[0, G5] - grid.machine_mw[0, -1] == pytest.approx(160.0, abs=1e-5)
    assert grid.machine_mvar[0, G5] == pytest.approx(grid.machine_mvar[0, -1])


@pytest.mark.parametrize("what", ["two machines at a bus", "a shunt that draws 40 MW"])
def test_the_dispatch_meets_what_loads_losses_and_shunts_take(what):
    """Nothing is missing over the first minutes of an episode without noise, with nobody acting."""
    still = dict.fromkeys(("load_slow_percent", "load_fast_percent", "wind_percent", "pv_percent"), 0.0)
    short = replace(NORMAL, n_intervals=30, **still)
    if what.startswith("two"):
        case = split(CASE, G5, 0.3)
    else:
        shunt = replace(CASE.shunt, bus=np.array([20]), p_mw=np.array([40.0]), q_mvar=np.zeros(1))
        case = replace(CASE, shunt=shunt)
    rms_mhz = []
    for grid in (CASE, case):
        batch = make_batch(short, 2, case=grid, check=False)
        record = rollout(
            make_baseline("do_nothing", batch.description, 2), ByPlant(batch), np.array([51, 52])
        )
        assert np.abs(batch.loop.power_gap_mw()).max() < 1e-3
        rms_mhz.append(1e3 * np.sqrt(np.mean(batch.loop.coi_df_hz**2)))
        assert np.isfinite(record.returns).all()
    # What the marks of the dispatch leave between them, some mHz in both; 40 MW alone would be 30 mHz within a minute.
    assert rms_mhz[1] == pytest.approx(rms_mhz[0], abs=5.0)
