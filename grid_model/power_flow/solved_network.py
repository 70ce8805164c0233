"""What pandapower solved, as the numbers a `BatchSolver` takes: for checks and comparisons on other people's grids.

pandapower keeps the matrices of its last power flow. From them come two-ports, shunts, injections and the buses that
hold their voltage; everything that pandapower knows of lines, transformers, phase shifters and impedances is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.batch_solver import BatchSolver, TwoPorts

if TYPE_CHECKING:
    from pandapower import pandapowerNet


@dataclass(frozen=True, kw_only=True)
class SolvedNetwork:
    """A grid and its power flow in pandapower's own order of buses, per unit of `base_mva`."""

    two_ports: TwoPorts
    shunt_pu: ComplexArray  # [bus]
    machine_bus: IntArray  # buses that hold their voltage
    reference_bus: int
    injection_mva: ComplexArray  # [bus]; of machines the active power only, of the reference bus what it gave
    v_pu: ComplexArray  # pandapower's solution, [bus]
    base_mva: float

    def solver(self, n_env: int) -> BatchSolver:
        """A batch of this grid, everything in service, the reference bus taking the imbalance."""
        n_bus = len(self.v_pu)
        solver = BatchSolver(
            n_bus,
            self.two_ports,
            machine_bus=self.machine_bus,
            reference_bus=self.reference_bus,
            n_env=n_env,
            base_mva=self.base_mva,
        )
        weight: FloatArray = np.zeros(n_bus)
        weight[self.reference_bus] = 1.0
        vm_set_pu: FloatArray = np.zeros(n_bus)
        vm_set_pu[self.machine_bus] = np.abs(self.v_pu[self.machine_bus])
        everything = np.ones(len(self.two_ports.from_bus), dtype=np.bool_)
        for env in range(n_env):
            solver.switch(env, everything, self.shunt_pu, np.zeros(n_bus, dtype=np.int64), weight, vm_set_pu)
        return solver


def solved_network(net: pandapowerNet) -> SolvedNetwork:
    """The last power flow of a net, solved with a single slack bus.

    Raises:
        ValueError: the net has several reference buses.
    """
    ppc = net._ppc["internal"]
    if len(ppc["ref"]) != 1:
        raise ValueError(f"{len(ppc['ref'])} reference buses, expected one")
    from_bus = ppc["branch"][:, 0].real.astype(np.int64)
    to_bus = ppc["branch"][:, 1].real.astype(np.int64)
    row = np.arange(len(from_bus))
    y_from, y_to = ppc["Yf"].tocsr(), ppc["Yt"].tocsr()

    def at(matrix: object, column: IntArray) -> ComplexArray:
        return np.asarray(matrix[row, column]).ravel().astype(np.complex128)  # type: ignore[index]

    ports = TwoPorts(
        from_bus=from_bus,
        to_bus=to_bus,
        y_ff_pu=at(y_from, from_bus),
        y_ft_pu=at(y_from, to_bus),
        y_tf_pu=at(y_to, from_bus),
        y_tt_pu=at(y_to, to_bus),
    )
    shunt_pu = np.asarray(ppc["Ybus"].diagonal()).astype(np.complex128)
    np.add.at(shunt_pu, from_bus, -ports.y_ff_pu)
    np.add.at(shunt_pu, to_bus, -ports.y_tt_pu)
    reference = int(ppc["ref"][0])
    v_pu = np.asarray(ppc["V"]).astype(np.complex128)
    machines = np.union1d(ppc["pv"], ppc["ref"]).astype(np.int64)
    power = v_pu * np.conj(ppc["Ybus"] @ v_pu)
    return SolvedNetwork(
        two_ports=ports,
        shunt_pu=shunt_pu,
        machine_bus=machines,
        reference_bus=reference,
        injection_mva=power * float(ppc["baseMVA"]),
        v_pu=v_pu,
        base_mva=float(ppc["baseMVA"]),
    )
