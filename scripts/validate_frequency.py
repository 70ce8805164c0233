"""Proves the frequency model: reference integration, ANDES, modes, laws, and the levels against each other.

python scripts/validate_frequency.py
python scripts/validate_frequency.py --level area --json frequency.json --plot frequency.png

Exit status 0 only if every check holds, 1 if one does not, 2 if an option is wrong or a reference is missing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from cases.case import Case
    from grid_model.validation.check import Check
    from grid_model.validation.frequency_checks import EventResult
    from grid_model.validation.modes import Modes

PROGRAM = "validate_frequency.py"
GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "regression" / "golden"
PLOTTED = "loss of G9"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to validate and where to write it."""

    level: Literal["machine", "area", "system", "all"] = "all"
    """Level of aggregation; `machine` holds the references, the others are compared with it."""
    json: Path | None = None
    """Write modes, events and inertia to this file."""
    plot: Path | None = None
    """Draw our trace of one event over ANDES' to this file: .png, .svg or .pdf."""
    golden: Path = GOLDEN
    """Where the references of scripts/andes_reference.py are."""


def main(arguments: Sequence[str]) -> int:
    import command_line

    options = command_line.parse(
        Options, program=PROGRAM, description=str(__doc__).splitlines()[0], arguments=arguments
    )
    for name, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None and not path.resolve().parent.is_dir():
            print(f"{PROGRAM}: error: {name} {path}: its directory does not exist", file=sys.stderr)
            return 2
    if options.plot is not None and options.plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        print(f"{PROGRAM}: error: --plot {options.plot}: expected .png, .svg or .pdf", file=sys.stderr)
        return 2
    if not (options.golden / "andes.json").is_file():
        print(
            f"{PROGRAM}: error: {options.golden} holds no andes.json; see scripts/andes_reference.py",
            file=sys.stderr,
        )
        return 2
    # Imported here, so that --help and a wrong option are answered at once.
    from cases.ieee68 import load_ieee68
    from grid_model.validation.modes import published_modes

    case = load_ieee68("rogers")
    checks, events, modes = validate(case, options)
    published = {variant: published_modes(load_ieee68(variant)) for variant in ("tr18", "rogers")}
    print_checks(checks)
    print_events(events)
    print_modes(modes, published)
    if options.json is not None:
        options.json.write_text(json.dumps(figures(case, checks, events, modes, published), indent=2) + "\n")
    if options.plot is not None:
        draw(case, options)
    failed = [check for check in checks if not check.holds]
    print(f"\n{len(checks) - len(failed)} of {len(checks)} checks hold.")
    return 1 if failed else 0


def validate(case: Case, options: Options) -> tuple[list[Check], list[EventResult], dict[str, Modes]]:
    """All checks of the levels asked for."""
    from grid_model.validation import frequency_checks as validation

    levels: tuple[Literal["machine", "area", "system"], ...] = (
        ("machine", "area", "system") if options.level == "all" else (options.level,)
    )
    checks: list[Check] = []
    events: list[EventResult] = []
    if "machine" in levels:
        checks += validation.validate_integration(case)
        version = json.loads((options.golden / "andes.json").read_text())["andes"]
        found, results = validation.validate_against_andes(case, options.golden, version)
        checks += [*found, *validation.validate_energy(case)]
        events += results
    for level in levels:
        checks += validation.laws(case, level)
    found, results = validation.compare_levels(case, levels)
    checks += found
    events += results
    modes: dict[str, Modes] = {}
    if levels != ("system",):
        found, modes = validation.validate_modes(case)
        checks += found
    return checks, events, modes


def print_checks(checks: Sequence[Check]) -> None:
    """One line a check, its reason below."""
    for check in checks:
        sign = ">=" if check.at_least else "<="
        print(
            f"{'ok    ' if check.holds else 'FAILED'} {check.what}: {check.value:.3g} {check.unit} "
            f"({sign} {check.limit:g})".replace("  ", " ")
        )
        print(f"         limit: {check.reason}")


def print_events(events: Sequence[EventResult]) -> None:
    """The table of events; frequencies of the centre of inertia."""
    print("\nevent              level    RoCoF 1st  500 ms    nadir  settling  within   largest deviation")
    print("                               Hz/s     Hz/s       Hz        Hz    10 mHz")
    for event in events:
        print(
            f"{event.event:18s} {event.level:8s} {event.rocof_hz_per_s:8.4f} {event.rocof_500ms_hz_per_s:8.4f} "
            f"{event.nadir_hz:8.4f} {event.settling_hz:9.4f} {event.settling_time_s:6.1f} s  "
            f"{1e3 * event.max_deviation_hz:7.3f} mHz from {event.reference}"
        )


