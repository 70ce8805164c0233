"""MATPOWER files of every kind against voltages found on their matrices by a Newton of this test's own."""

import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from scipy.io import savemat

from cases import mat_elements
from cases.arrays import CaseDataError
from cases.matpower import read_matpower
from grid_model.network.pandapower_net import build_network, set_reactor_share
from grid_model.power_flow.angles import source_voltages
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.open_case import open_and_solve, open_grid
from grid_model.power_flow.oracle import solve_with_pandapower

# Four buses in a ring with one chord; MATPOWER's columns.
BUS = """mpc.bus = [
	5	3	0	0	0	0	1	1	0	132	1	1.1	0.9;
	7	1	70	25	0	12	1	1	0	132	1	1.1	0.9;
	9	2	40	15	0	0	1	1	0	132	1	1.1	0.9;
	11	1	35	10	0	0	1	1	0	132	1	1.1	0.9;
];
"""
GEN = """mpc.gen = [
	5	60	0	90	-90	1.03	100	1	200	0;
	9	55	0	90	-90	1.01	100	1	120	0;
];
"""
BRANCH = """mpc.branch = [
	5	7	0.012	0.09	0.03	100	0	0	0	0	1	-360	360;
	7	9	0.015	0.07	0.02	100	0	0	0	0	1	-360	360;
	9	11	0.010	0.08	0.02	100	0	0	0.98	0	1	-360	360;
	11	5	0.020	0.11	0.04	100	0	0	0	0	1	-360	360;
	7	11	0.018	0.12	0.02	100	0	0	0	0	1	-360	360;
];
"""
HEAD = "function mpc = ring\nmpc.version = '2';\nmpc.baseMVA = 100;\n"
RING = HEAD + BUS + GEN + BRANCH


def matrices(**changed):
    """The ring's matrices, typed a second time as numbers."""
    tables = {
        "bus": [
            [5, 3, 0, 0, 0, 0, 1, 1, 0, 132, 1, 1.1, 0.9],
            [7, 1, 70, 25, 0, 12, 1, 1, 0, 132, 1, 1.1, 0.9],
            [9, 2, 40, 15, 0, 0, 1, 1, 0, 132, 1, 1.1, 0.9],
            [11, 1, 35, 10, 0, 0, 1, 1, 0, 132, 1, 1.1, 0.9],
        ],
        "gen": [[5, 60, 0, 90, -90, 1.03, 100, 1, 200, 0], [9, 55, 0, 90, -90, 1.01, 100, 1, 120, 0]],
        "branch": [
            [5, 7, 0.012, 0.09, 0.03, 100, 0, 0, 0, 0, 1, -360, 360],
            [7, 9, 0.015, 0.07, 0.02, 100, 0, 0, 0, 0, 1, -360, 360],
            [9, 11, 0.010, 0.08, 0.02, 100, 0, 0, 0.98, 0, 1, -360, 360],
            [11, 5, 0.020, 0.11, 0.04, 100, 0, 0, 0, 0, 1, -360, 360],
            [7, 11, 0.018, 0.12, 0.02, 100, 0, 0, 0, 0, 1, -360, 360],
        ],
    }
    arrays = {name: np.array(table, dtype=np.float64) for name, table in tables.items()}
    for name, change in changed.items():
        arrays[name] = change(arrays[name])
    return arrays


