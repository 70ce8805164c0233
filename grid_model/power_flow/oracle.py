"""AC power flow by pandapower, the oracle that everything else is checked against."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandapower import pandapowerNet
from grid_model.power_flow.solution import PowerFlowDiverged, Solution

__all__ = ["solve_with_pandapower"]


def solve_with_pandapower(
    net: pandapowerNet,
    *,
    distributed_slack: bool = True,
    tolerance_mva: float = 1e-8,
    enforce_q_lims: bool = False,
) -> Solution:
    """Solve a network of `grid_model.network.pandapower_net.build_network` with pandapower's Newton method.

    Args:
        net: network, elements in the order of the case tables; its result tables are filled.
        distributed_slack: share the imbalance by `slack_weight`, or leave it to the slack machine.
        tolerance_mva: largest mismatch of power at any bus [MVA].
        enforce_q_lims: turn machines beyond `min_q_mvar` and `max_q_mvar` into fixed powers; none ever turns back.

    Raises:
        PowerFlowDiverged: no solution within 30 iterations.
    """
    import pandapower

    def solve(init: str) -> None:
        pandapower.runpp(
            net,
            algorithm="nr",
            init=init,
            calculate_voltage_angles=True,
            distributed_slack=distributed_slack,
            # pandapower compares it with mismatches per unit of sn_mva, whatever its name says
            tolerance_mva=tolerance_mva / net.sn_mva,
            max_iteration=30,
            trafo_model="pi",
            enforce_q_lims=enforce_q_lims,
            numba=False,
            lightsim2grid=False,  # the oracle must not be the engine in disguise
        )

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                solve("dc")
            except FloatingPointError:  # a circuit without any reactance has no DC power flow
                solve("flat")
    except pandapower.LoadflowNotConverged as error:
        raise PowerFlowDiverged(
            f"pandapower found no solution of {net.name or 'the network'}: {error}"
        ) from error
    vm_pu = net.res_bus["vm_pu"].to_numpy()
    va_rad = np.deg2rad(net.res_bus["va_degree"].to_numpy())
    return Solution(
        v_pu=vm_pu * np.exp(1j * va_rad),
        machine_p_mw=net.res_gen["p_mw"].to_numpy().copy(),
        machine_q_mvar=net.res_gen["q_mvar"].to_numpy().copy(),
        iterations=int(net._ppc["iterations"]),
    )
