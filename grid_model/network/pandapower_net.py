"""Case -> pandapower net: the only place that creates network elements.

Rows of the net's tables stand in the order of the case's tables, so a position in the case is an index:

    net.bus      buses                         net.gen      machines (slack=True on the slack machine)
    net.line     branch rows 0..n_line-1       net.load     loads
    net.trafo    branch rows from n_line on    net.shunt    reactors, fixed shunts, shunts of circuits
    net.sgen     renewable plants, then gas plants, then demand-response units
    net.storage  battery plants                net.dcline   DC lines

A transformer's high-voltage side is its `from_bus`, which carries the ratio. Ratios are given as one tap step
of a `Ratio` changer and never as off-nominal `vn_hv_kv`, which lightsim2grid would ignore without a word.
Admittances to ground of a circuit that its row cannot hold (a transformer's charging, iron loss, unequal ends) stand
as shunts at its ends, which `switch_circuits` loses with it. A circuit whose impedance differs in its two directions
stands as an `impedance`, and its row is never in service.
Plants that this project adds stand in the net with no power; whoever solves it sets theirs. Angles are this
project's, without the turns of vector groups. Left out: reactive limits of the machines and zero sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cases.arrays import BoolArray, CaseDataError, ComplexArray, FloatArray, IntArray
from cases.case import Case

# Size of a battery plant's store in the net's table; power flow does not use it.
STORAGE_MWH = 25.0


def build_network(
    case: Case,
    *,
    resources: bool = True,
    renewables: bool = True,
    reactors: bool = True,
    distributed_slack: bool = True,
) -> Any:
    """Build the pandapower net of a case.

    Args:
        case: the grid's tables.
        resources: create the controllable plants.
        renewables: create the wind and photovoltaic plants.
        reactors: create the shunt reactors, wholly switched in; `set_reactor_share` changes that.
        distributed_slack: give every machine its share of rating as slack weight, as its governor would
            share an imbalance; otherwise the slack machine alone takes it. `runpp` has to be told so too.

    Returns:
        pandapower net in MW, Mvar and kV at the case's nominal frequency.
    """
    import pandapower as pp

    placed = np.isfinite(case.bus.x) & np.isfinite(case.bus.y)
    net = pp.create_empty_network(name=case.name, f_hz=case.f0_hz, sn_mva=case.base_mva)
    pp.create_buses(
        net,
        case.n_bus,
        vn_kv=case.bus.vn_kv,
        name=[f"bus {n}" for n in case.bus.bus_number],
        zone=[case.area_names[a] for a in case.bus.area],
        min_vm_pu=case.bus.vm_min_pu,
        max_vm_pu=case.bus.vm_max_pu,
        geodata=list(zip(case.bus.x.tolist(), case.bus.y.tolist(), strict=True)) if placed.all() else None,
    )
    _create_lines(net, case)
    _create_transformers(net, case)
    _create_unequal_circuits(net, case)
    _create_machines(net, case, distributed_slack)
    pp.create_loads(
        net,
        case.load.bus,
        p_mw=case.load.p_mw,
        q_mvar=case.load.q_mvar,
        const_i_p_percent=100.0 * case.load.p_current_share,
        const_z_p_percent=100.0 * case.load.p_impedance_share,
        const_i_q_percent=100.0 * case.load.q_current_share,
        const_z_q_percent=100.0 * case.load.q_impedance_share,
        name=list(case.load.name),
    )
    if renewables and case.n_renewable:
        pp.create_sgens(
            net,
            case.renewable.bus,
            p_mw=0.0,
            q_mvar=0.0,
            sn_mva=case.renewable.p_max_mw,
            name=list(case.renewable.name),
            type=list(case.renewable.kind),
        )
    if resources:
        _create_resources(net, case)
    if reactors and case.n_reactor:
        pp.create_shunts(
            net,
            case.reactor.bus,
            q_mvar=case.reactor.q_mvar,
            p_mw=0.0,
            name=[f"reactor {case.bus.bus_number[b]}" for b in case.reactor.bus],
        )
    _create_fixed_shunts(net, case)
    _create_dc_lines(net, case)
    return net


def set_reactor_share(net: Any, case: Case, share: FloatArray | float) -> None:
    """Switch in this share of the reactor banks, [reactor] or one for all."""
    if case.n_reactor:
        net.shunt.loc[: case.n_reactor - 1, "q_mvar"] = share * case.reactor.q_mvar


def switch_circuits(net: Any, case: Case, branch_in_service: BoolArray, bus_live: BoolArray) -> None:
    """Switch buses and circuits, with what stands at them: loads, shunts and DC lines.

    Args:
        net: of `build_network` with reactors.
        case: the grid.
        branch_in_service: [branch].
        bus_live: [bus].
    """
    net.bus["in_service"] = bus_live
    direct = branch_in_service & ~case.branch.is_asymmetric
    net.line["in_service"], net.trafo["in_service"] = direct[: case.n_line], direct[case.n_line :]
    if len(net.impedance):
        net.impedance["in_service"] = branch_in_service[case.branch.is_asymmetric]
    net.load["in_service"] = bus_live[case.load.bus]
    own = circuit_shunts(case)
    net.shunt["in_service"] = np.concatenate(
        [bus_live[case.reactor.bus], bus_live[case.shunt.bus], branch_in_service[own.branch]]
    )
    if case.n_dc_line:
        net.dcline["in_service"] = bus_live[case.dc_line.from_bus] & bus_live[case.dc_line.to_bus]


def solve(net: Any) -> None:
    """AC power flow of a net of `build_network` by pandapower; results stand in the net's own tables.

    Raises:
        pandapower.LoadflowNotConverged: there is no solution.
    """
    import pandapower as pp

    pp.runpp(net, trafo_model="pi", calculate_voltage_angles=True, init="dc", tolerance_mva=1e-8)


@dataclass(frozen=True, kw_only=True)
class CircuitShunts:
    """Admittances to ground of circuits that stand as shunts of their own; every array has shape [circuit shunt]."""

    branch: IntArray
    bus: IntArray
    y_pu: ComplexArray


def circuit_shunts(case: Case) -> CircuitShunts:
    """What the rows cannot hold: all of a transformer's admittance to ground, of a line's all beside its charging."""
    branch = case.branch
    charging: ComplexArray = np.where(branch.is_transformer | branch.is_asymmetric, 0.5j * branch.b_pu, 0.0)
    at_from = (charging + branch.shunt_from_pu) / branch.tap**2
    at_to = charging + branch.shunt_to_pu
    row_from, row_to = np.flatnonzero(at_from), np.flatnonzero(at_to)
    return CircuitShunts(
        branch=np.concatenate([row_from, row_to]),
        bus=np.concatenate([branch.from_bus[row_from], branch.to_bus[row_to]]),
        y_pu=np.concatenate([at_from[row_from], at_to[row_to]]),
    )


def _create_lines(net: Any, case: Case) -> None:
    """Lines of 1 km: R = r Zb, X = x Zb, C = b / (Zb w) with Zb = V^2 / S and w = 2 pi f0."""
    import pandapower as pp

    branch, n = case.branch, case.n_line
    if n == 0:
        return
    vn_kv = case.bus.vn_kv[branch.from_bus[:n]]
    base_ohm = vn_kv**2 / case.base_mva
    pp.create_lines_from_parameters(
        net,
        from_buses=branch.from_bus[:n],
        to_buses=branch.to_bus[:n],
        length_km=1.0,
        r_ohm_per_km=branch.r_pu[:n] * base_ohm,
        x_ohm_per_km=branch.x_pu[:n] * base_ohm,
        c_nf_per_km=branch.b_pu[:n] / base_ohm / (2.0 * np.pi * case.f0_hz) * 1e9,
        max_i_ka=branch.rate_a_mva[:n] / (np.sqrt(3.0) * vn_kv),
        name=list(branch.name[:n]),
        max_loading_percent=100.0,
        in_service=~branch.is_asymmetric[:n],
    )


def _create_transformers(net: Any, case: Case) -> None:
    """Transformers rated at rate A; vk = |z| on that rating with the sign of x, ratio = 1 + tap step."""
    import pandapower as pp

    branch, n = case.branch, case.n_line
    if n == case.n_branch:
        return
    sn_mva = branch.rate_a_mva[n:]
    to_percent = 100.0 * sn_mva / case.base_mva
    pp.create_transformers_from_parameters(
        net,
        hv_buses=branch.from_bus[n:],
        lv_buses=branch.to_bus[n:],
        sn_mva=sn_mva,
        vn_hv_kv=case.bus.vn_kv[branch.from_bus[n:]],
        vn_lv_kv=case.bus.vn_kv[branch.to_bus[n:]],
        vk_percent=np.where(branch.x_pu[n:] < 0.0, -1.0, 1.0)
        * np.hypot(branch.r_pu[n:], branch.x_pu[n:])
        * to_percent,
        vkr_percent=branch.r_pu[n:] * to_percent,
        pfe_kw=0.0,
        i0_percent=0.0,
        shift_degree=np.rad2deg(branch.shift_rad[n:]),
        tap_side="hv",
        tap_neutral=0,
        tap_min=0,
        tap_max=1,
        tap_step_percent=(branch.tap[n:] - 1.0) * 100.0,
        tap_pos=1,
        tap_changer_type="Ratio",
        name=list(branch.name[n:]),
        max_loading_percent=100.0,
        in_service=~branch.is_asymmetric[n:],
    )
    # Without this column every solve warns that it is missing.
    net.trafo["tap_dependency_table"] = False


def _create_unequal_circuits(net: Any, case: Case) -> None:
    """Circuits whose impedance differs in its two directions.

    Raises:
        CaseDataError: one of them has a ratio or a shift, which an `impedance` has not.
    """
    import pandapower as pp

    branch = case.branch
    for k in np.flatnonzero(branch.is_asymmetric):
        if branch.tap[k] != 1.0 or branch.shift_rad[k] != 0.0:
            raise CaseDataError(
                f"case {case.name}: branch {branch.name[k]} has unequal directions and a ratio, expected one of the "
                "two in a pandapower net."
            )
        back = branch.r_pu[k] + 1j * branch.x_pu[k] + branch.asymmetry_pu[k]
        pp.create_impedance(
            net,
            branch.from_bus[k],
            branch.to_bus[k],
            rft_pu=branch.r_pu[k],
            xft_pu=branch.x_pu[k],
            rtf_pu=back.real,
            xtf_pu=back.imag,
            sn_mva=case.base_mva,
            name=branch.name[k],
        )


def _create_fixed_shunts(net: Any, case: Case) -> None:
    """Shunts that nobody switches, then those that stand for parts of circuits."""
    import pandapower as pp

    own, fixed = circuit_shunts(case), case.shunt
    if len(fixed.bus) + len(own.bus) == 0:
        return
    s_mva = case.base_mva * np.conj(own.y_pu)
    pp.create_shunts(
        net,
        np.concatenate([fixed.bus, own.bus]),
        p_mw=np.concatenate([fixed.p_mw, s_mva.real]),
        q_mvar=np.concatenate([fixed.q_mvar, s_mva.imag]),
        name=[f"shunt {case.bus.bus_number[b]}" for b in fixed.bus]
        + [f"of {case.branch.name[k]}" for k in own.branch],
    )


def _create_dc_lines(net: Any, case: Case) -> None:
    """DC lines; pandapower wants the larger power as `p_mw`, positive from the end that takes it."""
    import pandapower as pp

    line = case.dc_line
    for k in range(case.n_dc_line):
        backwards = line.p_from_mw[k] < 0.0
        sent, received = (
            (-line.p_to_mw[k], -line.p_from_mw[k]) if backwards else (line.p_from_mw[k], line.p_to_mw[k])
        )
        ends = (line.from_bus[k], line.vm_from_pu[k]), (line.to_bus[k], line.vm_to_pu[k])
        (from_bus, vm_from), (to_bus, vm_to) = ends[::-1] if backwards else ends
        pp.create_dcline(
            net, from_bus, to_bus, p_mw=sent, loss_percent=0.0, loss_mw=sent - received,
            vm_from_pu=vm_from, vm_to_pu=vm_to, name=line.name[k],
        )  # fmt: skip


def _create_machines(net: Any, case: Case, distributed_slack: bool) -> None:
    """Machines as voltage-controlled generators."""
    import pandapower as pp

    machine = case.machine
    if distributed_slack:
        weight = machine.rating_mva / machine.rating_mva.sum()
    else:
        weight = machine.slack.astype(np.float64)
    pp.create_gens(
        net,
        machine.bus,
        p_mw=machine.p_mw,
        vm_pu=machine.vm_set_pu,
        sn_mva=machine.rating_mva,
        slack=machine.slack,
        slack_weight=weight,
        name=list(machine.name),
    )


def _create_resources(net: Any, case: Case) -> None:
    """Gas plants and demand response as static generators, batteries as storage, all at 0 MW."""
    import pandapower as pp

    resource = case.resource
    for kind in ("gas", "dr"):
        row = resource.of_kind(kind)
        if len(row):
            pp.create_sgens(
                net,
                resource.bus[row],
                p_mw=0.0,
                q_mvar=0.0,
                name=[resource.name[r] for r in row],
                type=kind,
            )
    row = resource.of_kind("bess")
    if len(row):
        pp.create_storages(
            net,
            resource.bus[row],
            p_mw=0.0,
            max_e_mwh=STORAGE_MWH,
            q_mvar=0.0,
            name=[resource.name[r] for r in row],
            type="bess",
        )
