"""Says whether this tree and another revision compute the same to the bit: rollouts and, if asked for, training.

python scripts/compare_revisions.py --against 1001439
python scripts/compare_revisions.py --against v0.1 --steps 320 --training 20
python scripts/compare_revisions.py --training-full

Seven scenarios and levels are played with the same random actions in both revisions; everything an environment says is
hashed: observations, state, reward, ends of episodes, terms. --training compares the weights that a short training
of the default recipe ends with in both, --training-full those of the whole default training with
marl/data/recommended_seed0.pt. Exit status 0 if all is equal, 1 if anything differs or cannot be done, 2 wrong option.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import command_line
import option_checks

PROGRAM = "compare_revisions.py"
# Scenario, level of aggregation, what agents observe: together every suite's kind of event at every level.
ROLLOUTS = (
    ("normal", "area", "default"),
    ("n1", "area", "extended"),
    ("renewable_ramp", "system", "default"),
    ("shift", "area", "extended"),
    ("stress", "machine", "extended"),
    ("training_n1", "machine", "default"),
    ("stress", "area", "default"),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to compare."""

    against: str | None = None
    """The git revision to compare with."""
    steps: int = 320
    """Control intervals of a rollout."""
    n_envs: int = 6
    """Environments of a rollout."""
    training: int = 0
    """Episodes of a training of the default recipe in both revisions; none if 0."""
    training_full: bool = False
    """Compare the whole default training of this tree with marl/data/recommended_seed0.pt."""
    json: Path | None = None
    """File to write the hashes to."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, steps=1, n_envs=1, training=0)
        if self.against is None and (self.training or not self.training_full):
            raise command_line.OptionError("--against names the revision to compare with")


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Names of what differs or is only in one of the two."""
    return [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]


def tell(what: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Prints whether all is equal, and what is not; whether it is."""
    found = differences(ours, theirs)
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    print(f"{what:44s}" + (f"different: {', '.join(found[:6])}{more}" if found else "equal"), flush=True)
    return not found


def compare(options: Options) -> int:
    """Plays and trains both; the exit status."""
    from contextlib import ExitStack

    from benchmarks import revisions

    equal: list[bool] = []
    hashes: dict[str, dict[str, Mapping[str, str]]] = {}

    def hold(what: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> None:
        equal.append(tell(what, ours, theirs))
        hashes[what] = {"here": ours, "there": theirs}

    with ExitStack() as stack:
        trees = [revisions.here()]
        if options.against is not None:
            trees.append(stack.enter_context(revisions.checked_out(options.against)))
            print(f"{options.against} is played by {trees[1].environment}", flush=True)
        both = stack.enter_context(revisions.probes(*trees))
        if options.against is not None:
            for scenario, level, observation in ROLLOUTS:
                for probe in both:  # side by side
                    probe.send(
                        "rollout",
                        scenario=scenario,
                        level=level,
                        observation=observation,
                        n_env=options.n_envs,
                        steps=options.steps,
                    )
                hold(f"{scenario}, {level} level, {observation}", both[0].receive(), both[1].receive())
        if options.training:
            for probe in both:
                probe.send("train", episodes=options.training)
            hold(f"training, {options.training} episodes", both[0].receive(), both[1].receive())
        if options.training_full:
            kept = both[0].ask(
                "weights", path=str(command_line.ROOT / "marl" / "data" / "recommended_seed0.pt")
            )
            hold("default training, recommended_seed0.pt", both[0].ask("train", episodes=1000), kept)
    command_line.write_json(options.json, hashes)
    print(f"{sum(equal)} of {len(equal)} equal to the bit")
    return 0 if all(equal) else 1


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 equal, 1 different or not done, 2 wrong option, 130 stopped."""
    return command_line.run(PROGRAM, Options, compare, arguments, about=__doc__, writes=["json"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
