"""A grid of one's own: its power flow, and what breaks when one element is lost.

python examples/own_grid.py              pandapower's case39
python examples/own_grid.py mine.m       a MATPOWER file, or a pandapower net as .json
"""

import sys
from collections import Counter

from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.open_case import open_grid
from grid_model.security.contingency import screen
from grid_model.security.outage import published_point


def main(source="case39"):
    """Number of outages by what they lead to."""
    opened = open_grid(source)
    for note in opened.notes:
        print("assumed:", note)
    case = opened.case
    engine = NewtonEngine(case)
    losses_mw = float((engine.s_from_mva + engine.s_to_mva)[0].real.sum())
    print(f"{case.name}: {case.n_bus} buses, {case.n_branch} circuits, losses {losses_mw:.1f} MW")
    found = Counter(result.verdict for result in screen(case, published_point(case)).results)
    print(", ".join(f"{number} outages {verdict}" for verdict, number in found.items()))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