def newton_v_pu(bus, gen, branch, base_mva=100.0):
    """Voltages by Newton's method on MATPOWER's equations (manual, sec. 3), with a Jacobian by differences.

    Rows in service only; set points and powers are looked up here and not in the reader under test.
    """
    number = bus[:, 0].tolist()
    n = len(number)
    y = np.zeros((n, n), dtype=complex)
    for row in branch:
        f, t = number.index(row[0]), number.index(row[1])
        series, half = 1.0 / complex(row[2], row[3]), 0.5j * row[4]
        tap = (row[8] or 1.0) * np.exp(1j * np.deg2rad(row[9]))
        y[f, f] += (series + half) / abs(tap) ** 2
        y[t, t] += series + half
        y[f, t] -= series / np.conj(tap)
        y[t, f] -= series / tap
    y += np.diag((bus[:, 4] + 1j * bus[:, 5]) / base_mva)
    s = -(bus[:, 2] + 1j * bus[:, 3]) / base_mva
    vm = np.ones(n)
    for row in gen:
        k = number.index(row[0])
        s[k] += complex(row[1], row[2]) / base_mva
        if bus[k, 1] != 1:
            vm[k] = row[5]
    pq = np.array([k for k in range(n) if bus[k, 1] == 1 or bus[k, 0] not in gen[:, 0]], dtype=int)
    moving = np.flatnonzero(bus[:, 1] != 3)

    def voltages(x):
        va, magnitude = np.deg2rad(bus[:, 8]), vm.copy()
        va[moving] = x[: len(moving)]
        magnitude[pq] = x[len(moving) :]
        return magnitude * np.exp(1j * va)

    def mismatch(x):
        v = voltages(x)
        ds = v * np.conj(y @ v) - s
        return np.concatenate([ds.real[moving], ds.imag[pq]])

    x = np.concatenate([np.deg2rad(bus[moving, 8]), np.ones(len(pq))])
    for _ in range(30):
        f = mismatch(x)
        if np.abs(f).max() < 1e-13:
            break
        step = 1e-7
        jacobian = np.column_stack(
            [(mismatch(x + step * e) - mismatch(x - step * e)) / (2 * step) for e in np.eye(len(x))]
        )
        x = x - np.linalg.solve(jacobian, f)
    assert np.abs(mismatch(x)).max() < 1e-12
    return voltages(x)


def opened_v_pu(path):
    """Voltages of the case made of a file, by pandapower and by the engine, with the angles of the file."""
    opened = open_and_solve(str(path))
    case = opened.case
    net = build_network(case, distributed_slack=False)
    set_reactor_share(net, case, case.base_reactor_share)
    v_pu = solve_with_pandapower(net, distributed_slack=False).v_pu
    # pandapower stops at a mismatch of 1e-8 MVA, the engine at 1e-7 MVA; the last step of either leaves far less.
    np.testing.assert_allclose(opened.v_pu, v_pu, rtol=0.0, atol=1e-9)
    return case, source_voltages(case, v_pu)


def write(tmp_path: Path, text: str, name: str = "ring.m") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def scaled(column, factor):
    def change(matrix):
        matrix[:, column] *= factor
        return matrix

    return change


def with_row(row):
    return lambda matrix: np.vstack([matrix, row])


def changed_entry(row, column, value):
    def change(matrix):
        matrix[row, column] = value
        return matrix

    return change


CONVERSION = """
%% convert branch impedances from Ohms to p.u.
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV, ZONE, VMAX, VMIN, LAM_P, LAM_Q, MU_VMAX, MU_VMIN] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, ...
    TAP, SHIFT, BR_STATUS, PF, QF, PT, QT, MU_SF, MU_ST, ...
    ANGMIN, ANGMAX, MU_ANGMIN, MU_ANGMAX] = idx_brch;
Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% in Volts
Sbase = mpc.baseMVA * 1e6;              %% in VA
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
"""


def in_ohm_and_kw() -> str:
    """The ring as distribution grids are published: ohm (Vb^2/Sb = 174.24) and kW."""
    tables = matrices()
    tables["branch"][:, 2:4] *= 174.24
    tables["bus"][:, 2:4] *= 1e3
    shown = {k: "\n".join("\t".join(repr(float(v)) for v in row) for row in t) for k, t in tables.items()}
    return (
        HEAD + "".join(f"mpc.{k} = [ %% not yet per unit\n{t}\n];\n" for k, t in shown.items()) + CONVERSION
    )


