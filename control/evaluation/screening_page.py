"""A screening of outages as a page for a browser: choose an outage in the list, and the grid shows what is left.

Circuits are drawn in percent of rating A throughout, dark red where they carry more than they may: rating A before any
outage, rating B after one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from control.evaluation.page import grid_data, packed, write_html
from grid_model.network.limits import loading_percent
from grid_model.security.report import condition_text, details, emergency_text
from grid_model.security.verdict import OutageResult, Screening

__all__ = ["MOST_OUTAGES", "ScreeningPageError", "write_screening_page"]

TEMPLATE = "screening.html"
MOST_OUTAGES = 2000  # of a list; the page of a grid of 118 buses is then under 1.5 MB
OUTCOMES = {
    "secure": "secure",
    "violated": "limit broken",
    "diverged": "no solution",
    "islanded_secure": "buses cut off, rest secure",
    "islanded_violated": "buses cut off, rest breaks a limit",
    "islanded_diverged": "buses cut off, rest without solution",
}


class ScreeningPageError(ValueError):
    """This screening cannot stand on a page; the message says why."""


def write_screening_page(path: Path, screening: Screening) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        screening: with its states (`contingency.screen(..., with_states=True)`).

    Raises:
        ScreeningPageError: it has no states, or more outages than a page can hold.
        OutputError: the file cannot be written.
    """
    case, states, results = screening.case, screening.states, screening.results
    if states is None:
        raise ScreeningPageError("the screening kept no voltages and flows to draw")
    if len(results) > MOST_OUTAGES:
        raise ScreeningPageError(f"{len(results)} outages are too many for a page, at most {MOST_OUTAGES}")
    percent_a = loading_percent(states.flow_mva, case.branch.rate_a_mva)
    player = {
        "name": "grid",
        "title": "",
        "total": None,
        "arrays": {
            "vm": packed(states.vm_pu.T, step=1e-4),
            "loading": packed(percent_a.T, step=0.1),
            "on": packed(states.branch_in_service.T.astype(np.float64), step=1.0),
            "running": packed(states.machine_in_service.T.astype(np.float64), step=1.0),
        },
    }
    row_of = {id(result): k for k, result in enumerate(results, start=1)}
    data = {
        "n": 1 + len(results),
        "loading_words": "loading",
        "players": [player],
        "base": f"Before any outage: {condition_text(screening.base)}; "
        f"{len(screening.base.violations)} limits broken (rating A)",
        "outages": [_outage(result) for result in results],
        "ranked": [row_of[id(result)] for result in screening.ranked()],
        **grid_data(case, np.ones(case.n_resource)),
    }
    count = screening.count()
    totals = ", ".join(
        f"{count[verdict]} {verdict}" for verdict in ("secure", "violated", "islanded", "diverged")
    )
    write_html(
        path,
        TEMPLATE,
        data,
        title=f"{case.name}: {len(results)} outages",
        subtitle=f"{totals}. Rating B: {emergency_text(case)}. Engine {screening.engine}; reactive limits: "
        f"{screening.reactive_limits or 'none'}.",
    )


def _outage(result: OutageResult) -> dict[str, Any]:
    """A row of the list; what is broken with it goes into words here, so that page and table say the same."""
    condition, outage = result.condition, result.outage
    return {
        "name": outage.name,
        "kind": outage.kind.replace("_", " "),
        "outcome": OUTCOMES[result.outcome],
        "rest": result.rest,
        "words": details(result),
        "worst": None if condition is None else round(condition.worst_loading_percent, 1),
        "branch": "" if condition is None else condition.worst_branch,
        "low": None if condition is None or condition.vm_min_pu is None else round(condition.vm_min_pu, 4),
        "cut": list(result.islanded_bus_numbers),
        "circuits": [part.name for part in (outage.parts or (outage,))],
    }
