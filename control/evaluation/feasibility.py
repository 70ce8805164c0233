"""What any controller could reach in an episode: the certificate that the task can be solved.

Three things are asked of every episode, whose disturbances are known here from the start:

1. How much is there to balance? The imbalance is recorded while nobody balances: machines' schedule and renewables
   less load at 60 Hz and losses, outages included. It is compared with what the fleet can reach, how fast, and for
   how long.
2. What could be reached? The perfect-information program of `predictive.py` (one mass, governors with their dead
   band, three classes of plants with ramps, ranges, lags, energies and rebound) finds the cheapest commands.
   Its plan is then played in the full simulator, every plant of a class getting its share: areas, AC losses,
   noise inside the intervals, single batteries that run empty. So the figures are not those of a relaxed model but of
   set-points that exist. What the simulator does otherwise than the model shows as a frequency other than planned; the
   power that explains it joins the disturbance, and the program is solved and its plan played once more (iterative
   learning control, Arimoto, Kawamura, Miyazaki, J. Robotic Systems 1, 1984). Of each episode's plans the better one
   counts. Another may be better still: what is reported can be reached, and perhaps exceeded.
3. Which violations could nobody have prevented? Those of a kind of limit in an interval that occur whether the fleet
   does nothing, follows the plan, or drives to either end of its range and stays there. Between these four the
   fleet's power covers its whole range in every interval, and voltages and flows are nearly straight in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from control.controllers.one_mass import OneMass, one_mass
from control.controllers.quadratic_program import Program, perfect_information
from control.controllers.simple import RandomActions
from control.evaluation.grid_record import (
    ByPlant,
    Figures,
    Grid,
    GridEnvironment,
    limit_violations,
    masses,
    return_by_terms,
)
from control.evaluation.rollout import Record, rollout
from control.plants.fleet_state import BESS, DR, GAS

__all__ = [
    "Adequacy",
    "Certificate",
    "Constant",
    "FollowPlan",
    "adequacy",
    "better",
    "certify",
    "check_suite",
    "n_tick",
    "report",
    "solvable",
    "suite_figures",
    "unexplained_mw",
]

MINUTE_S = 60.0
ASKED_WITHIN_200_MHZ = 0.99  # of suite `normal`
LIMIT_HZ = 0.5
CORRECTIONS = 1  # of the plan after it has been played


@dataclass(frozen=True, kw_only=True)
class Adequacy:
    """The imbalance beside the fleet that is to balance it."""

    imbalance_rms_mw: float
    imbalance_worst_mw: float
    fleet_range_mw: float  # of all plants, either way
    within_range: float  # share of intervals in which the imbalance is no larger
    change_per_min_worst_mw: float
    fleet_ramp_mw_per_min: float
    within_ramp: float  # share of minutes in which the imbalance changes by no more
    battery_energy_lowest: (
        float  # least and most of their energy that the batteries hold in the plan, as shares
    )
    battery_energy_highest: float


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a suite's episodes allow."""

    adequacy: Adequacy
    idle: Record  # nobody balances
    planned: Record  # the plan of perfect information, in the full simulator
    program_return: FloatArray  # of the relaxed one-mass program, [episode]
    unavoidable: BoolArray  # violations nobody could have prevented, [episode, T, kind]


