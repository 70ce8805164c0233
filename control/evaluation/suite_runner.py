"""The comparison of all who act: every contender on the same held-out episodes of the suites.

Work is cut into chunks of episodes, which processes share. A finished chunk is kept under a name that depends on
everything that could change it: all sources and data, installed versions, the contender's own files, scenario, seeds
and options. So a run that was stopped goes on where it was, and nothing outdated is ever used.

Learned policies are contenders too (`marl.environment.contenders`); here nobody knows what a policy is. Environments
are built by a function of a module that is handed in, `make(suite, n_env, observation)`: it and the contenders are
sent to processes.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.nearest_name import perhaps
from cases.processes.ending import process_pool
from cases.whole_file import replacing
from control.evaluation.comparison import Figures, compared, paired, summary
from control.evaluation.contender import (
    BOUND,
    FULL_INFORMATION,
    MPC,
    Build,
    ComparisonError,
    Contender,
)
from control.evaluation.fingerprint import fingerprint
from control.evaluation.grid_record import ByPlant, GridEnvironment
from control.evaluation.grid_record import Figures as KeepFigures
from control.evaluation.rollout import Record, rollout
from control.scenario.config import ScenarioError
from control.scenario.file import scenario_named
from control.scenario.suites import FIRST_HELD_OUT_SEED, HELD_OUT, SCENARIOS

__all__ = [
    "ABOUT_MOVEMENT",
    "COST_OF_MOVEMENT",
    "EPISODES_OF_A_FILE",
    "WorkerDied",
    "compare",
    "episodes_by_number",
    "episodes_text",
    "evaluation_seeds",
    "own_seeds",
    "play_record",
    "rows",
    "seeds_of",
    "seeds_there_are",
    "table_text",
    "tabulate",
]

SUITES = ("normal", "n1", "renewable_ramp", "shift")
CHUNK = 50  # episodes that one job plays side by side
EPISODES_OF_A_FILE = 20
COST_OF_MOVEMENT = "cost of movement [units of return]"  # in heads of tables
ABOUT_MOVEMENT = (
    "the part of minus the return that is charged for moving set-points (its terms movement and effort), mean of an "
    "episode; other costs are of the whole return"
)
OWN_SCENARIO_SEEDS = (
    FIRST_HELD_OUT_SEED + 100_000
)  # evaluation seeds of scenarios without a suite of their own

Make = Callable[[str, int, str], GridEnvironment]  # from suite, number of environments and observation
Found = Mapping[str, Mapping[str, Mapping[str, FloatArray]]]  # {suite: {contender: {figure: [episode]}}}


def evaluation_seeds(scenario: str, n_episodes: int, first: int = 0) -> IntArray:
    """Seeds of n held-out episodes of a scenario, from number `first` on, [episode].

    Raises:
        ComparisonError: the suite has fewer episodes.
    """
    if scenario in HELD_OUT:
        seeds = HELD_OUT[scenario].seeds
        if first + n_episodes > len(seeds):
            raise ComparisonError(
                f"suite {scenario} has {len(seeds)} held-out episodes, not {first + n_episodes}; "
                "ask for fewer or start earlier"
            )
        return seeds[first : first + n_episodes]
    return OWN_SCENARIO_SEEDS + first + np.arange(n_episodes, dtype=np.int64)


def episodes_by_number(scenario: str, first: int, n_episodes: int | None = None) -> str:
    """Whose episodes these are, in words: held-out ones of a suite, or of another scenario ones that nobody trains on.

    Args:
        scenario: a suite by name, or any other scenario.
        first: number of the first episode.
        n_episodes: how many from there on; None is this one alone, and names it.
    """
    held_out = "held-out " if scenario in HELD_OUT else ""
    if n_episodes is None:
        told = f"{held_out}episode {first}"
    else:
        told = f"{n_episodes} {held_out}episode{'' if n_episodes == 1 else 's'} from number {first} on"
    kind, seeds = ("Suite", "") if held_out else ("Scenario", ", of seeds that no training draws")
    return f"{kind} {Path(scenario).name}, {told}{seeds}"


def seeds_of(suite: str, n_episodes: int | None, first: int, own: str | None = None) -> dict[str, list[int]]:
    """Held-out seeds by suite; `all` are the four suites with all their episodes.

    Args:
        suite: names with commas between them, paths of scenario files among them, or `all`.
        n_episodes: of each suite; all of them, or EPISODES_OF_A_FILE of a file, if None.
        first: number of the first episode in each suite.
        own: FIRST:COUNT, seeds of one's own in their stead, in any scenario; see `own_seeds`.

    Raises:
        ScenarioError: no suite has this name.
        ComparisonError: it has no episode of this number.
    """
    names = SUITES if suite == "all" else tuple(suite.split(","))
    found = {}
    mine = None if own is None else own_seeds(own)
    for name in names:
        if mine is not None and name in SCENARIOS:
            found[name] = mine
            continue
        if name not in HELD_OUT and not name.endswith(".toml"):
            raise ScenarioError(
                f"no suite is called {name!r}, expected {', '.join(HELD_OUT)}, all or a .toml file"
                + perhaps(name, (*HELD_OUT, "all"))
            )
        found[name] = mine or seeds_there_are(name, n_episodes, first).tolist()
    return found


def own_seeds(text: str) -> list[int]:
    """Seeds FIRST:COUNT for a study of one's own.

    Raises:
        ComparisonError: it is no such text, or reaches the seeds that are held out for the published suites.
    """
    first, _, count = text.partition(":")
    if not (first.isascii() and first.isdigit() and count.isascii() and count.isdigit() and int(count) > 0):
        raise ComparisonError(f"seeds {text!r}, expected FIRST:COUNT, such as 5000:40")
    if int(first) + int(count) > FIRST_HELD_OUT_SEED:
        raise ComparisonError(
            f"seeds {text} reach the held-out ones, which begin at {FIRST_HELD_OUT_SEED}; episodes of the published "
            "suites are named by --suite, --seed and --n_episodes"
        )
    return list(range(int(first), int(first) + int(count)))


def seeds_there_are(scenario: str, n_episodes: int | None, first: int = 0) -> IntArray:
    """Held-out seeds of a scenario, as many as are asked for or there are, [episode].

    Args:
        scenario: a suite by name, or any other scenario.
        n_episodes: all of a suite and EPISODES_OF_A_FILE of others if None.
        first: number of the first episode.

    Raises:
        ComparisonError: there is no episode of this number.
    """
    there = HELD_OUT[scenario].count - first if scenario in HELD_OUT else n_episodes or EPISODES_OF_A_FILE
    if there < 1:
        raise ComparisonError(f"suite {scenario} has no episode number {first}")
    return evaluation_seeds(scenario, min(n_episodes or there, there), first)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some episodes of one contender."""

    contender: Contender
    suite: str
    seeds: tuple[int, ...]

    def key(self, state: str) -> str:
        """Name of its results; `state` stands for all that is no matter of a single job."""
        own_digest = hashlib.sha256(self.contender.content).hexdigest()
        text = f"{state} {self.contender.name} {self.contender.observation} {own_digest} {self.seeds}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{Path(self.suite).stem}-{self.contender.label}-{digest}.npz"