PROGRAMS = [
    ("plain", RING, {}),
    ("block comment", RING.replace("mpc.gen", "%{\nold:\n" + BUS.replace("70", "700") + "%}\nmpc.gen", 1), {}),
    ("joined lines", RING.replace("	1	1	0	132", "	...\n	1	1	0	132"), {}),
    (
        "appended row",
        RING + "mpc.branch = [mpc.branch; 7 9 0.015 0.07 0.02 100 0 0 0 0 1 -360 360];\n",
        {"branch": with_row([7, 9, 0.015, 0.07, 0.02, 100, 0, 0, 0, 0, 1, -360, 360])},
    ),
    (
        "row at the end",
        RING + "mpc.branch(end + 1, :) = mpc.branch(2, :);\n",
        {"branch": with_row([7, 9, 0.015, 0.07, 0.02, 100, 0, 0, 0, 0, 1, -360, 360])},
    ),
    ("row taken out", RING + "mpc.branch(5, :) = [];\n", {"branch": lambda m: m[:4]}),
    ("second assignment", RING + BUS.replace("70	25", "90	25"), {"bus": changed_entry(1, 2, 90.0)}),
    (
        "whole matrix",
        RING + "mpc.bus = mpc.bus * diag([1 1 1.5 1.5 1 1 1 1 1 1 1 1 1]);\n",
        {"bus": lambda m: m * np.array([1, 1, 1.5, 1.5, 1, 1, 1, 1, 1, 1, 1, 1, 1])},
    ),
    (
        "column",
        RING + "define_constants;\nmpc.bus(:, PD) = 1.1 * mpc.bus(:, PD);\n",
        {"bus": scaled(2, 1.1)},
    ),
    (
        "entries picked by value",
        RING + "mpc.bus(mpc.bus(:, 1) == 7, [3 4]) = [80 30];\n",
        {"bus": lambda m: changed_entry(1, 3, 30.0)(changed_entry(1, 2, 80.0)(m))},
    ),
    ("expression", RING.replace("0.09	0.03", "0.27/3	sqrt(9e-4)").replace("132", "396/3"), {}),
    ("ohm and kW", in_ohm_and_kw(), {}),
    (
        "names and costs",
        RING + "mpc.gencost = [2 0 0 3 0.01 20 0; 2 0 0 3 0.01 20 0];\nmpc.bus_name = {'A'; 'B]'; 'C;'; 'D''s'};\n",
        {},
    ),
    (
        "first version",
        RING.replace("function mpc = ring", "function [baseMVA, bus, gen, branch] = ring")
        .replace("mpc.version = '2';\n", "")
        .replace("mpc.", ""),
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "changes"), [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS])
def test_a_file_that_is_a_program_has_the_voltages_of_what_it_computes(tmp_path, text, changes):
    _, v_pu = opened_v_pu(write(tmp_path, text))
    # pandapower stops at a mismatch of 1e-8 MVA; ohm and kW cost some 1e-13.
    np.testing.assert_allclose(v_pu, newton_v_pu(**matrices(**changes)), rtol=0.0, atol=1e-9)


def test_a_mat_file_has_the_same_voltages(tmp_path):
    tables = matrices()
    savemat(tmp_path / "ring.mat", {"mpc": {"version": "2", "baseMVA": 100, **tables}}, do_compression=True)
    savemat(tmp_path / "old.mat", {"baseMVA": 100.0, **tables})
    for name in ("ring.mat", "old.mat"):
        _, v_pu = opened_v_pu(tmp_path / name)
        np.testing.assert_allclose(v_pu, newton_v_pu(**tables), rtol=0.0, atol=1e-9)  # as above


def test_of_two_set_points_at_a_bus_the_last_in_service_counts(tmp_path):
    more = "mpc.gen = [mpc.gen; 9 10 0 90 -90 1.04 100 1 60 0; 9 10 0 90 -90 0.98 100 0 60 0];\n"
    path = write(tmp_path, RING + more)
    case, v_pu = opened_v_pu(path)
    tables = matrices(gen=with_row([9, 10, 0, 90, -90, 1.04, 100, 1, 60, 0]))
    np.testing.assert_allclose(v_pu, newton_v_pu(**tables), rtol=0.0, atol=1e-9)  # as above
    assert abs(v_pu[2]) == pytest.approx(1.04, abs=1e-12)
    np.testing.assert_array_equal(case.machine.vm_set_pu, [1.03, 1.04, 1.04])
    assert "differ in VG at bus 9: the last in service counts" in "\n".join(open_grid(str(path)).notes)


