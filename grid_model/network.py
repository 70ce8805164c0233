"""Case -> pandapower net: the only place that creates network elements.

Rows of the net's tables stand in the order of the case's tables, so a position in the case is an index:

    net.bus      buses                         net.gen      machines (slack=True on the slack machine)
    net.line     branch rows 0..n_line-1       net.load     loads
    net.trafo    branch rows from n_line on    net.shunt    reactors
    net.sgen     renewable plants, then gas plants, then demand-response units
    net.storage  battery plants

A transformer's high-voltage side is its `from_bus`, which carries the ratio. Ratios are given as one tap step
of a `Ratio` changer and never as off-nominal `vn_hv_kv`, which lightsim2grid would ignore without a word.
Plants that this project adds stand in the net with no power; whoever solves it sets theirs. Left out:
magnetising branches, reactive limits of the machines and zero sequence, none of which are published.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.arrays import FloatArray
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

    net = pp.create_empty_network(name=case.name, f_hz=case.f0_hz, sn_mva=case.base_mva)
    pp.create_buses(
        net,
        case.n_bus,
        vn_kv=case.bus.vn_kv,
        name=[f"bus {n}" for n in case.bus.bus_number],
        zone=[case.area_names[a] for a in case.bus.area],
        min_vm_pu=case.bus.vm_min_pu,
        max_vm_pu=case.bus.vm_max_pu,
        geodata=list(zip(case.bus.x.tolist(), case.bus.y.tolist(), strict=True)),
    )
    _create_lines(net, case)
    _create_transformers(net, case)
    _create_machines(net, case, distributed_slack)
    pp.create_loads(
        net, case.load.bus, p_mw=case.load.p_mw, q_mvar=case.load.q_mvar, name=list(case.load.name)
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
    return net


def set_reactor_share(net: Any, case: Case, share: FloatArray | float) -> None:
    """Switch in this share of the reactor banks, [reactor] or one for all."""
    net.shunt["q_mvar"] = share * case.reactor.q_mvar


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
    )


def _create_transformers(net: Any, case: Case) -> None:
    """Transformers rated at rate A; vk = |z| on that rating, ratio = 1 + tap step."""
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
        vk_percent=np.hypot(branch.r_pu[n:], branch.x_pu[n:]) * to_percent,
        vkr_percent=branch.r_pu[n:] * to_percent,
        pfe_kw=0.0,
        i0_percent=0.0,
        shift_degree=0.0,
        tap_side="hv",
        tap_neutral=0,
        tap_min=0,
        tap_max=1,
        tap_step_percent=(branch.tap[n:] - 1.0) * 100.0,
        tap_pos=1,
        tap_changer_type="Ratio",
        name=list(branch.name[n:]),
        max_loading_percent=100.0,
    )
    # Without this column every solve warns that it is missing.
    net.trafo["tap_dependency_table"] = False


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
