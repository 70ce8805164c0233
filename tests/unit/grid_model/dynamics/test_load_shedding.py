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


def test_load_stays_shed_until_frequency_has_held_or_the_episode_ends():
    grid, inputs = balanced_grid(CASE, 1, SwingConfig(), load_level=0.6)
    event = Event(time_s=1.0, kind="load_step", index=0, p_mw=1200.0)
    back = Event(time_s=0.0, kind="load_step", index=0, p_mw=-1200.0)
    for k in range(10):
        grid.advance(inputs, {0: [event]} if k == 0 else {0: [back]} if k == 6 else None)
    assert grid.unserved_mw()[0] > 0.0
    assert grid.coi_df_hz()[0] > 0.0
    grid.start(np.array([0]), inputs, np.full((1, 1), 0.5))
    assert grid.unserved_mw()[0] == 0.0


def operator(n_shed_stages, **settings):
    """Relays of which the highest stages have operated everywhere, and an operator who looks every 4 s."""
    relays = SheddingRelays(LoadSheddingConfig(**settings), CASE, 1, DT_S)
    stages = np.zeros((CASE.n_load, 4), dtype=bool)
    stages[:, :n_shed_stages] = True
    relays.operate(0, stages)

    def look(lowest_hz=0.0, highest_hz=0.0):
        everywhere = np.ones(CASE.n_load)
        block = relays.block_to_restore(0, lowest_hz * everywhere, highest_hz * everywhere, 4.0)
        if block is not None:
            relays.restore(0, block)
        return block

    return relays, look


def test_blocks_come_back_one_at_a_time_after_five_minutes_within_50_mhz():
    """300 s are the 75th look, 60 s more the 90th: stage 2 of the five areas, then stage 1: 75 + 9 x 15 = 210."""
    area = CASE.bus.area[CASE.load.bus]
    relays, look = operator(2)
    found = {k: block for k in range(1, 300) if (block := look(-0.049, 0.049)) is not None}
    assert list(found) == list(range(75, 211, 15))
    for k, block in enumerate(found.values()):
        stage, where = (1, k) if k < CASE.n_area else (0, k - CASE.n_area)
        expected = np.zeros_like(block)
        expected[area == where, stage] = True
        np.testing.assert_array_equal(block, expected)
    assert not relays.shed_stages.any()


def test_frequency_that_leaves_its_range_makes_the_operator_wait_anew():
    _, look = operator(1)
    assert all(look() is None for _ in range(74))
    assert look(lowest_hz=-0.051) is None
    assert all(look(highest_hz=0.05) is None for _ in range(74))
    assert look() is not None
    # Without a voltage to measure, or with nobody to restore, nothing comes back.
    for settings, lowest_hz in (({}, np.nan), ({"restore_after_s": np.inf}, 0.0)):
        _, look = operator(1, **settings)
        assert all(look(lowest_hz) is None for _ in range(1000))


def test_stages_that_came_back_may_operate_again():
    relays, look = operator(1, restore_after_s=4.0, restore_every_s=4.0)
    block = look()
    low_hz = np.full((30, 1, 1), -0.6)
    found = relays.operations(np.array([0]), low_hz, np.array([[-0.6]]), np.ones((1, CASE.n_load, 1)))
    np.testing.assert_array_equal(found[0].stages[:, 0], block[:, 0])


def test_load_comes_back_in_the_coupled_grid_and_is_not_served_until_then():
    """1500 MW are added and all but what was shed is taken away: balance, and 7 % of an area after the other.

    A block of 250 MW is worth 90 mHz here, where nobody but governors acts, so the range is wider than usual.
    """
    config = SwingConfig(
        load_shedding=LoadSheddingConfig(restore_within_hz=0.2, restore_after_s=20.0, restore_every_s=8.0)
    )
    grid, inputs = balanced_grid(CASE, 1, config, load_level=0.6)
    grid.advance(inputs, {0: [Event(time_s=1.0, kind="load_step", index=0, p_mw=1500.0)]})
    for _ in range(4):
        grid.advance(inputs)
    shed_mw = grid.unserved_mw()[0]
    assert shed_mw > 400.0
    stages = grid.relays.shed_stages[0].copy()
    # What is left of load 0 after its stages counts, of its step as of itself.
    served = 1.0 - 0.07 * stages[0].sum()
    excess_mw = (1500.0 * served - (shed_mw - (1.0 - served) * 1500.0)) / served
    grid.advance(inputs, {0: [Event(time_s=0.0, kind="load_step", index=0, p_mw=-excess_mw)]})
    wanted_mw = inputs.load_mw[0].copy()
    wanted_mw[0] += 1500.0 - excess_mw
    area = CASE.bus.area[CASE.load.bus]
    unserved_mw = [grid.unserved_mw()[0]]
    back_s = []
    for k in range(60):
        grid.advance(inputs)
        now_mw = grid.unserved_mw()[0]
        if now_mw != unserved_mw[-1]:
            stage = np.flatnonzero(stages.any(axis=0))[-1]
            where = area[stages[:, stage]].min()
            block = stages[:, stage] & (area == where)
            assert unserved_mw[-1] - now_mw == pytest.approx(0.07 * wanted_mw[block].sum(), rel=1e-9)
            # Closed in as the interval begins: none of it is unserved in it.
            mean = grid.interruptions.mean.unserved_share[0]
            assert (mean * wanted_mw).sum() == pytest.approx(now_mw, rel=1e-9)
            stages[block, stage] = False
            unserved_mw.append(now_mw)
            back_s.append(4.0 * k)
    assert len(back_s) >= 2
    assert min(np.diff(back_s)) >= 8.0
    assert back_s[0] >= 20.0 - 4.0
