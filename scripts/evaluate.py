"""Evaluates a trained policy on held-out episodes of the grid it was trained on.

Without further options it prints the policy's figures. --compare sets it beside random agents and agents that do
nothing, on the same episodes; --visualize draws one episode; --render shows the grid live in the terminal; --page makes
a page of it for the browser, with the policy beside tuned AGC and nobody, or with those that --policies names; --video
films it; --export writes it as tables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import command_line
import option_checks

if TYPE_CHECKING:
    from cases.case import Case
    from control.evaluation.contender import Contender

PROGRAM = "evaluate.py"
DEFAULT_EPISODES = 20
FILMS, TABLES = (".gif", ".mp4"), (".csv", ".parquet")  # that --video and --export write
OF_FIGURES = ("compare", "visualize", "render", "out")  # of one policy
OF_TABLE = ("reference", "report", "workers", "ray", "cache")
DEFAULT_FPS, MOST_FPS = (
    20,
    50,
)  # a GIF counts time in hundredths of a second, and browsers slow down what is faster


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to evaluate, and how."""

    model_path: Path = Path("checkpoints/best_model.pt")
    """Model file that a training run wrote."""
    n_episodes: int | None = None
    """Episodes to play; by default 20, and with --suite or --policies all there are."""
    seed: int = 0
    """Number of the first held-out episode of the suite, or of the first episode of another scenario."""
    seeds: str | None = None
    """Seeds FIRST:COUNT of a study of one's own, outside the held-out ones, for the table of --suite."""
    case: str = ""
    """Grid, a name or a file (docs/own_grid.md); by default the one that the model was trained on."""
    scenario: str = "normal"
    """Suite (normal, n1, renewable_ramp, shift, stress), training distribution (training, or training_ before n1, ramp,
    calm, inertia, delay, wide, near, near_n1, energy or n1_energy), or path of a scenario file."""
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
    page: Path | None = None
    """Write the first episode as one HTML page: the grid over time, with traces and controllers side by side."""
    video: Path | None = None
    """Film the first episode, played by the policy or by the one that --policies names: .gif, or .mp4 with ffmpeg."""
    frames: int | None = None
    """Pictures of --video, spread evenly over the episode; one each interval by default."""
    fps: int = DEFAULT_FPS
    """Pictures a second of --video."""
    export: Path | None = None
    """Write the first episode as tidy tables: a directory of CSV files, or FILE.csv or FILE.parquet, a file each."""
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
    ray: str = ""
    """Share them out over a Ray cluster instead: local, auto or HOST:PORT (extra `ray`)."""
    cache: Path = Path("runs/evaluation")
    """Where finished parts of the table are kept for going on later."""

    @property
    def one_episode(self) -> bool:
        """Whether one episode is shown, and no figures of many are printed."""
        return any(shown is not None for shown in (self.page, self.video, self.export))

    @property
    def tables(self) -> bool:
        """Whether it is the table of suites that is asked for."""
        return not self.one_episode and any(
            given is not None for given in (self.suite, self.policies, self.seeds)
        )

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, n_episodes=1, seed=0, workers=1, frames=1, fps=1)
        shown = next((name for name in ("page", "video", "export") if getattr(self, name) is not None), "")
        if self.seeds is not None and shown:
            raise command_line.OptionError(
                f"--seeds are of the table; --{shown} shows a held-out episode by its number"
            )
        if self.video is None and (self.frames is not None or self.fps != DEFAULT_FPS):
            raise command_line.OptionError("--frames and --fps are of --video: name one, or leave them out")
        if self.fps > MOST_FPS:
            raise command_line.OptionError(f"--fps {self.fps}, expected at most {MOST_FPS}")
        if self.tables and self.level != "area":
            raise command_line.OptionError(
                f"--level {self.level}: the table of --suite and --policies is at area"
            )
        if self.seeds is not None and self.n_episodes is not None:
            raise command_line.OptionError("--seeds says how many episodes; leave out --n_episodes")
        option_checks.require_ending("report", self.report, (*option_checks.PAGES, ".md"))
        option_checks.require_page("page", self.page)
        option_checks.require_ending("video", self.video, FILMS)
        if self.export is not None and self.export.suffix:
            option_checks.require_ending("export", self.export, TABLES)
        self._refuse_what_is_ignored(shown)

    def _refuse_what_is_ignored(self, shown: str) -> None:
        """Refuse options that what is asked for makes no use of; `shown` names the option that shows one episode.

        Raises:
            OptionError: one is given.
        """
        table = next((name for name in ("suite", "policies", "seeds") if getattr(self, name) is not None), "")
        if shown:
            asked = f"one episode by --{shown}"
            ignored = [*OF_FIGURES, *OF_TABLE, "suite", "n_episodes", "json"]
            ignored += ["model_path"] if self.policies is not None else []
        elif table:
            asked = f"the table by --{table}"
            ignored = [*OF_FIGURES, *(["scenario"] if self.suite is not None else [])]
            ignored += ["model_path"] if self.suite is not None or self.policies is not None else []
            ignored += ["seed"] if self.seeds is not None else []
            ignored += ["workers"] if self.ray else []
        else:
            asked = "the figures of one policy, without --suite and --policies"
            ignored = [*OF_TABLE, *([] if self.visualize else ["out"])]
        for option in fields(self):
            if option.name in ignored and getattr(self, option.name) != option.default:
                advice = ": name the model among --policies" if option.name == "model_path" else ""
                advice = ": it is the folder of --visualize" if option.name == "out" else advice
                flag = option.name.replace("_", "-")
                raise command_line.OptionError(
                    f"--{flag} has no effect on {asked}{advice or ': leave it out'}"
                )


