"""Grids of the user's own: what pandapower and MATPOWER hold comes out with the same power flow, or not at all."""

import numpy as np
import pytest

from cases.arrays import CaseDataError
from cases.ieee68 import load_ieee68
from grid_model.network.pandapower_net import build_network, set_reactor_share
from grid_model.network.topology import bridges
from grid_model.power_flow.open_case import open_grid
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.security.contingency import screen
from grid_model.security.outage import published_point
from grid_model.validation.power_flow_checks import validate

# P. M. Anderson, A. A. Fouad, Power System Control and Stability, 1977, sec. 2.6, as in MATPOWER's case9.
CASE9 = """
mpc.baseMVA = 100;
mpc.bus = [
1 3 0 0 0 0 1 1 0 345 1 1.1 0.9; 2 2 0 0 0 0 1 1 0 345 1 1.1 0.9; 3 2 0 0 0 0 1 1 0 345 1 1.1 0.9;
4 1 0 0 0 0 1 1 0 345 1 1.1 0.9; 5 1 90 30 0 0 1 1 0 345 1 1.1 0.9; 6 1 0 0 0 0 1 1 0 345 1 1.1 0.9;
7 1 100 35 0 0 1 1 0 345 1 1.1 0.9; 8 1 0 0 0 0 1 1 0 345 1 1.1 0.9; 9 1 125 50 0 0 1 1 0 345 1 1.1 0.9;
];
mpc.gen = [
1 72.3 0 300 -300 1 100 1 250 10; 2 163 0 300 -300 1 100 1 300 10; 3 85 0 300 -300 1 100 1 270 10;
];
mpc.branch = [
1 4 0 0.0576 0 250 250 250 0 0 1; 4 5 0.017 0.092 0.158 250 250 250 0 0 1;
5 6 0.039 0.17 0.358 150 150 150 0 0 1; 3 6 0 0.0586 0 300 300 300 0 0 1;
6 7 0.0119 0.1008 0.209 150 150 150 0 0 1; 7 8 0.0085 0.072 0.149 250 250 250 0 0 1;
8 2 0 0.0625 0 250 250 250 0 0 1; 8 9 0.032 0.161 0.306 250 250 250 0 0 1;
9 4 0.01 0.085 0.176 250 250 250 0 0 1;
];
"""


def single_slack_solution(case):
    net = build_network(case, distributed_slack=False)
    set_reactor_share(net, case, case.base_reactor_share)
    return solve_with_pandapower(net, distributed_slack=False)


def test_matpowers_nine_buses_have_the_solution_printed_in_its_manual(tmp_path):
    """MATPOWER User's Manual, runpf('case9'): three decimals of pu and of degree."""
    path = tmp_path / "case9.m"
    path.write_text(CASE9)
    solution = single_slack_solution(open_grid(str(path)).case)
    vm_pu = [1.000, 1.000, 1.000, 0.987, 0.975, 1.003, 0.986, 0.996, 0.958]
    va_degree = [0.000, 9.669, 4.771, -2.407, -4.017, 1.926, 0.622, 3.799, -4.350]
    # Half a unit of the last printed digit.
    np.testing.assert_allclose(np.abs(solution.v_pu), vm_pu, rtol=0.0, atol=0.5e-3)
    np.testing.assert_allclose(np.rad2deg(np.angle(solution.v_pu)), va_degree, rtol=0.0, atol=0.5e-3)
    assert solution.machine_p_mw[0] == pytest.approx(71.95, abs=0.005)


@pytest.mark.parametrize("name", ["case39", "case118"])
def test_pandapowers_own_nets_run_through_power_flow_and_screening(name):
    """Their own voltages are checked when they are opened."""
    opened = open_grid(name)
    case = opened.case
    assert case.n_bus == int(name[4:])
    np.testing.assert_array_equal(case.bus.bus_number, np.arange(1, case.n_bus + 1))
    assert any("no dynamic data" in note for note in opened.notes)
    assert validate(case).all_hold
    screening = screen(case, published_point(case))
    assert len(screening.results) == case.n_branch + case.n_machine
    islanded = {result.outage.row for result in screening.results if result.verdict == "islanded"}
    assert islanded == set(bridges(case).tolist())


def test_a_pandapower_file_comes_out_with_the_voltages_that_went_in(tmp_path):
    """The 68 buses, written by pandapower and read back as a stranger's grid."""
    import pandapower as pp

    case = load_ieee68("tr18")
    net = build_network(case, resources=False, renewables=False, reactors=False, distributed_slack=False)
    path = tmp_path / "grid.json"
    pp.to_json(net, str(path))
    opened = open_grid(str(path)).case
    assert (opened.n_bus, opened.n_branch, opened.n_machine, opened.n_load) == (68, 101, 16, 35)
    np.testing.assert_allclose(np.sort(opened.branch.rate_a_mva), np.sort(case.branch.rate_a_mva), rtol=1e-12)
    ours, theirs = single_slack_solution(case).v_pu, single_slack_solution(opened).v_pu
    slack = case.machine.bus[case.machine.slack_machine]
    # Two solves that stop at 1e-8 MVA each; ohm and percent in between cost some 1e-13.
    np.testing.assert_allclose(theirs / theirs[slack], ours / ours[slack], rtol=0.0, atol=1e-9)


def test_a_net_with_what_no_table_holds_is_refused(tmp_path):
    """A load of constant impedance changes with voltage: its net is not the case's."""
    import pandapower as pp

    net = build_network(load_ieee68("tr18"), resources=False, renewables=False, reactors=False)
    net.load["const_z_p_percent"] = 100.0
    net.load["const_z_q_percent"] = 100.0
    path = tmp_path / "impedance.json"
    pp.to_json(net, str(path))
    with pytest.raises(CaseDataError, match="expected|cannot be represented"):
        open_grid(str(path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.json", None, r"none\.json: no such file, expected a pandapower net"),
        ("broken.json", "{", r"broken\.json: cannot be read"),
        ("list.json", "[1, 2]", r"list\.json: (holds a list|cannot be read)"),
        (
            "grid.xlsx",
            "",
            "expected rogers, tr18, a file that ends in .json, .m or .mat, or one of pandapower's",
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(CaseDataError, match=message):
        open_grid(str(path))


def test_the_68_buses_open_by_the_name_of_their_variant():
    opened = open_grid("tr18")
    assert (opened.case.name, opened.notes) == ("ieee68-tr18", ())
