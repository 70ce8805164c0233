"""Machine data that a power-flow file does not hold."""

import numpy as np
import pytest

from cases.arrays import CaseDataError
from cases.typical_machines import TYPICAL, read_machine_data, typical_kind


def test_typical_values_lie_in_kundurs_ranges():
    # Kundur 1994, tables 3.2 and 4.2: H of thermal units 2.5 to 10 s, hydro 2 to 4 s; x'd 0.15 to 0.5 pu.
    for kind, data in TYPICAL.items():
        low, high = {"hydro": (2.0, 4.0), "condenser": (1.0, 2.0)}.get(kind, (2.5, 10.0))
        assert low <= data.h_s <= high
        assert 0.15 <= data.xd1_pu <= 0.5
        assert data.xd1_pu < data.xd_pu


def test_a_machine_is_taken_for_what_its_size_suggests():
    assert [typical_kind(0.0, 100.0), typical_kind(20.0, 30.0), typical_kind(300.0, 400.0)] == [
        "condenser", "hydro", "thermal",
    ]  # fmt: skip
    assert typical_kind(1000.0, 1100.0) == "nuclear"


def test_a_csv_says_what_is_known_and_kinds_fill_in_the_rest(tmp_path):
    path = tmp_path / "machines.csv"
    path.write_text("machine,kind,h_s\nG2,hydro,\nG1,,5.5\n")
    data = read_machine_data(path, ["G1", "G2"], np.array([100.0, 100.0]), np.array([200.0, 120.0]))
    np.testing.assert_array_equal(data.h_s, [5.5, TYPICAL["hydro"].h_s])
    np.testing.assert_array_equal(data.xd1_pu, [TYPICAL["thermal"].xd1_pu, TYPICAL["hydro"].xd1_pu])
    np.testing.assert_array_equal(data.base_mva, [200.0, 120.0])


def test_a_kind_that_is_none_is_named(tmp_path):
    path = tmp_path / "machines.csv"
    path.write_text("machine,kind\nG1,coal\n")
    with pytest.raises(CaseDataError, match=r"machines.csv, row 2: kind = coal, expected one of thermal"):
        read_machine_data(path, ["G1"], np.ones(1), np.ones(1))


def test_a_column_that_nobody_reads_is_named_and_rows_are_an_editors(tmp_path):
    """A mistyped column would leave its machines typical data, and nobody would know."""
    path, one = tmp_path / "machines.csv", (["G1"], np.ones(1), np.ones(1))
    for text, message in (
        ("machine,H_s\nG1,9\n", r"machines.csv, row 1: unknown column H_s, expected of machine, kind"),
        ("machine,h_s,h_s\nG1,9,4\n", r"machines.csv, row 1: column h_s 2 times, expected it once"),
        ("machine,h_s\n\n\nG1,x\n", r"machines.csv, row 4: h_s = x, expected a number"),
    ):
        path.write_text(text)
        with pytest.raises(CaseDataError, match=message):
            read_machine_data(path, *one)


def test_a_message_of_an_entry_over_two_lines_is_one_line(tmp_path):
    path = tmp_path / "machines.csv"
    path.write_text('machine,kind\nG1,"hyd\nro"\n')
    with pytest.raises(CaseDataError, match=r"kind = hyd ro, expected one of") as told:
        read_machine_data(path, ["G1"], np.ones(1), np.ones(1))
    assert "\n" not in str(told.value)