def test_an_isolated_bus_takes_its_branches_and_generators_out_with_it(tmp_path):
    more = (
        "mpc.bus(end + 1, :) = [13 4 20 5 0 0 1 1 0 132 1 1.1 0.9];\n"
        "mpc.branch(end + 1, :) = [11 13 0.02 0.1 0.3 100 0 0 0 0 1 -360 360];\n"
        "mpc.gen(end + 1, :) = [13 20 0 9 -9 1.05 100 1 30 0];\n"
    )
    path = write(tmp_path, RING + more)
    case, v_pu = opened_v_pu(path)
    np.testing.assert_allclose(v_pu, newton_v_pu(**matrices()), rtol=0.0, atol=1e-9)  # as above
    assert (case.n_bus, case.n_branch, case.n_machine) == (4, 5, 2)
    assert (
        "1 buses are isolated (type 4): left out with 1 branches and 1 generators"
        in open_grid(str(path)).notes
    )


def test_a_dispatchable_load_is_a_load_and_no_machine(tmp_path):
    """PMIN < 0 and PMAX = 0 (manual, sec. 6.4.2), at a bus whose voltage a machine holds, and at a load bus."""
    rows = [[9, -20, -4, 0, -5, 1.01, 100, 1, 0, -20], [11, -15, -3, 0, -3, 1.0, 100, 1, 0, -15]]
    text = "".join(f"mpc.gen(end + 1, :) = {row};\n" for row in rows)
    case, v_pu = opened_v_pu(write(tmp_path, RING + text))
    expected = newton_v_pu(**matrices(gen=with_row(rows)))
    np.testing.assert_allclose(v_pu, expected, rtol=0.0, atol=1e-9)  # as above
    assert case.machine.name == ("G5", "G9")
    np.testing.assert_array_equal(case.load.p_mw, [70.0, 60.0, 50.0])


def test_a_second_reference_bus_without_a_machine_is_a_load_bus(tmp_path):
    """As in MATPOWER's bustypes: a bus of type 3 with no generator in service holds nothing."""
    text = RING + "mpc.bus(4, 2) = 3;\n"
    _, v_pu = opened_v_pu(write(tmp_path, text))
    np.testing.assert_allclose(v_pu, newton_v_pu(**matrices()), rtol=0.0, atol=1e-9)  # as above


def changed_entries(**entries):
    """Changes of a matrix by (row, column): value, keys written r1c2."""

    def change(matrix):
        for key, value in entries.items():
            row, column = key[1:].split("c")
            matrix[int(row), int(column)] = value
        return matrix

    return change


FEATURES = [
    ("shunt conductance", "mpc.bus(2, 5) = 1.5;", {"bus": changed_entry(1, 4, 1.5)}),
    ("series capacitor", "mpc.branch(5, 4) = -0.05;", {"branch": changed_entry(4, 3, -0.05)}),
    ("negative resistance", "mpc.branch(5, 3) = -0.05;", {"branch": changed_entry(4, 2, -0.05)}),
    ("no reactance", "mpc.branch(5, 4) = 0;", {"branch": changed_entry(4, 3, 0.0)}),
    ("capacitive line", "mpc.branch(5, 5) = -0.02;", {"branch": changed_entry(4, 4, -0.02)}),
    (
        "phase shifter",
        "mpc.branch(3, 10) = 7;\nmpc.bus(1, 9) = 12;",
        {"branch": changed_entry(2, 9, 7.0), "bus": changed_entry(0, 8, 12.0)},
    ),
    (
        "vector groups of all that leads to a bus",
        "mpc.branch([2 3], 10) = [-150; 150];",
        # the angle is where this test's Newton starts; the file does not say it
        {"branch": changed_entries(r1c9=-150.0, r2c9=150.0), "bus": changed_entry(2, 8, 150.0)},
    ),
    (
        "second reference",
        "mpc.bus(3, [2 9]) = [3 -2];",
        {"bus": changed_entries(r2c1=3.0, r2c8=-2.0)},
    ),
    (
        "second island",
        "mpc.bus = [mpc.bus; 20 3 0 0 0 0 1 1 9 20 1 1.1 0.9; 30 1 7 2 0 0 1 1 0 20 1 1.1 0.9];\n"
        "mpc.gen = [mpc.gen; 20 7 0 9 -9 1.05 100 1 30 0];\n"
        "mpc.branch = [mpc.branch; 20 30 0.1 0.4 0 20 0 0 0 0 1 -360 360];",
        {
            "bus": with_row(
                [
                    [20, 3, 0, 0, 0, 0, 1, 1, 9, 20, 1, 1.1, 0.9],
                    [30, 1, 7, 2, 0, 0, 1, 1, 0, 20, 1, 1.1, 0.9],
                ]
            ),
            "gen": with_row([20, 7, 0, 9, -9, 1.05, 100, 1, 30, 0]),
            "branch": with_row([20, 30, 0.1, 0.4, 0, 20, 0, 0, 0, 0, 1, -360, 360]),
        },
    ),
    (
        # 12 MW leave bus 11, less 1 + 0.05 x 12 MW of losses arrive at bus 7; both are held.
        "DC line",
        "mpc.dcline = [11 7 1 12 99 0 0 1.005 0.99 0 20 -9 9 -9 9 1 0.05];",
        {
            "bus": changed_entries(r1c1=2.0, r3c1=2.0),
            "gen": with_row(
                [[11, -12, 0, 9, -9, 1.005, 100, 1, 20, 0], [7, 10.4, 0, 9, -9, 0.99, 100, 1, 20, 0]]
            ),
        },
    ),
    (
        "DC line to where a machine stands",
        "mpc.dcline = [11 9 1 12 99 0 0 1.005 1.02 0 20 -9 9 -9 9 0 0];",
        {
            "bus": changed_entry(3, 1, 2.0),
            "gen": lambda m: np.vstack(
                [
                    changed_entry(1, 5, 1.02)(m),
                    [[11, -12, 0, 9, -9, 1.005, 100, 1, 20, 0], [9, 12, 0, 9, -9, 1.02, 100, 1, 20, 0]],
                ]
            ),
        },
    ),
]


