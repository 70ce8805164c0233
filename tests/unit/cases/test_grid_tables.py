"""MATPOWER cases as tables: what becomes of each column, what is assumed, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from cases.arrays import CaseDataError
from cases.grid_tables import case_from_tables
from cases.matpower import read_matpower

# Three buses, a line pair 1-2, a transformer 2-3 with charging, a line out of service; comments as in real files.
TEXT = """function mpc = three
mpc.version = '2';
mpc.baseMVA = 50;   % MVA
%% bus data
%	bus_i	type	Pd	Qd	Gs	Bs	area	Vm	Va	baseKV	zone	Vmax	Vmin
mpc.bus = [
	10	3	0	0	0	0	1	1	0	230	1	1.1	0.9;
	20	2	30	10	0	19	1	1	0	230	1	1.1	0.9;
	30	1	40	20	0	0	2	1	0	115	1	1.1	0.9;
	40	4	99	99	0	0	2	1	0	115	1	1.1	0.9;
];
mpc.gen = [
	10	70	0	30	-30	1.02	100	1	80	0;
	20	25	0	30	-30	1.01	100	1	50	0;
	30	15	5	0	0	1	100	1	20	0;
	20	99	0	30	-30	1.01	100	0	50	0;
];
mpc.branch = [
	10	20	0.01	0.1	0.02	100	110	120	0	0	1	-360	360;
	10	20	0.01	0.2	0.02	0	0	0	0	0	1	-360	360;
	20	30	0	0.1	0.04	60	0	0	0.95	0	1	-360	360;
	10	30	0.01	0.1	0	60	0	0	0	0	0	-360	360;
];
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "three.m"
    path.write_text(text)
    return path


def imported(tmp_path: Path, text: str = TEXT, dynamics: Path | None = None):
    return case_from_tables(read_matpower(write(tmp_path, text)), dynamics)


def test_buses_keep_their_numbers_and_isolated_ones_are_left_out(tmp_path):
    case = imported(tmp_path).case
    np.testing.assert_array_equal(case.bus.bus_number, [10, 20, 30])
    assert case.area_names == ("area 1", "area 2")
    np.testing.assert_array_equal(case.bus.area, [0, 0, 1])
    np.testing.assert_array_equal(case.bus.vn_kv, [230.0, 230.0, 115.0])
    assert (case.base_mva, case.f0_hz, case.name) == (50.0, 60.0, "three")


def test_parallel_circuits_are_numbered_and_what_is_out_of_service_is_left_out(tmp_path):
    branch = imported(tmp_path).case.branch
    assert branch.name == ("10-20 #1", "10-20 #2", "20-30")
    np.testing.assert_array_equal(branch.is_transformer, [False, False, True])
    np.testing.assert_array_equal(branch.tap, [1.0, 1.0, 0.95])
    np.testing.assert_array_equal(branch.tap_bus, [-1, -1, 1])
    np.testing.assert_array_equal(branch.corridor, [1, 2, 3])  # rows of mpc.branch


def test_charging_of_a_transformer_stays_with_it_and_shunts_stand_at_their_buses(tmp_path):
    """b = 0.04 pu of the transformer; 19 Mvar of capacitor and 3 MW of conductance at bus 20."""
    case = imported(
        tmp_path, TEXT.replace("	20	2	30	10	0", "	20	2	30	10	3")
    ).case
    assert case.branch.b_pu[2] == 0.04
    np.testing.assert_array_equal(case.reactor.bus, [1])
    np.testing.assert_array_equal(case.reactor.q_mvar, [-19.0])
    assert case.base_reactor_share == 1.0
    np.testing.assert_array_equal(case.shunt.bus, [1])
    np.testing.assert_array_equal(case.shunt.p_mw, [3.0])


def test_a_machine_at_a_load_bus_is_a_negative_load(tmp_path):
    case = imported(tmp_path).case
    assert case.machine.name == ("G10", "G20")
    np.testing.assert_array_equal(case.load.bus, [1, 2])
    np.testing.assert_array_equal(case.load.p_mw, [30.0, 40.0 - 15.0])
    np.testing.assert_array_equal(case.load.q_mvar, [10.0, 20.0 - 5.0])


def test_what_is_not_given_is_assumed_and_listed(tmp_path):
    found = imported(tmp_path)
    branch, machine = found.case.branch, found.case.machine
    np.testing.assert_array_equal(branch.rate_a_mva, [100.0, 9900.0, 60.0])
    np.testing.assert_allclose(branch.rate_b_mva, [110.0, 1.2 * 9900.0, 72.0], rtol=1e-14)
    np.testing.assert_allclose(branch.rate_c_mva, [120.0, 1.4 * 9900.0, 84.0], rtol=1e-14)
    np.testing.assert_array_equal(machine.h_s, [4.0, 4.0])
    np.testing.assert_array_equal(machine.base_mva, [80.0, 50.0])
    notes = "\n".join(found.notes)
    assert "1 circuits have no rating: 9900 MVA, never binding" in notes
    assert "2 circuits have no rate B: 1.2 times rate A" in notes
    assert (
        "2 machines have no dynamic data: typical H, xd and x'd on their size (PMAX), 2 as thermal, H = 4 s"
        in notes
    )
    assert "laid out by springs when drawn" in notes
    assert "reactive limits of machines are not enforced" in notes


