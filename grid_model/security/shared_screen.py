"""A list of outages shared out over an executor: processes of this machine, or tasks of a cluster."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from itertools import chain

from tqdm import tqdm

from cases.case import Case
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.security.contingency import EngineName, screen
from grid_model.security.newton_outages import part_size
from grid_model.security.outage import OperatingPoint, Outage, single_outages
from grid_model.security.verdict import Screening

__all__ = ["shared_screen"]

N_PART = 16  # at least, where a list is long enough: of these a cluster's nodes take one after the other
FEWEST_OUTAGES = 8  # of a part


def shared_screen(
    pool: Executor,
    case: Case,
    point: OperatingPoint,
    engine: EngineName = "newton",
    outages: tuple[Outage, ...] | None = None,
    limits: ReactiveLimits | None = None,
) -> Screening:
    """What `screen` finds, in parts that are solved wherever the executor solves them.

    An outage's solution does not depend on the outages that are solved beside it, so neither does the result depend on
    the parts.

    Args:
        pool: shares out the parts.
        case: the grid.
        point: loads, plants, machines and reactors before any outage.
        engine: `newton` or `pandapower`, which take lists.
        outages: every single outage if None.
        limits: reactive powers that the machines keep to.

    Raises:
        PowerFlowDiverged: the grid has no solution even before any outage.
        ValueError: the engine takes no list.
    """
    listed = single_outages(case) if outages is None else outages
    size = max(min(part_size(case), -(-len(listed) // N_PART)), FEWEST_OUTAGES)
    starts = range(0, max(len(listed), 1), size)
    parts = [pool.submit(screen, case, point, engine, listed[k : k + size], limits) for k in starts]
    found = []
    with tqdm(total=len(listed), unit=" outages", leave=False, disable=None) as bar:
        for part in parts:
            found.append(part.result())
            bar.update(len(found[-1].results))
    return replace(found[0], results=tuple(chain.from_iterable(part.results for part in found)))