@pytest.mark.parametrize(("statements", "changes"), [p[1:] for p in FEATURES], ids=[p[0] for p in FEATURES])
def test_what_the_68_buses_have_not_has_the_voltages_of_matpowers_equations(tmp_path, statements, changes):
    case, v_pu = opened_v_pu(write(tmp_path, RING + statements + "\n"))
    # pandapower stops at a mismatch of 1e-8 MVA.
    np.testing.assert_allclose(v_pu, newton_v_pu(**matrices(**changes)), rtol=0.0, atol=1e-9)
    NewtonEngine(case, reactor_share=1.0)  # with the slack shared, against pandapower once more


def test_islands_without_a_reference_are_dark_and_listed(tmp_path):
    text = (
        "mpc.bus = [mpc.bus; 20 2 1 0 0 0 1 1 9 20 1 1.1 0.9; 30 1 7 2 0 0 1 1 0 20 1 1.1 0.9];\n"
        "mpc.gen = [mpc.gen; 20 7 0 9 -9 1.05 100 1 30 0];\n"
        "mpc.branch = [mpc.branch; 20 30 0.1 0.4 0 20 0 0 0 0 1 -360 360];\n"
    )
    path = write(tmp_path, RING + text)
    case, v_pu = opened_v_pu(path)
    np.testing.assert_allclose(v_pu, newton_v_pu(**matrices()), rtol=0.0, atol=1e-9)  # as above
    assert (case.n_bus, case.n_branch, case.n_machine) == (4, 5, 2)
    assert any(
        "2 buses are dark, in islands without a reference machine: left out with 1 machines (20, 30)" in note
        for note in open_grid(str(path)).notes
    )


