"""Who takes part in a comparison: baselines, causal MPC, full information, the bound, a user's own class, policies.

Contenders are sent to processes, so what builds their controllers are functions of modules, or partials of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cases.case import Case
from cases.nearest_name import perhaps
from control.controllers.base import Controller
from control.controllers.full_information import FullInformation
from control.controllers.one_mass import one_mass
from control.controllers.receding_horizon import HorizonConfig
from control.controllers.registry import BASELINES, is_tuned, make_baseline, tuned_content
from control.evaluation.comparison import Figures, bound_figures, episode_figures
from control.evaluation.grid_record import GridEnvironment
from control.evaluation.refusal import ComparisonError
from control.evaluation.rollout import Record
from control.evaluation.users_class import users_controller

__all__ = [
    "ALL",
    "BOUND",
    "FULL_INFORMATION",
    "FULL_INFORMATION_NOW",
    "FULL_INFORMATION_RESERVE",
    "KNOWING",
    "MPC",
    "PLANNING",
    "Build",
    "ComparisonError",
    "Contender",
    "is_pattern",
    "resolve",
]

BOUND, MPC, FULL_INFORMATION = "bound", "mpc", "full_information"
FULL_INFORMATION_NOW, FULL_INFORMATION_RESERVE = "full_information_now", "full_information_reserve"
KNOWING = (FULL_INFORMATION_NOW, FULL_INFORMATION_RESERVE, FULL_INFORMATION)  # what no agent could
PLANNING = (MPC, *KNOWING)
# In the order that theory expects, best last.
ALL = (
    "random", "do_nothing", "agc_textbook", "agc", "agc_forecast", "local_pi", "linear_bess", "linear",
    "linear_extended", "linear_memory", "linear_wide", *PLANNING, BOUND,
)  # fmt: skip

Build = Callable[[GridEnvironment], Controller]
Judgement = Callable[[Record, GridEnvironment], Figures]


def _figures(record: Record, environment: GridEnvironment) -> Figures:
    return episode_figures(record, environment.case)


def _bound(idle: Record, environment: GridEnvironment) -> Figures:
    """What perfect information could have reached in the episodes in which nobody acted."""
    task = environment.description
    return bound_figures(idle, one_mass(task, task.scenario_swing))


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Who takes part in a comparison."""

    name: str  # as it was asked for, and in the tables' files
    title: str  # what the tables call it
    information: str  # what it sees
    observation: str = "default"
    builders: tuple[Build, ...]  # of several, each episode's mean over them counts
    judge: Judgement = _figures
    label: str  # part of the names of kept files
    content: bytes = b""  # of the files it is made of besides this project's own
    users: bool = False  # whether its code is the user's, which may do anything


def known(name: str, case: Case | None = None) -> Contender:
    """A baseline, a full-information controller or the bound; on the 68-bus system if `case` is None."""
    if name in _BESIDE_BASELINES:
        return _BESIDE_BASELINES[name]
    baseline = BASELINES[name]
    return Contender(
        name=name,
        title=baseline.title,
        information=baseline.information,
        observation=baseline.observation,
        builders=(partial(_baseline, name),),
        label=name,
        content=tuned_content(name, case),
    )


def own(name: str) -> Contender:
    """A user's own controller, FILE.py:CLASS."""
    file, _, class_name = name.partition(":")
    return Contender(
        name=name,
        title=class_name,
        information="the agents' 15 numbers",
        builders=(partial(users_controller, file, class_name),),
        label=Path(file).stem,
        content=Path(file).read_bytes(),
        users=True,
    )


def _baseline(name: str, environment: GridEnvironment) -> Controller:
    return make_baseline(name, environment.description, environment.n_env)


def _full_information(
    environment: GridEnvironment,
    *,
    horizon: Callable[[Case], HorizonConfig] = HorizonConfig.of,
    foresees: bool = True,
) -> Controller:
    return FullInformation(
        environment.description, environment.loop, horizon(environment.case), foresees=foresees
    )


def _knowing(name: str, title: str, information: str, build: Build) -> Contender:
    return Contender(name=name, title=title, information=information, builders=(build,), label=name)


_BESIDE_BASELINES = {
    BOUND: Contender(
        name=BOUND,
        title="perfect information (bound)",
        information="everything, and the future",
        builders=(partial(_baseline, "do_nothing"),),
        judge=_bound,
        label=BOUND,
    ),
    FULL_INFORMATION: _knowing(
        FULL_INFORMATION, "full information", "everything now, no future noise", _full_information
    ),
    FULL_INFORMATION_NOW: _knowing(
        FULL_INFORMATION_NOW,
        "full information, nothing of what comes",
        "everything now",
        partial(_full_information, foresees=False),
    ),
    FULL_INFORMATION_RESERVE: _knowing(
        FULL_INFORMATION_RESERVE,
        "full information, batteries in reserve",
        "everything now, no future noise",
        partial(_full_information, horizon=HorizonConfig.in_reserve),
    ),
}


def is_pattern(name: str) -> bool:
    """Whether this stands for several files."""
    return any(sign in name for sign in "*?[")


def resolve(policies: str, of_files: Callable[[str], Contender], case: Case | None = None) -> list[Contender]:
    """Contenders from a comma-separated list; `all` are the tuned baselines, those of full information and the bound.

    Args:
        policies: names of baselines, of those in KNOWING, `bound`, FILE.py:CLASS, paths of model files and patterns of
            such paths.
        of_files: makes a contender of a model file, or of all files of a pattern.
        case: the grid, which says what is tuned; the 68-bus system if None.

    Raises:
        ComparisonError: a name is none of these.
    """
    names: list[str] = []
    for name in (part.strip() for part in policies.split(",")):
        if not name:
            raise ComparisonError(
                f"{policies!r} names nobody in one of its places, expected names between commas"
            )
        names += (
            [one for one in ALL if one not in BASELINES or is_tuned(one, case)] if name == "all" else [name]
        )
    found = []
    for name in dict.fromkeys(names):
        if name in BASELINES or name in _BESIDE_BASELINES:
            found.append(known(name, case))
        elif name.partition(":")[0].endswith(".py") and Path(name.partition(":")[0]).is_file():
            found.append(own(name))
        elif is_pattern(name) or Path(name).is_file():
            found.append(of_files(name))
        elif Path(name).is_dir():
            raise ComparisonError(f"{name} is a directory, expected a model file in it, or FILE.py:CLASS")
        else:
            there_are = [*dict.fromkeys((*ALL, *BASELINES)), "all"]
            raise ComparisonError(
                f"{name!r} is neither a controller ({', '.join(there_are)}) nor a file that exists: a model, or "
                f"FILE.py:CLASS{perhaps(name, there_are)}"
            )
    return found
