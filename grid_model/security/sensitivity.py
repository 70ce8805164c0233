"""DC power flow by sensitivities: what each injection and each outage does to every circuit.

Voltages at 1 pu, no resistance, small angles: P_k = (theta_from - theta_to) / (x_k t_k). Power transfer
distribution factors (PTDF) give flows from injections, line outage distribution factors (LODF) give flows
after the loss of a circuit from flows before it, so that screening every outage of a batch of grids is one
pass over [env, outage, branch]. No
voltages, no reactive power, no losses: a branch is judged on active power alone.

Reference: A. J. Wood, B. F. Wollenberg, G. B. Sheblé, Power Generation, Operation, and Control, 3rd ed.,
Wiley, 2014, sec. 7.3 and app. 7A.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, CaseDataError, FloatArray, IntArray
from cases.case import Case
from grid_model.compilation import compiled
from grid_model.network.topology import live_buses
from grid_model.security.outage import OperatingPoint, bus_injection_mva, outage_topology, single_outages


def branch_susceptance_mw(case: Case, branch_in_service: BoolArray) -> FloatArray:
    """Active power per radian across each circuit, S_base / (x t) [MW/rad], zero where out, [branch]."""
    return np.where(branch_in_service, case.base_mva / (case.branch.reactance_pu * case.branch.tap), 0.0)


def transfer_factors(case: Case, branch_in_service: BoolArray | None = None) -> FloatArray:
    """PTDF: flow in each circuit per MW injected at a bus and taken out at the reference.

        PTDF = B_f B^-1,   B = A^T diag(b) A,   B_f = diag(b) A

    The reference is the lowest live bus; for injections that sum to zero its choice does not matter.
    Injections at dead buses move nothing.

    Args:
        case: the grid.
        branch_in_service: [branch]; all if None.

    Returns:
        [branch, bus].
    """
    n, rows = case.n_bus, np.arange(case.n_branch)
    on = np.ones(case.n_branch, dtype=np.bool_) if branch_in_service is None else branch_in_service
    live = live_buses(case, on)
    incidence = np.zeros((case.n_branch, n))
    incidence[rows, case.branch.from_bus] = 1.0
    incidence[rows, case.branch.to_bus] = -1.0
    flow_per_rad = branch_susceptance_mw(case, on & live[case.branch.from_bus])[:, None] * incidence
    kept = np.flatnonzero(live)[1:]  # the reference is left out
    factors = np.zeros((case.n_branch, n))
    factors[:, kept] = np.linalg.solve(
        (incidence.T @ flow_per_rad)[np.ix_(kept, kept)].T, flow_per_rad[:, kept].T
    ).T
    return factors


def shift_flow_mw(case: Case, transfer: FloatArray) -> FloatArray:
    """Flows that phase shifters drive around their loops without any injection [MW], [branch].

    P_k = b_k (theta_from - theta_to - shift_k): a shift acts like b_k shift_k fed in at from_bus and taken out at
    to_bus, less that much flow in the circuit itself.

    Args:
        case: the grid.
        transfer: PTDF, [branch, bus].
    """
    drive_mw = branch_susceptance_mw(case, np.ones(case.n_branch, dtype=np.bool_)) * case.branch.shift_rad
    exchange = transfer[:, case.branch.from_bus] - transfer[:, case.branch.to_bus]
    flow: FloatArray = exchange @ drive_mw - drive_mw
    return flow


def outage_factors(case: Case, transfer: FloatArray) -> FloatArray:
    """LODF: share of the flow of a lost circuit that each other circuit takes over.

        LODF_lk = h_lk / (1 - h_kk),   h_lk = PTDF_l,from(k) - PTDF_l,to(k),   LODF_kk = -1

    A bridge carries all that is exchanged between its ends, h_kk = 1: its column is nan, because nothing
    can take its flow over.

    Args:
        case: the grid.
        transfer: PTDF, shape [branch, bus].

    Returns:
        Row: circuit that takes over; column: circuit lost. Shape [branch, branch].
    """
    exchange = transfer[:, case.branch.from_bus] - transfer[:, case.branch.to_bus]
    own = np.diag(exchange)
    # Rounding leaves a bridge some 1e-15 away from 1; the closest mesh of the 68 buses is 1e-2 away.
    bridge = np.abs(1.0 - own) < 1e-9
    factors: FloatArray = exchange / np.where(bridge, np.nan, 1.0 - own)[None, :]
    np.fill_diagonal(factors, np.where(bridge, np.nan, -1.0))
    return factors


def shared_injection_mw(p_bus_mw: FloatArray, share: FloatArray) -> FloatArray:
    """Injections after the machines have taken up the imbalance; they sum to zero.

        p_b - share_b sum_c p_c

    Args:
        p_bus_mw: scheduled injections [MW], shape [env, bus].
        share: share of each bus in the imbalance, sums to one, shape [bus] or [env, bus].
    """
    balanced: FloatArray = p_bus_mw - share * p_bus_mw.sum(axis=1, keepdims=True)
    return balanced


def dc_flow_mw(transfer: FloatArray, p_bus_mw: FloatArray) -> FloatArray:
    """Flows from injections that sum to zero, from end to to end [MW], shape [env, branch]."""
    flow: FloatArray = p_bus_mw @ transfer.T
    return flow


@compiled
def worst_after_circuit_outage(
    flow_mw: FloatArray, outage_factor: FloatArray, rating_mw: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Highest loading after the loss of each circuit, and where.

        f_l' = f_l + LODF_lk f_k

    Args:
        flow_mw: f before any outage [MW], shape [env, branch].
        outage_factor: LODF with the lost circuit in the row, shape [outage, branch]: the transpose of
            `outage_factors`,
            so that memory is read in order.
        rating_mw: rating after an outage [MW], shape [branch].

    Returns:
        Loading in percent, shape [env, outage], nan for bridges; position of that circuit, shape [env,
        outage].
    """
    n_env, n_branch = flow_mw.shape
    n_outage = outage_factor.shape[0]
    percent = np.empty((n_env, n_outage))
    worst = np.empty((n_env, n_outage), dtype=np.int64)
    per_rating = 100.0 / rating_mw
    for env in range(n_env):
        for k in range(n_outage):
            f_lost = flow_mw[env, k]
            if np.isnan(outage_factor[k, k]):
                percent[env, k], worst[env, k] = np.nan, -1
                continue
            highest, where = -1.0, -1
            for branch in range(n_branch):
                loading = abs(flow_mw[env, branch] + outage_factor[k, branch] * f_lost) * per_rating[branch]
                if loading > highest:
                    highest, where = loading, branch
            percent[env, k], worst[env, k] = highest, where
    return percent, worst


