"""A policy on held-out episodes of the grid: its figures beside agents without a law, and one episode to look at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control.evaluation.comparison import episode_figures, summary
from control.evaluation.episode_pictures import draw_episode
from control.evaluation.grid_record import Figures, Traces
from control.evaluation.rollout import Actor, rollout
from control.evaluation.suite_seeds import evaluation_seeds
from grid_model.dynamics.parameters import Level
from marl.checkpoint import MODELS, CheckpointError
from marl.environment.batch import GridBatch, make_batch
from marl.environment.held_out import IdleAgents, PolicyInGroups, RandomAgents, summarise, terms_of
from marl.environment.render import describe
from marl.environment.trained_grid import OtherGrid, case_of, require_its_grid
from marl.networks.policy import Policy

__all__ = ["PolicyReport", "ReportError", "load_policy", "table"]

MOST_AT_ONCE = 64  # environments of a batch
NAMES = {"trained": "trained policy", "random": "random agents", "do_nothing": "do nothing"}
SHOWN_EVERY = 25  # intervals, where the terminal cannot be written over


class ReportError(ValueError):
    """The policy cannot be judged as asked; the message says why and what to do."""


def load_policy(path: Path) -> Policy:
    """The policy of a model file.

    Raises:
        ReportError: there is none, or it cannot be read.
    """
    if path.is_dir():
        there = [path / name for name in MODELS if (path / name).is_file()]
        advice = (
            f"a model file, such as {there[0]}" if there else "a model file, such as best_model.pt of a run"
        )
        raise ReportError(f"{path} is a directory, expected {advice}")
    if not path.is_file():
        raise ReportError(f"no model at {path}; train one with: python scripts/train_mappo.py")
    try:
        return Policy.load(path)
    except CheckpointError as error:
        raise ReportError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """One policy in the held-out episodes of one scenario."""

    policy: Policy
    scenario: str  # a suite by name, or the path of a file
    first: int  # number of the first episode
    level: Level = "area"
    case: str = ""  # name or file of the grid; the one that the policy was trained on if empty

    def batch(self, n_env: int, *, auto_reset: bool = True) -> GridBatch:
        """Environments that look to the policy as those it was trained in.

        Raises:
            ReportError: it was trained for other agents, or on another grid. ScenarioError: there is no such scenario.
        """
        observation = self.policy.metadata.get("observation", "default")
        batch = make_batch(
            self.scenario,
            n_env,
            observation=observation,
            case=self.case or case_of(self.policy.metadata),
            level=self.level,
            auto_reset=auto_reset,
        )
        try:
            require_its_grid(self.policy.metadata, batch.case, "the policy")
        except OtherGrid as error:
            raise ReportError(str(error)) from error
        known = [(g.name, g.n_agent, g.observation_size) for g in self.policy.groups]
        here = [(g.name, g.n_agent, g.observation_size) for g in batch.groups]
        if known != here:
            raise ReportError(f"the policy was trained for agents {known}, this grid has {here}")
        return batch

    def figures(
        self, n_episodes: int, *, beside_others: bool, progress: Callable[[int], Any]
    ) -> dict[str, Any]:
        """Figures of everyone who plays, {name: figures}: those of `comparison.summary` and `held_out.summarise`.

        Args:
            n_episodes: how many.
            beside_others: random and idle agents play the same episodes.
            progress: given the number of intervals in all, the progress bar (tqdm's `update` and `set_description`).

        Raises:
            ValueError: the suite has fewer episodes; see also `batch`.
        """
        seeds = evaluation_seeds(self.scenario, n_episodes, self.first)
        batch = self.batch(min(len(seeds), MOST_AT_ONCE))
        actors: dict[str, Actor[Any, Any]] = {"trained": PolicyInGroups(self.policy)}
        if beside_others:
            actors["random"] = RandomAgents(batch.groups, batch.n_env, self.first)
            actors["do_nothing"] = IdleAgents(batch.groups, batch.n_env)
        rounds = -(-len(seeds) // batch.n_env)
        found: dict[str, Any] = {}
        with progress(len(actors) * rounds * batch.scenario.n_intervals) as bar:

            def tick() -> None:
                bar.update()

            for name, actor in actors.items():
                bar.set_description(NAMES[name])
                record = rollout(actor, batch, seeds, Figures, tick)
                found[name] = summary(episode_figures(record, batch.case), seeds) | summarise(
                    terms_of(record)
                )
        return found

    def show(self, *, live: bool, pictures: Path | None, title: str) -> tuple[str, ...]:
        """Plays the first episode by itself.

        Args:
            live: print the grid's condition meanwhile.
            pictures: directory to draw in; None draws nothing.
            title: of the pictures, which name the grid before it.

        Returns:
            Names of the pictures.
        """
        batch = self.batch(1, auto_reset=False)  # the last picture is of this episode's end
        seeds = evaluation_seeds(self.scenario, 1, self.first)
        on_interval = _Display(batch) if live else None
        record = rollout(PolicyInGroups(self.policy), batch, seeds, Traces, on_interval)
        if pictures is None:
            return ()
        pictures.mkdir(parents=True, exist_ok=True)
        return draw_episode(pictures, record, batch.case, f"{batch.case.name}, {title}")


class _Display:
    """The grid's condition in the terminal, each over the one before; in a file every so often."""

    def __init__(self, batch: GridBatch) -> None:
        self._batch, self._over, self._n_line = batch, sys.stdout.isatty(), 0

    def __call__(self) -> None:
        if not self._over and int(self._batch.loop.interval[0]) % SHOWN_EVERY:
            return
        text = describe(self._batch.task, 0)
        if self._over and self._n_line:
            print(f"\x1b[{self._n_line}A\x1b[J", end="")
        print(text if self._over else text + "\n", flush=True)
        self._n_line = text.count("\n") + 1


def table(figures: Mapping[str, Any]) -> str:
    """Figures of `PolicyReport.figures` as text."""
    lines = [
        f"{'':16s}{'return':>14s}{'95 % interval':>28s}{'rms mHz':>9s}{'in 200 mHz':>12s}{'violations':>12s}"
        f"{'nadir mHz':>11s}{'mHz/s':>8s}{'alert s':>9s}{'MWh lost':>10s}"
    ]
    for name, f in figures.items():
        low, high = f["return_ci95"]
        interval = f"{low:,.0f} to {high:,.0f}" if high > low else "–"  # one episode has none
        lines.append(
            f"{NAMES[name]:16s}{f['return_mean']:14,.0f}{interval:>28s}{f['rms_mhz']:9.1f}"
            f"{100.0 * f['share_within_200mhz']:10.2f} %{f['violations_per_episode']:12.2f}"
            f"{f['nadir_mhz']:11.1f}{f['rocof_mhz_per_s']:8.1f}{f['alert_s']:9.1f}{f['unserved_mwh']:10.2f}"
        )
    return "\n".join(lines)
