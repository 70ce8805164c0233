"""The comparison of scripts/evaluate.py: every controller on the same held-out episodes of the suites.

Work is cut into chunks of episodes, which processes share. A finished chunk is kept under a name that depends on
everything that could change it: sources, data, the controller's parameters, scenario and seeds. So a run that was
stopped goes on where it was, and nothing outdated is ever used.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from control.controllers.base import Controller
    from control.evaluation.rollout import Trial

ROOT = Path(__file__).resolve().parent.parent
SUITES = ("normal", "n1", "renewable_ramp", "shift")
BOUND, MPC = "bound", "mpc"
# In the order that theory expects, best last.
ALL = (
    "random", "do_nothing", "agc_textbook", "agc", "agc_forecast", "local_pi", "linear_bess", "linear",
    "linear_extended", MPC, BOUND,
)  # fmt: skip
CHUNK = 50  # episodes that one job plays side by side
SOURCES = ("cases", "grid_model", "control", "marl")


class ComparisonError(ValueError):
    """The comparison cannot be done as asked; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some episodes of one controller."""

    suite: str
    # Name of a baseline, `mpc`, `bound`, path of a model file, a pattern of such paths, or FILE.py:CLASS.
    policy: str
    seeds: tuple[int, ...]


def title(policy: str) -> str:
    """What the table calls a controller."""
    from control.controllers.registry import BASELINES

    if policy in BASELINES:
        return BASELINES[policy].title
    if is_own(policy):
        return policy.partition(":")[2]
    if policy in (MPC, BOUND):
        return {MPC: "causal MPC", BOUND: "perfect information (bound)"}[policy]
    if is_pattern(policy):
        # runs/presets/recommended-seed*/best_model.pt is "recommended".
        name = next(part for part in Path(policy).parts if is_pattern(part))
        return f"MAPPO, {re.split(r'[-_]*(?:seed)?[*?[]', name)[0]}, mean of {len(models(policy))} seeds"
    return f"MAPPO, {Path(policy).name}"


def information(policy: str) -> str:
    """What a controller sees."""
    from control.controllers.registry import BASELINES

    if policy in BASELINES:
        return BASELINES[policy].information
    fallback = "the agents' 15 numbers" if observation_of(policy) == "default" else "the agents' 18 numbers"
    return {
        MPC: "all agents' 15 numbers together",
        BOUND: "everything, and the future",
    }.get(policy, fallback)


def observation_of(policy: str) -> str:
    """`default` or `extended`."""
    from control.controllers.registry import BASELINES

    if policy in BASELINES:
        return BASELINES[policy].observation
    if policy in (MPC, BOUND) or is_own(policy):
        return "default"
    return str(_policy(models(policy)[0]).metadata.get("observation", "default"))


def is_pattern(policy: str) -> bool:
    """Whether this stands for several model files."""
    return any(sign in policy for sign in "*?[")


def models(policy: str) -> tuple[str, ...]:
    """The model file, or all files of a pattern, in order of their names."""
    if not is_pattern(policy):
        return (policy,)
    found = tuple(sorted(glob.glob(policy)))
    if not found:
        raise ComparisonError(f"no file fits {policy!r}, expected model files such as best_model.pt")
    return found


def is_own(policy: str) -> bool:
    """Whether this is a user's own controller, FILE.py:CLASS."""
    return policy.partition(":")[0].endswith(".py")


