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

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.processes.ending import process_pool
from cases.whole_file import replacing
from control.evaluation.comparison import Figures
from control.evaluation.contender import BOUND, PLANNING, Build, Contender
from control.evaluation.fingerprint import fingerprint
from control.evaluation.grid_record import ByPlant, GridEnvironment
from control.evaluation.grid_record import Figures as KeepFigures
from control.evaluation.rollout import Record, rollout
from control.scenario.file import scenario_named

__all__ = ["Found", "WorkerDied", "compare", "play_record"]

CHUNK = 50  # episodes that one job plays side by side

Make = Callable[[str, int, str], GridEnvironment]  # from suite, number of environments and observation
Found = Mapping[str, Mapping[str, Mapping[str, FloatArray]]]  # {suite: {contender: {figure: [episode]}}}


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
    todo.sort(key=lambda job: (job.contender.name not in PLANNING, job.contender.name != BOUND))
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
