"""Grids of pandapower, each opened and solved, against what pandapower itself finds: one row of a table for each.

The distance is |v - v_net| at every living bus of the net, angles included; `runpp` has trafo_model="pi" and stops at
1e-10 pu, or at 1e-8 pu where rounding allows no less. Each grid has a process of its own, so that its memory can be
told: with all that is imported, some 300 MB.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context

from cases.processes.ending import process_pool
from grid_model.validation.power_flow_checks import ENGINE_LIMIT_PU

GRIDS = (
    *(
        "case4gs",
        "case5",
        "case6ww",
        "case9",
        "case14",
        "case24_ieee_rts",
        "case30",
        "case_ieee30",
        "case33bw",
    ),
    *(
        "case39",
        "case57",
        "case89pegase",
        "case118",
        "case145",
        "case_illinois200",
        "case300",
        "case1354pegase",
    ),
    *(
        "case1888rte",
        "case2848rte",
        "case2869pegase",
        "case3120sp",
        "case6470rte",
        "case6495rte",
        "case6515rte",
    ),
    *("case9241pegase", "GBreducednetwork", "GBnetwork", "iceland", "example_multivoltage", "example_simple"),
    *("simple_four_bus_system", "mv_oberrhein", "create_cigre_network_hv", "create_cigre_network_mv"),
    "create_cigre_network_lv",
)
HEADER = f"{'grid':26} {'buses':>6} {'circuits':>8} {'islands':>7} {'max dv [pu]':>12} {'s':>6} {'CPU s':>6} {'MB':>5}"


@dataclass(frozen=True, kw_only=True)
class GridRow:
    """What became of one grid; figures are 0 where it was refused."""

    name: str
    refused: str = ""  # why, in one line; empty if it was opened
    n_bus: int = 0
    n_circuit: int = 0
    n_island: int = 0
    max_dv_pu: float = 0.0
    seconds: float = 0.0  # from the name to voltages, pandapower's own solution included, imports not
    cpu_seconds: float = 0.0  # of it on a processor
    memory_mb: float = 0.0  # most of the process

    @property
    def holds(self) -> bool:
        """Whether the voltages are pandapower's."""
        return not self.refused and self.max_dv_pu <= ENGINE_LIMIT_PU

    def line(self) -> str:
        """The row as text."""
        if self.refused:
            return f"{self.name:26} {self.refused}"
        mark = "" if self.holds else "  FAILED"
        return (
            f"{self.name:26} {self.n_bus:6d} {self.n_circuit:8d} {self.n_island:7d} {self.max_dv_pu:12.1e} "
            f"{self.seconds:6.1f} {self.cpu_seconds:6.1f} {self.memory_mb:5.0f}{mark}"
        )


def check_grid(name: str) -> GridRow:
    """Open and solve one grid."""
    from cases.arrays import CaseDataError
    from grid_model.power_flow.open_case import distance_to_net, open_and_solve

    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    try:
        opened = open_and_solve(name)
    except CaseDataError as error:
        return GridRow(name=name, refused=str(error))
    seconds, cpu_seconds = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    assert opened.net is not None, "a name of pandapower's has a net"
    return GridRow(
        name=name,
        n_bus=opened.case.n_bus,
        n_circuit=opened.case.n_branch,
        n_island=opened.case.n_island,
        max_dv_pu=float(distance_to_net(opened.case, opened.v_pu, opened.net).max()),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    )


def check_grids(names: Sequence[str] = GRIDS) -> Iterator[GridRow]:
    """One row after the other, each from a process of its own."""
    with process_pool(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in names:
            yield pool.submit(_check_when_warm, name).result()


def _check_when_warm(name: str) -> GridRow:
    check_grid("case4gs")  # imports pandapower and loads the kernels
    return check_grid(name)
