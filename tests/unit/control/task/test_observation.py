"""What agents and critic see: order, scales, and which buses count as near."""

import numpy as np
import pytest

from builders import grid, one_area
from cases.ieee68 import load_ieee68
from control.plants.fleet import make_fleet
from control.task import layout
from control.task.layout import OBSERVATION_SIZE
from control.task.observation import (
    Measured,
    Observer,
    electrically_nearest_buses,
    observe_agents,
    observe_state,
    state_size,
)


def test_the_fifteen_numbers_stand_in_their_order_at_their_scales():
    """Two agents; every expected number is the value over the scale of the module's table."""
    seen = observe_agents(
        own_df_hz=np.array([[0.010, -0.020]]),
        own_load_share=np.array([[0.9, 0.0]]),
        own_output_share=np.array([[0.5, -1.0]]),
        system_df_hz=np.array([0.025]),
        nearest_df_hz=np.array([[[0.05, 0.0, 0.0, 0.0, -0.05], [0.1, 0.1, 0.1, 0.1, 0.1]]]),
        forecast_deviation_mw=np.array([[250.0, -500.0, 1000.0]]),
        hour=np.array([18.0]),
        weekday=np.array([6.0]),
        utilisation=np.array([[0.4, -0.2]]),
    )
    assert seen.shape == (1, 2, OBSERVATION_SIZE) == (1, 2, 15)
    both = [0.5, -1.0, 2.0, 0.5, 1.0]
    expected = [
        [0.2, 0.9, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0, -1.0, *both, 0.4],
        [-0.4, 0.0, -1.0, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, *both, -0.2],
    ]
    np.testing.assert_allclose(seen[0], expected, rtol=1e-15, atol=0.0)  # one division each


def test_the_critics_state_stands_in_its_order():
    """At 6 o'clock sin = 1 and cos = 0; on Monday sin = 0 and cos = 1."""
    state = observe_state(
        bus_df_hz=np.array([[0.05, -0.10]]),
        output_share=np.array([[0.3]]),
        renewable_share=np.array([[0.7, 0.1]]),
        largest_load_share=np.array([[1.1]]),
        hour=np.array([6.0]),
        weekday=np.array([0.0]),
        load_level=np.array([0.8]),
        renewable_of_load=np.array([0.2]),
        mean_soc=np.array([0.75]),
        elements_out=np.array([1.0]),
    )
    expected = [[1.0, -2.0, 0.3, 0.7, 0.1, 1.1, 1.0, 0.0, 0.0, 1.0, 0.8, 0.2, 0.5, 0.5]]
    np.testing.assert_allclose(state, expected, rtol=0.0, atol=1e-15)  # cos(pi/2) is 6e-17


def test_the_state_of_the_68_buses_has_140_numbers():
    assert state_size(load_ieee68()) == 68 + 20 + 14 + 30 + 8 == 140


def test_nearness_counts_parallel_paths():
    """Ring 1-2-3 of equal circuits with a stub 3-4 of half the reactance (pu: 0.1 and 0.05).

    Two corners of the ring: 0.1 parallel to 0.2 = 0.0667. From 1: to 2 and 3 0.0667 each, tie to the lower bus; to 4
    0.0667 + 0.05. From 4: 3 at 0.05, then 1 and 2 at 0.1167.
    """
    nearest = electrically_nearest_buses(one_area(), np.array([0, 3]), n_nearest=3)
    assert nearest.tolist() == [[1, 2, 3], [2, 0, 1]]


def test_on_a_line_the_nearest_bus_is_the_one_behind_the_least_reactance():
    case = grid(
        branches=[(1, 2, 0.3), (2, 3, 0.1), (3, 4, 0.1)],
        machines={1: 100.0},
        loads={4: (100.0, 0.0)},
    )
    assert electrically_nearest_buses(case, np.array([1]), n_nearest=3).tolist() == [[2, 3, 0]]


def test_an_agents_five_nearest_buses_are_five_others():
    case = load_ieee68()
    nearest = electrically_nearest_buses(case, case.resource.bus)
    assert nearest.shape == (20, 5)
    for bus, row in zip(case.resource.bus, nearest, strict=True):
        assert len({int(bus), *row.tolist()}) == 6