@compiled
def worst_after_power_loss(
    free_flow_mw: FloatArray,
    imbalance_mw: FloatArray,
    lost_mw: FloatArray,
    bus: IntArray,
    bus_factor: FloatArray,
    pick_up_factor: FloatArray,
    in_service: BoolArray,
    rating_mw: FloatArray,
) -> tuple[FloatArray, IntArray]:
    """Highest loading after each loss of injected power at one bus, and where.

        f_l' = q_l - a PTDF_l,b - (sum_c p_c - a) sum_c PTDF_lc share_c

    q is the flow of the schedule alone, its imbalance left at the reference; a is what is lost at bus b. An
    island that is cut off acts on the rest as if its whole injection stood at the live end of the circuit
    lost.

    Args:
        free_flow_mw: q [MW], shape [env, branch].
        imbalance_mw: sum of all scheduled injections [MW], shape [env].
        lost_mw: a [MW], shape [env, outage].
        bus: b, shape [outage].
        bus_factor: PTDF with the bus in the row, shape [bus, branch].
        pick_up_factor: flow per MW that the remaining machines feed in by their share, shape [outage,
            branch].
        in_service: circuits left after the outage, shape [outage, branch].
        rating_mw: rating after an outage [MW], shape [branch].

    Returns:
        Loading in percent and position of that circuit, both of shape [env, outage].
    """
    n_env, n_branch = free_flow_mw.shape
    n_outage = len(bus)
    percent = np.empty((n_env, n_outage))
    worst = np.empty((n_env, n_outage), dtype=np.int64)
    per_rating = 100.0 / rating_mw
    for env in range(n_env):
        for k in range(n_outage):
            lost = lost_mw[env, k]
            rest = imbalance_mw[env] - lost
            highest, where = -1.0, -1
            for branch in range(n_branch):
                if in_service[k, branch]:
                    flow = free_flow_mw[env, branch] - lost * bus_factor[bus[k], branch]
                    loading = abs(flow - rest * pick_up_factor[k, branch]) * per_rating[branch]
                    if loading > highest:
                        highest, where = loading, branch
            percent[env, k], worst[env, k] = highest, where
    return percent, worst


