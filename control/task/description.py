"""What a task says of itself: the grid, its plants, what agents are shown and paid for, and how it answers.

Controllers are built from it, and so is the perfect-information bound: with other weights, plants or another grid they
plan for that. `swing` is the published grid, as a control centre knows it; `scenario_swing` has what the scenario
changes in it, which no controller is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from cases.case import Case
from cases.series import NOMINAL_LOAD_MW, Series
from control.plants.fleet import Fleet
from control.scenario.config import ScenarioConfig
from control.scenario.fleet_sizing import fleet_of
from control.task.layout import FORECAST_MW, OBSERVATION_SIZE
from control.task.reward import RewardConfig
from grid_model.dynamics.parameters import SwingConfig, swing_of

__all__ = ["TaskDescription", "mean_load_share"]


def mean_load_share(series: Series) -> float:
    """Mean load over the year as a share of nominal load, 0.59 of the published series.

    To two digits: the damping of the load, which it serves to estimate, is known to no more than one.
    """
    return round(float(series.load_mw.sum(axis=1).mean()) / NOMINAL_LOAD_MW, 2)


@dataclass(frozen=True, kw_only=True)
class TaskDescription:
    """What a controller may know of its task."""

    case: Case
    fleet: Fleet
    load_share: float  # mean load over the year, of nominal load
    reward: RewardConfig
    swing: SwingConfig  # frequency model of the published grid
    scenario_swing: SwingConfig  # the one that is played
    observation_size: int  # numbers each agent is shown
    n_intervals: int  # of an episode

    @classmethod
    def of(
        cls,
        case: Case,
        series: Series,
        scenario: ScenarioConfig,
        *,
        swing: SwingConfig | None = None,
        reward: RewardConfig | None = None,
        observation_size: int = OBSERVATION_SIZE,
    ) -> TaskDescription:
        """The task of a scenario on a grid.

        Args:
            case: the grid.
            series: the real year.
            scenario: what episodes are made of.
            swing: frequency model; the default one if None.
            reward: weights; the default ones if None.
            observation_size: numbers of an agent's observation.

        Raises:
            ValueError: `swing` has an inertia or a dead band of its own.
        """
        swing = swing or swing_of(case)
        return cls(
            case=case,
            fleet=fleet_of(case, scenario),
            load_share=mean_load_share(series),
            reward=reward or RewardConfig.of(case),
            swing=swing,
            scenario_swing=scenario.frequency_model(swing),
            observation_size=observation_size,
            n_intervals=scenario.n_intervals,
        )

    @property
    def interval_s(self) -> float:
        """Control interval [s]."""
        return self.fleet.interval_s

    @property
    def forecast_mw(self) -> float:
        """What agents' forecasts are divided by [MW]."""
        return FORECAST_MW * self.case.setting.size

    @property
    def mean_load_mw(self) -> float:
        """Mean load over the year [MW]."""
        return self.load_share * float(self.case.load.p_mw.sum())

    @property
    def damping_mw_per_hz(self) -> float:
        """D, load damping of the published grid at its mean load [MW/Hz]."""
        return self.swing.load_damping * self.mean_load_mw / self.case.f0_hz

    @property
    def frequency_response_mw_per_hz(self) -> float:
        """beta = D + 1/R, what load and governors of the published grid give for a hertz beyond the dead band [MW/Hz].

        Reference:
            P. Kundur, Power System Stability and Control, McGraw-Hill, 1994, sec. 11.1.5.
        """
        return self.damping_mw_per_hz + self.swing.governor.gain_mw_per_hz
