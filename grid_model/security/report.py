"""The outages of a screening as lines of text and as flat figures by name."""

from __future__ import annotations

from typing import Any

from cases.case import Case
from grid_model.security.verdict import OUTCOMES, Condition, OutageResult, Screening

LISTED = 20  # outages of a kind that are named in the totals
MOVED_PU = 1e-4  # less than anybody reads off a voltmeter
WORDS = {
    "islanded_secure": "buses cut off, the rest keeps every limit",
    "islanded_violated": "buses cut off, the rest breaks a limit",
    "islanded_diverged": "buses cut off, the rest has no solution",
}


def table_lines(screening: Screening, top: int) -> list[str]:
    """Base case, ranked outages (the first `top`), totals and bridges."""
    case, base, ranked = screening.case, screening.base, screening.ranked()
    head = "   rank  element    kind         outcome            worst branch after it (rate B)   voltages"
    lines = [
        f"== {case.name}, engine {screening.engine}: {len(screening.results)} outages",
        f"   base case: {condition_text(base)}; {len(base.violations)} limits broken (rate A)",
        f"   emergency rating (B): {emergency_text(case)}",
        f"   reactive limits of the machines: {screening.reactive_limits or 'none'}",
        *([head] if top else []),
    ]
    for rank, result in enumerate(ranked[:top], start=1):
        outage = result.outage
        what = f"{rank:4d}  {outage.name:9s}  {outage.kind:11s}  {result.outcome:17s}  {details(result)}"
        lines.append(f"   {what}")
    count = screening.count()
    totals = ", ".join(f"{count[v]} {v}" for v in ("secure", "violated", "islanded", "diverged"))
    lines.append(f"   totals: {totals}")
    for outcome in OUTCOMES[3:]:
        of_it = [result for result in ranked if result.outcome == outcome]
        if of_it:
            names = ", ".join(result.outage.name for result in of_it[:LISTED])
            names += f" and {len(of_it) - LISTED} more" if len(of_it) > LISTED else ""
            lines.append(f"   {WORDS[outcome]}: {len(of_it)}, {names}")
    lines.append("   bridges: " + ", ".join(f"{a}-{b}" for a, b in screening.bridges))
    return lines


def emergency_text(case: Case) -> str:
    """How the ratings after an outage lie to the normal ones, in words."""
    percent = 100.0 * case.branch.rate_b_mva / case.branch.rate_a_mva
    low, high = round(float(percent.min()), 1), round(float(percent.max()), 1)
    if low == high == 100.0:
        return "rate A of every circuit"
    return f"{low:g} % of rate A" if low == high else f"{low:g} to {high:g} % of rate A"


def moved_lines(screening: Screening, free: Screening, top: int) -> list[str]:
    """What the machines' reactive limits change: the first `top` outages that end otherwise than in `free`, without."""
    moved = moved_outages(screening, free)
    lines = [f"   moved by reactive limits: {len(moved)} of {len(screening.results)} outages"]
    for one in moved[:top]:
        before, after = one["without_limits"], one["with_limits"]
        lines.append(
            f"      moved: {one['element']:9s}  {before['outcome']:17s} -> {after['outcome']:17s}  lowest voltage "
            f"{_pu(before['vm_min_pu'])} -> {_pu(after['vm_min_pu'])}, limits broken "
            f"{before['n_violation']} -> {after['n_violation']}"
        )
    if len(moved) > top:
        lines.append(f"      and {len(moved) - top} more")
    return lines


def moved_outages(screening: Screening, free: Screening) -> list[dict[str, Any]]:
    """Outages with another outcome, other limits broken, or a lowest voltage moved by more than 1e-4 pu."""
    found = []
    for limited, unlimited in zip(screening.results, free.results, strict=True):
        with_limits, without = (_fate(result) for result in (limited, unlimited))
        vm_before, vm_after = without["vm_min_pu"], with_limits["vm_min_pu"]
        same = vm_before is vm_after is None or (
            vm_before is not None and vm_after is not None and abs(vm_after - vm_before) <= MOVED_PU
        )
        broken = [
            {(v.limit, v.element) for v in (result.condition.violations if result.condition else ())}
            for result in (limited, unlimited)
        ]
        if limited.outcome != unlimited.outcome or broken[0] != broken[1] or not same:
            found.append(
                {"element": limited.outage.name, "without_limits": without, "with_limits": with_limits}
            )
    return found


