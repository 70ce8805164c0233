"""A list of outages by the batched Newton method, in parts that fit into memory for any length and any grid."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.security.ac_solutions import (
    BY_ENGINE,
    BY_NONE,
    BY_PANDAPOWER,
    BY_SECOND_START,
    AcSolutions,
    larger_flows_mva,
)
from grid_model.security.newton_screen import NewtonScreen
from grid_model.security.outage import OperatingPoint, Outage, outage_topology, part_of, single_outages
from grid_model.security.pandapower_screen import PandapowerScreen

__all__ = ["NewtonOutages", "part_size"]

PART = 2048  # outages that are solved together at most
PART_BYTES = 256 * 2**20  # what they may take


class NewtonOutages:
    """A list of outages by the batched Newton method; what it leaves unsolved is asked of pandapower.

    Attributes:
        outages: every single one, or the list given; topology: what each leaves in service.
        base_v_pu: solution before any outage of the last point, [bus].
    """

    def __init__(
        self,
        case: Case,
        outages: tuple[Outage, ...] | None = None,
        limits: ReactiveLimits | None = None,
    ) -> None:
        """The list is solved in parts that fit into memory for any length and any grid.

        Args:
            case: the grid.
            outages: every single outage if None.
            limits: reactive powers that the machines keep to; None for any.
        """
        self._limits = limits
        self.outages = single_outages(case) if outages is None else outages
        self.topology = outage_topology(case, self.outages)
        self._case = case
        self._oracle: PandapowerScreen | None = None  # built when it is first needed
        self.base_v_pu: ComplexArray = np.zeros(case.n_bus, dtype=np.complex128)

    def solve(self, point: OperatingPoint) -> AcSolutions:
        """Solve each outage from the base case, then from a flat start, then with pandapower.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        parts = [solutions for _, solutions in self.parts(point)]
        return AcSolutions(
            v_pu=np.concatenate([part.v_pu for part in parts]),
            flow_mva=np.concatenate([part.flow_mva for part in parts]),
            solved=np.concatenate([part.solved for part in parts]),
            solved_by=tuple(by for part in parts for by in part.solved_by),
        )

    def parts(self, point: OperatingPoint) -> Iterator[tuple[slice, AcSolutions]]:
        """The same in parts of the list, one after the other, with a bar on a terminal where there are several.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        n, size = len(self.outages), part_size(self._case)
        newton: NewtonScreen | None = None
        with tqdm(total=n, unit=" outages", leave=False, disable=n <= size or not sys.stderr.isatty()) as bar:
            for begin in range(0, n, size):
                part = slice(begin, min(begin + size, n))
                topology = part_of(self.topology, part)
                if newton is not None and len(newton.solved) == part.stop - begin:
                    newton.take(topology)
                else:
                    newton = NewtonScreen(self._case, topology, self._limits)
                newton.solve(point)
                newton.confirm(point)
                self.base_v_pu = newton.base_v_pu
                yield part, self._confirmed(point, begin, newton)
                bar.update(part.stop - begin)

    def _confirmed(self, point: OperatingPoint, begin: int, newton: NewtonScreen) -> AcSolutions:
        """What pandapower makes of the rest; the list's part begins at this outage."""
        v_pu, flow_mva, solved = newton.v_pu.copy(), newton.flow_mva.copy(), newton.solved.copy()
        solved_by = [
            BY_NONE if not found else BY_SECOND_START if second else BY_ENGINE
            for found, second in zip(solved, newton.second_start, strict=True)
        ]
        topology = newton.topology
        for k in np.flatnonzero(~solved & topology.machine_in_service.any(axis=1)):
            if self._oracle is None:
                self._oracle = PandapowerScreen(self._case, self.outages, self._limits)
            found_v_pu = self._oracle.voltages(point, begin + int(k))
            if found_v_pu is not None:
                v_pu[k], solved[k], solved_by[k] = found_v_pu, True, BY_PANDAPOWER
                flow_mva[k] = larger_flows_mva(
                    self._case, found_v_pu[None], topology.branch_in_service[k : k + 1]
                )[0]
        return AcSolutions(v_pu=v_pu, flow_mva=flow_mva, solved=solved, solved_by=tuple(solved_by))


def part_size(case: Case) -> int:
    """How many outages of a grid are solved together."""
    # Voltages, powers and starts at buses, flows at circuits' ends, and the rows of `batch_rows.Grids`.
    outage_bytes = 8 * (22 * case.n_bus + 12 * case.n_branch)
    return max(min(PART, PART_BYTES // outage_bytes), 8)
