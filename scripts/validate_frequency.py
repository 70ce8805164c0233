"""Proves the frequency model: reference integration, ANDES, modes, laws, and the levels against each other.

The tables name the model of each row. `classical by itself` proves the integration; policies are trained on `coupled`,
which is compared with full-order machines in ANDES at three load models.

python scripts/validate_frequency.py
python scripts/validate_frequency.py --level area --json frequency.json --plot frequency.png

Figures of the coupled simulator that are known to lie outside their limit are listed as outside with the reason and do
not count; one outside without a known reason fails. Exit status 0 only if every check holds, 1 if one does not, 2 if an
option is wrong or a reference is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import command_line
import option_checks

PROGRAM = "validate_frequency.py"
LEVELS: tuple[Literal["machine", "area", "system"], ...] = ("machine", "area", "system")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to validate and where to write it."""

    level: Literal["machine", "area", "system", "all"] = "all"
    """Level of aggregation; `machine` holds the references, the others are compared with it."""
    json: Path | None = None
    """Write modes, events and inertia to this file."""
    plot: Path | None = None
    """Draw our trace of one event over ANDES' to this file, classical machines: .png, .svg or .pdf."""
    plot_coupled: Path | None = None
    """Draw the coupled simulator over full-order machines in ANDES to this file, by load model."""
    golden: Path = command_line.ROOT / "tests" / "regression" / "golden"
    """Where the references of scripts/andes_reference.py are."""

    def __post_init__(self) -> None:
        option_checks.require_directory("json", self.json)
        option_checks.require_picture("plot", self.plot)
        option_checks.require_picture("plot-coupled", self.plot_coupled)
        for name in ("andes.json", "full_order.json"):
            if not (self.golden / name).is_file():
                raise command_line.OptionError(
                    f"{self.golden} holds no {name}; see scripts/andes_reference.py"
                )


def validate(options: Options) -> int:
    """Checks, prints and writes; the exit status."""
    from cases.ieee68 import load_ieee68
    from grid_model.validation import coupled, frequency_checks, frequency_report
    from grid_model.validation.modes import published_modes

    case = load_ieee68("rogers")
    levels = LEVELS if options.level == "all" else (options.level,)
    checks, events, modes = frequency_checks.validate(case, levels, options.golden)
    found, results = coupled.validate_coupled(case, levels, options.golden)
    checks += found
    version = str(coupled.reference_of(options.golden)["andes"])
    published = {variant: published_modes(load_ieee68(variant)) for variant in ("tr18", "rogers")}
    for lines in (
        frequency_report.check_lines(checks),
        ["", *frequency_report.event_lines(events)],
        ["", *frequency_report.coupled_lines(results, version)],
        ["", *frequency_report.mode_lines(modes, published)],
    ):
        print("\n".join(lines))
    if options.json is not None:
        command_line.write_json(
            options.json, frequency_report.figures(case, checks, events, modes, published, results)
        )
    if options.plot is not None:
        from grid_model.picture.validation_picture import draw_against_andes

        draw_against_andes(options.plot, case, options.golden)
        print(f"\n{options.plot}")
    if options.plot_coupled is not None:
        from grid_model.picture.validation_picture import draw_against_full_order

        draw_against_full_order(options.plot_coupled, case, options.golden)
        print(f"\n{options.plot_coupled}")
    failed = [check for check in checks if not check.holds]
    print(f"\n{len(checks) - len(failed)} of {len(checks)} checks hold.")
    return 1 if failed else 0


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 every check holds, 1 one does not, 2 wrong option, 130 stopped."""
    first_line = str(__doc__).splitlines()[0]
    return command_line.run(
        PROGRAM, Options, validate, arguments, about=first_line, writes=["json", "plot"], failed=(OSError,)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