@lru_cache(maxsize=2)
def _environment(make: Make, suite: str, n_env: int, observation: str) -> GridEnvironment:
    return make(suite, n_env, observation)


def play_record(contender: Contender, build: Build, suite: str, seeds: Sequence[int], make: Make) -> Record:
    """Play some episodes with one of a contender's controllers, side by side."""
    environment = _environment(make, suite, len(seeds), contender.observation)
    return rollout(build(environment), ByPlant(environment), np.array(seeds), KeepFigures)


def play(job: Job, make: Make) -> Figures:
    """Figures of the episodes of one job."""
    contender = job.contender
    environment = _environment(make, job.suite, len(job.seeds), contender.observation)
    # Of several controllers every episode's mean, so that the interval is one over episodes, as everywhere.
    each = [
        contender.judge(play_record(contender, build, job.suite, job.seeds, make), environment)
        for build in contender.builders
    ]
    return {name: np.mean([figures[name] for figures in each], axis=0) for name in each[0]}


def _keep(figures: Figures, path: Path) -> None:
    """Write the figures of a job in one go."""
    with replacing(path) as part:
        np.savez_compressed(part, **figures)  # type: ignore[arg-type]


def _is_whole(path: Path, n_episode: int) -> bool:
    """Whether figures of so many episodes are kept here; what a disk or a copy has damaged is played again."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return bool(kept.files) and all(len(kept[name]) == n_episode for name in kept.files)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error):
        return False


class WorkerDied(RuntimeError):
    """A process that shared the work ended in the middle of it; the message says who was being played."""


def _at_work(todo: Sequence[Job], finished: Collection[Job], workers: int) -> str:
    """Who was being played when a process died: jobs are begun in their order, so many at a time."""
    playing = [job for job in todo if job not in finished][:workers]
    names = list(dict.fromkeys(job.contender.name for job in playing))
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def compare(
    contenders: Sequence[Contender],
    suites: Mapping[str, Sequence[int]],
    *,
    make: Make,
    cache: Path,
    workers: int,
    case: Case | None = None,
    packages: Sequence[Path] | None = None,
    pool: Executor | None = None,
) -> dict[str, dict[str, dict[str, FloatArray]]]:
    """Figures of all contenders on all suites, {suite: {contender: {figure: [episode]}}}.

    Args:
        contenders: who plays.
        suites: seeds of each suite, {suite: [episode]}.
        make: builds environments.
        cache: folder of what is kept of finished chunks.
        workers: processes that share the work.
        case: the grid that `make` builds on; the 68-bus system if None.
        packages: folders of this project's packages; as Python would import them if None.
        pool: shares the work in place of processes of this machine's; it is left open unless the work fails.

    Raises:
        WorkerDied: a process ended in the middle of its work; what was finished before is kept.
        ComparisonError: a user's own controller fails.
    """
    from tqdm import tqdm

    cache.mkdir(parents=True, exist_ok=True)
    sources = fingerprint(packages)
    grid = load_ieee68() if case is None else case
    builder = getattr(make, "__qualname__", type(make).__qualname__)
    state = {
        suite: f"{sources} {make.__module__}.{builder} {grid.identity} {scenario_named(suite, grid)!r}"
        for suite in suites
    }
    jobs = [
        Job(contender=contender, suite=suite, seeds=tuple(int(s) for s in seeds[i : i + CHUNK]))
        for suite, seeds in suites.items()
        for contender in contenders
        for i in range(0, len(seeds), CHUNK)
    ]
    paths = {job: cache / job.key(state[job.suite]) for job in jobs}
    todo = [job for job in jobs if not _is_whole(paths[job], len(job.seeds))]
    # The longest first, so that the processes finish together.
    todo.sort(
        key=lambda job: (job.contender.name not in (MPC, FULL_INFORMATION), job.contender.name != BOUND)
    )
    episodes = sum(len(job.seeds) for job in jobs)
    with tqdm(total=episodes, unit=" episodes", disable=None) as bar:
        bar.update(episodes - sum(len(job.seeds) for job in todo))
        # A user's code may end its process: not this one, unless one process is asked for, as a debugger needs it.
        apart = len(todo) > 1 or any(job.contender.users for job in todo)
        if pool is not None or (workers > 1 and apart):
            # What is played elsewhere is written down here: other machines may have another disk.
            with process_pool(workers) if pool is None else nullcontext(pool) as players:
                running, finished = {players.submit(play, job, make): job for job in todo}, set()
                try:
                    for done in as_completed(running):
                        _keep(done.result(), paths[running[done]])
                        finished.add(running[done])
                        bar.update(len(running[done].seeds))
                except BrokenExecutor as error:
                    raise WorkerDied(
                        f"a worker process died while playing {_at_work(todo, finished, workers)}: its code ended the "
                        "process, or the system did, as it does where memory is short; what was finished is kept"
                    ) from error
                except BaseException:
                    players.shutdown(cancel_futures=True)
                    raise
        else:
            for job in todo:
                bar.set_description(f"{job.suite}, {job.contender.name}")
                _keep(play(job, make), paths[job])
                bar.update(len(job.seeds))
    found: dict[str, dict[str, dict[str, FloatArray]]] = {}
    for suite in suites:
        found[suite] = {}
        for contender in contenders:
            pieces = [np.load(paths[j]) for j in jobs if (j.suite, j.contender) == (suite, contender)]
            found[suite][contender.name] = {
                name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0].files
            }
    return found


def tabulate(
    found: Found,
    contenders: Sequence[Contender],
    suites: Mapping[str, Sequence[int]],
    reference: str | None,
) -> dict[str, dict[str, Any]]:
    """Summaries by suite and contender, what pairs of episodes tell of neighbours, of full information and of the
    reference where it took part.
    """
    table: dict[str, dict[str, Any]] = {}
    for suite, by_name in found.items():
        seeds = np.array(suites[suite], dtype=np.int64)
        table[suite] = {
            c.name: {"title": c.title, "information": c.information, **summary(by_name[c.name], seeds)}
            for c in contenders
        }
        for name, told in compared(by_name, FULL_INFORMATION, BOUND).items():
            table[suite][name] |= told
        if reference in by_name:
            for name, difference in paired(by_name, str(reference)).items():
                table[suite][name]["difference"] = {"to": reference, **difference}
    return table


def rows(table: Mapping[str, Mapping[str, Any]], suite: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a suite's table as text, best first."""
    head = [
        "controller", "sees", "return", "95 % interval", "IQM", "cost / full information (95 %)",
        "cost / next better (95 %)", "episodes to tell", "without events", "better than reference by (95 %)", "rms mHz",
        "p95 mHz", "in 36 mHz %", "in 200 mHz %", "violations", COST_OF_MOVEMENT, "CPS1 %", "moved GW bess/gas/dr",
        "worst seeds",
    ]  # fmt: skip
    lines = []
    order = sorted(table[suite], key=lambda name: -table[suite][name]["return_mean"])
    references = {f["difference"]["to"] for f in table[suite].values() if "difference" in f}
    for name in order:
        f = table[suite][name]
        low, high = f["return_ci95"]
        against = "reference" if name in references else "-"
        if "difference" in f:
            d = f["difference"]
            against = f"{d['mean']:+,.0f} ({d['ci95'][0]:+,.0f} to {d['ci95'][1]:+,.0f})"
        moved = " / ".join(f"{f[f'moved_mw_{kind}'] / 1000.0:.2f}" for kind in ("bess", "gas", "dr"))
        lines.append(
            [
                f["title"],
                f["information"],
                f"{f['return_mean']:,.0f}",
                f"{low:,.0f} to {high:,.0f}",
                f"{f['return_iqm']:,.0f}",
                _with_interval(f.get("cost_ratio_to_full_information"), f.get("cost_ratio_ci95")),
                *_to_neighbour(f.get("paired_log_ratio_to_previous")),
                f"{f['without_events']['return_mean']:,.0f}" if "without_events" in f else "-",
                against,
                f"{f['rms_mhz']:.1f}",
                f"{f['p95_mhz']:.1f}",
                f"{100.0 * f['share_within_36mhz']:.2f}",
                f"{100.0 * f['share_within_200mhz']:.2f}",
                f"{f['violations_per_episode']:.2f}",
                f"{f['cost_mean']:,.0f}",
                f"{f['cps1_percent']:.1f}" if "cps1_percent" in f else "-",
                moved,
                " ".join(str(s) for s in f["worst_seeds"]),
            ]
        )
    return head, lines


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    return (
        "-" if value is None or interval is None else f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
    )