def one_policy(options: Options) -> None:
    """The figures of a policy, and one of its episodes to look at."""
    from control.evaluation.suite_seeds import episodes_by_number
    from marl.environment.policy_report import PolicyReport, load_policy, table

    if options.visualize:
        option_checks.require_writable("out", options.out / "frequency.png")
    policy, n_episodes = load_policy(options.model_path), options.n_episodes or DEFAULT_EPISODES
    report = PolicyReport(
        policy=policy, scenario=options.scenario, first=options.seed, level=options.level, case=options.case
    )
    figures = report.figures(n_episodes, beside_others=options.compare, progress=command_line.progress_bar)
    print(f"{episodes_by_number(options.scenario, options.seed, n_episodes)}.")
    print(table(figures))
    content = {"scenario": options.scenario, "first_episode": options.seed, **figures}
    command_line.write_json(options.json, content)
    if options.visualize or options.render:
        title = f"{episodes_by_number(options.scenario, options.seed)}, {options.model_path.name}"
        drawn = report.show(
            live=options.render, pictures=options.out if options.visualize else None, title=title
        )
        if drawn:
            print(f"Pictures of the episode: {options.out}/{', '.join(drawn)}")


def playing(policies: str, grid: Case | None = None) -> list[Contender]:
    """Those who are named, each of whom plays episodes; of `all` those that are tuned for the grid.

    Raises:
        OptionError: the bound is among them. ComparisonError: a name is nobody's.
    """
    from control.evaluation.contender import BOUND, resolve
    from marl.environment.contenders import learned

    found = resolve(policies, learned, grid)
    if any(contender.name == BOUND for contender in found):
        raise command_line.OptionError(f"--policies {BOUND}: it is a plan and plays no episode; leave it out")
    return found


def episode_page(options: Options, path: Path) -> None:
    """One held-out episode, played by the policy, tuned AGC and nobody or by those asked for, as a page."""
    from control.controllers.registry import is_tuned
    from control.evaluation.suite_seeds import episodes_by_number, evaluation_seeds
    from control.scenario.task_grid import open_task_grid
    from marl.environment.episode_page import play_to_page
    from marl.environment.policy_report import load_policy
    from marl.environment.trained_grid import case_of

    case = options.case
    if options.policies is None:
        # Says where a model comes from if there is none.
        case = case or case_of(load_policy(options.model_path).metadata)
    grid = open_task_grid(case).case
    agc = "agc_forecast" if is_tuned("agc_forecast", grid) else "agc_textbook"
    contenders = playing(options.policies or f"{options.model_path},{agc},do_nothing", grid)
    seed = int(evaluation_seeds(options.scenario, 1, options.seed)[0])
    players = play_to_page(
        path,
        contenders,
        options.scenario,
        seed,
        case=case,
        level=options.level,
        title=episodes_by_number(options.scenario, options.seed),
        subtitle=f"level {options.level}, seed {seed}",
        progress=command_line.progress_bar,
    )
    for player in players:
        print(f"{player.title:40s} return {float(player.record.returns[0]):12,.0f}")
    print(f"Page: {path}")


def episode_video(options: Options, path: Path) -> None:
    """One held-out episode, played by the policy or by the one that --policies names, as a video.

    Raises:
        OptionError: several are named.
    """
    from control.evaluation.suite_seeds import episodes_by_number, evaluation_seeds
    from control.evaluation.video import require_video
    from marl.environment.episode_page import play_to_video
    from marl.environment.policy_report import load_policy
    from marl.environment.trained_grid import case_of

    require_video(path)
    case = options.case
    if options.policies is None:
        case = case or case_of(load_policy(options.model_path).metadata)
    contenders = playing(options.policies or str(options.model_path))
    if len(contenders) != 1:
        raise command_line.OptionError(f"--video films one controller, --policies names {len(contenders)}")
    seed = int(evaluation_seeds(options.scenario, 1, options.seed)[0])
    player = play_to_video(
        path,
        contenders[0],
        options.scenario,
        seed,
        case=case,
        level=options.level,
        title=f"{contenders[0].title}: {episodes_by_number(options.scenario, options.seed)}",
        n_frame=options.frames,
        per_second=options.fps,
        progress=command_line.progress_bar,
    )
    print(f"{player.title:40s} return {float(player.record.returns[0]):12,.0f}")
    print(f"Video: {path}")