class Constant:
    """Every plant is driven the same way all the time: 0 does nothing, -1 and 1 go to an end of the range."""

    def __init__(self, environment: Grid, action: float) -> None:
        self._action = np.full((environment.n_env, environment.case.n_resource), action)

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Nothing to forget."""

    def act(self, observation: FloatArray) -> FloatArray:
        """[env, resource]."""
        return self._action


class FollowPlan:
    """Moves every plant to its class's planned command, divided equally among the plants of the class.

    The plan knows the batteries' energy only as a sum and without losses: what single ones that run empty or full
    leave undone, gas plants take over.
    """

    def __init__(self, environment: Grid, command_mw: FloatArray) -> None:
        """Args: environment: whose plants; command_mw: of each class at each interval's end, [env, T, class]."""
        self._loop = environment.loop
        fleet = self._loop.fleet
        count = np.array([np.count_nonzero(fleet.kind == code) for code in (BESS, GAS, DR)])
        self._planned_mw = (command_mw / np.maximum(count, 1))[:, :, fleet.kind]
        self._bess, self._gas = fleet.of_kind(BESS), fleet.of_kind(GAS)

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """The plan is for these episodes from their beginning."""

    def act(self, observation: FloatArray) -> FloatArray:
        """[env, resource]."""
        loop = self._loop
        env, at = np.arange(loop.n_env), np.minimum(loop.interval, self._planned_mw.shape[1] - 1)
        command_mw = loop.resources.command_mw
        target_mw = self._planned_mw[env, at]
        undone_mw = self._planned_mw[env, np.maximum(at - 1, 0)] * (at > 0)[:, None] - command_mw
        target_mw[:, self._gas] += undone_mw[:, self._bess].sum(axis=1, keepdims=True) / len(self._gas)
        action: FloatArray = np.clip((target_mw - command_mw) / loop.fleet.step_mw, -1.0, 1.0)
        return action


def adequacy(model: OneMass, imbalance_mw: FloatArray, energy_share: FloatArray) -> Adequacy:
    """Imbalance against the fleet's range and ramp.

    Args:
        model: has the fleet's sums.
        imbalance_mw: power that is missing without control [MW], [episode, T].
        energy_share: of all batteries in the plan, 0 to 1, [episode, T].
    """
    n = max(1, round(MINUTE_S / model.interval_s))
    change_mw = np.abs(imbalance_mw[:, n:] - imbalance_mw[:, :-n])
    size_mw = np.abs(imbalance_mw)
    ramp_mw = float(model.step_mw.sum()) * n
    reach_mw = float(np.minimum(model.high_mw, -model.low_mw).sum())
    return Adequacy(
        imbalance_rms_mw=float(np.sqrt(np.nanmean(np.square(imbalance_mw)))),
        imbalance_worst_mw=float(np.nanmax(size_mw)),
        fleet_range_mw=reach_mw,
        within_range=_share(size_mw, reach_mw),
        change_per_min_worst_mw=float(np.nanmax(change_mw)) if change_mw.size else 0.0,
        fleet_ramp_mw_per_min=ramp_mw,
        within_ramp=_share(change_mw, ramp_mw) if change_mw.size else 1.0,
        battery_energy_lowest=float(energy_share.min()),
        battery_energy_highest=float(energy_share.max()),
    )


def certify(
    environment: GridEnvironment, seeds: IntArray, on_interval: Callable[[], None] | None = None
) -> Certificate:
    """Certificate of the episodes of these seeds.

    Args:
        environment: with one episode per seed at once.
        seeds: of the episodes, [episode].
        on_interval: called after each interval of every run, and after each program solved.

    Raises:
        ValueError: the environment has not one episode for each seed.
    """
    if environment.n_env != len(seeds):
        raise ValueError(f"{environment.n_env} environments for {len(seeds)} seeds, expected one each")
    loop, plants = environment.loop, ByPlant(environment)
    idle = rollout(Constant(environment, 0.0), plants, seeds, Figures, on_interval)
    model = one_mass(environment.description, environment.description.scenario_swing)
    models = masses(model, idle)
    n = loop.scenario.n_intervals
    programs = [Program(mass, np.full(n, mass.interval_s)) for mass in models]
    # An episode that loses its grid has no imbalance to plan for from there on.
    disturbance_mw = np.nan_to_num(np.pad(idle["imbalance_mw"], ((0, 0), (1, 0))))
    soc = np.nan_to_num(idle["soc"][:, 0], nan=0.5)  # nothing has moved by then
    program_return = np.empty(len(seeds))
    energy_share = np.empty((len(seeds), n))
    planned: Record | None = None
    for correction in range(1 + CORRECTIONS):
        command_mw, planned_hz = np.empty((len(seeds), n, 3)), np.empty((len(seeds), n))
        for k in range(len(seeds)):
            bound = perfect_information(models[k], disturbance_mw[k], float(soc[k]), program=programs[k])
            command_mw[k], planned_hz[k] = bound.command_mw, bound.df_hz
            if correction == 0:
                energy_share[k], program_return[k] = bound.energy_share, -bound.cost
            if on_interval is not None:
                on_interval()
        played = rollout(FollowPlan(environment, command_mw), plants, seeds, Figures, on_interval)
        disturbance_mw = disturbance_mw + unexplained_mw(models, played, planned_hz)
        planned = played if planned is None else better(planned, played)
    assert planned is not None
    unavoidable = limit_violations(idle) & limit_violations(planned)
    for end in (-1.0, 1.0):
        if unavoidable.any():  # the ends of the range are played only where they can still acquit somebody
            pushed = rollout(Constant(environment, end), plants, seeds, Figures, on_interval)
            unavoidable &= limit_violations(pushed)
    return Certificate(
        adequacy=adequacy(model, idle["imbalance_mw"], energy_share),
        idle=idle,
        planned=planned,
        program_return=program_return,
        unavoidable=unavoidable,
    )


