"""Outages one by one by pandapower, the oracle."""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.network.pandapower_net import build_network, set_reactor_share, switch_circuits
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.power_flow.solution import PowerFlowDiverged, governor_share
from grid_model.security.ac_solutions import BY_NONE, BY_PANDAPOWER, AcSolutions, larger_flows_mva
from grid_model.security.outage import OperatingPoint, Outage, outage_topology, single_outages

__all__ = ["PandapowerScreen"]


class PandapowerScreen:
    """AC screening with pandapower, outage by outage, each from its own DC start: slow, and the oracle."""

    def __init__(
        self,
        case: Case,
        outages: tuple[Outage, ...] | None = None,
        limits: ReactiveLimits | None = None,
    ) -> None:
        self.case = case
        self.outages = single_outages(case) if outages is None else outages
        self.topology = outage_topology(case, self.outages)
        self._net = build_network(case)
        self._limits = limits
        # pandapower knows no infinite limits, but leaves those open that are no number.
        if limits is not None:
            for column, q_mvar in (("min_q_mvar", limits.q_min_mvar), ("max_q_mvar", limits.q_max_mvar)):
                self._net.gen[column] = np.where(np.isfinite(q_mvar), q_mvar, np.nan)
        self._feeding = np.concatenate([case.resource.of_kind("gas"), case.resource.of_kind("dr")])
        self._storage = case.resource.of_kind("bess")
        self.base_v_pu: ComplexArray = np.zeros(case.n_bus, dtype=np.complex128)

    def solve(self, point: OperatingPoint) -> AcSolutions:
        """Solve every outage.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        base_v_pu = self.voltages(point, None)
        if base_v_pu is None:
            raise PowerFlowDiverged(f"case {self.case.name}: no solution before any outage")
        self.base_v_pu = base_v_pu
        found = [self.voltages(point, k) for k in range(len(self.outages))]
        dead = np.zeros(self.case.n_bus, dtype=np.complex128)
        v_pu = np.stack([dead if v is None else v for v in found])
        return AcSolutions(
            v_pu=v_pu,
            flow_mva=larger_flows_mva(self.case, v_pu, self.topology.branch_in_service),
            solved=np.array([v is not None for v in found], dtype=np.bool_),
            solved_by=tuple(BY_NONE if v is None else BY_PANDAPOWER for v in found),
        )

    def voltages(self, point: OperatingPoint, outage: int | None) -> ComplexArray | None:
        """Voltages after one outage, or before any; dead buses at zero. None if there is no solution.

        With reactive limits pandapower's answer is one only if it satisfies the conditions of `ReactiveLimits`.
        """
        if outage is not None and not self.topology.machine_in_service[outage].any():
            return None
        self._set_power(point)
        self._set_topology(outage)
        limits = self._limits
        try:
            found = solve_with_pandapower(self._net, enforce_q_lims=limits is not None)
        except PowerFlowDiverged:
            return None
        v_pu = np.where(np.isnan(found.v_pu), 0.0, found.v_pu)
        if limits is not None:
            machine_on = _after(self.topology.machine_in_service, outage)
            if not limits.are_met(self.case.machine, machine_on, found.machine_q_mvar, np.abs(v_pu)):
                return None
        return v_pu

    def _set_power(self, point: OperatingPoint) -> None:
        net = self._net
        set_reactor_share(net, self.case, point.reactor_share)
        net.load["p_mw"], net.load["q_mvar"] = point.p_load_mw, point.q_load_mvar
        net.gen["p_mw"] = point.p_machine_mw
        if len(net.sgen):
            net.sgen["p_mw"] = np.concatenate([point.p_renewable_mw, point.p_resource_mw[self._feeding]])
        if len(net.storage):
            net.storage["p_mw"] = -point.p_resource_mw[self._storage]  # pandapower counts it as consumption

    def _set_topology(self, outage: int | None) -> None:
        """Switch elements; a lost slack machine hands the reference angle to the largest one left."""
        case, net, topology = self.case, self._net, self.topology
        live, branch_on = _after(topology.bus_live, outage), _after(topology.branch_in_service, outage)
        machine_on, resource_on = (
            _after(topology.machine_in_service, outage),
            _after(topology.resource_in_service, outage),
        )
        switch_circuits(net, case, branch_on, live)
        if case.n_dc_line:
            net.dcline["in_service"] = _after(topology.dc_line_in_service, outage)
        if len(net.sgen):
            renewable_on = _after(topology.renewable_in_service, outage)
            net.sgen["in_service"] = np.concatenate([renewable_on, resource_on[self._feeding]])
        if len(net.storage):
            net.storage["in_service"] = resource_on[self._storage]
        net.gen["in_service"] = machine_on
        net.gen["slack_weight"] = governor_share(case.machine, machine_on)
        reference = case.machine.slack_machine
        if not machine_on[reference]:
            reference = int(np.where(machine_on, case.machine.rating_mva, -1.0).argmax())
        net.gen["slack"] = np.arange(case.n_machine) == reference


def _after(in_service: BoolArray, outage: int | None) -> BoolArray:
    """Row of an outage; everything in service before any."""
    if outage is None:
        return np.ones(in_service.shape[1], dtype=np.bool_)
    row: BoolArray = in_service[outage]
    return row
