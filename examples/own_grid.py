"""A grid of one's own, from its file to a trained policy: what breaks when an element is lost, and who balances it.

python examples/own_grid.py              pandapower's case39
python examples/own_grid.py mine.m       a MATPOWER file, a pandapower net as .json, or a grid file as .toml

The training is a short one, to see that all of it works; docs/own_grid.md goes on from here.
"""

import sys
import tempfile
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from cases.arrays import CaseDataError
from control.evaluation.suite_seeds import evaluation_seeds
from control.scenario.task_grid import open_task_grid
from grid_model.security.contingency import screen
from grid_model.security.outage import published_point
from marl.algorithms.mappo import MAPPO
from marl.config.presets import recommended
from marl.environment.grid_training import make_trainer
from marl.environment.policy_report import PolicyReport, load_policy


def no_bar(total):
    """A progress bar that nobody sees."""
    return nullcontext(SimpleNamespace(update=lambda: None, set_description=lambda text: None))


def small(source, episodes, steps, n_env):
    """A run of few and short episodes; everything else as recommended."""
    usual = recommended()
    return replace(
        usual,
        case=source,
        total_episodes=episodes,
        episode_steps=steps,
        n_envs=n_env,
        ppo=replace(usual.ppo, buffer_steps=n_env * steps, minibatch_steps=n_env * steps),
        evaluation=replace(usual.evaluation, eval_episodes=4, eval_process=False),
    )


def main(source="case39", episodes=16, steps=50, n_env=8):
    """Verdicts on outages, and the returns of those who acted in two held-out episodes."""
    grid = open_task_grid(source)
    for note in grid.notes:
        print("assumed:", note)
    for warning in grid.warnings:
        print("warning:", warning)
    case = grid.case
    print(f"{case.name}: {case.n_bus} buses, {case.n_branch} circuits, {case.n_resource} plants to control")
    found = Counter(result.verdict for result in screen(case, published_point(case)).results)
    print(", ".join(f"{number} outages {verdict}" for verdict, number in found.items()))

    with tempfile.TemporaryDirectory() as directory:
        config = small(source, episodes, steps, n_env)
        with make_trainer(config, MAPPO, Path(directory), tensorboard=False) as trainer:
            trainer.run()
        policy = load_policy(Path(directory) / "final_model.pt")
    report = PolicyReport(policy=policy, scenario="normal", first=0, case=source)
    figures = report.figures(2, beside_others=True, progress=no_bar)
    returns = {name: figures[name]["return_mean"] for name in figures}
    print(f"held-out episodes {evaluation_seeds('normal', 2).tolist()}:")
    for name, value in returns.items():
        print(f"  {name:12s} return {value:12,.0f}")
    return found, returns


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        sys.exit(0 if len(sys.argv) == 2 else 2)
    try:
        main(*sys.argv[1:])
    except CaseDataError as error:
        print(f"own_grid.py: error: {error}", file=sys.stderr)
        sys.exit(2)
