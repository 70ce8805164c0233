"""What pages of a grid for a browser share: names and places of its drawing, packed arrays, one file for all.

Arrays are kept as 16-bit integers (a step of a scale that is fine enough for what is drawn), as differences along time
or whatever their rows run over, compressed. A page asks for nothing beside itself. Names come from files of any user:
in the page they are text, never markup.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.whole_file import write_text
from grid_model.picture.layout import bus_radius, place_badges
from grid_model.picture.placement import placed

__all__ = ["grid_data", "packed", "write_html"]

MISSING = -32768  # stands for NaN
LARGEST = 32767


def write_html(path: Path, template: str, data: Mapping[str, Any], *, title: str, subtitle: str) -> None:
    """Write a page, whole or not at all.

    Args:
        path: the HTML file.
        template: its name in `templates/`.
        data: what its script reads, as JSON can hold it; `n` is the number of columns of its arrays.
        title: of the page.
        subtitle: below it.

    Raises:
        OutputError: the file cannot be written.
    """
    import jinja2
    from markupsafe import Markup

    # In a script element only a tag could end the text early; JSON may write its signs as numbers.
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("control.evaluation"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = pages.get_template(template).render(title=title, subtitle=subtitle, n=data["n"], data=Markup(text))
    write_text(path, page)


def packed(values: FloatArray, *, step: float) -> dict[str, Any]:
    """Rows [column, interval] as text: whole multiples of a scale, differences along time, compressed.

    The scale is `step`, or coarser where 16 bits would not reach the largest value.
    """
    largest = float(np.nanmax(np.abs(values))) if values.size and np.isfinite(values).any() else 0.0
    scale = max(step, largest / LARGEST)
    whole = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) / scale), MISSING).astype(np.int64)
    changes = np.diff(whole, axis=1, prepend=0)  # modulo 2^16, as the page adds them up
    wrapped = (changes & 0xFFFF).astype("<u2")
    return {
        "n": values.shape[0],
        "scale": scale,
        "z": base64.b64encode(zlib.compress(wrapped.tobytes(), 9)).decode("ascii"),
    }


def grid_data(case: Case, range_mw: FloatArray) -> dict[str, Any]:
    """Names and places of everything drawn.

    Args:
        case: the grid; where it has no good positions they are worked out.
        range_mw: largest output of each plant around its schedule [MW], [resource].
    """
    case = placed(case)
    badges, branch = place_badges(case), case.branch
    ends = list(map(tuple, np.sort(np.column_stack([branch.from_bus, branch.to_bus]), axis=1).tolist()))
    circuits, before = Counter(ends), Counter[tuple[int, ...]]()
    offset = []
    for k, pair in enumerate(ends):
        # Parallel circuits side by side, on the same side whichever end is called the first.
        side = 1.0 if branch.from_bus[k] == pair[0] else -1.0
        offset.append(side * (2.0 * before[pair] - (circuits[pair] - 1)) / 2.0)
        before[pair] += 1
    b_percent = 100.0 * branch.rate_b_mva / branch.rate_a_mva
    batteries = case.resource.of_kind("bess").tolist()
    return {
        "areas": list(case.area_names),
        "radius": bus_radius(case),
        "bus": {
            "name": [str(number) for number in case.bus.bus_number],
            "area": case.bus.area.tolist(),
            "x": _rounded(case.bus.x),
            "y": _rounded(case.bus.y),
        },
        "branch": {
            "name": list(branch.name),
            "from": branch.from_bus.tolist(),
            "to": branch.to_bus.tolist(),
            "offset": offset,
            "b_percent": _rounded(b_percent),
        },
        "rated": any(basis != "assumed unlimited" for basis in branch.rating_basis),
        "least_b_percent": round(float(b_percent.min()), 1),
        "machine": {"name": list(case.machine.name)},
        "renewable": {"name": list(case.renewable.name)},
        "resource": {
            "name": list(case.resource.name),
            "kind": list(case.resource.kind),
            "range": [max(float(x), 1e-6) for x in range_mw],
        },
        "battery": {str(row): k for k, row in enumerate(batteries)},
        "badge": {
            "kind": list(badges.kind),
            "row": badges.row.tolist(),
            "bus": badges.bus.tolist(),
            "x": _rounded(badges.x),
            "y": _rounded(badges.y),
        },
    }


def _rounded(values: FloatArray) -> list[float]:
    return [float(f"{x:.6g}") for x in values]
