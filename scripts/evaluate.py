"""Evaluates a trained policy on held-out episodes of the coupled 68-bus grid.

Without further options it prints the policy's figures. --compare sets it beside random agents and agents that do
nothing, on the same episodes; --visualize draws one episode; --render shows the grid live in the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line

if TYPE_CHECKING:
    from marl.environment.batch import GridBatch
    from marl.networks.policy import Policy

PROGRAM = "evaluate.py"
MOST_AT_ONCE = 64
DEFAULT_EPISODES = 20
NAMES = {"trained": "trained policy", "random": "random agents", "do_nothing": "do nothing"}


class EvaluationError(ValueError):
    """The evaluation cannot be done as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to evaluate, and how."""

    model_path: Path = Path("checkpoints/best_model.pt")
    """Model file that a training run wrote."""
    n_episodes: int | None = None
    """Held-out episodes to play; by default 20, and with --suite or --policies all there are."""
    seed: int = 0
    """Number of the first held-out episode of the suite."""
    scenario: str = "normal"
    """Suite (normal, n1, renewable_ramp, shift, stress) or path of a scenario file."""
    level: Literal["machine", "area", "system"] = "area"
    """Level of aggregation of the frequency model; the table of --suite is at area."""
    compare: bool = False
    """Set the policy beside random agents and agents that do nothing, on the same episodes."""
    visualize: bool = False
    """Draw the first episode: frequency, dispatch by class, loadings, reward terms and the grid, as PNG."""
    render: bool = False
    """Print the grid's condition live while the first episode is played."""
    out: Path = Path("evaluation")
    """Directory of the pictures."""
    json: Path | None = None
    """File to write the figures to."""
    suite: str | None = None
    """Suites of the table, separated by commas, or all."""
    policies: str | None = None
    """Controllers of the table, separated by commas, or all; a path is a model file, one with * several in one row."""
    reference: str = "agc_forecast"
    """Controller of the table that the others' returns are compared with, episode by episode."""
    report: Path | None = None
    """Write the table with pictures, as .html or .md."""
    workers: int = 2
    """Processes that share the table's episodes."""
    cache: Path = Path("runs/evaluation")
    """Where finished parts of the table are kept for going on later."""


def load_policy(path: Path) -> Policy:
    """The policy of a model file.

    Raises:
        EvaluationError: there is none, or it cannot be read; the message says where one comes from.
    """
    from marl.checkpoint import CheckpointError
    from marl.networks.policy import Policy

    if not path.is_file():
        raise EvaluationError(f"no model at {path}; train one with: python scripts/train_mappo.py")
    try:
        return Policy.load(path)
    except CheckpointError as error:
        raise EvaluationError(str(error)) from error


def make(policy: Policy, options: Options, n_env: int, *, auto_reset: bool = True) -> GridBatch:
    """Environments that look to the policy as those it was trained in.

    Raises:
        EvaluationError: there is no such scenario, or the policy was trained for other agents.
    """
    from cases.arrays import CaseDataError
    from control.scenario.episode import ScenarioError
    from marl.environment.batch import make_batch

    try:
        observation = policy.metadata.get("observation", "default")
        batch = make_batch(
            options.scenario, n_env, observation=observation, level=options.level, auto_reset=auto_reset
        )
    except (ScenarioError, CaseDataError) as error:
        raise EvaluationError(str(error)) from error
    known = [(g.name, g.n_agent, g.observation_size) for g in policy.groups]
    here = [(g.name, g.n_agent, g.observation_size) for g in batch.groups]
    if known != here:
        raise EvaluationError(f"the policy was trained for agents {known}, this grid has {here}")
    return batch