def test_what_the_schedule_leaves_goes_to_the_slack_as_in_the_files_own_solver(tmp_path):
    """145 MW of load and 115 MW of schedule: the slack's schedule becomes what it generates, and all balances."""
    path = write(tmp_path, RING)
    opened = open_and_solve(str(path))
    case = opened.case
    assert case.machine.p_mw[0] > 145.0 - 55.0
    shared = NewtonEngine(case, reactor_share=1.0)
    # nothing is left to share but the mismatch of the first solution, 1e-7 MW
    assert abs(shared.slack_mw[0, 0]) < 1e-6
    np.testing.assert_allclose(shared.v_pu[0], opened.v_pu, rtol=0.0, atol=1e-9)
    assert any("MW to the slack machine G5, which generates" in note for note in opened.notes)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "mpc.branch(5, [3 4]) = [0 0];",
            r"mpc\.branch row 5 \(7-11\): BR_X = 0, expected other than 0, as BR_R",
        ),
        ("mpc.branch(3, 9) = -1;", r"mpc\.branch row 3 \(9-11\): TAP = -1, expected 0 for none"),
        ("mpc.gen(2, [9 10]) = [0 -60];", r"gen row 2: a dispatchable load alone holds the voltage of bus 9"),
        ("mpc.dcline = [5 9 1 10];", r"mpc\.dcline row 1: 4 columns, expected 17 for a line in service"),
        (
            "mpc.dcline = [5 8 1 10 0 0 0 1 1 0 0 0 0 0 0 0 0];",
            r"DC line 1 ends at bus 8, which is dark or not there",
        ),
        ("mpc.dcline = 'x';", r"mpc\.dcline is not in MATPOWER's format"),
        ("mpc.bus(2, 2) = 5;", r"mpc\.bus row 2: BUS_TYPE = 5, expected 1, 2, 3 or 4"),
        ("mpc.branch(2, 11) = 0.5;", r"mpc\.branch row 2: BR_STATUS = 0\.5, expected 0 or 1"),
        ("mpc.branch(2, 4) = NaN;", r"mpc\.branch row 2: BR_X = NaN, expected a finite number"),
        ("mpc.gen(2, 6) = NaN;", r"mpc\.gen row 2: VG = NaN, expected a finite number"),
        ("mpc.bus(1, 9) = Inf;", r"bus 5: angle inf degrees at a reference bus, expected a number"),
        ("mpc.bus(2, 5) = Inf;", r"mpc\.bus row 2: GS = inf, expected a finite number"),
        ("mpc.bus(2, 1) = 1e300;", r"mpc\.bus row 2: BUS_I = 1e\+300, expected a bus number"),
        ("mpc.branch(3, 9) = 1e300;", r"mpc\.branch row 3 \(9-11\): TAP = 1e\+300, expected 0 for none"),
        ("mpc.branch(3, 10) = 1e300;", r"row 3 \(9-11\): SHIFT = 1e\+300, expected at most 360 degrees"),
        ("mpc.branch(2, 6) = -100;", r"row 2 \(7-9\): RATE_A = -100, expected 0 for none, or MVA above 0"),
        ("mpc.bus(:, 13) = [];", r"mpc\.bus: 12 columns, expected at least 13"),
        ("mpc.gen(:, :) = []", r"ring\.m, line \d+: .*takes out neither"),
        ("mpc.gen = [];", r"mpc\.gen is empty"),
        ("mpc.gen = 'none';", r"mpc\.gen is no matrix of numbers"),
        ("mpc.version = '3';", r"mpc\.version = 3, expected '2'"),
        ("mpc.baseMVA = 0;", r"mpc\.baseMVA is no number above 0"),
        ("mpc.baseMVA = [100 100];", r"mpc\.baseMVA is no number above 0"),
        ("mpc.gen(1, 1) = 6;", r"mpc\.gen row 1: GEN_BUS = 6, expected a bus"),
    ],
)
def test_what_no_case_holds_is_refused_by_name(tmp_path, statement, message):
    with pytest.raises(CaseDataError, match=message) as refusal:
        open_grid(str(write(tmp_path, RING + statement + "\n")))
    assert "\n" not in str(refusal.value)


def test_dc_lines_out_of_service_and_other_fields_are_left_out_and_said(tmp_path):
    text = RING + "mpc.dcline = [5 9 0 10];\nmpc.reserves.zones = [1 1];\nmpc.gencost = [2 0];\n"
    notes = open_grid(str(write(tmp_path, text))).notes
    assert "fields that the power flow does not read: reserves" in notes


def test_limits_and_bases_may_be_unknown(tmp_path):
    """pandapower writes NaN where it knows no MBASE or PMIN; what is out of service is not read at all."""
    text = RING + "mpc.gen(:, [4 7 9 10]) = NaN;\nmpc.branch(:, 6) = NaN;\nmpc.bus(:, [8 12 13]) = NaN;\n"
    more = "mpc.gen(end + 1, :) = [9 NaN NaN 0 0 NaN 100 0 0 0];\n"
    case, v_pu = opened_v_pu(write(tmp_path, text + more))
    np.testing.assert_allclose(v_pu, newton_v_pu(**matrices()), rtol=0.0, atol=1e-9)  # as above
    np.testing.assert_array_equal(case.branch.rate_a_mva, 9900.0)  # never binding, and noted