def _to_neighbour(log: Mapping[str, Any] | None) -> tuple[str, str]:
    """Ratio of costs in a typical episode, and the episodes that it takes to tell the two apart."""
    if log is None:
        return "-", "-"
    ratio = _with_interval(np.exp(log["mean"]), np.exp(log["ci95"]))
    return ratio, "-" if log["episodes_needed"] is None else f"{log['episodes_needed']:,d}"


def episodes_text(seeds: Sequence[int]) -> str:
    """How many episodes these are, and whether they are held out."""
    if seeds[0] >= FIRST_HELD_OUT_SEED:
        return f"{len(seeds)} held-out episodes"
    return f"{len(seeds)} episodes of seeds of one's own"


def table_text(table: Mapping[str, Mapping[str, Any]], episodes: Mapping[str, Sequence[int]]) -> str:
    """The most important columns for the terminal."""
    keep = (0, 2, 3, 5, 6, 7, 9, 10, 12, 13, 14, 15)
    found = []
    for suite in table:
        head, lines = rows(table, suite)
        found.append(f"\nSuite {suite}, {episodes_text(episodes[suite])}")
        chosen = [[row[i] for i in keep] for row in [head, *lines]]
        width = [max(len(row[i]) for row in chosen) for i in range(len(keep))]
        for row in chosen:
            rest = [x.rjust(w) for x, w in zip(row[1:], width[1:], strict=True)]
            found.append("  ".join([row[0].ljust(width[0]), *rest]))
        for f in table[suite].values():
            if f.get("unsolved", 0.0) > 0.0:
                found.append(f"{f['title']}: no solution in {f['unsolved']:.2f} intervals an episode")
    return "\n".join([*found, "", f"{COST_OF_MOVEMENT}: {ABOUT_MOVEMENT}."])