@pytest.mark.parametrize(("hour", "weekday", "expected"), [(0.0, 0.0, (-1.0, -1.0)), (24.0, 6.0, (1.0, 1.0))])
def test_day_and_week_span_minus_one_to_one(hour, weekday, expected):
    one = np.zeros((1, 1))
    seen = observe_agents(
        own_df_hz=one, own_load_share=one, own_output_share=one, system_df_hz=np.zeros(1),
        nearest_df_hz=np.zeros((1, 1, 5)), forecast_deviation_mw=np.zeros((1, 3)),
        hour=np.array([hour]), weekday=np.array([weekday]), utilisation=one,
    )  # fmt: skip
    assert tuple(seen[0, 0, 12:14]) == expected


def test_the_compiled_views_say_what_the_plain_ones_say():
    """Random values of every quantity, both kinds of plant on both sides of zero."""
    case = load_ieee68()
    fleet = make_fleet(case, 4.0)
    rng = np.random.default_rng(0)
    n_env = 3
    bus_df_hz, late = rng.normal(0.0, 0.05, (n_env, 68)), rng.normal(0.0, 0.05, (n_env, 74))
    load_mw = case.load.p_mw * rng.uniform(0.4, 1.1, (n_env, 35))
    renewable_mw = case.renewable.p_max_mw * rng.uniform(0.0, 1.0, (n_env, 14))
    output_mw = rng.uniform(fleet.low_mw, fleet.high_mw, (n_env, 20))
    energy_mwh = rng.uniform(0.0, 25.0, (n_env, 20))
    hour, weekday = rng.uniform(0.0, 24.0, n_env), np.array([0.0, 3.0, 6.0])
    elements_out, before_hz = np.array([0, 1, 2]), rng.normal(0.0, 0.05, (n_env, 20))
    last_action, slope_mw = rng.uniform(-1.0, 1.0, (n_env, 20)), rng.normal(0.0, 100.0, n_env)
    past_hz = rng.normal(0.0, 0.05, (3, n_env, 20))
    observer = Observer(case, fleet, 1.0, 22)
    now = Measured(
        bus_df_hz=bus_df_hz, late=late, load_mw=load_mw, renewable_mw=renewable_mw, output_mw=output_mw,
        energy_mwh=energy_mwh, hour=hour, weekday=weekday, elements_out=elements_out,
        before_hz=before_hz, last_action=last_action, slope_mw=slope_mw, past_hz=past_hz,
    )  # fmt: skip
    agents, state = observer.observe(now)

    nominal_mw = np.zeros(68)
    np.add.at(nominal_mw, case.load.bus, case.load.p_mw)
    at_bus_mw = np.zeros((n_env, 68))
    at_bus_mw[:, case.load.bus] = load_mw
    own = at_bus_mw[:, fleet.bus] / np.where(nominal_mw[fleet.bus] > 0.0, nominal_mw[fleet.bus], np.inf)
    soc = energy_mwh[:, :5] / 25.0
    use = np.concatenate([2.0 * soc - 1.0, output_mw[:, 5:] / np.repeat([75.0, 40.0], [8, 7])], axis=1)
    plain = observe_agents(
        own_df_hz=bus_df_hz[:, fleet.bus],
        own_load_share=own,
        own_output_share=output_mw / np.repeat([50.0, 75.0, 40.0], [5, 8, 7]),
        system_df_hz=late[:, 0],
        nearest_df_hz=late[:, 1 + observer.nearest],
        forecast_deviation_mw=late[:, [69, 71, 73]],
        hour=hour,
        weekday=weekday,
        utilisation=use,
    )
    largest = np.argsort(-case.load.p_mw, kind="stable")[:30]
    critic = observe_state(
        bus_df_hz=bus_df_hz,
        output_share=output_mw / np.repeat([50.0, 75.0, 40.0], [5, 8, 7]),
        renewable_share=renewable_mw / case.renewable.p_max_mw,
        largest_load_share=(load_mw / case.load.p_mw)[:, largest],
        hour=hour,
        weekday=weekday,
        load_level=load_mw.sum(axis=1) / case.load.p_mw.sum(),
        renewable_of_load=renewable_mw.sum(axis=1) / load_mw.sum(axis=1),
        mean_soc=soc.mean(axis=1),
        elements_out=elements_out.astype(np.float64),
    )
    assert agents.dtype == state.dtype == np.float32
    # Half a unit in the last place of float32 where the last bit of float64 decides the rounding.
    np.testing.assert_allclose(agents[:, :, :15], plain, rtol=6e-8, atol=1e-15)
    np.testing.assert_array_equal(agents[:, :, 15], (before_hz / 0.05).astype(np.float32))
    np.testing.assert_array_equal(agents[:, :, 16], last_action.astype(np.float32))
    np.testing.assert_array_equal(
        agents[:, :, 17], np.repeat((slope_mw / 100.0).astype(np.float32)[:, None], 20, 1)
    )
    for past, column in zip(past_hz, (18, 19, 20), strict=True):
        np.testing.assert_array_equal(agents[:, :, column], (past / 0.05).astype(np.float32))
    use = plain[:, :, 14]  # 0.7 of the way to a limit shows as 0.4
    near = np.sign(use) * np.maximum(2.0 * np.abs(use) - 1.0, 0.0)
    np.testing.assert_allclose(
        agents[:, :, 21], near, rtol=1e-6, atol=1e-7
    )  # float32, and a difference from one
    extended, _ = Observer(case, fleet, 1.0, 18).observe(now)
    np.testing.assert_array_equal(extended, agents[:, :, :18])
    shorter, same_state = Observer(case, fleet, 1.0).observe(now)
    np.testing.assert_array_equal(shorter, agents[:, :, :15])
    np.testing.assert_array_equal(same_state, state)
    np.testing.assert_allclose(state, critic, rtol=6e-8, atol=1e-15)


