"""The outages of a screening as lines of text and as flat figures by name."""

from __future__ import annotations

from typing import Any

from grid_model.security.verdict import Condition, OutageResult, Screening

LISTED = 20  # islanded outages whose rest is not secure


def table_lines(screening: Screening, top: int) -> list[str]:
    """Base case, ranked outages (the first `top`), totals and bridges."""
    case, base, ranked = screening.case, screening.base, screening.ranked()
    head = "   rank  element    kind         verdict    rest      worst branch after it (rate B)   voltages"
    lines = [
        f"== {case.name}, engine {screening.engine}: {len(screening.results)} outages",
        f"   base case: {condition_text(base)}; {len(base.violations)} limits broken (rate A)",
        *([head] if top else []),
    ]
    for rank, result in enumerate(ranked[:top], start=1):
        outage = result.outage
        what = f"{rank:4d}  {outage.name:9s}  {outage.kind:11s}  {result.verdict:9s}  {details(result)}"
        lines.append(f"   {what}")
    count = screening.count()
    totals = ", ".join(f"{count[v]} {v}" for v in ("secure", "violated", "islanded", "diverged"))
    lines.append(f"   totals: {totals}")
    rest = [result for result in ranked if result.verdict == "islanded" and result.rest != "secure"]
    if rest:
        names = ", ".join(f"{result.outage.name} {result.rest}" for result in rest[:LISTED])
        names += f" and {len(rest) - LISTED} more" if len(rest) > LISTED else ""
        lines.append(f"   of the islanded, not secure: {names}")
    lines.append("   bridges: " + ", ".join(f"{a}-{b}" for a, b in screening.bridges))
    return lines


def condition_text(condition: Condition) -> str:
    """Worst branch and voltage extremes of a state."""
    text = f"{condition.worst_branch:9s} {condition.worst_loading_percent:6.1f} %"
    if condition.vm_min_pu is not None:
        low = f"{condition.vm_min_pu:.3f} at {condition.vm_min_bus}"
        text += f"   {low} to {condition.vm_max_pu:.3f} at {condition.vm_max_bus}"
    return text


def details(result: OutageResult) -> str:
    """What is left and what is lost."""
    text = f"{result.rest:8s}  "
    if result.condition is None:
        text += "no solution from any start, nor by pandapower"
    else:
        text += condition_text(result.condition)
        kinds = {"loading_percent": "overloaded", "vm_min_pu": "low", "vm_max_pu": "high"}
        for limit, word in kinds.items():
            elements = [v.element for v in result.condition.violations if v.limit == limit]
            if elements:
                text += f"; {word}: {', '.join(elements[:3])}{' ...' if len(elements) > 3 else ''}"
    if result.lost_load_mw or result.lost_generation_mw:
        text += f"; lost {result.lost_generation_mw:.0f} MW generation, {result.lost_load_mw:.0f} MW load"
    return text


def as_json(screening: Screening) -> dict[str, Any]:
    """Every outage as a flat object."""
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
        "outages": outages,
        "bridges": [list(ends) for ends in screening.bridges],
    }