def print_modes(modes: dict[str, Modes], published: dict[str, Modes]) -> None:
    """Inter-area modes side by side, and the published system's."""
    print()
    for level, found in modes.items():
        text = ", ".join(
            f"{f:.3f} Hz {100.0 * z:.1f} %"
            for f, z in zip(found.frequency_hz[:4], found.damping[:4], strict=True)
        )
        print(f"inter-area modes, {level} level, published load: {text}")
    for variant, found in published.items():
        print(
            f"modes of {variant}, undamped [Hz]: {' '.join(f'{frequency:.4f}' for frequency in found.frequency_hz)}"
        )


def figures(
    case: Case,
    checks: Sequence[Check],
    events: Sequence[EventResult],
    modes: dict[str, Modes],
    published: dict[str, Modes],
) -> dict[str, Any]:
    """What the JSON file holds."""

    def finite(value: float) -> float | None:
        return value if value == value else None

    return {
        "modes_hz": {variant: found.frequency_hz.tolist() for variant, found in published.items()},
        "events": [
            {
                name: finite(value) if isinstance(value, float) else value
                for name, value in vars(event).items()
            }
            for event in events
        ],
        "inertia_mws": float((case.machine.h_s * case.machine.base_mva).sum()),
        "inter_area_modes": {
            level: {
                "frequency_hz": found.frequency_hz[:4].tolist(),
                "damping_percent": (100.0 * found.damping[:4]).tolist(),
            }
            for level, found in modes.items()
        },
        "checks": [vars(check) | {"holds": check.holds} for check in checks],
    }


def draw(case: Case, options: Options) -> None:
    """Centre of inertia and machines of one event: ours as lines, ANDES' as dots, and the differences below."""
    import numpy as np

    from control.evaluation import picture_style as look
    from grid_model.dynamics.parameters import SwingConfig
    from grid_model.validation.classical import ClassicalGrid
    from grid_model.validation.frequency_checks import NO_LIMITS, event_of, read_golden

    assert options.plot is not None
    _, golden = read_golden(options.golden / f"andes_{PLOTTED.replace(' ', '_')}.csv")
    grid = ClassicalGrid(case, SwingConfig(level="machine", tie_damping_s=0.0, governor=NO_LIMITS))
    trace = grid.simulate([event_of(case, PLOTTED)], float(round(golden[-1, 0] + 0.1)))
    on = trace.networks[-1][1].machine_in_service
    weight = grid.inertia_mws_per_hz * on / (grid.inertia_mws_per_hz * on).sum()
    theirs = golden[:, 1 : 1 + case.n_machine]
    at = np.rint(golden[:, 0] / grid.config.dt_s).astype(int)
    figure = look.new_figure(11.0, 7.5, f"{PLOTTED}, classical model: ours every 20 ms, ANDES every 2.5 ms")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
    shown = [case.machine.name.index(name) for name in ("G1", "G8", "G13")]
    rows = [("centre of inertia", 1e3 * trace.df_hz @ weight, theirs @ weight)]
    rows += [(case.machine.name[i], 1e3 * trace.df_hz[:, i], theirs[:, i]) for i in shown]
    for k, (name, ours, reference) in enumerate(rows):
        style = look.style(k)
        top.plot(
            trace.time_s,
            ours,
            label=name,
            linewidth=2.0 if k == 0 else 1.2,
            zorder=3 if k == 0 else 2,
            **style,
        )
        top.plot(
            golden[::3, 0], reference[::3], "o", color=style["color"], markersize=2.8, markerfacecolor="white"
        )
        bottom.plot(golden[:, 0], ours[at] - reference, linewidth=1.2, **style)
    top.plot([], [], "o", color=look.INK, markersize=2.8, markerfacecolor="white", label="ANDES")
    top.set_ylabel("frequency deviation [mHz]")
    bottom.set_ylabel("ours less ANDES [mHz]")
    bottom.set_xlabel("time [s]")
    bottom.set_xlim(0.0, trace.time_s[-1])
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    look.legend_above(top)
    look.save(figure, options.plot)
    print(f"\n{options.plot}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