def test_the_layout_names_every_number_once_in_the_order_of_the_specification():
    places = [
        layout.OWN_DF, layout.OWN_LOAD, layout.OWN_OUTPUT, layout.SYSTEM_DF, layout.NEAREST_DF, layout.FORECAST,
        layout.HOUR, layout.WEEKDAY, layout.UTILISATION, layout.BEFORE_DF, layout.LAST_ACTION, layout.SLOPE,
        layout.EARLIER_DF, layout.AVERAGE_DF, layout.NEAR_LIMIT,
    ]  # fmt: skip
    expected = [0, 1, 2, 3, slice(4, 9), slice(9, 12), 12, 13, 14, 15, 16, 17, 18, slice(19, 21), 21]
    assert places == expected
    assert layout.SIZE == {"default": 15, "extended": 18, "memory": 22}


def test_what_the_layout_calls_fresh_does_not_wait_for_scada():
    """Telemetry that stands still leaves exactly the late numbers as they were, while everything else moves on."""
    case = load_ieee68()
    fleet = make_fleet(case, 4.0)
    observer = Observer(case, fleet, 1.0, 22)

    def seen(x: float, late: float) -> np.ndarray:
        """Every quantity at a level of its own that grows with x, so that no number can stay by chance."""
        now = Measured(
            bus_df_hz=np.full((1, 68), 0.01 * x), late=np.full((1, 74), late), load_mw=case.load.p_mw[None] * x,
            renewable_mw=np.full((1, 14), 10.0 * x), output_mw=np.full((1, 20), 37.5 * x),
            energy_mwh=np.full((1, 20), 10.0 * x), hour=np.array([2.0 * x]), weekday=np.array([x]),
            elements_out=np.array([0]), before_hz=np.full((1, 20), 0.02 * x), last_action=np.full((1, 20), 0.1 * x),
            slope_mw=np.array([30.0 * x]), past_hz=np.full((3, 1, 20), 0.03 * x),
        )  # fmt: skip
        return observer.observe(now)[0][0]

    fresh = np.repeat([q.fresh for q in layout.LAYOUT], [q.size for q in layout.LAYOUT])
    has_load = np.isin(case.resource.bus, case.load.bus)  # of the others' own load there is nothing to see
    moved = (seen(2.0, 0.1) != seen(1.0, 0.1))[has_load]
    np.testing.assert_array_equal(moved, np.broadcast_to(fresh, moved.shape))
    moved = (seen(1.0, 0.2) != seen(1.0, 0.1))[has_load]
    np.testing.assert_array_equal(moved, np.broadcast_to(~fresh, moved.shape))
