"""Tables in Markdown of what was tried to break the project: long runs, kills, damaged inputs."""

from __future__ import annotations

from collections.abc import Callable

from control.evaluation.figures import Result, table


def kills(result: Result) -> list[str]:
    """What was killed how often, by kind of work."""
    return table(
        ["work", "kills", "of these of new processes", "runs that came to their end", "whole run [CPU s]"],
        [
            [
                kind.replace("_", " "),
                f"{found['kills']:,}",
                f"{found['kills_of_new_processes']:,}",
                f"{found['runs']:,}",
                f"{found['whole_run_cpu_s']:.0f}" if "whole_run_cpu_s" in found else "",
            ]
            for kind, found in result.items()
        ],
    )


def soak(result: Result) -> list[str]:
    """What was met in all suites, by model, grid and actor."""
    rows: dict[tuple[str, ...], list[Result]] = {}
    for row in result["rows"]:
        rows.setdefault((row["model"], row["grid"], row["actor"]), []).append(row)

    def worst(some: list[Result], name: str, text: Callable[[float], str]) -> str:
        return text(max(row[name] for row in some)) if name in some[0] else ""

    def line(key: tuple[str, ...], some: list[Result]) -> list[str]:
        grown = max(row["memory_after_mb"] - row["memory_before_mb"] for row in some)
        return [
            ", ".join(key),
            f"{sum(row['steps'] for row in some):,.0f}",
            f"{sum(row['episodes_ended'] for row in some):,.0f}",
            f"{sum(row['grids_lost'] for row in some):,.0f}",
            worst(some, "worst_df_hz", lambda hz: f"{1000.0 * hz:,.0f}"),
            worst(some, "worst_energy_gap_mwh", lambda mwh: f"{mwh:.1e}"),
            worst(some, "worst_plant_energy_gap_mwh", lambda mwh: f"{mwh:.1e}"),
            f"{grown:+.1f}",
        ]

    whole = {key: [row for row in some if "worst_df_hz" in row] for key, some in rows.items()}
    head = ["model, grid, actor", "steps", "episodes", "grids lost", "largest deviation [mHz]"]
    lines = table(
        [*head, "energy gap of an episode [MWh]", "of a plant [MWh]", "memory [MB]"],
        [line(key, some) for key, some in whole.items() if some],
    )
    total = result["total"]
    said = []
    for model in ("full", "reduced"):
        if total[model]["steps"]:
            said.append(
                f"{total[model]['steps']:,.0f} steps of the {model} model, memory "
                f"{total[model]['memory_growth_mb']:+.0f} MB from the first suite to the last"
            )
    found = "; ".join(total["found"]) or "nothing"
    return [*lines, "", f"{'; '.join(said)}; {total['seconds'] / 60.0:.0f} minutes. Found: {found}."]


def fuzz(result: Result) -> list[str]:
    """What became of damaged inputs, by kind."""
    return table(
        ["input", "damaged", "refused in one line", "taken", "otherwise", "slowest [s]"],
        [
            [
                kind.replace("_", " "),
                f"{found['refused'] + found['accepted'] + len(found['wrong']):,}",
                f"{found['refused']:,}",
                f"{found['accepted']:,}",
                f"{len(found['wrong']):,}",
                f"{found['slowest_s']:.2f}",
            ]
            for kind, found in result.items()
        ],
    )
