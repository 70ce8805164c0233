"""Tells how much of a controller's actions a policy does, and how much the agents' numbers tell of them at all.

    python scripts/explain_actions.py --model-path marl/data/informed_seed0.pt

The policy plays validation episodes, and the controller, full information unless another is named, is asked at every
interval what it would do there. A controller that sees more than agents do cannot be imitated whole; how the shares are
found stands in marl/environment/explained.py. One below zero is worse than doing nothing, as estimates from few
episodes may be; of plants that the controller moves in less than a hundredth of the intervals none is told.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import command_line
import option_checks

PROGRAM = "explain_actions.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Whose actions, and who does them."""

    model_path: Path = Path("checkpoints/best_model.pt")
    """Model of a training run: the policy that plays."""
    expert: str = "full_information"
    """Controller that is asked: full_information, mpc, a baseline, FILE.py:CLASS or a model file."""
    scenarios: tuple[str, ...] = ("normal",)
    """Suites, training distributions or paths of scenario files."""
    n_episodes: int = 64
    """Validation episodes, side by side; linear estimates of a quarter are fitted on the others."""
    json: Path | None = None
    """File to write the shares to."""

    def __post_init__(self) -> None:
        if not self.scenarios:
            raise command_line.OptionError("--scenarios names none, expected at least one")
        option_checks.require_at_least(self, n_episodes=8)
        option_checks.require_at_most(self, "there are no more validation episodes", n_episodes=1000)
        option_checks.require_directory("json", self.json)


def explain(options: Options) -> None:
    """Plays, asks and prints."""
    from control.evaluation.learning_figures import FEWEST_MOVES
    from marl.environment.explained import explained
    from marl.environment.policy_report import PolicyReport, load_policy

    policy = load_policy(options.model_path)
    reports = [PolicyReport(policy=policy, scenario=scenario, first=0) for scenario in options.scenarios]
    for report in reports:  # a wrong name is told before any is played
        report.batch(1).close()
    told = []
    for scenario, report in zip(options.scenarios, reports, strict=True):
        shares = explained(report, options.expert, options.n_episodes, command_line.progress_bar)
        print(
            f"{scenario}, {options.n_episodes} episodes: {options.expert}, asked while {options.model_path} plays"
        )
        print(
            f"{'':6s}{'it moves in':>14s}{'the policy does':>18s}{'own numbers tell':>19s}{'all numbers tell':>19s}"
        )
        for kind, s in shares.items():
            shown = [f"{x:.0%}" if s.moved >= FEWEST_MOVES else "-" for x in (s.policy, s.own, s.together)]
            print(f"{kind:6s}{s.moved:14.1%}{shown[0]:>18s}{shown[1]:>19s}{shown[2]:>19s}")
        told.append(
            {
                "scenario": Path(scenario).name,
                "model": options.model_path.name,
                "expert": options.expert,
                "n_episodes": options.n_episodes,
                "shares": {kind: asdict(of_kind) for kind, of_kind in shares.items()},
            }
        )
    if options.json is not None:
        command_line.write_json(options.json, told)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM,
        Options,
        explain,
        arguments,
        about=__doc__,
        writes=["json"],
        stopped=command_line.NOTHING_WRITTEN,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
