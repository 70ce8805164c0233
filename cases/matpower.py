"""Reads MATPOWER cases: .m files with literal matrices, and .mat files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, FloatArray
from cases.grid_tables import N_COLUMN, GridTables


def read_matpower(path: Path, f0_hz: float = 60.0) -> GridTables:
    """Read a MATPOWER case: a .m file with literal matrices, or a .mat file."""
    if path.suffix == ".mat":
        return _read_mat(path, f0_hz)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CaseDataError(f"{path}: no such file, expected a MATPOWER case.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CaseDataError(f"{path.name}: cannot be read ({error}), expected a MATPOWER case.") from error
    text = "\n".join(line.split("%")[0] for line in text.splitlines())
    computed = re.search(r"mpc\.(bus|gen|branch)\s*\(", text)
    if computed:
        raise CaseDataError(
            f"{path.name}: mpc.{computed[1]} is changed by statements, expected literal matrices only. "
            "Save the case from MATPOWER with savecase first."
        )
    base = re.search(r"mpc\.baseMVA\s*=\s*([^;\s]+)", text)
    if base is None:
        raise CaseDataError(f"{path.name}: no mpc.baseMVA, expected a MATPOWER case of version 2.")
    matrices = {name: _literal_matrix(path.name, text, name) for name in N_COLUMN}
    return GridTables(
        source=path.name,
        base_mva=_number(path.name, "mpc.baseMVA", base[1]),
        f0_hz=f0_hz,
        bus=matrices["bus"],
        gen=matrices["gen"],
        branch=matrices["branch"],
    )


def _literal_matrix(file: str, text: str, name: str) -> FloatArray:
    """One matrix of a .m file."""
    found = re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\]", text, re.DOTALL)
    if found is None:
        raise CaseDataError(f"{file}: no mpc.{name}, expected a matrix.")
    rows = [line.replace(",", " ").split() for line in re.split(r"[;\n]", found[1].replace("...", " "))]
    rows = [row for row in rows if row]
    if not rows:
        raise CaseDataError(f"{file}: mpc.{name} is empty, expected at least one row.")
    width = len(rows[0])
    for k, row in enumerate(rows):
        if len(row) != width or width < N_COLUMN[name]:
            raise CaseDataError(
                f"{file}, mpc.{name} row {k + 1}: {len(row)} entries, expected "
                f"{max(width, N_COLUMN[name])} as in MATPOWER's format."
            )
    return np.array(
        [[_number(file, f"mpc.{name} row {k + 1}", v) for v in row] for k, row in enumerate(rows)]
    )


def _number(file: str, where: str, text: str) -> float:
    """One number of a .m file; limits may be infinite, nothing may be nan."""
    try:
        value = float(text)
    except ValueError:
        raise CaseDataError(f"{file}, {where}: {text}, expected a number.") from None
    if np.isnan(value):
        raise CaseDataError(f"{file}, {where}: {text}, expected a number.")
    return value


def _read_mat(path: Path, f0_hz: float) -> GridTables:
    """A .mat file with a structure mpc."""
    from scipy.io import loadmat

    if not path.exists():
        raise CaseDataError(f"{path}: no such file, expected a MATPOWER case.")
    try:
        content = loadmat(path, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # scipy raises whatever a broken file leads it to
        raise CaseDataError(f"{path.name}: cannot be read ({error}), expected a MATLAB file.") from error
    mpc = content.get("mpc")
    matrices = {}
    for name in N_COLUMN:
        matrix = getattr(mpc, name, None)
        if matrix is None:
            raise CaseDataError(f"{path.name}: no mpc.{name}, expected a matrix.")
        matrices[name] = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
        if matrices[name].shape[1] < N_COLUMN[name]:
            raise CaseDataError(
                f"{path.name}, mpc.{name}: {matrices[name].shape[1]} columns, expected at least {N_COLUMN[name]}."
            )
    return GridTables(
        source=path.name,
        base_mva=float(getattr(mpc, "baseMVA", 100.0)),
        f0_hz=f0_hz,
        bus=matrices["bus"],
        gen=matrices["gen"],
        branch=matrices["branch"],
    )