def own_controller(policy: str, fleet: Any, n_env: int) -> Controller:
    """An object of a class in a user's file, made with (fleet, n_env), or without arguments if it takes none."""
    file, _, name = policy.partition(":")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise ComparisonError(f"cannot read {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ComparisonError(f"{file} has no class {name!r}; name it as {file}:CLASS")
    make = getattr(module, name)
    own: Controller = make(fleet, n_env) if inspect.signature(make).parameters else make()
    return own


@lru_cache(maxsize=4)
def _policy(path: str) -> Any:
    import torch

    from marl.networks.policy import Policy

    torch.set_num_threads(1)
    return Policy.load(path)


class PolicyController:
    """A trained policy in a controller's place."""

    def __init__(self, policy: Any, kinds: Sequence[str]) -> None:
        self._policy = policy
        names = np.array(kinds)
        self._rows = {kind: np.flatnonzero(names == kind) for kind in dict.fromkeys(kinds)}

    def reset(self, envs: np.ndarray, seeds: np.ndarray) -> None:
        """It has no memory."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        seen = {kind: observation[:, rows].astype(np.float32) for kind, rows in self._rows.items()}
        action = np.zeros(observation.shape[:2])
        for kind, own in self._policy.act(seen).items():
            action[:, self._rows[kind]] = own[:, :, 0]
        return action


def controller(policy: str, environment: Any) -> Controller:
    """Any of the controllers, for the environments given."""
    from control.controllers.predictive import PredictiveController
    from control.controllers.registry import BASELINES, make_baseline

    task, n_env = environment.description, environment.n_env
    if policy in BASELINES:
        return make_baseline(policy, task, n_env)
    if policy == MPC:
        return PredictiveController(task, n_env)
    if is_own(policy):
        return own_controller(policy, task.fleet, n_env)
    return PolicyController(_policy(policy), task.case.resource.kind)


@lru_cache(maxsize=2)
def _environment(suite: str, n_env: int, observation: str) -> Any:
    from marl.environment.batch import make_batch

    return make_batch(suite, n_env, observation=observation, check=False)


def trial(policy: str, suite: str, seeds: Sequence[int]) -> Trial:
    """Play some episodes with one controller, side by side."""
    from control.evaluation.rollout import play_trial

    environment = _environment(suite, len(seeds), observation_of(policy))
    return play_trial(controller(policy, environment), environment, np.array(seeds))


def play(job: Job) -> dict[str, np.ndarray]:
    """Figures of the episodes of one job."""
    from cases.ieee68 import load_ieee68
    from control.controllers.one_mass import one_mass
    from control.evaluation.comparison import bound_figures, episode_figures

    case = load_ieee68()
    if job.policy == BOUND:
        task = _environment(job.suite, len(job.seeds), "default").description
        model = one_mass(task, task.scenario_swing)
        return bound_figures(trial("do_nothing", job.suite, job.seeds), model)
    # Of a pattern's models every episode's mean, so that the interval is one over episodes, as everywhere.
    each = [episode_figures(trial(model, job.suite, job.seeds), case) for model in models(job.policy)]
    return {name: np.mean([figures[name] for figures in each], axis=0) for name in each[0]}


def play_and_keep(job: Job, path: Path) -> Path:
    """Play a job and write its figures in one go."""
    figures = play(job)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **figures)  # type: ignore[arg-type]
    part.replace(path)
    return path


def fingerprint() -> str:
    """Of all sources and data that an episode's course depends on."""
    digest = hashlib.sha256()
    files = [p for d in SOURCES for p in (ROOT / d).rglob("*") if p.suffix in (".py", ".csv")]
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def key(job: Job, sources: str) -> str:
    """Name of a job's results."""
    from cases.ieee68 import load_ieee68
    from control.scenario.file import scenario_named

    known = job.policy in ALL
    file = Path(job.policy.partition(":")[0] if is_own(job.policy) else models(job.policy)[0])
    stored = ROOT / "control" / "data" / f"{job.policy}.json" if known else file
    own = stored.read_bytes() if stored.is_file() else b""
    own += b"".join(Path(other).read_bytes() for other in models(job.policy)[1:])
    scenario = repr(scenario_named(job.suite, load_ieee68()))
    text = f"{sources} {scenario} {job.policy if known or is_own(job.policy) else ''} {job.seeds}".encode()
    name = job.policy if known else file.stem
    return f"{Path(job.suite).stem}-{name}-{hashlib.sha256(text + own).hexdigest()[:16]}.npz"


def compare(
    policies: Sequence[str],
    suites: Mapping[str, Sequence[int]],
    *,
    cache: Path,
    workers: int,
) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Figures of all controllers on all suites, {suite: {policy: {figure: [episode]}}}."""
    from tqdm import tqdm

    cache.mkdir(parents=True, exist_ok=True)
    sources = fingerprint()
    jobs = [
        Job(suite=suite, policy=policy, seeds=tuple(int(s) for s in seeds[i : i + CHUNK]))
        for suite, seeds in suites.items()
        for policy in policies
        for i in range(0, len(seeds), CHUNK)
    ]
    paths = {job: cache / key(job, sources) for job in jobs}
    todo = [job for job in jobs if not paths[job].is_file()]
    # The longest first, so that the processes finish together.
    todo.sort(key=lambda job: (job.policy != MPC, job.policy != BOUND))
    episodes = sum(len(job.seeds) for job in jobs)
    with tqdm(total=episodes, unit=" episodes", disable=None) as bar:
        bar.update(episodes - sum(len(job.seeds) for job in todo))
        if workers > 1 and len(todo) > 1:
            with ProcessPoolExecutor(workers) as pool:
                running = {pool.submit(play_and_keep, job, paths[job]): job for job in todo}
                try:
                    for done in as_completed(running):
                        done.result()
                        bar.update(len(running[done].seeds))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        else:
            for job in todo:
                bar.set_description(f"{job.suite}, {job.policy}")
                play_and_keep(job, paths[job])
                bar.update(len(job.seeds))
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for suite in suites:
        found[suite] = {}
        for policy in policies:
            pieces = [np.load(paths[j]) for j in jobs if (j.suite, j.policy) == (suite, policy)]
            found[suite][policy] = {
                name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0].files
            }
    return found


def tabulate(
    found: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]],
    suites: Mapping[str, Sequence[int]],
    reference: str | None,
) -> dict[str, dict[str, Any]]:
    """Summaries by suite and controller, and paired differences to the reference where it took part."""
    from control.evaluation.comparison import paired, summary

    table: dict[str, dict[str, Any]] = {}
    for suite, by_policy in found.items():
        seeds = np.array(suites[suite], dtype=np.int64)
        table[suite] = {
            policy: {"title": title(policy), "information": information(policy), **summary(figures, seeds)}
            for policy, figures in by_policy.items()
        }
        if reference in by_policy:
            for policy, difference in paired(by_policy, str(reference)).items():
                table[suite][policy]["difference"] = {"to": reference, **difference}
    return table


def rows(table: Mapping[str, Mapping[str, Any]], suite: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a suite's table as text, best first."""
    head = [
        "controller", "sees", "return", "95 % interval", "IQM", "better than reference by (95 %)", "rms mHz", "p95 mHz",
        "in 36 mHz %", "in 200 mHz %", "violations", "cost", "CPS1 %", "moved GW bess/gas/dr", "worst seeds",
    ]  # fmt: skip
    lines = []
    order = sorted(table[suite], key=lambda policy: -table[suite][policy]["return_mean"])
    for policy in order:
        f = table[suite][policy]
        low, high = f["return_ci95"]
        against = "reference"
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


def print_table(table: Mapping[str, Mapping[str, Any]], episodes: Mapping[str, Sequence[int]]) -> None:
    """The most important columns on the terminal."""
    keep = (0, 2, 3, 5, 6, 8, 9, 10, 11)
    for suite in table:
        head, lines = rows(table, suite)
        print(f"\nSuite {suite}, {len(episodes[suite])} held-out episodes")
        chosen = [[row[i] for i in keep] for row in [head, *lines]]
        width = [max(len(row[i]) for row in chosen) for i in range(len(keep))]
        for row in chosen:
            print(
                "  ".join(
                    [row[0].ljust(width[0]), *(x.rjust(w) for x, w in zip(row[1:], width[1:], strict=True))]
                )
            )


def resolve(policies: str) -> list[str]:
    """Controllers from a comma-separated list; `all` are all baselines with MPC and bound."""
    from control.controllers.registry import BASELINES

    found: list[str] = []
    for name in (part.strip() for part in policies.split(",")):
        if name == "all":
            found += ALL
        elif name in (*BASELINES, MPC, BOUND) or Path(name.partition(":")[0]).is_file() or is_pattern(name):
            found.append(name)
        else:
            raise ComparisonError(
                f"{name!r} is neither a controller ({', '.join(ALL)}, all) nor a file that exists: a model, or "
                "FILE.py:CLASS"
            )
    for name in found:
        models(name)  # complains where no file fits a pattern
    return list(dict.fromkeys(found))


def seeds_of(suite: str, n_episodes: int | None, first: int) -> dict[str, list[int]]:
    """Held-out seeds by suite; `all` are the four suites with all their episodes."""
    from control.scenario.config import ScenarioError
    from control.scenario.suites import HELD_OUT
    from marl.environment.episode_record import evaluation_seeds

    names = SUITES if suite == "all" else tuple(suite.split(","))
    found = {}
    for name in names:
        if name not in HELD_OUT and not name.endswith(".toml"):
            raise ScenarioError(
                f"no suite is called {name!r}, expected {', '.join(HELD_OUT)}, all or a .toml file"
            )
        count = n_episodes or (HELD_OUT[name].count if name in HELD_OUT else 20)
        if name in HELD_OUT:
            count = min(count, HELD_OUT[name].count - first)
        if count < 1:
            raise ComparisonError(f"suite {name} has no episode number {first}")
        found[name] = [int(s) for s in evaluation_seeds(name, count, first)]
    return found


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """The table as JSON, in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
