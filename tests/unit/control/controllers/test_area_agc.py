"""Area AGC: the area control error of each area, and participation by energy."""

import numpy as np
import pytest

from builders import described
from control.controllers.agc import area_bias_mw_per_decihertz
from control.controllers.area_agc import AreaAgc, AreaAgcParameters, participation, sustained_mw
from control.controllers.base import DF_HZ, UTILISATION, BaselineError
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.task.area_telemetry import AREA_DF, AREA_TIES, TIES_MW
from marl.environment.batch import make_batch

SIZE = 21


@pytest.fixture(scope="module")
def task():
    return described()


def seen_by(task, n_env=1):
    """Nothing happens, batteries are half full."""
    return np.zeros((n_env, task.fleet.n_resource, SIZE))


def test_participation_factors_are_headroom_over_the_areas_sum():
    """Area 0 has 30 + 10 MW: 3/4 and 1/4; area 1 has nothing left: a half each."""
    share = participation(np.array([[30.0, 10.0, 0.0, 0.0]]), np.array([0, 0, 1, 1]), 2)
    np.testing.assert_array_equal(share, [[0.75, 0.25, 0.5, 0.5]])


def test_a_battery_takes_part_with_the_power_that_its_energy_keeps_up(task):
    """A quarter full, over an hour: E/4 in MWh is the power upward, 3 E/4 downward, within the range."""
    fleet = task.fleet
    seen = seen_by(task)
    seen[:, fleet.bess, UTILISATION] = -0.5
    up, down = sustained_mw(fleet, seen, 3600.0)
    energy = fleet.energy_mwh[fleet.bess]
    np.testing.assert_allclose(up[0, fleet.bess], np.minimum(0.25 * energy, fleet.high_mw[fleet.bess]))
    np.testing.assert_allclose(down[0, fleet.bess], np.minimum(0.75 * energy, -fleet.low_mw[fleet.bess]))
    others = np.setdiff1d(np.arange(fleet.n_resource), fleet.bess)
    np.testing.assert_allclose(up[0, others], fleet.high_mw[others])


@pytest.mark.parametrize(("df_hz", "exchange_mw"), [(-0.002, 0.0), (0.0, -20.0), (0.002, 10.0)])
def test_the_plants_of_an_area_together_give_what_its_control_error_asks_for(task, df_hz, exchange_mw):
    """NERC's ACE = dNI - 10 B Df and P = -(C + dt/T) ACE after one interval, C = 0.2, T = 100 s."""
    fleet, case = task.fleet, task.case
    area = case.bus.area[fleet.bus]
    seen = seen_by(task)
    seen[:, :, AREA_DF], seen[:, :, AREA_TIES] = df_hz / DF_HZ, exchange_mw / TIES_MW
    controller = AreaAgc(task, 1, AreaAgcParameters())
    controller.reset(np.arange(1), np.array([1]))
    # As ramps allow them: targets, not yet reached, are found after many intervals of the same demand.
    action = controller.act(seen)
    asked = action[0] * fleet.step_mw
    bias = area_bias_mw_per_decihertz(case, task.swing, task.load_share)
    for a in np.unique(area):
        ace_mw = exchange_mw - 10.0 * bias[a] * df_hz
        expected = -(0.2 + fleet.interval_s / 100.0) * ace_mw
        mine = asked[area == a]
        if (np.abs(action[0][area == a]) < 1.0).all():  # nobody is held back by its ramp
            assert mine.sum() == pytest.approx(expected, rel=1e-9)
        else:
            assert 0.0 < mine.sum() / expected < 1.0


def test_factors_are_held_for_a_minute(task):
    """Batteries that empty at once matter only to the coordinator's next decision, 15 intervals after its first."""
    fleet = task.fleet
    controller = AreaAgc(task, 1, AreaAgcParameters(gain=0.02, time_s=1000.0))
    controller.reset(np.arange(1), np.array([1]))
    seen = seen_by(task)
    controller.act(seen)
    first = controller._up.copy()
    seen[:, fleet.bess, UTILISATION] = -0.9
    for _ in range(14):
        controller.act(seen)
        np.testing.assert_array_equal(controller._up, first)
    controller.act(seen)
    assert (controller._up[0, fleet.bess] < first[0, fleet.bess]).all()


def test_candidates_side_by_side_act_as_each_does_alone(task):
    rng = np.random.default_rng(3)
    gain, tau = np.array([0.1, 0.6]), np.array([600.0, 3600.0])
    both = AreaAgc(task, 2, AreaAgcParameters(gain=gain, sustain_s=tau))
    alone = [AreaAgc(task, 1, AreaAgcParameters(gain=g, sustain_s=t)) for g, t in zip(gain, tau, strict=True)]
    for _ in range(3):
        seen = rng.normal(size=(2, task.fleet.n_resource, SIZE)) * 0.1
        action = both.act(seen)
        for k in range(2):
            np.testing.assert_array_equal(action[k], alone[k].act(seen[k : k + 1])[0])


def test_it_asks_for_the_telemetry_of_areas(task):
    with pytest.raises(BaselineError, match="areas"):
        AreaAgc(task, 1, AreaAgcParameters()).act(np.zeros((1, task.fleet.n_resource, 15)))


def test_it_plays_an_episode_better_than_nobody():
    """Any secondary control beats none on everyday frequency: the textbook's on its own first minutes."""
    from dataclasses import replace

    from control.controllers.registry import make_baseline
    from control.scenario.suites import SCENARIOS

    short = replace(SCENARIOS["normal"], name="short", n_intervals=60)
    batch = make_batch(short, 1, observation="areas", check=False, auto_reset=False)
    mean_square = {}
    for name in ("do_nothing", "area_agc_textbook"):
        record = rollout(make_baseline(name, batch.description, 1), ByPlant(batch), np.array([5]))
        mean_square[name] = float((record.terms["rms_df_mhz"] ** 2).mean())
    assert mean_square["area_agc_textbook"] < mean_square["do_nothing"]