def n_tick(n_intervals: int, n_episode: int) -> int:
    """How often `check_suite` calls `on_interval`; the ends of the range come on top where they are needed.

    Args:
        n_intervals: of an episode.
        n_episode: each is a program to solve.
    """
    # Random and no actions, each plan solved and played.
    return (3 + CORRECTIONS) * n_intervals + (1 + CORRECTIONS) * n_episode


def check_suite(
    environment: GridEnvironment, seeds: IntArray, on_interval: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Figures of the episodes of these seeds: what `suite_figures` says of their certificate and of random actions.

    Args:
        environment: with one episode per seed at once.
        seeds: of the episodes, [episode].
        on_interval: called after each interval of every run, and after each program solved.

    Raises:
        ValueError: the environment has not one episode for each seed.
    """
    actor = RandomActions(environment.loop.fleet, environment.n_env)
    random = rollout(actor, ByPlant(environment), seeds, Figures, on_interval)
    return suite_figures(certify(environment, seeds, on_interval), random)


def unexplained_mw(models: Sequence[OneMass], played: Record, planned_hz: FloatArray) -> FloatArray:
    """Power that the one mass lacks to move as the grid did [MW], [episode, T + 1].

        e = M d(f - f_plan)/dt + D (f - f_plan) + [g(f_plan) - g(f)],      g the governors' response in the steady state

    Args:
        models: the grid as one mass, with M, D and g, of each episode.
        played: the episodes under the plan; f is in its `df_hz`.
        planned_hz: f_plan, deviation of the plan at the intervals' ends [Hz], [episode, T].
    """
    n = planned_hz.shape[1]
    f_hz = np.nan_to_num(played["df_hz"][:, :, -1])
    governors = [model.governor for model in models]
    gain_mw_per_hz = np.array([[governor.gain_mw_per_hz] for governor in governors])
    dead_band_hz = np.array([[governor.dead_band_hz] for governor in governors])
    inertia = np.array([[model.inertia_mws_per_hz] for model in models])
    damping = np.array([[model.damping_mw_per_hz] for model in models])

    def response_mw(x_hz: FloatArray) -> FloatArray:
        beyond: FloatArray = np.sign(x_hz) * np.maximum(np.abs(x_hz) - dead_band_hz, 0.0)
        return -gain_mw_per_hz * beyond

    ahead = np.pad(f_hz - planned_hz, ((0, 0), (1, 0)))
    growth = inertia / models[0].interval_s * np.diff(ahead, axis=1)
    middle = 0.5 * (ahead[:, 1:] + ahead[:, :-1])
    lacking = growth + damping * middle + response_mw(planned_hz) - response_mw(f_hz)
    # What lacked over an interval, at its two ends: disturbances are straight lines there.
    padded = np.pad(lacking, ((0, 0), (1, 1)), mode="edge")
    at_ends: FloatArray = 0.5 * (padded[:, 1:] + padded[:, :-1])
    at_ends[:, 1:][np.arange(n) >= played.n_played[:, None]] = 0.0
    return at_ends


def better(one: Record, other: Record) -> Record:
    """Of each episode the one with the higher return."""
    return one.either(other, return_by_terms(other) > return_by_terms(one))


def _shares(record: Record) -> dict[str, float]:
    """Shares of the time within 36, 200 and 500 mHz; what a lost grid no longer played is outside of all."""
    return {
        "share_within_36mhz": float(np.nan_to_num(record["within_36_mhz"], nan=0.0).mean()),
        "share_within_200mhz": float(np.nan_to_num(record["within_200_mhz"], nan=0.0).mean()),
        "share_within_500mhz": float((record["max_abs_df_hz"] <= LIMIT_HZ).mean()),
    }


def suite_figures(found: Certificate, random: Record) -> dict[str, Any]:
    """What the report and the file say of one suite; `random` are its episodes with random actions."""
    planned, idle = found.planned, found.idle

    def summary(record: Record) -> dict[str, float]:
        return {
            "return_mean": float(return_by_terms(record).mean()),
            "rms_mhz": float(1e3 * np.sqrt(np.nanmean(np.square(record["df_hz"])))),
            "worst_df_hz": float(np.nanmax(record["max_abs_df_hz"])),
            **_shares(record),
            "violations_per_episode": float(np.nansum(record["violation"]) / len(record.seed)),
        }

    return {
        **_shares(planned),
        "unavoidable_violations": int(found.unavoidable.sum()),
        "episodes": len(planned.seed),
        "plan": summary(planned),
        "do_nothing": summary(idle),
        "random": summary(random),
        "program_return_mean": float(found.program_return.mean()),
        "adequacy": asdict(found.adequacy),
    }


def report(suite: str, f: dict[str, Any]) -> str:
    """Figures of one suite in words."""
    a, plan, idle, random = f["adequacy"], f["plan"], f["do_nothing"], f["random"]
    return "\n".join(
        [
            f"{suite} ({f['episodes']} episodes)",
            f"  imbalance       {a['imbalance_rms_mw']:.0f} MW rms, at worst {a['imbalance_worst_mw']:.0f} MW; "
            f"the fleet reaches {a['fleet_range_mw']:.0f} MW ({100 * a['within_range']:.2f} % of intervals)",
            f"  ramps           at worst {a['change_per_min_worst_mw']:.0f} MW in a minute; the fleet can "
            f"{a['fleet_ramp_mw_per_min']:.0f} MW/min ({100 * a['within_ramp']:.2f} % of minutes)",
            f"  batteries       from {round(100 * a['battery_energy_lowest'])} to "
            f"{round(100 * a['battery_energy_highest'])} % of their energy in the plan",
            f"  do nothing      rms {idle['rms_mhz']:.1f} mHz, worst {1e3 * idle['worst_df_hz']:.0f} mHz, "
            f"return {idle['return_mean']:,.0f}",
            f"  random          rms {random['rms_mhz']:.1f} mHz, worst {1e3 * random['worst_df_hz']:.0f} mHz, "
            f"return {random['return_mean']:,.0f}",
            f"  plan, played    rms {plan['rms_mhz']:.1f} mHz, worst {1e3 * plan['worst_df_hz']:.0f} mHz, "
            f"return {plan['return_mean']:,.0f} (one-mass program {f['program_return_mean']:,.0f})",
            f"                  within 36 mHz {100 * f['share_within_36mhz']:.2f} %, 200 mHz "
            f"{100 * f['share_within_200mhz']:.2f} %, 500 mHz {100 * f['share_within_500mhz']:.2f} % of the time",
            f"  violations      {f['unavoidable_violations']} unavoidable; per episode "
            f"{plan['violations_per_episode']:.2f} with the plan, {idle['violations_per_episode']:.2f} doing nothing",
        ]
    )


def solvable(figures: Mapping[str, Any]) -> bool:
    """Whether the plan keeps what is asked of suite `normal`: 0.2 Hz for 99 % of the time, and never beyond 0.5 Hz."""
    return bool(
        figures["share_within_200mhz"] >= ASKED_WITHIN_200_MHZ and figures["share_within_500mhz"] >= 1.0
    )


def _share(values: FloatArray, limit: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.mean(known <= limit)) if known.size else 1.0
