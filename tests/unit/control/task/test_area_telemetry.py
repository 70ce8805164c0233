"""What the control centre shows of areas: frequencies, ties and plants, two intervals late."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from control.scenario.suites import SCENARIOS
from control.task.area_telemetry import AREA_DF, AREA_ENERGY, AREA_OUTPUT, AREA_SIZE, AREA_TIES, TIES_MW
from control.task.layout import DF_HZ, OBSERVATION_SIZE, OWN_OUTPUT, UTILISATION
from control.task.open_task import make_task

SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=6)


def test_numbers_of_an_area_are_those_measured_in_it_two_intervals_before():
    """By hand from buses, circuits and plants; telemetry of the suite has no noise and loses nothing."""
    task = make_task(SHORT, 2, observation="areas", check=False)
    case, fleet, loop = task.case, task.loop.fleet, task.loop
    area_of = case.bus.area[case.resource.bus]
    seen, measured, rng = [task.reset(np.array([3, 4])).agents], [], np.random.default_rng(0)

    def look():
        found = np.zeros((2, case.n_area, 2))
        for e in range(2):
            episode, k = loop.episode[e], loop.interval[e]
            level = episode.p_load_schedule_mw[k] / case.load.p_mw.sum()
            for a in range(case.n_area):
                found[e, a, 0] = loop.bus_df_hz[e, case.bus.area == a].mean() / DF_HZ
                load = case.load.p_mw[case.bus.area[case.load.bus] == a].sum()
                made = case.machine.p_mw[case.bus.area[case.machine.bus] == a].sum()
                schedule = level * (made / case.machine.p_mw.sum() * case.load.p_mw.sum() - load)
                export = 0.0
                for b in range(len(case.branch.from_bus)):
                    ends = case.bus.area[case.branch.from_bus[b]], case.bus.area[case.branch.to_bus[b]]
                    if ends[0] != ends[1] and a in ends:
                        flow = loop.grid.engine.s_from_mva[e, b].real
                        export += flow if ends[0] == a else -flow
                found[e, a, 1] = (export - schedule) / TIES_MW
        return found

    measured.append(look())
    for _ in range(5):
        seen.append(task.step(rng.uniform(-1.0, 1.0, (2, 20))).final_observation.agents)
        measured.append(look())
    for t in range(6):
        before = max(t - 2, 0)
        # float32 of numbers of order one.
        shown = np.stack([seen[t][:, :, AREA_DF], seen[t][:, :, AREA_TIES]], axis=2)
        expected = measured[before].copy()
        expected[:, :, 1] -= measured[0][:, :, 1]  # off the plan from the beginning: agreed upon
        np.testing.assert_allclose(shown, expected[:, area_of], rtol=1e-5, atol=1e-6)
        for a in np.unique(area_of):
            batteries = np.flatnonzero((area_of == a) & (fleet.kind == 0))
            if len(batteries):
                charge = seen[before][:, batteries, UTILISATION] @ fleet.energy_mwh[batteries]
                expected = charge / fleet.energy_mwh[batteries].sum()
                np.testing.assert_allclose(seen[t][:, batteries[0], AREA_ENERGY], expected, atol=1e-6)
            for code in range(3):
                mine = np.flatnonzero((area_of == a) & (fleet.kind == code))
                if len(mine):
                    output = seen[before][:, mine, OWN_OUTPUT] @ fleet.range_mw[mine]
                    shown_output = seen[t][:, mine[0], AREA_OUTPUT][:, code]
                    np.testing.assert_allclose(shown_output, output / fleet.range_mw[mine].sum(), atol=1e-6)


def test_own_numbers_are_those_of_the_default_observation():
    plain, areas = (make_task(SHORT, 2, observation=name, check=False) for name in ("default", "areas"))
    seen = areas.reset(np.array([3, 4])).agents
    assert seen.shape[2] == OBSERVATION_SIZE + AREA_SIZE == areas.observation_size
    np.testing.assert_array_equal(seen[..., :OBSERVATION_SIZE], plain.reset(np.array([3, 4])).agents)


def test_a_saved_task_goes_on_to_the_bit():
    task = make_task(replace(SHORT, packet_loss=0.3), 2, observation="areas", check=False)
    task.reset(np.array([3, 4]))
    rng = np.random.default_rng(0)
    for _ in range(4):
        task.step(rng.uniform(-1.0, 1.0, (2, 20)))
    other = pickle.loads(pickle.dumps(task))
    for _ in range(4):  # beyond the episode's end
        action = rng.uniform(-1.0, 1.0, (2, 20))
        np.testing.assert_array_equal(
            task.step(action).observation.agents, other.step(action).observation.agents
        )


def test_the_model_without_a_power_flow_has_no_ties():
    with pytest.raises(ValueError, match="ties"):
        make_task(SHORT, 1, observation="areas", check=False, physics="reduced")
