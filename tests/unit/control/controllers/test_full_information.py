"""The yardstick: what it takes for known is what comes, outages apart, and it is better than who knows less."""

from dataclasses import replace

import numpy as np
import pytest

from builders import with_plants
from cases.ieee68 import load_ieee68
from control.controllers.full_information import FullInformation
from control.controllers.one_mass import Start, one_mass
from control.controllers.receding_horizon import HorizonConfig, RecedingHorizon
from control.controllers.registry import make_baseline
from control.evaluation.grid_record import ByPlant, Figures
from control.evaluation.rollout import rollout
from control.plants.fleet_state import BESS, GAS
from control.scenario.suites import NORMAL, TRAINING_WIDE
from grid_model.dynamics.events import Event
from grid_model.power_flow.solution import governor_share
from marl.environment.batch import make_batch

pytest.importorskip("piqp")

QUIET = replace(
    NORMAL, n_intervals=60, load_slow_percent=0.0, load_fast_percent=0.0, wind_percent=0.0, pv_percent=0.0
)


def begun(scenario, seeds, config=None):
    batch = make_batch(scenario, len(seeds), check=False)
    controller = FullInformation(batch.description, batch.loop, config)
    batch.reset(np.array(seeds))
    controller.reset(np.arange(len(seeds)), np.array(seeds))
    return batch, controller


class Watched:
    """Plays nothing and keeps what was expected at the beginning."""

    def __init__(self, controller, n_resource):
        self.controller, self.n_resource, self.expected_mw = controller, n_resource, None

    def reset(self, envs, seeds):
        self.controller.reset(envs, seeds)

    def act(self, observation):
        if self.expected_mw is None:
            self.expected_mw = self.controller._disturbance_mw()
        return np.zeros((len(observation), self.n_resource))


def test_without_noise_what_is_expected_is_what_comes():
    """The imbalance of the episode as it is played, by the record's own arithmetic, at every stage's end to 80 s.

    Losses are taken to stay what the schedule says; they move by a hundredth of what flows do, a few MW.
    """
    batch = make_batch(QUIET, 2, check=False)
    watched = Watched(FullInformation(batch.description, batch.loop), batch.case.n_resource)
    record = rollout(watched, ByPlant(batch), np.array([11, 12]), Figures)
    assert watched.expected_mw is not None
    met_mw = record["imbalance_mw"]
    np.testing.assert_allclose(watched.expected_mw[:, 1:21], met_mw[:, :20], atol=6.0)
    assert np.abs(met_mw[:, 19] - watched.expected_mw[:, 0]).max() > 10.0  # there was something to expect


def test_noise_fades_by_its_own_time_constant_and_no_future_noise_is_known():
    """The change over a span of what is expected with noise, less the same without, is the noise times e^-t/T - 1."""
    noisy, quiet = (begun(scenario, [21])[1] for scenario in (replace(NORMAL, n_intervals=60), QUIET))
    at = 5  # stages of 4 s
    change = [(d := c._disturbance_mw()[0])[at] - d[0] for c in (noisy, quiet)]
    noise_mw = noisy._loop.episode[0].noise_mw[0]
    fade = np.exp(-4.0 * at / np.array([150.0, 20.0, 180.0, 60.0])) - 1.0
    expected = -(noise_mw[:2] @ fade[:2]) + noise_mw[2:] @ fade[2:]
    # An episode begins balanced: what was added for that to the schedule fades over 300 s, and differs by the noise.
    offset_mw = -(noise_mw[2:].sum() - noise_mw[:2].sum()) * (-4.0 * at / 300.0)
    assert change[0] - change[1] == pytest.approx(expected + offset_mw, abs=1.0)  # losses of some 100 MW


def test_who_does_not_foresee_takes_the_disturbance_to_stay_as_it_is():
    """On an episode in which it is known to change by tens of MW; what it is now is as well known."""
    batch, foreseeing = begun(QUIET, [11])
    present = FullInformation(batch.description, batch.loop, foresees=False)
    present.reset(np.arange(1), np.array([11]))
    known_mw, taken_mw = foreseeing._disturbance_mw()[0], present._disturbance_mw()[0]
    assert np.ptp(known_mw) > 10.0
    np.testing.assert_array_equal(taken_mw, known_mw[0])


def test_of_an_outage_to_come_nothing_is_known():
    """Two episodes that differ in which unit is lost after 100 s: until then plans are the same to the bit."""
    seen = []
    for machine in (2, 5):
        event = Event(time_s=100.0, kind="machine_out", index=machine)
        batch, controller = begun(replace(NORMAL, n_intervals=300, events=(event,), commitment=False), [31])
        seen.append(controller._disturbance_mw())
        ByPlant(batch)
    np.testing.assert_array_equal(*seen)
    assert np.ptp(seen[0]) > 5.0


