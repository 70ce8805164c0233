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

import json
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import CaseDataError, FloatArray
from cases.case import Case
from cases.grid_tables import GridTables

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


def read_pandapower(source: str) -> Any:
    """A pandapower net from a JSON file, or one of pandapower's own by its name (case39, case118, ...).

    Raises:
        CaseDataError: there is no such file or net, or the file is something else.
    """
    import pandapower as pp
    import pandapower.networks

    path = Path(source)
    if path.suffix == ".json":
        if not path.exists():
            raise CaseDataError(f"{source}: no such file, expected a pandapower net.")
        try:
            net = pp.from_json(str(path))
        except Exception as error:  # pandapower raises whatever a broken file leads it to
            raise CaseDataError(
                f"{path.name}: cannot be read ({error}), expected a pandapower net."
            ) from error
        if not isinstance(net, pp.pandapowerNet):
            raise CaseDataError(f"{path.name}: holds a {type(net).__name__}, expected a pandapower net.")
        net.name = net.name or path.stem
        return net
    known = sorted(name for name in dir(pandapower.networks) if name.startswith("case"))
    if source not in known:
        raise CaseDataError(
            f"{source}: expected rogers, tr18, a file that ends in .json, .m or .mat, or one of pandapower's "
            f"nets: {', '.join(known)}."
        )
    net = getattr(pandapower.networks, source)()
    net.name = source
    return net


def solved_tables(net: Any) -> tuple[GridTables, FloatArray, FloatArray]:
    """Solve a net and give its internal matrices, with voltages [pu] and angles [degree] of every bus.

    Loads, static generators and storage are netted at their buses; buses joined by closed switches are one.
    Ratings come from `max_i_ka` of lines and `sn_mva` of transformers.

    Raises:
        CaseDataError: pandapower finds no solution.
    """
    import pandapower as pp

    if len(net.trafo) and "tap_dependency_table" not in net.trafo:
        net.trafo["tap_dependency_table"] = False  # without this column every solve warns that it is missing
    try:
        pp.runpp(
            net, trafo_model="pi", calculate_voltage_angles=True, tolerance_mva=1e-8, max_iteration=30,
            numba=False, lightsim2grid=False,
        )  # fmt: skip
    except Exception as error:  # pandapower raises whatever broken tables lead it to
        raise CaseDataError(
            f"{net.name}: pandapower cannot solve it ({error}), expected a healthy net."
        ) from error
    ppc, lookup = net._ppc, net._pd2ppc_lookups
    bus, branch = ppc["bus"].real.copy(), ppc["branch"].real.copy()
    vm_pu, va_degree = bus[:, 7].copy(), bus[:, 8].copy()
    branch[:, 5:8] = 0.0
    for element in ("line", "trafo"):
        if element in lookup["branch"]:
            first, last = lookup["branch"][element]
            branch[first:last, 5] = _net_rating_mva(net, element)
    # pandapower numbers its internal buses from 0; use the names if they are distinct numbers.
    first_of: dict[int, int] = {}
    for index in net.bus.index[net.bus["in_service"]]:
        first_of.setdefault(int(lookup["bus"][index]), int(index))
    spare = int(net.bus.index.max()) + 1
    label = {row: first_of.get(row, spare + row) for row in range(len(bus))}
    names = {row: str(net.bus.at[index, "name"]) for row, index in first_of.items()}
    distinct = len(set(names.values())) == len(bus)
    if distinct and all(name.isdigit() for name in names.values()):
        label = {row: int(name) for row, name in names.items()}
    for row, index in first_of.items():
        bus[row, 11], bus[row, 12] = (
            net.bus[limit].get(index, np.nan) if limit in net.bus else np.nan
            for limit in ("max_vm_pu", "min_vm_pu")
        )
    gen = ppc["gen"].real.copy()
    if "max_p_mw" in net.ext_grid:
        for index, p_mw in net.ext_grid["max_p_mw"].dropna().items():
            gen[int(lookup["ext_grid"][index]), 8] = p_mw
    # pandapower leaves 0 where it does not look at the limits of an external grid.
    for column, name, unlimited in ((3, "max_q_mvar", 1e9), (4, "min_q_mvar", -1e9)):
        for index in net.ext_grid.index[net.ext_grid["in_service"]]:
            q_mvar = float(net.ext_grid.at[index, name]) if name in net.ext_grid else np.nan
            gen[int(lookup["ext_grid"][index]), column] = unlimited if np.isnan(q_mvar) else q_mvar
    gen[:, 0] = [label[int(b)] for b in gen[:, 0]]
    branch[:, 0], branch[:, 1] = ([label[int(b)] for b in branch[:, end]] for end in (0, 1))
    bus[:, 0] = [label[row] for row in range(len(bus))]
    in_service = bus[:, 1] != 4
    tables = GridTables(
        source=str(net.name),
        base_mva=float(ppc["baseMVA"]),
        f0_hz=float(net.f_hz),
        bus=bus,
        gen=gen,
        branch=branch,
        notes=_limited_notes(net),
        xy=_net_positions(net, [first_of.get(int(row)) for row in np.flatnonzero(in_service)]),
    )
    return tables, vm_pu[in_service], va_degree[in_service]


def _net_rating_mva(net: Any, element: str) -> FloatArray:
    """What each line or transformer may carry, `max_loading_percent` of its rating [MVA]; zero where none is given."""
    table = net[element]
    if element == "line":
        vn_kv = net.bus["vn_kv"].loc[table["from_bus"]].to_numpy()
        rating = np.sqrt(3.0) * vn_kv * table["max_i_ka"].to_numpy(np.float64)
    else:
        rating = table["sn_mva"].to_numpy(np.float64)
    rating = rating * table["parallel"].to_numpy(np.float64) * table["df"].to_numpy(np.float64)
    return np.nan_to_num(rating * _loading_limit(table), nan=0.0)


def _loading_limit(table: Any) -> FloatArray:
    """Share of their rating that lines or transformers may be loaded with, all of it where nothing is said."""
    if "max_loading_percent" not in table:
        return np.ones(len(table))
    percent = table["max_loading_percent"].to_numpy(np.float64)
    return np.where(percent > 0.0, percent, 100.0) / 100.0  # no number and 0 say nothing


def _limited_notes(net: Any) -> tuple[str, ...]:
    """What is said of elements that may not carry all of their rating, or more than that."""
    n = sum(int(np.count_nonzero(_loading_limit(net[element]) != 1.0)) for element in ("line", "trafo"))
    return (
        (f"{n} circuits have a max_loading_percent other than 100: rate A is that share of it",) if n else ()
    )


def _net_positions(net: Any, indices: list[int | None]) -> FloatArray | None:
    """Drawing position of the named buses, None unless all have one and no two the same."""
    if "geo" not in net.bus or any(index is None for index in indices):
        return None
    try:
        xy = np.array(
            [json.loads(net.bus.at[index, "geo"])["coordinates"][:2] for index in indices], dtype=np.float64
        )
    except (TypeError, ValueError, KeyError):
        return None
    if xy.shape != (len(indices), 2) or not np.all(np.isfinite(xy)) or len(np.unique(xy, axis=0)) < len(xy):
        return None
    return xy
