"""The episode that is drawn is the one the environment plays; what is measured leaves out what is not usual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases.series import load_series
from control.evaluation import scenario_statistics as statistics
from control.evaluation.grid_record import ByPlant, Figures
from control.evaluation.rollout import rollout
from control.scenario.suites import SCENARIOS
from control.task.closed_loop import ClosedLoop
from grid_model.dynamics.events import Event
from grid_model.dynamics.load_model import load_model
from grid_model.dynamics.parameters import SwingConfig
from marl.environment.batch import make_batch

TRIP = Event(time_s=60.0, kind="machine_out", index=5)  # G6
STEP = Event(time_s=120.0, kind="load_step", index=10, p_mw=80.0)
ROW = Event(time_s=200.0, kind="load_ramp", index=3, p_mw=20.0, duration_s=100.0)


class Still:
    """Nobody moves."""

    def __init__(self, n_resource: int) -> None:
        self._n_resource = n_resource

    def reset(self, envs: np.ndarray, seeds: np.ndarray) -> None:
        """It has no memory."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        return np.zeros((1, self._n_resource))


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        (SCENARIOS["normal"], []),
        # With all machines running: at this light load the few of the commitment let relays shed some of it.
        (replace(SCENARIOS["normal"], events=(TRIP, STEP), commitment=False), ["machine_out", "load_step"]),
        (replace(SCENARIOS["n1"], outage_unit_share=1.0, outage_last_s=300.0), ["machine_out"]),
    ],
    ids=["normal", "events", "n1"],
)
def test_what_is_missing_is_what_the_environment_meets(config, kinds):
    """Against the balance of the played episode: its own power flows, governors and relays."""
    config = replace(config, n_intervals=80)
    # What is missing is defined for loads of constant power; those that follow a sagging voltage need less at first.
    swing = SwingConfig(load=load_model("power"), terminal_voltage="held")
    batch = make_batch(config, 1, swing=swing, check=False)
    loop = ClosedLoop(batch.case, load_series(progress=False), config, 1, swing=swing, check=False)
    loop.reset(np.array([0]), [np.random.default_rng(3)])
    episode = statistics.uncontrolled_episode(loop)
    played = rollout(Still(batch.case.n_resource), ByPlant(batch), np.array([3]), Figures)
    # Losses of some 100 MW: governors spread what is missing otherwise than the reference machine of a power flow does,
    # and reactors are switched later, which moves them by a few per cent of themselves.
    np.testing.assert_allclose(episode.missing_mw[1:], -played["imbalance_mw"][0], rtol=0.0, atol=6.0)
    assert [event.kind for event in loop.episode[0].events] == kinds


def test_the_usual_need_has_no_outages_but_keeps_steps_and_ramps():
    config = statistics.without_outages(replace(SCENARIOS["training_n1"], events=(TRIP, STEP, ROW)))
    assert (config.outage_rate_per_h, config.outages_min, config.events) == (0.0, 0, (STEP, ROW))
