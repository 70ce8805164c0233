"""Reads MATPOWER cases, .m and .mat, and takes their matrices as MATPOWER's power flow does.

A .m file is a program, which `matlab_program` carries out. What the matrices say is then settled as in
MATPOWER's `ext2int`, `bustypes`, `runpf` and `isload`:

* a bus of type 4 takes its generators and branches out of service with it;
* where generators at a bus that holds its voltage differ in VG, the last one in service counts;
* a generator with PMIN < 0 and PMAX = 0 is a dispatchable load, here a load;
* `mpc.dcline` is a DC line as after `toggle_dcline(mpc, 'on')`: PF is taken at one end, PF less losses given at the
  other, and both ends hold their voltages.

What was settled is noted.

Reference: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, version 7.1, 2020, sec. 3 and 6.4,
app. B.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import BoolArray, CaseDataError, FloatArray
from cases.mat_file import read_mat_case
from cases.matlab_functions import COLUMN_NAMES
from cases.matlab_program import run_case_file
from cases.matpower_matrices import (
    BASE_KV,
    BR_B,
    BR_R,
    BR_STATUS,
    BR_X,
    BS,
    BUS_AREA,
    BUS_I,
    BUS_TYPE,
    F_BUS,
    GEN_BUS,
    GEN_STATUS,
    GS,
    ISOLATED,
    N_COLUMN,
    PD,
    PG,
    PMAX,
    PQ,
    PV,
    QD,
    QG,
    REFERENCE,
    SHIFT,
    T_BUS,
    TAP,
    VG,
    DcLines,
    GridTables,
)

MAX_FILE_BYTES = 64 * 2**20  # the largest public case, 82,000 buses, has 40 MB

PMIN = 9  # column of mpc.gen that version 1 may lack
# Columns of mpc.dcline.
DC_FROM, DC_TO, DC_STATUS, DC_PF, DC_VF, DC_VT, DC_LOSS0, DC_LOSS1 = 0, 1, 2, 3, 7, 8, 15, 16
# Fields that no power flow reads: costs, names, kinds, and the results of a solved case.
_WITHOUT_EFFECT = frozenset(
    ("version", "areas", "gencost", "dclinecost", "bus_name", "branch_name", "gen_name", "gentype", "genfuel")
    + ("order", "et", "success", "iterations", "f", "x", "mu", "om", "raw", "var", "lin", "nln")
)
# Columns that are read and have to be finite numbers; limits, ratings and bases may be unknown (NaN).
_NUMBERS = {
    "bus": ("idx_bus", (BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, BASE_KV)),
    "gen": ("idx_gen", (GEN_STATUS, GEN_BUS, PG, QG, VG)),
    "branch": ("idx_brch", (BR_STATUS, F_BUS, T_BUS, BR_R, BR_X, BR_B, TAP, SHIFT)),
}


def read_matpower(path: Path, f0_hz: float = 60.0) -> GridTables:
    """Read a MATPOWER case.

    Args:
        path: a .m file, which is carried out, or a .mat file with the structure mpc.
        f0_hz: nominal frequency [Hz], which the format does not hold.

    Raises:
        CaseDataError: the file is missing, too large, or does something that is not understood, or its matrices
            are not MATPOWER's; the message says where and what was expected.
    """
    data = _read(path)
    if path.suffix == ".mat":
        fields: Mapping[str, Any] = read_mat_case(path, data)
    else:
        # Letters beyond ASCII occur in comments and names alone; the program is refused where they do not.
        fields = run_case_file(path.name, data.decode("utf-8-sig", errors="replace"))
    return _as_matpower_solves(path.name, fields, f0_hz)


def _read(path: Path) -> bytes:
    """The bytes of a file of at most MAX_FILE_BYTES.

    Raises:
        CaseDataError: the file is missing, too large, or cannot be read.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CaseDataError(
                f"{path.name}: {path.stat().st_size / 2**20:.0f} MB, expected at most {MAX_FILE_BYTES // 2**20} MB."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise CaseDataError(f"{path}: no such file, expected a MATPOWER case.") from None
    except OSError as error:
        raise CaseDataError(f"{path.name}: cannot be read ({error}), expected a MATPOWER case.") from error


def _as_matpower_solves(file: str, fields: Mapping[str, Any], f0_hz: float) -> GridTables:
    """Tables of a case out of its fields.

    Raises:
        CaseDataError: the version or the base power is not one of the format.
    """
    notes: list[str] = []
    version = fields.get("version", "2")
    if not isinstance(version, str):
        version = f"{version[0, 0]:g}" if isinstance(version, np.ndarray) and version.size == 1 else "?"
    if version.strip() not in ("1", "2"):
        raise CaseDataError(f"{file}: mpc.version = {version[:20]}, expected '2'.")
    base = fields.get("baseMVA")
    if not isinstance(base, np.ndarray) or base.size != 1 or not 0.0 < base[0, 0] < np.inf:
        found = "no mpc.baseMVA" if base is None else "mpc.baseMVA is no number above 0"
        raise CaseDataError(f"{file}: {found}, expected the base power of the case in MVA.")
    bus, gen, branch = (_matrix(file, fields, name) for name in ("bus", "gen", "branch"))
    dc_lines = _dc_lines(file, fields, notes)
    others = sorted(set(fields) - set(N_COLUMN) - _WITHOUT_EFFECT - {"baseMVA", "dcline"})
    if others:
        notes.append(f"fields that the power flow does not read: {', '.join(others)[:200]}")
    _require_known(file, bus, branch)
    _take_out_isolated(bus, gen, branch, notes)
    gen_on = gen[:, GEN_STATUS] > 0.0
    type_of = dict(zip(bus[:, BUS_I], bus[:, BUS_TYPE], strict=True))
    gen_type = np.array([type_of.get(number, np.nan) for number in gen[:, GEN_BUS]])
    holds_voltage = gen_on & ((gen_type == PV) | (gen_type == REFERENCE))
    _use_last_set_point(gen, holds_voltage, notes)
    if dc_lines is not None:
        _hold_ends(dc_lines, gen, holds_voltage, notes)
    _make_loads(file, bus, gen, gen_on, holds_voltage, notes)
    return GridTables(
        source=file,
        base_mva=float(base[0, 0]),
        f0_hz=f0_hz,
        bus=bus,
        gen=gen,
        branch=branch,
        notes=tuple(notes),
        dc_lines=dc_lines,
    )


def _matrix(file: str, fields: Mapping[str, Any], name: str) -> FloatArray:
    """One of the matrices, with numbers where numbers are read.

    Raises:
        CaseDataError: the matrix is missing, empty, too narrow, or not finite where the power flow reads a number.
    """
    matrix = fields.get(name)
    if matrix is None:
        raise CaseDataError(f"{file}: no mpc.{name}, expected a matrix.")
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "fb":
        raise CaseDataError(f"{file}: mpc.{name} is no matrix of numbers, expected MATPOWER's format.")
    if len(matrix) == 0:
        raise CaseDataError(f"{file}: mpc.{name} is empty, expected at least one row.")
    if matrix.shape[1] < N_COLUMN[name]:
        raise CaseDataError(
            f"{file}, mpc.{name}: {matrix.shape[1]} columns, expected at least {N_COLUMN[name]} as in "
            "MATPOWER's format."
        )
    function, read = _NUMBERS[name]
    in_service = matrix[:, read[0]] != 0.0 if name != "bus" else np.ones(len(matrix), dtype=np.bool_)
    for row, k in np.argwhere(~np.isfinite(matrix[:, read]) & in_service[:, None]):
        names = {number: key for key, number in COLUMN_NAMES[function].items()}
        found = f"{matrix[row, read[k]]:g}".replace("nan", "NaN")
        raise CaseDataError(
            f"{file}, mpc.{name} row {row + 1}: {names[read[k] + 1]} = {found}, expected a finite number."
        )
    return np.array(matrix, dtype=np.float64)


def _dc_lines(file: str, fields: Mapping[str, Any], notes: list[str]) -> DcLines | None:
    """DC lines in service, None if there are none: P_to = P_from - (l_0 + l_1 P_from).

    Raises:
        CaseDataError: the matrix is not in MATPOWER's format, or NaN where it is read.
    """
    dcline = fields.get("dcline")
    if dcline is None or (isinstance(dcline, np.ndarray) and dcline.size == 0):
        return None
    if not isinstance(dcline, np.ndarray) or dcline.ndim != 2 or dcline.shape[1] <= DC_STATUS:
        raise CaseDataError(f"{file}: mpc.dcline is not in MATPOWER's format, expected rows of 17 columns.")
    row = np.flatnonzero(dcline[:, DC_STATUS] > 0.0)
    if len(row) == 0:
        return None
    if dcline.shape[1] <= DC_LOSS1:
        raise CaseDataError(
            f"{file}, mpc.dcline row {row[0] + 1}: {dcline.shape[1]} columns, expected 17 for a line in service."
        )
    lines = dcline[row]
    read = [DC_FROM, DC_TO, DC_PF, DC_VF, DC_VT, DC_LOSS0, DC_LOSS1]
    for k in np.flatnonzero(np.isnan(lines[:, read]).any(axis=1)):
        raise CaseDataError(f"{file}, mpc.dcline row {row[k] + 1}: NaN, expected numbers.")
    notes.append(f"{len(row)} DC lines (mpc.dcline) are in service, as after MATPOWER's toggle_dcline")
    p_from_mw = lines[:, DC_PF]
    return DcLines(
        name=tuple(f"DC line {k + 1}" for k in row),
        from_number=lines[:, DC_FROM].astype(np.int64),
        to_number=lines[:, DC_TO].astype(np.int64),
        p_from_mw=p_from_mw,
        p_to_mw=p_from_mw - (lines[:, DC_LOSS0] + lines[:, DC_LOSS1] * p_from_mw),
        vm_from_pu=lines[:, DC_VF],
        vm_to_pu=lines[:, DC_VT],
    )


def _hold_ends(lines: DcLines, gen: FloatArray, holds_voltage: BoolArray, notes: list[str]) -> None:
    """At an end of a DC line its set-point counts, because MATPOWER adds the line's generators after all others."""
    overruled = []
    ends = zip([*lines.from_number, *lines.to_number], [*lines.vm_from_pu, *lines.vm_to_pu], strict=True)
    for number, vm_pu in ends:
        rows = np.flatnonzero(holds_voltage & (gen[:, GEN_BUS] == number) & (gen[:, VG] != vm_pu))
        gen[rows, VG] = vm_pu
        overruled += [f"{number}"] * (len(rows) > 0)
    if overruled:
        notes.append(f"set-points of DC lines overrule the generators' at bus {', '.join(overruled)}")


def _require_known(file: str, bus: FloatArray, branch: FloatArray) -> None:
    """Types of buses and states of branches are those of the format.

    Raises:
        CaseDataError: a type or state is none of them.
    """
    for row in np.flatnonzero(~np.isin(bus[:, BUS_TYPE], (PQ, PV, REFERENCE, ISOLATED))):
        raise CaseDataError(
            f"{file}, mpc.bus row {row + 1}: BUS_TYPE = {bus[row, BUS_TYPE]:g}, expected 1, 2, 3 or 4."
        )
    for row in np.flatnonzero(~np.isin(branch[:, BR_STATUS], (0.0, 1.0))):
        raise CaseDataError(
            f"{file}, mpc.branch row {row + 1}: BR_STATUS = {branch[row, BR_STATUS]:g}, expected 0 or 1."
        )


def _take_out_isolated(bus: FloatArray, gen: FloatArray, branch: FloatArray, notes: list[str]) -> None:
    """What stands at an isolated bus is out of service."""
    isolated = bus[bus[:, BUS_TYPE] == ISOLATED, BUS_I]
    if len(isolated) == 0:
        return
    at_branch = np.isin(branch[:, F_BUS], isolated) | np.isin(branch[:, T_BUS], isolated)
    at_gen = np.isin(gen[:, GEN_BUS], isolated)
    n_branch = np.count_nonzero(at_branch & (branch[:, BR_STATUS] != 0.0))
    n_gen = np.count_nonzero(at_gen & (gen[:, GEN_STATUS] > 0.0))
    branch[at_branch, BR_STATUS] = 0.0
    gen[at_gen, GEN_STATUS] = 0.0
    notes.append(
        f"{len(isolated)} buses are isolated (type 4): left out with {n_branch} branches and {n_gen} generators"
    )


def _use_last_set_point(gen: FloatArray, holds_voltage: BoolArray, notes: list[str]) -> None:
    """All generators that hold the voltage of a bus hold the one that the last of them gives."""
    rows = np.flatnonzero(holds_voltage)
    last = {gen[row, GEN_BUS]: gen[row, VG] for row in rows}
    overruled = [row for row in rows if gen[row, VG] != last[gen[row, GEN_BUS]]]
    for row in overruled:
        gen[row, VG] = last[gen[row, GEN_BUS]]
    if overruled:
        buses = ", ".join(f"{number:g}" for number in dict.fromkeys(gen[overruled, GEN_BUS]))
        notes.append(
            f"generators differ in VG at bus {buses}: the last in service counts, as in MATPOWER"[:300]
        )


def _make_loads(
    file: str,
    bus: FloatArray,
    gen: FloatArray,
    gen_on: BoolArray,
    holds_voltage: BoolArray,
    notes: list[str],
) -> None:
    """Dispatchable loads join the load of their bus, whose voltage a machine has to hold if anyone does.

    Raises:
        CaseDataError: a dispatchable load alone holds the voltage of its bus.
    """
    if gen.shape[1] <= PMIN:
        return
    is_load = gen_on & (gen[:, PMIN] < 0.0) & (gen[:, PMAX] == 0.0)
    held = set(gen[holds_voltage & ~is_load, GEN_BUS])
    position = {number: k for k, number in enumerate(bus[:, BUS_I])}
    for row in np.flatnonzero(is_load):
        number = gen[row, GEN_BUS]
        if holds_voltage[row] and number not in held:
            raise CaseDataError(
                f"{file}, mpc.gen row {row + 1}: a dispatchable load alone holds the voltage of bus {number:g}, "
                "expected a machine. Give the bus type 1, or a PMAX above 0 to what is a machine."
            )
        if number in position:  # else refused where the buses of generators are looked up
            bus[position[number], PD] -= gen[row, PG]
            bus[position[number], QD] -= gen[row, QG]
            gen[row, GEN_STATUS] = 0.0
    if is_load.any():
        notes.append(
            f"{np.count_nonzero(is_load)} generators are dispatchable loads (PMIN < 0, PMAX = 0): loads"
        )
