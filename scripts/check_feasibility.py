"""Proves that the task can be solved: what perfect information could reach in each suite's held-out episodes.

For every episode the imbalance is recorded, the perfect-information program over one mass is solved for it, and its
plan is played in the full simulator; `control/evaluation/feasibility.py` states the model. Violations that
occur whatever the
fleet does are counted apart. Exit status 1 if the plan misses what is asked of suite `normal`: within 0.2 Hz for
99 % of the time and never beyond 0.5 Hz.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported anywhere

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line  # noqa: E402

if TYPE_CHECKING:
    from control.evaluation.feasibility import Certificate
    from control.evaluation.rollout import Trial

PROGRAM = "check_feasibility.py"
SUITES = ("normal", "n1", "renewable_ramp", "shift")
ASKED_WITHIN_200_MHZ = 0.99  # of suite `normal`
LIMIT_HZ = 0.5
EPISODES_OF_A_FILE = 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to check."""

    suites: tuple[str, ...] = SUITES
    """Suites to check, or files of your own."""
    episodes: int | None = None
    """Only the first episodes of each suite; all held-out ones by default, 20 of a file."""
    intervals: int | None = None
    """Only the beginning of each episode, in intervals of 4 s."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise command_line.OptionError("--suites names none, expected at least one")
        for name in ("episodes", "intervals"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise command_line.OptionError(f"--{name} {value}, expected at least 1")


def shares(trial: Trial) -> dict[str, float]:
    """Shares of the time within 36, 200 and 500 mHz; what a lost grid no longer played is outside of all."""
    import numpy as np

    return {
        "share_within_36mhz": float(np.nan_to_num(trial.within_36_mhz, nan=0.0).mean()),
        "share_within_200mhz": float(np.nan_to_num(trial.within_200_mhz, nan=0.0).mean()),
        "share_within_500mhz": float((trial.max_abs_df_hz <= LIMIT_HZ).mean()),
    }


def figures(found: Certificate, random: Trial) -> dict[str, Any]:
    """What the report and the file say of one suite; `random` are its episodes with random actions."""
    import numpy as np

    planned, idle = found.planned, found.idle

    def summary(trial: Trial) -> dict[str, float]:
        return {
            "return_mean": float(trial.returns.mean()),
            "rms_mhz": float(1e3 * np.sqrt(np.nanmean(np.square(trial.df_hz)))),
            "worst_df_hz": float(np.nanmax(trial.max_abs_df_hz)),
            **shares(trial),
            "violations_per_episode": float(np.nansum(trial.violation) / len(trial.seed)),
        }

    return {
        **shares(planned),
        "unavoidable_violations": int(found.unavoidable.sum()),
        "episodes": len(planned.seed),
        "plan": summary(planned),
        "do_nothing": summary(idle),
        "random": summary(random),
        "program_return_mean": float(found.program_return.mean()),
        "adequacy": asdict(found.adequacy),
    }


def check(options: Options) -> dict[str, dict[str, Any]]:
    """Figures of every suite asked for, {suite: figures}."""
    from dataclasses import replace

    from tqdm import tqdm

    from cases.ieee68 import load_ieee68
    from control.controllers.simple import RandomActions
    from control.evaluation.feasibility import CORRECTIONS, certify
    from control.evaluation.rollout import play_trial
    from control.scenario.episode import HELD_OUT, scenario_named
    from marl.environment.batch import make_batch
    from marl.environment.episode_record import evaluation_seeds

    found, case = {}, load_ieee68()
    # All of them first: a wrong one is told before any is played.
    for suite, scenario in {suite: scenario_named(suite, case) for suite in options.suites}.items():
        # The same episodes as scripts/evaluate.py plays.
        if suite in HELD_OUT:
            held = HELD_OUT[suite].count
            seeds = evaluation_seeds(suite, min(options.episodes or held, held))
        else:
            seeds = evaluation_seeds(suite, options.episodes or EPISODES_OF_A_FILE)
        if options.intervals is not None:
            scenario = replace(scenario, n_intervals=options.intervals)
        batch = make_batch(scenario, len(seeds))
        # Random and no actions, each plan solved and played; the ends of the range come on top where they are needed.
        steps = (3 + CORRECTIONS) * scenario.n_intervals + (1 + CORRECTIONS) * len(seeds)
        with tqdm(total=steps, desc=suite, disable=not sys.stderr.isatty()) as bar:

            def tick(bar: Any = bar) -> None:
                bar.update()

            random = play_trial(RandomActions(batch.loop.fleet, batch.n_env), batch, seeds, tick)
            found[suite] = figures(certify(batch, seeds, tick), random)
        print(report(suite, found[suite]), flush=True)
    return found


def report(suite: str, f: dict[str, Any]) -> str:
    """One suite in words."""
    a, plan, idle, random = f["adequacy"], f["plan"], f["do_nothing"], f["random"]
    return "\n".join(
        [
            f"{suite} ({f['episodes']} episodes)",
            f"  imbalance       {a['imbalance_rms_mw']:.0f} MW rms, at worst {a['imbalance_worst_mw']:.0f} MW; "
            f"the fleet reaches {a['fleet_range_mw']:.0f} MW ({100 * a['within_range']:.2f} % of intervals)",
            f"  ramps           at worst {a['change_per_min_worst_mw']:.0f} MW in a minute; the fleet can "
            f"{a['fleet_ramp_mw_per_min']:.0f} MW/min ({100 * a['within_ramp']:.2f} % of minutes)",
            f"  batteries       from {round(100 * a['battery_energy_lowest'])} to "
            f"{round(100 * a['battery_energy_highest'])} % of their energy in the plan",
            f"  do nothing      rms {idle['rms_mhz']:.1f} mHz, worst {1e3 * idle['worst_df_hz']:.0f} mHz, "
            f"return {idle['return_mean']:,.0f}",
            f"  random          rms {random['rms_mhz']:.1f} mHz, worst {1e3 * random['worst_df_hz']:.0f} mHz, "
            f"return {random['return_mean']:,.0f}",
            f"  plan, played    rms {plan['rms_mhz']:.1f} mHz, worst {1e3 * plan['worst_df_hz']:.0f} mHz, "
            f"return {plan['return_mean']:,.0f} (one-mass program {f['program_return_mean']:,.0f})",
            f"                  within 36 mHz {100 * f['share_within_36mhz']:.2f} %, 200 mHz "
            f"{100 * f['share_within_200mhz']:.2f} %, 500 mHz {100 * f['share_within_500mhz']:.2f} % of the time",
            f"  violations      {f['unavoidable_violations']} unavoidable; per episode "
            f"{plan['violations_per_episode']:.2f} with the plan, {idle['violations_per_episode']:.2f} doing nothing",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 the task can be solved, 1 it cannot or could not be checked, 2 wrong option, 130 stopped."""
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    from control.scenario.config import ScenarioError

    try:
        command_line.require_writable("json", options.json)
        found = check(options)
        if options.json is not None:
            command_line.write_json(options.json, found)
    except ScenarioError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped, nothing was written", file=sys.stderr)
        return 130
    normal = found.get("normal")
    if normal is not None and (
        normal["share_within_200mhz"] < ASKED_WITHIN_200_MHZ or normal["share_within_500mhz"] < 1.0
    ):
        print("normal: the plan misses 0.2 Hz for 99 % of the time or leaves 0.5 Hz.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
