"""A unit is lost in the evening: a trained policy, tuned AGC and nobody at the controls, on one page to look at.

    python scripts/demo.py
    python scripts/demo.py --out demo.html --no-open

G6, 700 MW, trips two minutes into a July evening. The same episode is played by the shipped policy, by automatic
generation control with feed-forward, and without anybody who acts; three lines tell what it cost, and the page shows
it: play it, click on a bus or a plant, compare any two of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command_line
import option_checks

PROGRAM = "demo.py"
UNIT, AT_S = "G6", 120.0
START_MINUTE = 281_940.0  # of the year: 19:00 on 14 July
SEED = 1
POLICY = "marl/data/refined_seed0.pt"
PLAYERS = f"{command_line.ROOT / POLICY},agc_forecast,do_nothing"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the page goes."""

    out: Path = Path("demo.html")
    """The page to write."""
    open: bool = True
    """Open it in the browser."""

    def __post_init__(self) -> None:
        option_checks.require_page("out", self.out)


def show(options: Options) -> None:
    """Plays, prints and writes."""
    from dataclasses import replace

    import numpy as np

    from cases.ieee68 import load_ieee68
    from control.evaluation.contender import resolve
    from control.scenario.file import scenario_named
    from grid_model.dynamics.events import Event
    from marl.environment.contenders import learned
    from marl.environment.episode_page import play_to_page

    case = load_ieee68()
    unit = case.machine.name.index(UNIT)
    lost_mw = case.machine.p_mw[unit]
    evening = replace(
        scenario_named("normal", case),
        name="evening",
        start_minute=START_MINUTE,
        events=(Event(time_s=AT_S, kind="machine_out", index=unit),),
    )
    players = play_to_page(
        options.out,
        resolve(PLAYERS, learned),
        evening,
        SEED,
        title=f"{UNIT} is lost in the evening",
        subtitle=f"{lost_mw:.0f} MW at nominal load trip {AT_S / 60.0:.0f} minutes into a July evening; 33 minutes, "
        "real load, wind and sun",
        progress=command_line.progress_bar,
    )
    for player in players:
        # Of all buses and the whole time: single ones swing lowest in the first second, before anybody can act.
        rms_mhz = float(np.sqrt(np.mean(np.square(player.record["rms_df_mhz"]))))
        within = float(np.mean(player.record["within_36_mhz"]))
        cost = -float(player.record.returns[0])
        print(
            f"{player.title:34s} cost {cost:9,.0f}   frequency off by {rms_mhz:5.1f} mHz (rms), "
            f"within 36 mHz for {within:6.1%} of the time"
        )
    print(f"Page: {options.out.resolve()}")
    if options.open:
        import webbrowser

        webbrowser.open(options.out.resolve().as_uri())


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, show, arguments, about=__doc__, writes=["out"], stopped=command_line.NOTHING_WRITTEN
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