def compare(options: Options, policy: Policy) -> dict[str, Any]:
    """Figures of everyone who plays, {name: figures}, with progress on the terminal.

    Raises:
        EvaluationError: the scenario has no held-out episodes of these numbers.
    """
    from tqdm import tqdm

    from control.evaluation.rollout import Actor, rollout
    from control.evaluation.suite_runner import evaluation_seeds
    from marl.environment.held_out import IdleAgents, PolicyInGroups, RandomAgents, summarise, terms_of

    try:
        seeds = evaluation_seeds(options.scenario, options.n_episodes or DEFAULT_EPISODES, options.seed)
    except ValueError as error:
        raise EvaluationError(str(error)) from error
    batch = make(policy, options, min(len(seeds), MOST_AT_ONCE))
    actors: dict[str, Actor[Any, Any]] = {"trained": PolicyInGroups(policy)}
    if options.compare:
        actors["random"] = RandomAgents(batch.groups, batch.n_env, options.seed)
        actors["do_nothing"] = IdleAgents(batch.groups, batch.n_env)
    rounds = -(-len(seeds) // batch.n_env)
    total = len(actors) * rounds * batch.scenario.n_intervals
    figures: dict[str, Any] = {}
    with tqdm(total=total, unit=" intervals", disable=not sys.stderr.isatty()) as bar:

        def tick() -> None:
            bar.update()

        for name, actor in actors.items():
            bar.set_description(NAMES[name])
            record = rollout(actor, batch, seeds, on_interval=tick)
            figures[name] = summarise(terms_of(record))
    return figures


def table(figures: dict[str, Any]) -> str:
    """Figures as text."""
    head = (
        f"{'':16s}{'return':>14s}{'95 % interval':>28s}{'rms mHz':>9s}{'in 200 mHz':>12s}{'violations':>12s}"
    )
    lines = [head]
    for name, f in figures.items():
        low, high = f["return_ci95"]
        lines.append(
            f"{NAMES[name]:16s}{f['return_mean']:14,.0f}{f'{low:,.0f} to {high:,.0f}':>28s}{f['rms_mhz']:9.1f}"
            f"{100.0 * f['share_within_200mhz']:10.2f} %{f['violations_per_episode']:12.2f}"
        )
    return "\n".join(lines)


def show_episode(options: Options, policy: Policy) -> None:
    """Plays the first episode by itself, live or for pictures or both."""
    from control.evaluation.grid_record import Traces
    from control.evaluation.rollout import rollout
    from control.evaluation.suite_runner import evaluation_seeds
    from marl.environment.held_out import PolicyInGroups
    from marl.environment.render import describe

    batch = make(policy, options, 1, auto_reset=False)  # the last picture is of this episode's end
    live = sys.stdout.isatty()
    shown = 0

    def render() -> None:
        nonlocal shown
        interval = int(batch.loop.interval[0])
        if not live and interval % 25:
            return
        text = describe(batch.task, 0)
        if live and shown:
            print(f"\x1b[{shown}A\x1b[J", end="")
        print(text if live else text + "\n", flush=True)
        shown = text.count("\n") + 1

    seeds = evaluation_seeds(options.scenario, 1, options.seed)
    record = rollout(PolicyInGroups(policy), batch, seeds, Traces, render if options.render else None)
    if not options.visualize:
        return
    from control.evaluation.episode_pictures import draw_episode

    options.out.mkdir(parents=True, exist_ok=True)
    title = f"suite {options.scenario}, held-out episode {options.seed}, {options.model_path.name}"
    drawn = draw_episode(options.out, record, batch.case, title)
    print(f"Pictures of the episode: {options.out}/{', '.join(drawn)}")


def suite_table(options: Options) -> None:
    """The full table: every controller on the same episodes of the suites.

    Raises:
        EvaluationError: a contender, a suite or the reference is unknown, or a model is of another grid.
    """
    from control.evaluation.contender import resolve
    from control.evaluation.report import write_report
    from control.evaluation.suite_runner import compare, seeds_of, table_text, tabulate
    from marl.checkpoint import CheckpointError
    from marl.environment.contenders import learned, make_grid

    try:
        contenders = resolve(options.policies or "all", learned)
        names = [contender.name for contender in contenders]
        suites = seeds_of(options.suite or options.scenario, options.n_episodes, options.seed)
        if options.reference not in names and options.reference != Options.reference:
            raise EvaluationError(
                f"--reference {options.reference!r} takes no part, expected one of {', '.join(names)}"
            )
        found = compare(contenders, suites, make=make_grid, cache=options.cache, workers=options.workers)
    except (ValueError, CheckpointError) as error:  # wrong names, no such scenario, a model of another grid
        raise EvaluationError(str(error)) from error
    table = tabulate(found, contenders, suites, options.reference)
    print(table_text(table, suites))
    if options.json is not None:
        command_line.write_json(options.json, table, indent=1)
    if options.report is not None:
        write_report(options.report, table, found, suites, contenders, make_grid)
        print(f"Report: {options.report}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""  # noqa: DOC501 - told in one line below
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    try:
        if (options.n_episodes is not None and options.n_episodes < 1) or options.seed < 0:
            raise EvaluationError("--n_episodes must be at least 1 and --seed at least 0")
        command_line.require_writable("json", options.json)
        if options.suite is not None or options.policies is not None:
            command_line.require_writable("report", options.report)
            suite_table(options)
            return 0
        if options.visualize:
            command_line.require_writable("out", options.out / "frequency.png")
        policy = load_policy(options.model_path)
        figures = compare(options, policy)
        print(
            f"Suite {options.scenario}, {options.n_episodes or DEFAULT_EPISODES} held-out episodes "
            f"from number {options.seed} on."
        )
        print(table(figures))
        if options.json is not None:
            content = {"scenario": options.scenario, "first_episode": options.seed, **figures}
            command_line.write_json(options.json, content)
        if options.visualize or options.render:
            show_episode(options, policy)
    except (EvaluationError, OSError) as error:
        from control.scenario.config import ScenarioError

        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error.__cause__, ScenarioError) else 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
