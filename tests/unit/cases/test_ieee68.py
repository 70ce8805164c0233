"""The 68-bus case: what it holds, and that wrong data is named with file, row, value and expectation."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cases.arrays import CaseDataError
from cases.ieee68 import DATA_DIRECTORY, load_ieee68, load_published_solution


@pytest.fixture(scope="module")
def rogers():
    return load_ieee68("rogers")


@pytest.fixture(scope="module")
def tr18():
    return load_ieee68("tr18")


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(DATA_DIRECTORY, tmp_path / "ieee68"))


def edit(directory: Path, file: str, change: Callable[[list[list[str]]], None]) -> None:
    """Change the cells of a CSV file; no entry used here holds a comma."""
    path = directory / file
    cells = [line.split(",") for line in path.read_text().splitlines()]
    change(cells)
    path.write_text("\n".join(",".join(line) for line in cells) + "\n")


def set_cell(file: str, row: int, column: str, value: str) -> Callable[[Path], None]:
    """Edit that sets one cell; the header is row 1."""

    def change(directory: Path) -> None:
        def write(cells: list[list[str]]) -> None:
            cells[row - 1][cells[0].index(column)] = value

        edit(directory, file, write)

    return change


def test_the_case_has_the_published_size(rogers):
    assert (rogers.n_bus, rogers.n_machine, rogers.n_load, rogers.n_area) == (68, 16, 35, 5)
    assert (rogers.n_branch, rogers.n_line) == (101, 81)
    assert len(np.unique(rogers.branch.corridor)) == 83
    assert (rogers.n_renewable, rogers.n_resource, rogers.n_reactor) == (14, 20, 9)
    assert (rogers.base_mva, rogers.f0_hz) == (100.0, 60.0)


def test_loads_and_schedules_add_up_to_the_published_totals(rogers, tr18):
    """18,233.9 MW; tr18 has 0.4 of 500 and 522 MW, that is 613.2 MW less. Schedules: 18,408 and 0.2 MW more."""
    assert rogers.load.p_mw.sum() == pytest.approx(18233.9, abs=1e-9)  # sum of 35 numbers with two decimals
    assert rogers.load.p_mw.sum() - tr18.load.p_mw.sum() == pytest.approx(613.2, abs=1e-9)
    assert rogers.machine.p_mw.sum() == pytest.approx(18408.2, abs=1e-9)
    assert tr18.machine.p_mw.sum() == pytest.approx(18408.0, abs=1e-9)


def test_the_variants_differ_in_tap_side_two_loads_slack_and_g5_only(rogers, tr18):
    tapped = rogers.branch.tap_bus >= 0
    assert np.count_nonzero(tapped) == 16  # 12 of 16 step-up transformers and all 4 between network buses
    assert not np.any(tapped[: rogers.n_line])
    np.testing.assert_array_equal(rogers.branch.from_bus != tr18.branch.from_bus, tapped)
    np.testing.assert_array_equal(rogers.branch.from_bus[tapped], tr18.branch.to_bus[tapped])
    np.testing.assert_array_equal(rogers.branch.from_bus[tapped], rogers.branch.tap_bus[tapped])
    assert rogers.branch.name == tr18.branch.name
    for column in ("r_pu", "x_pu", "b_pu", "tap", "rate_a_mva"):
        np.testing.assert_array_equal(getattr(rogers.branch, column), getattr(tr18.branch, column))
    other = rogers.load.p_mw != tr18.load.p_mw
    assert list(np.array(rogers.load.name)[other]) == ["load 56", "load 60"]
    np.testing.assert_allclose(tr18.load.p_mw[other], 0.4 * rogers.load.p_mw[other], rtol=1e-15)
    assert rogers.machine.name[rogers.machine.slack_machine] == "G13"
    assert tr18.machine.name[tr18.machine.slack_machine] == "G16"
    assert list(np.array(rogers.machine.name)[rogers.machine.p_mw != tr18.machine.p_mw]) == ["G5"]


def test_parallel_circuits_add_up_to_their_corridor(rogers):
    """17-36 is printed as r 0.0005, x 0.0045, b 0.32 and stands as four circuits."""
    rows = [k for k, name in enumerate(rogers.branch.name) if name.startswith("17-36")]
    assert [rogers.branch.name[k] for k in rows] == [f"17-36 #{c}" for c in (1, 2, 3, 4)]
    assert sum(1.0 / rogers.branch.x_pu[rows]) == pytest.approx(1.0 / 0.0045, rel=1e-14)
    assert sum(1.0 / rogers.branch.r_pu[rows]) == pytest.approx(1.0 / 0.0005, rel=1e-14)
    assert sum(rogers.branch.b_pu[rows]) == pytest.approx(0.32, rel=1e-14)


def test_machines_13_and_16_are_on_200_mva(rogers):
    """Sum of H S from the printed table: 100 x (42+30.2+...+300+300) + 200 x (248 + 225) MW s."""
    np.testing.assert_array_equal(np.flatnonzero(rogers.machine.base_mva == 200.0), [12, 15])
    h_100 = 42 + 30.2 + 35.8 + 28.6 + 26 + 34.8 + 26.4 + 24.3 + 34.5 + 31 + 28.2 + 92.3 + 300 + 300
    stored_mws = (rogers.machine.h_s * rogers.machine.base_mva).sum()
    assert stored_mws == pytest.approx(100 * h_100 + 200 * (248 + 225), rel=1e-14)
    assert list(np.flatnonzero(rogers.machine.is_equivalent)) == [12, 13, 14, 15]


def test_plants_of_this_project_stand_where_the_design_puts_them(rogers):
    number = rogers.bus.bus_number
    resource = rogers.resource
    assert list(number[resource.bus[resource.of_kind("bess")]]) == [53, 68, 36, 41, 50]
    assert list(number[resource.bus[resource.of_kind("gas")]]) == [2, 3, 4, 6, 8, 9, 10, 11]
    assert list(number[resource.bus[resource.of_kind("dr")]]) == [17, 18, 42, 41, 20, 60, 56]
    assert resource.name[:6] == ("bess_0", "bess_1", "bess_2", "bess_3", "bess_4", "gas_0")
    wind = np.array([kind == "wind" for kind in rogers.renewable.kind])
    assert (np.count_nonzero(wind), rogers.renewable.p_max_mw[wind].sum()) == (6, 2600.0)
    assert (np.count_nonzero(~wind), rogers.renewable.p_max_mw[~wind].sum()) == (8, 1700.0)
    assert dict(zip(number[rogers.reactor.bus].tolist(), rogers.reactor.q_mvar.tolist(), strict=True)) == {
        18: 274, 41: 270, 42: 225, 40: 222, 50: 184, 53: 157, 26: 129, 36: 122, 64: 60,
    }  # fmt: skip


def test_the_published_schedule_is_the_cheapest_for_the_published_load(rogers):
    """Equal marginal cost c1 + 2 c2 P at every machine, 30 USD/MWh; c2 is kept to 8 decimals, P up to 4000 MW."""
    p_mw = rogers.machine.p_mw.copy()
    marginal = rogers.machine.cost_linear + 2.0 * rogers.machine.cost_quadratic * p_mw
    np.testing.assert_allclose(marginal, 30.0, rtol=0.0, atol=2 * 0.5e-8 * 4000)


def test_tables_cannot_be_written_to(rogers):
    with pytest.raises(ValueError, match="read-only"):
        rogers.branch.x_pu[0] = 1.0


def test_the_published_solution_has_every_bus():
    solution = load_published_solution()
    np.testing.assert_array_equal(solution.bus_number, np.arange(1, 69))
    assert (solution.vm_pu[63], solution.va_degree[63]) == (0.8367, -8.377)


def test_the_published_solution_is_not_read_by_the_model(copy):
    (copy / "published_solution_tr18.csv").unlink()
    assert load_ieee68("tr18", copy).n_bus == 68
    with pytest.raises(CaseDataError, match=r"published_solution_tr18\.csv: no such file"):
        load_published_solution(copy)


WRONG = {
    "negative reactance": (
        set_cell("branch.csv", 18, "x_pu", "-0.0045"),
        r"branch\.csv, row 18: x_pu = -0\.0045, expected > 0",
    ),
    "zero reactance": (
        set_cell("branch.csv", 18, "x_pu", "0"),
        r"branch\.csv, row 18: x_pu = 0, expected > 0",
    ),
    "not a number": (
        set_cell("branch.csv", 5, "r_pu", "O.0007"),
        r"branch\.csv, row 5: r_pu = O\.0007, expected a number",
    ),
    "nan": (
        set_cell("machine.csv", 5, "h_s", "nan"),
        r"machine\.csv, row 5: h_s = nan, expected a finite number",
    ),
    "empty": (
        set_cell("machine.csv", 5, "h_s", ""),
        r"machine\.csv, row 5: h_s = \(empty\), expected an entry",
    ),
    "negative inertia": (
        set_cell("machine.csv", 5, "h_s", "-3.1"),
        r"machine\.csv, row 5: h_s = -3\.1, expected > 0",
    ),
    "unknown bus of a branch": (
        set_cell("branch.csv", 2, "to_bus_number", "99"),
        r"branch\.csv, row 2: to_bus_number = 99, expected the number of a bus of the grid",
    ),
    "unknown bus of a plant": (
        set_cell("resource.csv", 2, "bus_number", "0"),
        r"resource\.csv, row 2: bus_number = 0, expected the number of a bus of the grid",
    ),
    "half a bus": (
        set_cell("renewable.csv", 2, "bus_number", "4.5"),
        r"renewable\.csv, row 2: bus_number = 4\.5, expected a whole number",
    ),
    "unknown area": (
        set_cell("bus.csv", 3, "area", "Atlantis"),
        r"bus\.csv, row 3: area = Atlantis, expected one of NETS, NYPS",
    ),
    "unknown kind": (
        set_cell("resource.csv", 4, "kind", "flywheel"),
        r"resource\.csv, row 4: kind = flywheel, expected one of bess, gas, dr",
    ),
    "a bus twice": (
        lambda d: edit(d, "bus.csv", lambda c: c.append(c[36])),
        r"bus\.csv, row 70: bus_number = 36, expected it once, but row 37 has it too",
    ),
    "a branch twice": (
        lambda d: edit(d, "branch.csv", lambda c: c.append(["84", *c[30][1:]])),
        r"branch\.csv, row 85: to_bus_number = 26, expected each pair of buses once",
    ),
    "a machine twice": (
        lambda d: edit(d, "generator.csv", lambda c: c.append(c[1])),
        r"generator\.csv, row 18: machine = G1, expected it once, but row 2 has it too",
    ),
    "a reactor twice": (
        lambda d: edit(d, "reactor.csv", lambda c: c.append(c[1])),
        r"reactor\.csv, row 11: bus_number = 18, expected it once, but row 2 has it too",
    ),
    "a missing machine": (
        lambda d: edit(d, "machine.csv", lambda c: c.pop(3)),
        r"machine\.csv: no row with machine = G3, expected one",
    ),
    "a missing position": (
        lambda d: edit(d, "position.csv", lambda c: c.pop(3)),
        r"position\.csv: no row with bus = 3, expected one",
    ),
    "a machine too many": (
        lambda d: edit(d, "machine.csv", lambda c: c.append(["G17", *c[1][1:]])),
        r"machine\.csv, row 18: machine = G17, expected one of G1",
    ),
    "a machine on another bus": (
        set_cell("machine.csv", 2, "bus_number", "2"),
        r"machine\.csv, row 2: bus_number = 2, expected the bus of G1 in generator\.csv",
    ),
    "a missing column": (
        lambda d: edit(d, "branch.csv", lambda c: [line.pop(5) for line in c]),
        r"branch\.csv, row 1: no column x_pu, expected it beside corridor",
    ),
    "a short row": (
        lambda d: edit(d, "machine.csv", lambda c: c[4].pop()),
        r"machine\.csv, row 5: 17 entries, expected 18",
    ),
    "an islanded bus": (
        lambda d: edit(d, "branch.csv", lambda c: c.pop(1)),
        r"bus\.csv, row 2: bus_number = 1, expected a chain of branches in branch\.csv",
    ),
    "a missing file": (
        lambda d: (d / "reactor.csv").unlink(),
        r"reactor\.csv: no such file in .*, expected a CSV",
    ),
    "an empty file": (
        lambda d: (d / "reactor.csv").write_text(""),
        r"reactor\.csv: 0 rows, expected a header",
    ),
    "a file that is no text": (
        lambda d: (d / "reactor.csv").write_bytes(b"\xff\xfe\x00\x81"),
        r"reactor\.csv: cannot be read .*, expected a CSV table in UTF-8",
    ),
    "two slack machines": (
        set_cell("generator.csv", 2, "slack_rogers", "1"),
        r"generator\.csv: slack_rogers marks 2 machines, expected exactly one",
    ),
    "emergency rating below the normal one": (
        set_cell("branch.csv", 2, "rate_b_mva", "800"),
        r"branch\.csv, row 2: rate_b_mva = 800, expected rate_a_mva <= rate_b_mva <= rate_c_mva",
    ),
    "a ratio on a line": (
        set_cell("branch.csv", 19, "tap_ratio", "1.02"),
        r"branch\.csv, row 19: tap_ratio = 1\.02, expected no ratio on a line",
    ),
    "a ratio at a third bus": (
        set_cell("branch.csv", 2, "tap_bus_number_rogers", "7"),
        r"branch\.csv, row 2: tap_bus_number_rogers = 7, expected one of the two ends",
    ),
    "a ratio without a side": (
        set_cell("branch.csv", 2, "tap_bus_number_rogers", ""),
        r"branch\.csv, row 2: tap_bus_number_rogers = \(empty\), expected the bus that carries the ratio",
    ),
    "a branch from a bus to itself": (
        set_cell("branch.csv", 2, "to_bus_number", "1"),
        r"branch\.csv, row 2: to_bus_number = 1, expected another bus",
    ),
    "no circuit": (
        set_cell("branch.csv", 2, "circuits_rated", "0"),
        r"branch\.csv, row 2: circuits_rated = 0, expected >= 1",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_data_is_named_with_file_row_value_and_expectation(what, copy):
    damage, message = WRONG[what]
    damage(copy)
    with pytest.raises(CaseDataError, match=message):
        load_ieee68("rogers", copy)


def test_an_unknown_variant_is_refused():
    with pytest.raises(CaseDataError, match="variant = 'ieee', expected one of rogers, tr18"):
        load_ieee68("ieee")


def test_regulators_are_the_published_ones_to_first_order(rogers):
    """DC4B with rate feedback: gain at once and in the long run of H(s), and the slower of its poles by numpy."""
    excitation, name = rogers.excitation, rogers.machine.name
    g1, g9, g13 = name.index("G1"), name.index("G9"), name.index("G13")
    # K_P 200, K_D 50, K_F 0.03, T_F 1, T_E 0.785: (200 + 50 s)(1 + s) over (1 + 0.785 s)(1 + s) + 0.03 s (200 + 50 s).
    denominator = [0.785 + 0.03 * 50.0, 0.785 + 1.0 + 0.03 * 200.0, 1.0]
    assert excitation.gain[g1] == 200.0
    assert excitation.transient_gain[g1] == pytest.approx(50.0 / denominator[0], rel=1e-12)
    assert excitation.lag_s[g1] == pytest.approx(-1.0 / np.roots(denominator).max(), rel=1e-12)
    assert excitation.reset_per_s[g1] == pytest.approx(50.0 / 200.0)
    assert excitation.efd_max_pu[g1] == 5.2356
    assert (excitation.gain[g9], excitation.transient_gain[g9], excitation.efd_max_pu[g9]) == (
        200.0,
        200.0,
        5.0,
    )
    assert excitation.gain[g13] == 0.0  # field set by hand
    assert excitation.t_field_s[g1] == 10.2