def test_every_episode_is_planned_on_its_own_dynamics():
    """Where a scenario draws them, M = 2 H S / f0 and the dead band are those that the grid plays with.

    Of M and of the governors' gain counts what is in the schedule, each machine by its share.
    """
    batch, controller = begun(replace(TRAINING_WIDE, n_intervals=60), [51, 52])
    drawn = [batch.loop.episode[env].dynamics for env in (0, 1)]
    planned = [program.model for program in controller.horizon.program]
    assert drawn[0].inertia_mws != drawn[1].inertia_mws
    machine = batch.case.machine
    stored = machine.h_s * machine.base_mva
    for env, (model, dynamics) in enumerate(zip(planned, drawn, strict=True)):
        share = batch.loop.episode[env].committed_share[0]
        inertia_mws = dynamics.inertia_mws * (stored @ share) / stored.sum()
        assert model.inertia_mws_per_hz == pytest.approx(2.0 * inertia_mws / 60.0, rel=1e-12)
        assert model.governor.dead_band_hz == dynamics.governor_dead_band_hz
        gain = 2500.0 * governor_share(machine) @ share
        assert model.governor.gain_mw_per_hz == pytest.approx(gain, rel=1e-12)


def test_a_machine_that_trips_is_planned_without():
    """What a plan takes for M falls by 2 H S / f0 of the machine, once it is out."""
    out = Event(time_s=6.0, kind="machine_out", index=5)
    batch, controller = begun(replace(NORMAL, n_intervals=60, events=(out,), commitment=False), [31])
    shown = ByPlant(batch)
    observed = shown.reset(np.array([31]))
    controller.reset(np.arange(1), np.array([31]))
    masses = []
    for _ in range(3):
        controller.act(observed)
        masses.append(controller.horizon.program[0].model.inertia_mws_per_hz)
        observed = shown.step(np.zeros((1, batch.case.n_resource))).observation
    machine = batch.case.machine
    lost = 2.0 * machine.h_s[5] * machine.base_mva[5] / 60.0
    assert masses[0] == masses[1] == pytest.approx(masses[2] + lost, rel=1e-12)


def test_a_grid_without_machines_is_planned_for_as_it_was():
    """A lost grid has no inertia; its episode is over, and whoever plays on in the batch is still asked."""
    batch, controller = begun(replace(NORMAL, n_intervals=60), [31, 32])
    before = controller.horizon.program[0].model
    batch.loop.grid.topology.inertia[:, 0] = 0.0
    action = controller.act(np.zeros((2, batch.case.n_resource, 15)))
    assert np.isfinite(action).all()
    assert controller.horizon.program[0].model == before


def test_more_knowledge_costs_less():
    """On the same short episodes it is cheaper than the best stored law of the agents' 15 numbers."""
    short = replace(NORMAL, n_intervals=60)
    seeds = np.array([41, 42])
    batch = make_batch(short, 2, check=False)
    full = FullInformation(batch.description, batch.loop, HorizonConfig(stage_s=(4.0,) * 10 + (16.0,) * 10))
    costs = [
        -rollout(controller, ByPlant(batch), seeds).returns
        for controller in (full, make_baseline("linear", batch.description, 2))
    ]
    assert np.all(costs[0] < 0.8 * costs[1])
    assert full.tell()["unsolved"].tolist() == [0.0, 0.0]


def test_in_reserve_gas_plants_are_planned_to_take_over_what_batteries_give():
    """Nearly all that they have, for minutes: by the usual plan they stay there to the end of the horizon."""
    given_mw = 230.0  # of 250
    batch = make_batch(replace(NORMAL, n_intervals=60), 1, check=False)
    model = one_mass(batch.description)
    start = Start(energy_mwh=0.5 * model.energy_mwh, command_mw=(given_mw, 0.0, 0.0))
    ends_mw = []
    for config in (HorizonConfig.of(batch.case), HorizonConfig.in_reserve(batch.case)):
        horizon = RecedingHorizon(model, 1, config)
        horizon.targets([start], np.full((1, len(horizon.ends_s)), -given_mw))
        ends_mw.append(horizon.plan_mw[0, -1])
    assert horizon.unsolved.tolist() == [0]
    assert ends_mw[1][BESS] < ends_mw[0][BESS] - 5.0
    assert ends_mw[1][GAS] > ends_mw[0][GAS] + 5.0


@pytest.mark.parametrize("size", [1.0, 3.0])
def test_prices_of_reserve_cost_the_same_on_a_grid_of_another_size(size):
    """Three times the megawatts, the same cost: r u and s u^2, as of the energy that is left."""
    case = load_ieee68()
    case = replace(case, setting=replace(case.setting, size=size))
    horizon, usual = HorizonConfig.in_reserve(case), HorizonConfig.in_reserve(load_ieee68())
    assert horizon.discharge_per_mw * size == pytest.approx(usual.discharge_per_mw)
    assert horizon.away_per_mw2 * size**2 == pytest.approx(usual.away_per_mw2)
    assert horizon.half_full_per_mwh2 * size**2 == pytest.approx(usual.half_full_per_mwh2)


@pytest.mark.parametrize("kinds", ["bess gas", "bess dr", "gas dr", "bess", "gas", "dr"])
def test_a_grid_that_lacks_classes_of_plants_is_planned_for_in_every_interval(kinds):
    """Limits of what there is none of meet at zero, which PIQP's usual tolerance takes for a contradiction."""
    case = with_plants(load_ieee68(), kinds.split())
    batch = make_batch(replace(NORMAL, n_intervals=12), 2, case=case, check=False)
    full = FullInformation(batch.description, batch.loop)
    planned = -rollout(full, ByPlant(batch), np.array([43, 44])).returns
    assert full.tell()["unsolved"].tolist() == [0.0, 0.0]
    nothing = -rollout(
        make_baseline("do_nothing", batch.description, 2), ByPlant(batch), np.array([43, 44])
    ).returns
    assert np.all(planned <= nothing)
