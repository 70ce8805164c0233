"""Under-frequency relays: stages, pick-up, and what they do within the coupled grid."""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import Event
from grid_model.dynamics.load_shedding import (
    LoadSheddingConfig,
    SheddingRelays,
    first_operation,
    relay_weight,
)
from grid_model.dynamics.parameters import SwingConfig
from grid_model.validation.event_response import balanced_grid

CASE = load_ieee68("rogers")
STAGES_HZ = np.array([-0.5, -0.7, -0.9, -1.1])
DT_S = 0.02
NOTHING = np.zeros((1, 4), dtype=np.int64)
NONE = np.zeros((1, 4), dtype=bool)
BIG = Event(time_s=1.0, kind="load_step", index=0, p_mw=1500.0)


def operate(trace_hz, pending=NOTHING, operated=NONE):
    return first_operation(np.asarray(trace_hz)[:, None], pending, operated, STAGES_HZ, 0.3, DT_S)


def test_a_stage_operates_when_its_pick_up_time_is_over():
    """Below 59.5 Hz from step 10 on: 0.3 s later is step 25."""
    trace = np.where(np.arange(60) >= 10, -0.6, 0.0)
    step, which, _ = operate(trace)
    assert step == 25
    assert which.tolist() == [[True, False, False, False]]


def test_a_short_dip_does_not_operate_and_resets_the_timer():
    trace = np.where((np.arange(60) >= 10) & (np.arange(60) < 24), -0.6, 0.0)  # 14 steps, 0.28 s
    step, which, pending = operate(trace)
    assert step == -1
    assert not which.any()
    assert not pending.any()


def test_pick_up_goes_on_from_one_trace_to_the_next():
    first = np.full(9, -0.6)  # eight new steps below
    _, _, pending = operate(first)
    step, which, _ = operate(np.full(20, -0.6), pending)
    assert step == 8  # sixteen steps seen: 15 intervals of 20 ms after the first
    assert which[0, 0]


def test_a_deep_fall_operates_several_stages_together():
    step, which, _ = operate(np.full(40, -0.95))
    assert step == 16
    assert which.tolist() == [[True, True, True, False]]


def test_a_stage_operates_once():
    step, _, _ = operate(np.full(40, -0.6), operated=np.array([[True, False, False, False]]))
    assert step == -1


def test_relays_of_an_area_measure_a_mean():
    weight = relay_weight(CASE, np.ones((CASE.n_bus, 1)), np.zeros(CASE.n_bus, dtype=np.int64))
    np.testing.assert_allclose(weight, 1.0, rtol=0.0, atol=1e-12)  # rounding of a sum of 35 shares


def test_relays_of_an_area_that_is_split_measure_their_own_part():
    """Bus frequencies 1 Hz in one island, 2 Hz in the other, and a dark bus; area by area and island by island."""
    island = np.arange(CASE.n_bus) % 2
    island[CASE.load.bus[4]] = -1
    bus_frequency = np.where(island < 0, 0.0, 1.0 + island)[:, None]
    expected = bus_frequency[CASE.load.bus]
    # Rounding of a sum of 35 shares.
    np.testing.assert_allclose(relay_weight(CASE, bus_frequency, island), expected, rtol=0.0, atol=1e-12)


def test_relays_of_a_batch_act_each_in_its_own_environment():
    """Group 0 is what loads 2 and 7 measure; in environment 1 it is below 59.5 Hz from step 10 on, in 0 it never is."""
    relays = SheddingRelays(LoadSheddingConfig(), CASE, 2, DT_S)
    weight = np.zeros((2, CASE.n_load, 1))
    weight[:, [2, 7]] = 1.0
    trace_hz = np.zeros((60, 1, 2))
    trace_hz[10:, 0, 1] = -0.6
    found = relays.operations(np.arange(2), trace_hz, trace_hz.min(axis=0), weight)
    assert list(found) == [1]
    assert found[1].step == 25
    assert np.argwhere(found[1].stages).tolist() == [[2, 0], [7, 0]]
    assert not relays.shed_stages.any()  # looking changes nothing
    share = relays.operate(1, found[1].stages)
    here = np.isin(np.arange(CASE.n_load), [2, 7])
    np.testing.assert_array_equal(share, np.where(here, 1.0 - 0.07, 1.0))
    second = np.zeros((CASE.n_load, 4), dtype=bool)
    second[[2, 7], 1] = True
    np.testing.assert_array_equal(relays.operate(1, second), np.where(here, 1.0 - 2 * 0.07, 1.0))
    assert not relays.shed_stages[0].any()
    relays.start(np.array([1]))
    assert not relays.shed_stages.any()


