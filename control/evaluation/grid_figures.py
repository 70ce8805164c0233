"""Tables in Markdown of what the grid was checked against: power flow, frequency, outages, what can be reached."""

from __future__ import annotations

from collections.abc import Callable

from control.evaluation.figures import Result, table


def power_flow(result: Result) -> list[str]:
    """Both variants of the case side by side, and the distance from the published solution."""
    variants = [name for name in ("tr18", "rogers") if name in result]

    def row(what: str, text: Callable[[Result], str]) -> list[str]:
        return [what, *(text(result[name]) for name in variants)]

    def published(key: str) -> Callable[[Result], str]:
        return lambda figures: f"{figures[key]:.2e}" if key in figures else "not published"

    return table(
        ["power flow", *variants],
        [
            row("farthest from the published voltages [pu]", published("max_dv_pu")),
            row("farthest from the published angles [degree]", published("max_dva_degree")),
            row("largest distance from pandapower [pu]", lambda f: f"{f['engine_max_dv_pu']:.1e}"),
            row("largest distance from lightsim2grid [pu]", lambda f: f"{f['lightsim2grid_max_dv_pu']:.1e}"),
            row("load [MW]", lambda f: f"{f['total_load_mw']:,.1f}"),
            row("losses [MW]", lambda f: f"{f['losses_mw']:,.1f}"),
            row("slack machine [MW]", lambda f: f"{f['slack_p_mw']:,.1f}"),
            row("lowest voltage [pu]", lambda f: f"{f['vm_min_pu']:.4f} at bus {f['vm_min_bus']}"),
            row("highest voltage [pu]", lambda f: f"{f['vm_max_pu']:.4f} at bus {f['vm_max_bus']}"),
        ],
    )


def security(result: Result) -> list[str]:
    """N-1 of the published state: how many outages come to what, and the ones that are not secure."""
    words = {
        "secure": "every limit kept",
        "violated": "a rating (B) or a voltage band broken",
        "islanded_secure": "buses cut off, the rest keeps every limit",
        "islanded_violated": "buses cut off, the rest breaks a limit",
        "islanded_diverged": "buses cut off, the rest has no AC solution",
        "diverged": "no AC solution, confirmed by pandapower",
    }
    by_outcome: dict[str, list[Result]] = {outcome: [] for outcome in words}
    for outage in result["outages"]:
        by_outcome[outage["outcome"]].append(outage)
    rows = []
    for outcome, text in words.items():
        outages = by_outcome[outcome]
        shown = "" if outcome == "secure" else ", ".join(_lost(outage) for outage in outages)
        rows.append([f"{outcome.replace('_', ', ')}: {text}", str(len(outages)), shown])
    lines = table(["what an outage comes to", "outages", "elements (MW of generation / load cut off)"], rows)
    if result["moved_by_reactive_limits"] is None:
        return lines
    moved = [
        [
            one["element"],
            *(f"{one[side]['outcome'].replace('_', ', ')}, {_lowest(one[side])}" for side in SIDES),
        ]
        for one in result["moved_by_reactive_limits"]
    ]
    held = f"Reactive limits hold: {result['reactive_limits']}. What they move:"
    return [*lines, "", held, "", *table(["outage", "without limits", "within them"], moved)]


SIDES = ("without_limits", "with_limits")


def _lost(outage: Result) -> str:
    """Name of an outage, with what is cut off."""
    if not outage["islanded_buses"]:
        return str(outage["element"])
    return (
        f"{outage['element']} ({outage['islanded_generation_mw']:,.0f} / {outage['islanded_load_mw']:,.0f})"
    )


def _lowest(fate: Result) -> str:
    return "no voltages" if fate["vm_min_pu"] is None else f"lowest voltage {fate['vm_min_pu']:.4f} pu"


def feasibility(result: Result) -> list[str]:
    """Doing nothing, random agents and the plan of perfect information, suite by suite."""
    names = {"do_nothing": "do nothing", "random": "random agents", "plan": "perfect information"}
    rows = []
    for suite, figures in result.items():
        for key, name in names.items():
            one = figures[key]
            is_plan = key == "plan"
            rows.append(
                [
                    f"{suite}: {name}",
                    f"{one['return_mean']:,.0f}",
                    f"{one['rms_mhz']:.1f}",
                    f"{1e3 * one['worst_df_hz']:.0f}",
                    *(f"{100.0 * one[f'share_within_{mhz}mhz']:.2f} %" for mhz in (36, 200, 500)),
                    str(figures["unavoidable_violations"]) if is_plan else "",
                ]
            )
    return table(
        [
            "suite",
            "return",
            "rms [mHz]",
            "worst [mHz]",
            "within 36 mHz",
            "200 mHz",
            "500 mHz",
            "unavoidable violations",
        ],
        rows,
    )


def frequency(result: Result) -> list[str]:
    """How far the frequency model is from its references, the worst event of each; and the modes."""
    worst: dict[tuple[str, str], tuple[float, int]] = {}
    for event in result["events"]:
        if event["max_deviation_hz"] is not None:
            key = (event["reference"], event["level"])
            deviation, count = worst.get(key, (0.0, 0))
            worst[key] = (max(deviation, event["max_deviation_hz"]), count + 1)
    rows = [
        [f"level {level} against {reference}", str(count), f"{1e3 * deviation:.3g}"]
        for (reference, level), (deviation, count) in worst.items()
    ]
    lines = table(["centre of inertia", "events", "largest deviation [mHz]"], rows)
    modes = {name: ", ".join(f"{f:.3f}" for f in values[:4]) for name, values in result["modes_hz"].items()}
    held = sum(bool(check["holds"]) for check in result["checks"])
    return [
        *lines,
        "",
        f"{held} of {len(result['checks'])} checks hold. Lowest undamped modes [Hz]: "
        + "; ".join(f"{name} {text}" for name, text in modes.items())
        + f". Stored energy {result['inertia_mws']:,.0f} MW s.",
    ]
