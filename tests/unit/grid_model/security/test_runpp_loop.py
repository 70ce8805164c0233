"""N-1 of pandapower's own grids against a plain loop of `runpp` over the nets themselves, outage by outage.

The loop shares nothing with the screening but the net: it takes elements out of service in pandapower's tables, finds
the islands with networkx, and judges pandapower's own results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandapower as pp
import pandapower.networks
import pytest

from cases.arrays import CaseDataError
from grid_model.power_flow.open_case import open_grid
from grid_model.security.contingency import screen
from grid_model.security.outage import published_point

UNLIMITED_MVA = 9890.0  # files write 9900 or more where there is no rating


@dataclass
class RunppLoop:
    """A net whose outages are solved one by one.

    Machines share what is unbalanced by their size, as the screening does; `shared=False` leaves it to the slack
    machine alone, as `runpp` does unless told otherwise.
    """

    name: str
    shared: bool = True

    def __post_init__(self) -> None:
        net = getattr(pandapower.networks, self.name)()
        if "tap_dependency_table" not in net.trafo:
            net.trafo["tap_dependency_table"] = (
                False  # without this column every solve warns that it is missing
            )
        self.solve(net, distributed_slack=False)
        for (
            index
        ) in net.ext_grid.index:  # so that the reference has a schedule to share from, and can be lost
            p_mw = net.res_ext_grid.at[index, "p_mw"]
            pp.create_gen(
                net, net.ext_grid.at[index, "bus"], p_mw, net.ext_grid.at[index, "vm_pu"], slack=True,
                max_p_mw=net.ext_grid.at[index, "max_p_mw"],
            )  # fmt: skip
        net.ext_grid = net.ext_grid.iloc[:0]
        self.net = net
        size = net.gen["max_p_mw"].to_numpy(float)
        # What open_grid assumes where a machine has no size.
        no_size = ~((size > 0.0) & (size < 1e6))
        size[no_size] = np.maximum(1.25 * np.abs(net.gen["p_mw"].to_numpy()[no_size]), 1.0)
        self.size = size

    @staticmethod
    def solve(net: Any, *, distributed_slack: bool, init: str = "dc") -> None:
        pp.runpp(
            net, init=init, trafo_model="pi", calculate_voltage_angles=True, tolerance_mva=1e-8, max_iteration=30,
            distributed_slack=distributed_slack, numba=False, lightsim2grid=False,
        )  # fmt: skip

    def machines(self, buses: list[int]) -> list[int]:
        """Row of the machine at each of these buses, several at one bus in their order."""
        left = list(range(len(self.net.gen)))
        found = []
        for bus in buses:
            row = next(k for k in left if self.net.gen["bus"].iloc[k] == bus)
            left.remove(row)
            found.append(row)
        return found

    def outcome(self, element: str, row: int) -> str:
        """What the loss of one line, transformer or generator comes to."""
        net = self.net
        for table in (net.bus, net.line, net.trafo, net.gen):
            table["in_service"] = True
        net[element].loc[net[element].index[row], "in_service"] = False
        main = self.main_island()
        net.bus["in_service"] = net.bus.index.isin(main)
        on = net.gen["in_service"].to_numpy() & net.gen["bus"].isin(main).to_numpy()
        net.gen["in_service"] = on
        slack = net.gen["slack"].to_numpy()
        if not slack[on].any():  # lost: the largest one left gives the reference
            slack = np.arange(len(on)) == np.where(on, self.size, -1.0).argmax()
        before = net.gen["slack"].copy()
        net.gen["slack"] = slack
        net.gen["slack_weight"] = np.where(on, self.size, 0.0) / self.size[on].sum()
        rest = self.rest(main)
        net.gen["slack"] = before
        return rest if len(main) == len(net.bus) else f"islanded_{rest}"

    def main_island(self) -> set[int]:
        net, graph = self.net, nx.MultiGraph()
        graph.add_nodes_from(net.bus.index)
        for table, ends in ((net.line, ("from_bus", "to_bus")), (net.trafo, ("hv_bus", "lv_bus"))):
            on = table[table["in_service"]]
            graph.add_edges_from(zip(on[ends[0]], on[ends[1]], strict=True))
        size = dict.fromkeys(net.bus.index, 0.0)
        for bus, mva in zip(net.gen["bus"], self.size, strict=True):
            size[bus] += mva
        islands = [set(island) for island in nx.connected_components(graph)]
        return max(islands, key=lambda island: (sum(size[bus] for bus in island), len(island)))

    def rest(self, main: set[int]) -> str:
        net = self.net
        for init in ("dc", "flat"):
            try:
                self.solve(net, distributed_slack=self.shared, init=init)
                break
            except pp.LoadflowNotConverged:
                continue
        else:
            return "diverged"
        bus, vm_pu = net.bus.loc[sorted(main)], net.res_bus["vm_pu"].loc[sorted(main)]
        low, high = bus["min_vm_pu"].fillna(0.9), bus["max_vm_pu"].fillna(1.1)
        broken = (vm_pu > high + 1e-6).any() or (vm_pu < low - 1e-6).any()
        for table, result, ends in (
            (net.line, net.res_line, ("from", "to")),
            (net.trafo, net.res_trafo, ("hv", "lv")),
        ):
            s_mva = np.max(
                [np.hypot(result[f"p_{end}_mw"], result[f"q_{end}_mvar"]).fillna(0.0) for end in ends], axis=0
            )
            if table is net.line:
                rating = np.sqrt(3.0) * net.bus["vn_kv"].loc[table["from_bus"]].to_numpy() * table["max_i_ka"]
            else:
                rating = table["sn_mva"]
            rating = (rating * table["parallel"] * table["df"]).to_numpy()
            if "max_loading_percent" in table:
                rating = rating * table["max_loading_percent"].fillna(100.0).to_numpy() / 100.0
            limited = (rating > 0.0) & (rating < UNLIMITED_MVA)
            broken |= bool(np.any(100.0 * s_mva[limited] / rating[limited] > 100.0 + 1e-4))
        return "violated" if broken else "secure"


def both(name: str, every: int = 1, *, shared: bool = True) -> dict[str, tuple[str, str]]:
    """Outcomes of the screening and of the loop, by the name of the element."""
    case = open_grid(name).case
    loop = RunppLoop(name, shared)
    results = screen(case, published_point(case)).results
    n_line = len(loop.net.line)
    # Labels of buses are pandapower's indices, or the numbers that its buses are named by.
    bus_of = {int(number): int(number) for number in case.bus.bus_number}
    if not set(bus_of) <= set(loop.net.bus.index) or loop.net.bus["name"].astype(str).str.isdigit().all():
        bus_of = {int(label): int(index) for index, label in loop.net.bus["name"].items()}
    machine = loop.machines([bus_of[int(case.bus.bus_number[bus])] for bus in case.machine.bus])
    found = {}
    for result in results[::every]:
        outage = result.outage
        if outage.kind == "machine":
            theirs = loop.outcome("gen", machine[outage.row])
        else:
            row = int(case.branch.corridor[outage.row]) - 1
            theirs = loop.outcome("line", row) if row < n_line else loop.outcome("trafo", row - n_line)
        found[outage.name] = result.outcome, theirs
    return found


@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("case24_ieee_rts", 5),
        *(
            pytest.param(name, 1, marks=pytest.mark.slow)
            for name in ("case24_ieee_rts", "case39", "case118", "case300", "case_illinois200")
        ),
    ],
)
def test_every_outcome_is_that_of_a_loop_of_runpp(name, every):
    try:
        found = both(name, every)
    except CaseDataError as error:
        pytest.skip(f"cannot be opened: {error}")
    assert {element: pair for element, pair in found.items() if pair[0] != pair[1]} == {}
    assert len({ours for ours, _ in found.values()}) > 1  # else nothing was asked