def test_a_side_car_gives_the_machines_their_data(tmp_path):
    side_car = tmp_path / "machines.csv"
    side_car.write_text(
        "machine,base_mva,h_s,xd_pu,xd1_pu,rating_mva\nG20,60,3.5,1.7,0.25,55\nG10,90,5.5,1.9,0.35,85\n"
    )
    found = imported(tmp_path, dynamics=side_car)
    np.testing.assert_array_equal(found.case.machine.h_s, [5.5, 3.5])
    np.testing.assert_array_equal(found.case.machine.rating_mva, [85.0, 55.0])
    assert not any("dynamic data" in note for note in found.notes)
    side_car.write_text(side_car.read_text().replace("3.5", "-3.5"))
    with pytest.raises(CaseDataError, match=r"machines\.csv, row 2: h_s = -3\.5, expected > 0"):
        imported(tmp_path, dynamics=side_car)
    side_car.write_text("machine,base_mva,h_s,xd_pu,xd1_pu,rating_mva\nG20,60,3.5,1.7,0.25,55\n")
    with pytest.raises(CaseDataError, match=r"machines\.csv: no row with machine = G10, expected one"):
        imported(tmp_path, dynamics=side_car)


def test_a_mat_file_holds_the_same_case(tmp_path):
    from_text = read_matpower(write(tmp_path, TEXT))
    path = tmp_path / "three.mat"
    matrices = {"bus": from_text.bus, "gen": from_text.gen, "branch": from_text.branch, "baseMVA": 50.0}
    savemat(path, {"mpc": matrices})
    from_mat = read_matpower(path)
    for name in ("bus", "gen", "branch", "base_mva"):
        np.testing.assert_array_equal(getattr(from_mat, name), getattr(from_text, name))


def test_vector_groups_turn_angles_only(tmp_path):
    """30 degrees at the only way to bus 30 act on nothing; the reference's 10 degrees turn all."""
    text = TEXT.replace("0.95	0	1", "0.95	30	1").replace(
        "	10	3	0	0	0	0	1	1	0", "	10	3	0	0	0	0	1	1	10"
    )
    case = imported(tmp_path, text).case
    np.testing.assert_array_equal(case.branch.shift_rad, np.zeros(3))
    np.testing.assert_allclose(np.rad2deg(case.bus.turn_rad), [10.0, 10.0, -20.0], rtol=1e-14)


def test_a_shift_that_a_loop_does_not_take_back_is_a_phase_shifter(tmp_path):
    """5 degrees at one of two parallel circuits: it stays with the circuit, which is no line then."""
    case = imported(
        tmp_path,
        TEXT.replace(
            "	0.2	0.02	0	0	0	0	0	1", "	0.2	0.02	0	0	0	0	5	1"
        ),
    ).case
    assert case.branch.name == ("10-20 #1", "10-20 #2", "20-30")
    np.testing.assert_array_equal(case.branch.is_transformer, [False, True, True])
    np.testing.assert_allclose(np.rad2deg(case.branch.shift_rad), [0.0, 5.0, 0.0], rtol=1e-14)
    np.testing.assert_array_equal(case.bus.turn_rad, np.zeros(3))


def test_what_hangs_on_a_bus_without_a_reference_is_dark_and_listed(tmp_path):
    found = imported(tmp_path, TEXT.replace("0.95	0	1", "0.95	0	0"))
    np.testing.assert_array_equal(found.case.bus.bus_number, [10, 20])
    note = "1 buses are dark, in islands without a reference machine: left out with 1 machines (30)"
    assert note in found.notes


def test_a_branch_within_a_bus_is_a_shunt(tmp_path):
    """Both ends at bus 20: its series impedance carries nothing, its charging of 0.02 pu of 50 MVA stays."""
    text = TEXT.replace("	10	20	0.01	0.2", "	20	20	0.01	0.2")
    found = imported(tmp_path, text)
    assert found.case.branch.name == ("10-20", "20-30")
    np.testing.assert_allclose(found.case.reactor.q_mvar, [-20.0], rtol=1e-14)
    assert "1 branches have both ends at one bus: shunts there" in found.notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mpc.baseMVA = 50", "mpc.baseMWA = 50", r"three\.m: no mpc\.baseMVA"),
        ("mpc.gen = [", "mpc.gun = [", r"three\.m: no mpc\.gen, expected a matrix"),
        ("0.01	0.1	0.02	100", "0.01	O.1	0.02	100", r"three\.m, line 19: the name O"),
        ("	20	30	0	0.1", "	20	33	0	0.1", r"row 3: T_BUS = 33, expected a bus"),
        ("	30	15	5", "	31	15	5", r"gen row 3: GEN_BUS = 31, expected a bus"),
        ("	20	2	30	10	0", "	10	2	30	10	0", r"mpc\.bus: BUS_I = 10 occurs twice"),
        ("	10	3	0", "	10	2	0", r"no machine in service at a bus of type 3"),
        ("	20	30	0	0.1	0.04	60", "	20	30	0	0.1	60", r"line 21: a row of 12 entries after rows of 13"),
        ("];\nmpc.gen", "];\nmpc.branch(:, 3) = mpc.branch(:, 3) / 2;\nmpc.gen", r"line 12: mpc\.branch, which"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(tmp_path, old, new, message):
    assert TEXT.count(old) == 1
    with pytest.raises(CaseDataError, match=message):
        imported(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize("name", ["none.m", "none.mat"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(CaseDataError, match="no such file, expected a MATPOWER case"):
        read_matpower(tmp_path / name)


def test_a_file_that_is_no_matlab_file_is_named(tmp_path):
    path = tmp_path / "broken.mat"
    path.write_text("not a MATLAB file")
    with pytest.raises(CaseDataError, match=r"broken\.mat: cannot be read"):
        read_matpower(path)
