"""What the frequency model's validation found, as lines of text and as figures by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cases.case import Case
from grid_model.validation.check import Check
from grid_model.validation.coupled import DURATION_S, UNIT, CoupledResult
from grid_model.validation.event_response import EventResult
from grid_model.validation.modes import Modes


def check_lines(checks: Sequence[Check]) -> list[str]:
    """Two lines a check: the figure beside its limit, and the limit's reason."""
    lines = []
    for check in checks:
        state, sign = "ok    " if check.holds else "FAILED", ">=" if check.at_least else "<="
        figure = f"{state} {check.what}: {check.value:.3g} {check.unit} ({sign} {check.limit:g})"
        lines += [figure.replace("  ", " "), f"         limit: {check.reason}"]
    return lines


def event_lines(events: Sequence[EventResult]) -> list[str]:
    """The table of events; frequencies of the centre of inertia."""
    return [
        "event              model                level    RoCoF 1st  500 ms    nadir  settling  within   "
        "largest deviation",
        "                                                    Hz/s     Hz/s       Hz        Hz    10 mHz",
        *(
            f"{event.event:18s} {event.model:20s} {event.level:8s} {event.rocof_hz_per_s:8.4f} "
            f"{event.rocof_500ms_hz_per_s:8.4f} {event.nadir_hz:8.4f} {event.settling_hz:9.4f} "
            f"{event.settling_time_s:6.1f} s  {1e3 * event.max_deviation_hz:7.3f} mHz from {event.reference}"
            for event in events
        ),
    ]


def coupled_lines(results: Sequence[CoupledResult], version: str) -> list[str]:
    """The table of the coupled simulator beside full-order machines, and why figures are outside their limit."""
    lines = [
        f"coupled simulator, on which policies are trained, beside full-order machines in ANDES {version}; ours, ANDES",
        "event             load  loads      level    terminal   exciters    nadir [mHz]    "
        "RoCoF [mHz/s]  settling [mHz]",
    ]
    reasons: dict[str, list[str]] = {}
    for result in results:
        pairs = (
            (result.nadir_mhz, result.andes_nadir_mhz),
            (result.rocof_mhz_per_s, result.andes_rocof_mhz_per_s),
            (result.settling_mhz, result.andes_settling_mhz),
        )
        figures = "  ".join(f"{_figure(ours)} {_figure(theirs)}" for ours, theirs in pairs)
        lines.append(
            f"{result.event:17s} {result.load_level:4.1f}  {result.load_model:10s} {result.level:8s} "
            f"{result.terminal_voltage:10s} {result.exciters:9s} {figures}  {_verdict(result)}"
        )
        for figure in result.outside:
            why = result.why(figure) or "no reason is known: this fails"
            row = f"{result.event}, {result.load_level:g}, {result.load_model}, {result.level}, {result.exciters}"
            reasons.setdefault(why, []).append(f"{row} exciters: {figure}")
    for why, rows in reasons.items():
        lines += [f"outside: {why}", *(f"         {row}" for row in rows)]
    return lines


def _figure(value: float) -> str:
    """A figure, or a dash where a side has none."""
    return "     -" if math.isnan(value) else f"{value:6.1f}"


def _verdict(result: CoupledResult) -> str:
    """Within or outside, by how much, and who has no solution any more."""
    said = [f"outside: {name} by {value:+.0f} {UNIT[name]}" for name, value in result.outside.items()] or [
        "within"
    ]
    if result.end_s < DURATION_S:
        said.append(f"ours has no solution after {result.end_s:.1f} s")
    if result.andes_end_s < DURATION_S:
        said.append(f"ANDES has none after {result.andes_end_s:.1f} s")
    return "; ".join(said)


def mode_lines(modes: Mapping[str, Modes], published: Mapping[str, Modes]) -> list[str]:
    """Inter-area modes side by side, and the published system's."""
    lines = []
    for level, found in modes.items():
        text = ", ".join(
            f"{f:.3f} Hz {100.0 * z:.1f} %"
            for f, z in zip(found.frequency_hz[:4], found.damping[:4], strict=True)
        )
        lines.append(f"inter-area modes, {level} level, published load: {text}")
    for variant, found in published.items():
        frequencies = " ".join(f"{frequency:.4f}" for frequency in found.frequency_hz)
        lines.append(f"modes of {variant}, undamped [Hz]: {frequencies}")
    return lines


def figures(
    case: Case,
    checks: Sequence[Check],
    events: Sequence[EventResult],
    modes: Mapping[str, Modes],
    published: Mapping[str, Modes],
    coupled: Sequence[CoupledResult],
) -> dict[str, Any]:
    """Modes, events, coupled rows, inertia and checks by name, as JSON can hold them."""

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
        "coupled": [
            {
                name: finite(value) if isinstance(value, float) else value
                for name, value in vars(result).items()
            }
            | {"outside": result.outside, "why": {figure: result.why(figure) for figure in result.outside}}
            for result in coupled
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