def test_a_grid_without_relays_has_nothing_to_look_at():
    relays = SheddingRelays(None, CASE, 1, DT_S)
    deep = np.full((60, 1, 1), -5.0)
    assert relays.operations(np.arange(1), deep, deep.min(axis=0), np.ones((1, CASE.n_load, 1))) == {}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"stage_hz": (59.3, 59.5)}, "falling stages"),
        ({"share": 0.3}, "0 to 1 together"),
        ({"pick_up_s": -0.1}, "pick_up_s"),
    ],
)
def test_nonsense_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        LoadSheddingConfig(**setting)


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_shed_load_is_unserved_and_lifts_the_frequency(level):
    config = SwingConfig(level=level)
    grid, inputs = balanced_grid(CASE, 1, config, load_level=0.6)
    bare, _ = balanced_grid(CASE, 1, SwingConfig(level=level, load_shedding=None), load_level=0.6)
    event = Event(time_s=1.0, kind="load_step", index=0, p_mw=1150.0)  # leaves some of the governors' 1500 MW
    for k in range(12):
        events = {0: [event]} if k == 0 else None
        assert grid.advance(inputs, events).all()
        bare.advance(inputs, events)
    stages = np.count_nonzero(grid.relays.shed_stages[0], axis=1)
    assert stages.min() >= 1
    load_mw = inputs.load_mw[0] + grid.profile.load_step_mw[0]
    shed_mw = float((0.07 * stages * load_mw).sum())
    assert grid.unserved_mw()[0] == pytest.approx(shed_mw, rel=1e-12)
    # Governors and damping, 2500 + 180 MW/Hz; losses change by some MW, and reheat at 48 s is within e^-5 of its end.
    lift_hz = float(grid.coi_df_hz()[0] - bare.coi_df_hz()[0])
    assert lift_hz == pytest.approx(shed_mw / 2680.0, rel=0.05)


def test_load_shedding_is_the_same_alone_and_in_a_batch():
    """Alone, the whole batch is one span that relays cut short; beside a quiet grid it is not the whole batch."""
    results = []
    for n_env in (1, 3):
        grid, inputs = balanced_grid(CASE, n_env, SwingConfig(level="area"), load_level=0.6)
        for k in range(4):
            grid.advance(inputs, {n_env - 1: [BIG]} if k == 0 else None)
        results.append(
            (grid.df_hz[:, -1].copy(), grid.profile.served_share[-1].copy(), grid.engine.v_pu[-1].copy())
        )
    for alone, beside in zip(*results, strict=True):
        np.testing.assert_array_equal(alone, beside)


def test_relays_that_cut_a_long_span_act_at_the_same_step_as_in_short_ones():
    """At the system level spans last 4 s after the first interval; with short ones the trace is the same."""
    traces = []
    for spread_hz in (1.0, 0.0):
        config = SwingConfig(level="area", renewal_spread_hz=spread_hz, renewal_s=0.25)
        grid, inputs = balanced_grid(CASE, 1, config, load_level=0.6)
        recorder = grid.record(0)
        for k in range(3):
            event = Event(time_s=1.0, kind="load_step", index=0, p_mw=1000.0)
            grid.advance(inputs, {0: [event]} if k == 0 else None)
        traces.append(recorder.trace())
    shed = [int(np.argmax(trace.unserved_mw > 0.0)) for trace in traces]
    # Losses between power flows are of first order: frequencies differ by some mHz, crossings by a few steps.
    assert abs(shed[0] - shed[1]) <= 5
    assert traces[0].unserved_mw[-1] == traces[1].unserved_mw[-1]


def test_shed_load_stays_shed_until_the_episode_ends():
    grid, inputs = balanced_grid(CASE, 1, SwingConfig(), load_level=0.6)
    event = Event(time_s=1.0, kind="load_step", index=0, p_mw=1200.0)
    back = Event(time_s=0.0, kind="load_step", index=0, p_mw=-1200.0)
    for k in range(10):
        grid.advance(inputs, {0: [event]} if k == 0 else {0: [back]} if k == 6 else None)
    assert grid.unserved_mw()[0] > 0.0
    assert grid.coi_df_hz()[0] > 0.0
    grid.start(np.array([0]), inputs, np.full((1, 1), 0.5))
    assert grid.unserved_mw()[0] == 0.0
