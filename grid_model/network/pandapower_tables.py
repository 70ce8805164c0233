"""A pandapower net of the user's own -> MATPOWER's matrices, through pandapower's own conversion.

pandapower solves the net, and its internal matrices are read: so vector groups, magnetising branches, three-winding
transformers, wards, switches and whatever else its conversion knows mean here what they mean there, and its solution
stands beside them for comparison. Labels are the user's: the names of the buses where these are distinct numbers, else
their indices. Buses that closed switches make one keep the label of the first, and the others point to it. Buses that
the conversion adds (star points of three-winding transformers, sources of extended wards, ends of open lines) get
labels above all others.

Refused in one line: FACTS devices and DC networks, which the conversion keeps outside its matrices.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from cases.arrays import CaseDataError, ComplexArray, FloatArray, IntArray
from cases.matpower_matrices import ZONE, DcLines, GridTables, TwoPortColumns
from grid_model.network.pandapower_file import in_one_line
from grid_model.network.pandapower_references import require_references

# Columns of pandapower's matrices beyond MATPOWER's.
CURRENT_P, IMPEDANCE_P, CURRENT_Q, IMPEDANCE_Q = 13, 14, 16, 17
R_ASYMMETRY, X_ASYMMETRY, G, G_ASYMMETRY, B_ASYMMETRY = 21, 22, 23, 24, 25
BUS_TYPE, VM, VA, RATE_A, B, PG, QMAX, QMIN, PMAX = 1, 7, 8, 5, 4, 1, 3, 4, 8
# Per unit of sn_mva, whatever the name of runpp's option says. Angles of a weak grid move a hundred times as much, and
# rounding keeps a grid of thousands of MW on a base of 1 MVA from coming as near.
TOLERANCES_PU = (1e-10, 1e-8)
# Tables that a power flow reads.
SOLVED = (
    "bus", "load", "sgen", "motor", "asymmetric_load", "asymmetric_sgen", "storage", "gen", "switch", "shunt",
    "ext_grid", "line", "trafo", "trafo3w", "impedance", "dcline", "ward", "xward",
)  # fmt: skip
NOT_TAKEN = (
    "svc",
    "ssc",
    "tcsc",
    "vsc",
    "vsc_stacked",
    "vsc_bipolar",
    "b2b_vsc",
    "bi_vsc",
    "line_dc",
    "source_dc",
)


@dataclass(frozen=True, kw_only=True)
class SolvedNet:
    """A net in matrices, and pandapower's solution of it at the user's own buses."""

    tables: GridTables
    label: IntArray  # of every bus of the net that is alive, [n]
    v_pu: ComplexArray  # its voltage, angles as pandapower has them, [n]


def _zones(net: Any) -> dict[int, float]:
    """The zone of each bus as a number, in the order in which they come; nan where it has none."""
    column = net.bus["zone"] if "zone" in net.bus else np.full(len(net.bus), np.nan)
    names = [None if zone is None or zone != zone else str(zone) for zone in column]
    code = {
        name: float(k) for k, name in enumerate(dict.fromkeys(name for name in names if name is not None))
    }
    return {
        int(index): np.nan if name is None else code[name]
        for index, name in zip(net.bus.index, names, strict=True)
    }


def solve_net(net: Any) -> SolvedNet:
    """Solve a net as it stands and read its internal matrices.

    Loads, static generators and storage are netted at their buses. Ratings come from `max_i_ka` of lines and `sn_mva`
    of the rest. A slack's power is the one that pandapower found.

    Raises:
        CaseDataError: pandapower finds no solution, or the net has something that its matrices do not hold, or an
            element of it is at a bus that is not there.
    """
    require_references(net)
    _require_matrices_hold(net)
    _solve(net)
    ppc, lookup = net._ppc, net._pd2ppc_lookups
    bus, branch, gen = (ppc[name].real.copy() for name in ("bus", "branch", "gen"))
    alive = net.res_bus["vm_pu"].notna()
    indices = [int(i) for i in net.bus.index[net.bus["in_service"] & alive]]
    dark = [int(i) for i in net.bus.index if int(i) not in set(indices)]
    label = _labels(net, indices + dark)
    row_of = {index: int(lookup["bus"][index]) for index in indices}
    first_of: dict[int, int] = {}
    fused: list[tuple[int, int]] = []
    for index in indices:
        first = first_of.setdefault(row_of[index], index)
        if first != index:
            fused.append((label[index], label[first]))
    spare = max(label.values()) + 1
    number = np.arange(spare, spare + len(bus))
    for row, index in first_of.items():
        number[row] = label[index]
    added = [row for row in np.flatnonzero(bus[:, BUS_TYPE] != 4).tolist() if row not in first_of]
    number[added] = spare + np.arange(len(added))
    others = np.setdiff1d(np.arange(len(bus)), [*first_of, *added])
    number[others] = spare + len(added) + np.arange(len(others))

    notes = []
    if dark:
        notes.append(
            f"{len(dark)} buses are dark, without a source: left out ({_listed(label[i] for i in dark)})"
        )
    if fused:
        pairs = ", ".join(f"{other} with {first}" for other, first in fused[:12])
        notes.append(
            f"{len(fused)} buses are one with another through closed switches: {pairs}"
            + (", ..." if len(fused) > 12 else "")
        )
    if added:
        notes.append(
            f"{len(added)} buses are pandapower's own (star points, sources of extended wards, ends of open lines): "
            f"{_listed(int(n) for n in number[added])}"
        )
    zone = _zones(net)
    bus[:, ZONE] = np.nan
    for row, index in first_of.items():
        bus[row, ZONE] = zone[index]
        bus[row, 11], bus[row, 12] = (
            net.bus[limit].get(index, np.nan) if limit in net.bus else np.nan
            for limit in ("max_vm_pu", "min_vm_pu")
        )
    if "max_p_mw" in net.ext_grid:
        for index, p_mw in net.ext_grid["max_p_mw"].dropna().items():
            if net.ext_grid.at[index, "in_service"]:
                gen[int(lookup["ext_grid"][index]), PMAX] = p_mw
    # pandapower leaves 0 where it does not look at the limits of an external grid or an extended ward.
    for column, name, unlimited in ((QMAX, "max_q_mvar", 1e9), (QMIN, "min_q_mvar", -1e9)):
        for index in net.ext_grid.index[net.ext_grid["in_service"]]:
            q_mvar = float(net.ext_grid.at[index, name]) if name in net.ext_grid else np.nan
            gen[int(lookup["ext_grid"][index]), column] = unlimited if np.isnan(q_mvar) else q_mvar
        if "xward" in net._gen_order:
            first, last = net._gen_order["xward"]
            gen[int(first) : int(last), column] = unlimited
    _rate(net, branch)
    notes += _limited_notes(net)
    share = bus[:, [CURRENT_P, IMPEDANCE_P, CURRENT_Q, IMPEDANCE_Q]]
    if np.any(share):
        notes.append(
            "loads that depend on voltage: a bus has the plain mean of its loads' shares, which its static generators "
            "and storage follow too, as in pandapower"
        )
    dc_lines, gen = _dc_lines(net, gen, number, bus[:, VM])
    gen[:, 0] = number[gen[:, 0].astype(np.int64)]
    columns = TwoPortColumns(
        shunt_from_pu=_complex(0.5 * branch[:, G], np.zeros(len(branch))),
        shunt_to_pu=_complex(0.5 * (branch[:, G] + branch[:, G_ASYMMETRY]), 0.5 * branch[:, B_ASYMMETRY]),
        asymmetry_pu=_complex(branch[:, R_ASYMMETRY], branch[:, X_ASYMMETRY]),
    )
    branch[:, 0], branch[:, 1] = (number[branch[:, end].astype(np.int64)] for end in (0, 1))
    bus[:, 0] = number
    xy = _positions(net, first_of, len(bus))
    tables = GridTables(
        source=str(net.name),
        base_mva=float(ppc["baseMVA"]),
        f0_hz=float(net.f_hz),
        bus=bus,
        gen=gen,
        branch=branch,
        xy=xy,
        notes=tuple(notes),
        two_ports=columns,
        load_share=share if np.any(share) else None,
        dc_lines=dc_lines,
        fused=tuple(fused),
    )
    solution = net.res_bus.loc[indices]
    v_pu = solution["vm_pu"].to_numpy() * np.exp(1j * np.deg2rad(solution["va_degree"].to_numpy()))
    return SolvedNet(tables=tables, label=np.array([label[i] for i in indices], dtype=np.int64), v_pu=v_pu)


def _complex(real: FloatArray, imaginary: FloatArray) -> ComplexArray:
    """Put together without a product: that of an infinite number, as an element out of service may have, is none."""
    found = np.empty(len(real), dtype=np.complex128)
    found.real, found.imag = real, imaginary
    return found


def _require_matrices_hold(net: Any) -> None:
    """Nothing in service stands outside the matrices, and no two elements of a kind have one index.

    Raises:
        CaseDataError: something does, or two have, or a table is missing.
    """
    import pandas as pd

    for element in (*SOLVED, *NOT_TAKEN):
        if element in NOT_TAKEN and element not in net:
            continue  # of another version of pandapower
        if not isinstance(net.get(element), pd.DataFrame):
            raise CaseDataError(f"{net.name}: {element} is no table, expected pandapower's.")
    for element in SOLVED:
        index = net[element].index
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise CaseDataError(f"{net.name}: {element} {twice} twice, expected one element of an index.")
    for element in NOT_TAKEN:
        if element not in net or not len(net[element]):
            continue
        table = net[element]
        rows = table.index
        if "in_service" in table:  # of whatever type a file gives it; NA is neither true nor false
            rows = rows[[entry is not pd.NA and bool(entry) for entry in table["in_service"]]]
        if len(rows):
            raise CaseDataError(
                f"{net.name}: {element} {rows[0]} is in service, expected none: it cannot be represented."
            )


def _solve(net: Any) -> None:
    """Let pandapower solve the net.

    Raises:
        CaseDataError: it finds no solution.
    """
    import pandapower as pp

    if len(net.trafo) and "tap_dependency_table" not in net.trafo:
        net.trafo["tap_dependency_table"] = False  # without this column every solve warns that it is missing

    def solve(init: str) -> None:
        for tolerance_pu in TOLERANCES_PU:
            try:
                pp.runpp(
                    net, trafo_model="pi", calculate_voltage_angles=True, init=init, tolerance_mva=tolerance_pu,
                    max_iteration=30, numba=False, lightsim2grid=False,
                )  # fmt: skip
            except pp.LoadflowNotConverged:
                if tolerance_pu == TOLERANCES_PU[-1]:
                    raise
            else:
                return

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                solve("auto")
            except FloatingPointError:  # a circuit without any reactance has no DC power flow to start from
                solve("flat")
    except Exception as error:  # pandapower raises whatever broken tables lead it to
        why = _what_is_amiss(net) or in_one_line(error)
        raise CaseDataError(
            f"{net.name}: pandapower cannot solve it ({why}), expected a healthy net."
        ) from error


def _what_is_amiss(net: Any) -> str:
    """What in the tables of a net pandapower could have stumbled over, where its own words say nothing; else empty."""
    import pandapower as pp
    import pandas as pd

    standard = pp.create_empty_network()
    for element in SOLVED:
        table = net[element]
        if not len(table):
            continue
        for column, kind in standard[element].dtypes.items():
            if kind.kind not in "fiub":
                continue
            if column not in table:
                return f"{element} has no column {column}"
            for index, entry in table[column].items():
                if entry is pd.NA:
                    continue
                is_number = isinstance(entry, (int, float, np.integer, np.floating, np.bool_))
                if not is_number or np.isinf(entry):
                    return f"{element} {index}: {column} = {str(entry)[:40]}, expected a number"
    return ""


def _labels(net: Any, indices: list[int]) -> dict[int, int]:
    """Label of each bus: its name where all names are distinct numbers, else its index."""
    if "name" not in net.bus:  # pandapower solves without
        return {index: index for index in indices}
    names = [str(net.bus.at[index, "name"]) for index in indices]
    if len(set(names)) == len(names) and all(name.isascii() and name.isdigit() for name in names):
        return {index: int(name) for index, name in zip(indices, names, strict=True)}
    return {index: index for index in indices}


def _listed(labels: Any) -> str:
    """Labels for a message, at most a dozen."""
    every = [str(n) for n in labels]
    return ", ".join(every[:12]) + (", ..." if len(every) > 12 else "")


def _dc_lines(
    net: Any, gen: FloatArray, number: IntArray, vm_pu: FloatArray
) -> tuple[DcLines | None, FloatArray]:
    """DC lines, and the generators without the two by which pandapower stands for each of them.

    Raises:
        CaseDataError: a line in service has an end that is not.
    """
    if not len(net.dcline) or not np.any(net.dcline["in_service"]):
        return None, gen
    last = int(net._gen_order["gen"][1])
    on = np.flatnonzero(net.dcline["in_service"].to_numpy(dtype=np.bool_))
    first = last - 2 * len(on)
    to_row, from_row = np.arange(first, last, 2), np.arange(first + 1, last, 2)
    at_from, at_to = gen[from_row, 0].astype(np.int64), gen[to_row, 0].astype(np.int64)
    lookup = net._pd2ppc_lookups["bus"]
    for end, at in (("from_bus", at_from), ("to_bus", at_to)):
        expected = lookup[net.dcline[end].to_numpy()[on]]
        for k in np.flatnonzero(at != expected):
            raise CaseDataError(
                f"{net.name}: {end} of dcline {net.dcline.index[on[k]]} is out of service, expected a line in service "
                "to have both ends."
            )
    lines = DcLines(
        name=tuple(f"DC line {net.dcline.index[k]}" for k in on),
        from_number=number[at_from],
        to_number=number[at_to],
        p_from_mw=-gen[from_row, PG],
        p_to_mw=gen[to_row, PG],
        vm_from_pu=vm_pu[at_from],
        vm_to_pu=vm_pu[at_to],
    )
    return lines, np.delete(gen, np.arange(first, last), axis=0)


def _rate(net: Any, branch: FloatArray) -> None:
    """What each branch may carry, `max_loading_percent` of its rating [MVA], as rate A: zero where none is given.

    The other rates are unknown.

    Raises:
        CaseDataError: a rating is negative.
    """
    branch[:, RATE_A : RATE_A + 3] = 0.0
    for element, (first, last) in net._pd2ppc_lookups["branch"].items():
        if element not in net or last == first:
            continue
        table = net[element]
        if element == "line":
            vn_kv = net.bus["vn_kv"].loc[table["from_bus"]].to_numpy()
            rating = np.sqrt(3.0) * vn_kv * table["max_i_ka"].to_numpy(np.float64)
            rating = rating * table["parallel"].to_numpy(np.float64) * table["df"].to_numpy(np.float64)
        elif element == "trafo":
            rating = table["sn_mva"].to_numpy(np.float64)
            rating = rating * table["parallel"].to_numpy(np.float64) * table["df"].to_numpy(np.float64)
        elif element == "trafo3w":  # all high-voltage sides, then all middle ones, then all low ones
            rating = np.concatenate(
                [table[f"sn_{side}_mva"].to_numpy(np.float64) for side in ("hv", "mv", "lv")]
            )
        elif element == "impedance":
            rating = table["sn_mva"].to_numpy(np.float64)
        else:
            continue
        for k in np.flatnonzero(rating < 0.0):
            name = f"{element} {table.index[k % len(table)]}"
            raise CaseDataError(
                f"{net.name}: {name} is rated at {rating[k]:g} MVA, expected 0 or more; see its max_i_ka or sn_mva."
            )
        limit = np.tile(_loading_limit(table), 3 if element == "trafo3w" else 1)
        branch[first:last, RATE_A] = np.nan_to_num(rating * limit, nan=0.0)


def _loading_limit(table: Any) -> FloatArray:
    """Share of their rating that lines or transformers may be loaded with, all of it where nothing is said."""
    if "max_loading_percent" not in table:
        return np.ones(len(table))
    percent = table["max_loading_percent"].to_numpy(np.float64)
    return np.where(percent > 0.0, percent, 100.0) / 100.0  # no number and 0 say nothing


def _limited_notes(net: Any) -> list[str]:
    """What is said of elements that may not carry all of their rating, or more than that."""
    limited = [_loading_limit(net[element]) != 1.0 for element in ("line", "trafo", "trafo3w")]
    n = sum(int(np.count_nonzero(rows)) for rows in limited)
    return (
        [f"{n} circuits have a max_loading_percent other than 100: rate A is that share of it"] if n else []
    )


def _positions(net: Any, first_of: dict[int, int], n_row: int) -> FloatArray | None:
    """Drawing position of each row of the bus matrix, nan where it has none; None where no bus has any."""
    if "geo" not in net.bus:
        return None
    xy = np.full((n_row, 2), np.nan)
    for row, index in first_of.items():
        try:
            x, y = json.loads(net.bus.at[index, "geo"])["coordinates"][:2]
            xy[row] = float(x), float(y)
        except (TypeError, ValueError, KeyError):
            continue
    return xy if np.isfinite(xy).any() else None