class LinearScreen:
    """DC screening of every single outage for a batch of operating points on the whole grid.

    Factors are computed once; `worst` is a pass of multiply and compare. Outages stand in the order of
    `outage.single_outages`.
    """

    def __init__(self, case: Case) -> None:
        """Compute the factors.

        Raises:
            CaseDataError: the grid has DC lines, whose loss is none of these outages, or several islands.
        """
        if case.n_dc_line:
            raise CaseDataError(
                f"case {case.name}: {case.n_dc_line} DC lines, expected none for DC sensitivities. Screen by newton."
            )
        self.case = case
        self.outages = single_outages(case)
        topology = outage_topology(case, self.outages)
        self._transfer = transfer_factors(case)
        self._shift_flow_mw = shift_flow_mw(case, self._transfer)
        self._bus_factor = np.ascontiguousarray(self._transfer.T)
        self._outage_factor = np.ascontiguousarray(outage_factors(case, self._transfer).T)
        self._share = self._bus_share(np.ones((1, case.n_machine), dtype=np.bool_))
        islanding = topology.islanding
        plant = np.arange(case.n_branch, len(self.outages))
        self._bridge = np.flatnonzero(islanding)
        self._power_loss = np.concatenate([self._bridge, plant])
        self._dead = (~topology.bus_live[self._bridge]).astype(np.float64)
        from_live = topology.bus_live[self._bridge, case.branch.from_bus[self._bridge]]
        live_end = np.where(from_live, case.branch.from_bus[self._bridge], case.branch.to_bus[self._bridge])
        plant_bus = np.concatenate([case.machine.bus, case.renewable.bus, case.resource.bus])
        self._lost_at = np.concatenate([live_end, plant_bus])
        self._in_service = topology.branch_in_service[self._power_loss]
        pick_up = self._bus_share(topology.machine_in_service[self._power_loss])
        self._pick_up_factor = np.ascontiguousarray(pick_up @ self._transfer.T)

    def worst(self, points: tuple[OperatingPoint, ...]) -> tuple[FloatArray, IntArray]:
        """Highest loading of rate B [percent] after each outage and the row it is in, both [env, outage]."""
        p_bus_mw = np.stack([self._bus_power(point) for point in points])
        p_plant_mw = np.stack(
            [np.concatenate([p.p_machine_mw, p.p_renewable_mw, p.p_resource_mw]) for p in points]
        )
        return self.worst_of(p_bus_mw, p_plant_mw)

    def worst_of(self, p_bus_mw: FloatArray, p_plant_mw: FloatArray) -> tuple[FloatArray, IntArray]:
        """As `worst`, from arrays.

        Args:
            p_bus_mw: scheduled injection at every bus [MW], shape [env, bus].
            p_plant_mw: the part of it that each machine, renewable plant and controllable plant feeds in
                [MW], in this
                order, shape [env, plant].
        """
        rating_mw = self.case.branch.rate_b_mva
        free_flow_mw = dc_flow_mw(self._transfer, p_bus_mw) + self._shift_flow_mw
        flow_mw = dc_flow_mw(self._transfer, shared_injection_mw(p_bus_mw, self._share)) + self._shift_flow_mw
        percent = np.empty((len(p_bus_mw), len(self.outages)))
        worst = np.empty(percent.shape, dtype=np.int64)
        n_branch = self.case.n_branch
        percent[:, :n_branch], worst[:, :n_branch] = worst_after_circuit_outage(
            flow_mw, self._outage_factor, rating_mw
        )
        percent[:, self._power_loss], worst[:, self._power_loss] = worst_after_power_loss(
            free_flow_mw,
            p_bus_mw.sum(axis=1),
            np.concatenate([p_bus_mw @ self._dead.T, p_plant_mw], axis=1),
            self._lost_at,
            self._bus_factor,
            self._pick_up_factor,
            self._in_service,
            rating_mw,
        )
        return percent, worst

    def base(self, points: tuple[OperatingPoint, ...]) -> tuple[FloatArray, IntArray]:
        """Highest loading of rate A [percent] before any outage, and the row of that circuit, both [env]."""
        p_bus_mw = np.stack([self._bus_power(point) for point in points])
        flow_mw = dc_flow_mw(self._transfer, shared_injection_mw(p_bus_mw, self._share)) + self._shift_flow_mw
        percent = 100.0 * np.abs(flow_mw) / self.case.branch.rate_a_mva
        return percent.max(axis=1), percent.argmax(axis=1)

    def _bus_power(self, point: OperatingPoint) -> FloatArray:
        return bus_injection_mva(self.case, point).real

    def _bus_share(self, machine_in_service: BoolArray) -> FloatArray:
        """Share of each bus in an imbalance, by the rating of the machines left, [outage, bus]."""
        machine = self.case.machine
        rating = np.where(machine_in_service, machine.rating_mva, 0.0)
        share = np.zeros((len(rating), self.case.n_bus))
        np.add.at(share.T, machine.bus, (rating / rating.sum(axis=1, keepdims=True)).T)
        return share