def _fate(result: OutageResult) -> dict[str, Any]:
    condition = result.condition
    return {
        "outcome": result.outcome,
        "vm_min_pu": condition.vm_min_pu if condition else None,
        "n_violation": len(condition.violations) if condition else 0,
    }


def _pu(vm_pu: float | None) -> str:
    return "none" if vm_pu is None else f"{vm_pu:.3f}"


def condition_text(condition: Condition) -> str:
    """Worst branch and voltage extremes of a state."""
    text = f"{condition.worst_branch:9s} {condition.worst_loading_percent:6.1f} %"
    if condition.vm_min_pu is not None:
        low = f"{condition.vm_min_pu:.3f} at {condition.vm_min_bus}"
        text += f"   {low} to {condition.vm_max_pu:.3f} at {condition.vm_max_bus}"
    return text


def details(result: OutageResult) -> str:
    """What is left and what is lost."""
    if result.condition is None:
        text = "no solution from any start, nor by pandapower"
    else:
        text = condition_text(result.condition)
        kinds = {"loading_percent": "overloaded", "vm_min_pu": "low", "vm_max_pu": "high"}
        for limit, word in kinds.items():
            elements = [v.element for v in result.condition.violations if v.limit == limit]
            if elements:
                text += f"; {word}: {', '.join(elements[:3])}{' ...' if len(elements) > 3 else ''}"
    if result.lost_load_mw or result.lost_generation_mw:
        text += f"; lost {result.lost_generation_mw:.0f} MW generation, {result.lost_load_mw:.0f} MW load"
    return text


def as_json(screening: Screening, free: Screening | None = None) -> dict[str, Any]:
    """Every outage as a flat object.

    Args:
        screening: what is written.
        free: the same without reactive limits, to tell what they move.
    """
    outages = []
    for result in screening.results:
        condition, outage = result.condition, result.outage
        outages.append(
            {
                "element": outage.name,
                "kind": outage.kind,
                "from_bus": outage.from_bus_number,
                "to_bus": outage.to_bus_number,
                "verdict": result.verdict,
                "rest": result.rest,
                "outcome": result.outcome,
                "rest_solves": condition is not None,
                "rest_keeps_limits": not condition.violations if condition else None,
                "worst_branch": condition.worst_branch if condition else None,
                "worst_loading_percent": condition.worst_loading_percent if condition else None,
                "vm_min_pu": condition.vm_min_pu if condition else None,
                "vm_min_bus": condition.vm_min_bus if condition else None,
                "vm_max_pu": condition.vm_max_pu if condition else None,
                "vm_max_bus": condition.vm_max_bus if condition else None,
                "violations": [
                    {"limit": v.limit, "element": v.element, "value": v.value, "allowed": v.allowed}
                    for v in (condition.violations if condition else ())
                ],
                "islanded_buses": list(result.islanded_bus_numbers),
                "lost_load_mw": result.lost_load_mw,
                "lost_generation_mw": result.lost_generation_mw,
                "islanded_load_mw": result.islanded_load_mw,
                "islanded_generation_mw": result.islanded_generation_mw,
                "solved_by": result.solved_by,
            }
        )
    return {
        "case": screening.case.name,
        "engine": screening.engine,
        "base": {
            "worst_branch": screening.base.worst_branch,
            "worst_loading_percent": screening.base.worst_loading_percent,
            "vm_min_pu": screening.base.vm_min_pu,
            "vm_max_pu": screening.base.vm_max_pu,
            "violations": [v.element for v in screening.base.violations],
        },
        "totals": dict(screening.count()),
        "outcomes": dict(screening.outcomes()),
        "emergency_rating": emergency_text(screening.case),
        "reactive_limits": screening.reactive_limits,
        "moved_by_reactive_limits": None if free is None else moved_outages(screening, free),
        "outages": outages,
        "bridges": [list(ends) for ends in screening.bridges],
    }