def episode_tables(options: Options, path: Path) -> None:
    """One held-out episode, played by the policy or by the one that --policies names, as tables.

    Raises:
        OptionError: several are named.
    """
    from control.evaluation.export import require_format
    from control.evaluation.suite_seeds import episodes_by_number, evaluation_seeds
    from marl.environment.episode_export import export_episode
    from marl.environment.policy_report import load_policy
    from marl.environment.trained_grid import case_of

    require_format(path)
    option_checks.require_writable("export", path if path.suffix else path / "bus.csv")
    case = options.case
    if options.policies is None:
        case = case or case_of(load_policy(options.model_path).metadata)
    contenders = playing(options.policies or str(options.model_path))
    if len(contenders) != 1:
        raise command_line.OptionError(f"--export plays one controller, --policies names {len(contenders)}")
    seed = int(evaluation_seeds(options.scenario, 1, options.seed)[0])
    written = export_episode(
        path,
        contenders[0],
        options.scenario,
        seed,
        case=case,
        level=options.level,
        progress=command_line.progress_bar,
    )
    print(f"{episodes_by_number(options.scenario, options.seed)}, by {contenders[0].title}:")
    for file in written:
        print(f"  {file}")


def suite_table(options: Options) -> None:
    """The full table: every controller on the same episodes of the suites.

    Raises:
        OptionError: the reference takes no part; see also `resolve`, `seeds_of` and `compare`.
    """
    from control.evaluation.contender import resolve
    from control.evaluation.report import write_report
    from control.evaluation.suite_runner import compare
    from control.evaluation.suite_seeds import seeds_of
    from control.evaluation.suite_table import table_text, tabulate
    from control.scenario.task_grid import open_task_grid
    from marl.cluster.tasks import pool_on
    from marl.environment.contenders import MakeGrid, learned
    from marl.environment.policy_report import load_policy
    from marl.environment.trained_grid import case_of

    option_checks.require_folder("cache", options.cache)
    suites = seeds_of(options.suite or options.scenario, options.n_episodes, options.seed, options.seeds)
    case, policies = options.case, options.policies or "all"
    if options.suite is None and options.policies is None:  # the one policy, with seeds of one's own
        case, policies = case or case_of(load_policy(options.model_path).metadata), str(options.model_path)
    grid = open_task_grid(case).case
    contenders = resolve(policies, learned, grid)
    names = [contender.name for contender in contenders]
    if options.reference not in names and options.reference != Options.reference:
        raise command_line.OptionError(
            f"--reference {options.reference!r} takes no part, expected one of {', '.join(names)}"
        )
    make = MakeGrid(case)
    with pool_on(options.ray) as pool:
        found = compare(
            contenders,
            suites,
            make=make,
            cache=options.cache,
            workers=options.workers,
            pool=pool,
            case=grid,
        )
    table = tabulate(found, contenders, suites, options.reference)
    print(table_text(table, suites))
    command_line.write_json(options.json, table, indent=1)
    if options.report is not None:
        write_report(options.report, table, found, suites, contenders, make)
        print(f"Report: {options.report}")


def tell_of(case: str) -> None:
    """What was assumed of a grid of one's own, and what it breaks before anybody acts."""
    from control.scenario.task_grid import open_task_grid

    grid = open_task_grid(case)
    for note in grid.notes:
        print(f"grid: {note}")
    for warning in grid.warnings:
        print(f"{PROGRAM}: warning: {warning}", file=sys.stderr)


def refuse_policies_of_other_grids(options: Options) -> None:
    """Tells from the model files alone, where that can be told: opening a grid takes some twenty seconds.

    Raises:
        OtherGrid: a policy that is to play was trained on another grid.
    """
    from marl.environment.policy_report import load_policy
    from marl.environment.trained_grid import require_source_of_grid

    if options.policies is not None:
        named = [Path(name.strip()) for name in options.policies.split(",")]
        models = [path for path in named if path.suffix == ".pt" and path.is_file()]
    else:
        models = [] if options.suite is not None else [options.model_path]
    for path in models:
        where = "the policy" if path == options.model_path else str(path)
        require_source_of_grid(load_policy(path).metadata, options.case, where)


def work(options: Options) -> None:
    """A page of one episode, the table of suites, or the figures of one policy."""
    if options.case:
        refuse_policies_of_other_grids(options)
        tell_of(options.case)
    if options.page is not None:
        episode_page(options, options.page)
    if options.video is not None:
        episode_video(options, options.video)
    if options.export is not None:
        episode_tables(options, options.export)
    if not options.one_episode:
        (suite_table if options.tables else one_policy)(options)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json", "report", "page", "video"],
        stopped=command_line.NOTHING_WRITTEN,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