def test_letters_beyond_ascii_may_stand_in_comments_and_names(tmp_path):
    path = tmp_path / "ring.m"
    path.write_bytes(
        b"\xef\xbb\xbf" + RING.encode() + "% Malmö\nmpc.bus_name = {'Zürich'};\n".encode("latin-1")
    )
    assert open_grid(str(path)).case.n_bus == 4


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.m"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(CaseDataError, match=r"huge\.m: 65 MB, expected at most 64 MB"):
        read_matpower(path)
    with pytest.raises(CaseDataError, match="cannot be read"):
        read_matpower(tmp_path)


def test_a_row_of_a_mat_file_stays_a_row(tmp_path):
    """One generator is a matrix of one row."""
    tables = matrices(gen=lambda m: m[:1])
    savemat(tmp_path / "one.mat", {"mpc": {"baseMVA": 100.0, **tables}})
    assert read_matpower(tmp_path / "one.mat").gen.shape == (1, 10)


def mat_element(kind: int, data: bytes, order: Literal["little", "big"] = "little") -> bytes:
    """An element of a level 5 .mat file: tag, data, filled up to 8 bytes; small ones as MATLAB writes them."""
    if 0 < len(data) <= 4:
        return ((len(data) << 16) + kind).to_bytes(4, order) + data + bytes(4 - len(data))
    return kind.to_bytes(4, order) + len(data).to_bytes(4, order) + data + bytes(-len(data) % 8)


def mat_array(
    kind: int,
    name: bytes,
    content: bytes,
    order: Literal["little", "big"] = "little",
    size: tuple[int, ...] = (1, 1),
) -> bytes:
    """An array of the class, of one entry unless said otherwise."""
    flags = mat_element(6, kind.to_bytes(4, order) + bytes(4), order)
    dimensions = mat_element(5, b"".join(n.to_bytes(4, order) for n in size), order)
    return mat_element(14, flags + dimensions + mat_element(1, name, order) + content, order)


MAT_HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def test_a_mat_file_that_nests_without_end_is_refused_and_crashes_nothing(tmp_path):
    """Read by scipy alone, 20,000 cells within each other end the process."""
    content = mat_array(6, b"", mat_element(9, bytes(8)))
    for _ in range(5_000):
        content = mat_array(1, b"", content)
    path = tmp_path / "deep.mat"
    path.write_bytes(MAT_HEAD + mat_array(1, b"mpc", content))
    with pytest.raises(CaseDataError, match="nests deeper than 30 elements"):
        read_matpower(path)


