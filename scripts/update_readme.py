"""Fills the figures of docs/results.md from the results kept in results/*.json, so that no number there is typed.

python scripts/update_readme.py            write docs/results.md anew
python scripts/update_readme.py --check    write nothing; exit status 1 if docs/results.md is not up to date

A block stands between `<!-- figures:begin NAME -->` and `<!-- figures:end NAME -->` and holds what the renderer
of that name makes of results/NAME.json. Each result is written by the command that `BLOCKS` names.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import command_line
from benchmarks.figures import MEDIANS, rows
from control.evaluation import figures
from control.evaluation.figures import Block

PROGRAM = "update_readme.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to fill."""

    readme: Path = command_line.ROOT / "docs" / "results.md"
    """File with the blocks."""
    results: Path = command_line.ROOT / "results"
    """Directory of the results, one JSON file a block."""
    check: bool = False
    """Only compare; exit status 1 if a block differs from its result."""


def benchmark(result: figures.Result) -> list[str]:
    """Speeds on one core, in the words of the benchmark."""
    medians = result[MEDIANS]
    return figures.table(["one core", "figure", "median of rounds"], rows(result, medians))


BLOCKS: Mapping[str, Block] = {
    "power_flow": Block(
        "python scripts/validate_power_flow.py --json results/power_flow.json", figures.power_flow
    ),
    "security": Block(
        "python scripts/screen_contingencies.py --json results/security.json", figures.security
    ),
    "feasibility": Block(
        "python scripts/check_feasibility.py --json results/feasibility.json", figures.feasibility
    ),
    "soak": Block("python scripts/soak.py --json results/soak.json", figures.soak),
    "frequency": Block(
        "python scripts/validate_frequency.py --json results/frequency.json", figures.frequency
    ),
    "comparison": Block(
        "python scripts/evaluate.py --model_path marl/data/recommended_seed0.pt --n_episodes 20 --compare "
        "--json results/comparison.json",
        figures.comparison,
    ),
    "controllers": Block(
        "python scripts/evaluate.py --suite all --policies all,marl/data/recommended_seed0.pt,"
        "marl/data/extended_seed0.pt,marl/data/residual_seed0.pt,runs/presets/recommended-seed*/final_model.pt,"
        "runs/presets/reference-seed*/final_model.pt --json results/controllers.json --report docs/controllers.md",
        figures.controllers,
    ),
    "presets": Block(
        "python scripts/ablation.py --variants recommended,reference --seeds 5 --total-episodes 1000 "
        "--out runs/presets --json results/presets.json --plot docs/learning_curves.png",
        figures.recipes,
    ),
    "residual": Block(
        "python scripts/ablation.py --variants residual --seeds 3 --total-episodes 1000 --out runs/presets "
        "--json results/residual.json",
        figures.recipes,
    ),
    "ablation": Block(
        "python scripts/ablation.py --variants recommended,tight_reward,rooted_reward,plain_reward,"
        "no_value_normalisation,independent_noise,initial_spread_one,one_actor_for_all,one_actor_each,local_critic,"
        "input_normalisation,compressed_inputs,uniform_init,clipped_value_loss,squared_value_loss,"
        "no_advantage_normalisation,kl_early_stop,constant_learning_rate,entropy_bonus,entropy_bonus_decaying,"
        "no_dead_zone --seeds 2 --total-episodes 200 --out runs/ablation --json results/ablation.json",
        figures.recipes,
    ),
    "verify_learner": Block(
        "python scripts/verify_learner.py --json results/verify_learner.json", figures.verify_learner
    ),
    "training": Block(
        "make train, then cp checkpoints/training_stats.json results/training.json", figures.training
    ),
    "benchmark": Block("python scripts/benchmark.py --json results/benchmark.json", benchmark),
}


def update(options: Options) -> int:
    """Fills the document or compares it; the exit status."""
    before = options.readme.read_text(encoding="utf-8")
    after = figures.filled(before, options.results, BLOCKS)
    if options.check:
        if before != after:
            print(
                f"{PROGRAM}: {options.readme.name} is not up to date: run python scripts/{PROGRAM}",
                file=sys.stderr,
            )
        return int(before != after)
    if before != after:
        options.readme.write_text(after, encoding="utf-8")
    state = "updated" if before != after else "up to date"
    print(f"{options.readme.name}: {len(figures.FOUND.findall(after))} blocks {state}")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 up to date, 1 not up to date, 2 wrong option or a result that is not what its command writes."""
    first_line, refused = str(__doc__).splitlines()[0], (figures.FiguresError, OSError)
    return command_line.run(PROGRAM, Options, update, arguments, about=first_line, refused=refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