def test_a_mat_file_that_unpacks_to_more_than_allowed_is_refused(tmp_path, monkeypatch):
    """3 MB of zeros in 3 kB, where 2 MB are allowed."""
    monkeypatch.setattr(mat_elements, "MAX_UNPACKED_BYTES", 2 * 2**20)
    packed = zlib.compress(mat_array(6, b"mpc", mat_element(9, bytes(3 * 2**20))))
    path = tmp_path / "bomb.mat"
    path.write_bytes(MAT_HEAD + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(CaseDataError, match="unpacks to more than 2 MB"):
        read_matpower(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["little", "big"])
def test_a_mat_file_as_matlab_writes_it_holds_the_same_case(tmp_path, order, packed):
    """Doubles that are whole numbers stored as such, names in cells of two-byte characters, either byte order."""

    def stored(values: np.ndarray) -> bytes:
        values = np.atleast_2d(values)
        whole = (values == values.astype(np.int16)).all()
        kind, code = (3, "i2") if whole else (9, "f8")
        code = ("<" if order == "little" else ">") + code
        data = mat_element(kind, values.T.astype(code).tobytes(), order)
        return mat_array(6, b"", data, order, values.shape)

    tables = matrices()
    n_bus = len(tables["bus"])
    names = [f"Bus {k}".encode("utf-16-le" if order == "little" else "utf-16-be") for k in range(n_bus)]
    cells = b"".join(mat_array(4, b"", mat_element(4, name, order), order, (1, 5)) for name in names)
    fields = {
        "version": mat_array(4, b"", mat_element(16, b"2", order), order),
        "baseMVA": mat_array(6, b"", mat_element(2, b"\x64", order), order),
        **{name: stored(table) for name, table in tables.items()},
        "bus_name": mat_array(1, b"", cells, order, (n_bus, 1)),
        "none": mat_element(14, b"", order),
    }
    content = mat_element(5, (32).to_bytes(4, order), order)
    content += mat_element(1, b"".join(name.encode().ljust(32, b"\0") for name in fields), order)
    variable = mat_array(2, b"mpc", content + b"".join(fields.values()), order)
    if packed:
        stream = zlib.compress(variable)
        variable = (15).to_bytes(4, order) + len(stream).to_bytes(4, order) + stream
    path = tmp_path / "matlab.mat"
    path.write_bytes(MAT_HEAD[:124] + (b"\x00\x01IM" if order == "little" else b"\x01\x00MI") + variable)
    _, v_pu = opened_v_pu(path)
    # pandapower stops at a mismatch of 1e-8 MVA.
    np.testing.assert_allclose(v_pu, newton_v_pu(**tables), rtol=0.0, atol=1e-9)


TEN = mat_element(9, bytes(80))


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (mat_array(6, b"mpc", TEN, size=(2, 6)), r"10 numbers at byte 48, dimensions of 12"),
        (mat_array(6, b"mpc", TEN + TEN, size=(2, 5)), r"ends at byte 224, its elements at byte 136"),
        (mat_array(6, b"mpc", TEN[:4] + b"\x58" + TEN[5:], size=(1, 11)), r"has 88 bytes, what it lies in 80 more"),
        (mat_array(6, b"mpc", b"", size=(1, 0)), r"an element is missing at byte 48"),
        (mat_array(6, b"mpc", TEN, size=(10,)), r"1 dimensions at byte 24, expected two"),
        (mat_array(6, b"mpc", TEN, size=(2**32 - 2, 2**32 - 5)), r"are \(-2, -5\), expected none below 0"),
        (mat_array(19, b"mpc", TEN), r"an array of class 19, which is unknown"),
        (mat_array(1, b"mpc", mat_array(6, b"", TEN, size=(1, 10)), size=(5, 5)), r"25 arrays expected at byte 48"),
        (mat_array(4, b"mpc", mat_element(1, b"text"), size=(1, 9)), r"4 characters at byte 48, dimensions of 9"),
        (mat_array(4, b"mpc", mat_element(1, b""), size=(1, 3_000_000)), r"more than 400,000 arrays"),
        (mat_element(9, bytes(8)), r"byte 128 is of kind 9, expected an array"),
        (mat_array(6, b"mpc", TEN, size=(2, 5))[:-8], r"has 128 bytes, the file 120 more"),
        ((15).to_bytes(4, "little") + b"\x07\0\0\0" + zlib.compress(TEN)[:7], r"at byte 128 has no end"),
        (b"\x0e\0\0", r"ends within the tag at byte 128"),
    ],
)  # fmt: skip
def test_a_mat_file_whose_elements_do_not_fit_is_refused_in_one_line(tmp_path, variable, message):
    """Each is but wrong; what ends scipy's process is kept out of here."""
    path = tmp_path / "damaged.mat"
    path.write_bytes(MAT_HEAD + variable)
    with pytest.raises(CaseDataError, match=message) as refusal:
        read_matpower(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mpc": {"baseMVA": 100.0}}, r"no mpc\.bus, expected a matrix"),
        ({"mpc": 3.0}, r"mpc is no structure"),
        ({"other": 3.0}, r"no mpc\.baseMVA"),
        ({"mpc": {"baseMVA": 100.0, "bus": "text"}}, r"mpc\.bus is no matrix of numbers"),
        ({"mpc": {"baseMVA": 100.0, "bus": np.ones((2, 13)) * 1j}}, r"mpc\.bus: holds complex numbers"),
    ],
)
def test_a_mat_file_without_a_case_is_refused_in_one_line(tmp_path, content, message):
    savemat(tmp_path / "bad.mat", content)
    with pytest.raises(CaseDataError, match=message) as refusal:
        read_matpower(tmp_path / "bad.mat")
    assert "\n" not in str(refusal.value)


def test_a_mat_file_of_version_7_3_says_how_to_save_it(tmp_path):
    path = tmp_path / "new.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(CaseDataError, match=r"of version 7\.3, expected an older one\. Save it with save"):
        read_matpower(path)
