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
    import pandapower as pp

    net = build_network(load_ieee68("tr18"), resources=False, renewables=False, reactors=False)
    pp.create_svc(net, 20, x_l_ohm=1.0, x_cvar_ohm=-10.0, set_vm_pu=1.0, thyristor_firing_angle_degree=145.0)
    path = tmp_path / "svc.json"
    pp.to_json(net, str(path))
    with pytest.raises(CaseDataError, match="svc 0 is in service, expected none: it cannot be represented"):
        open_grid(str(path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.json", None, r"none\.json: no such file, expected a pandapower net"),
        ("broken.json", "{", r"broken\.json: cannot be read"),
        ("list.json", "[1, 2]", r"list\.json: (holds JSON of something else \(a list\)|cannot be read)"),
        (
            "grid.xlsx",
            "",
            r"grid.xlsx: neither a grid file nor a net .*, expected a file that ends in .json, .m, .mat or .toml",
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


def test_reactive_limits_are_the_files_in_the_order_of_the_machines(tmp_path):
    """case9 gives 300 and -300 Mvar; changed for one machine, left open for another as files do."""
    path = tmp_path / "case9.m"
    path.write_text(
        CASE9.replace("2 163 0 300 -300", "2 163 0 55 -44").replace("3 85 0 300 -300", "3 85 0 9999 -9999")
    )
    opened = open_grid(str(path))
    assert opened.case.machine.name == ("G1", "G2", "G3")
    np.testing.assert_array_equal(opened.reactive_limits.q_max_mvar, [300.0, 55.0, np.inf])
    np.testing.assert_array_equal(opened.reactive_limits.q_min_mvar, [-300.0, -44.0, -np.inf])
    assert opened.reactive_limits.source == "case9.m, which gives them for 2 of 3 machines"


def test_reactive_limits_of_an_external_grid_are_read_where_the_net_has_them():
    """pandapower's case39: -100 to 300 Mvar at the external grid of bus 31, 150 to 300 Mvar of G32."""
    opened = open_grid("case39")
    limits, name = opened.reactive_limits, opened.case.machine.name
    for machine, low, high in (("G31", -100.0, 300.0), ("G32", 150.0, 300.0)):
        k = name.index(machine)
        # pandapower widens limits by 1e-10.
        assert limits.q_min_mvar[k] == pytest.approx(low, abs=1e-9)
        assert limits.q_max_mvar[k] == pytest.approx(high, abs=1e-9)


def test_rate_a_holds_after_an_outage_too_where_a_file_gives_no_rate_b(tmp_path):
    """Rates B of case9 are 250 and 150 MVA as rates A; one of 0 and one below rate A are none."""
    path = tmp_path / "case9.m"
    text = CASE9.replace("4 5 0.017 0.092 0.158 250 250", "4 5 0.017 0.092 0.158 250 0")
    text = text.replace("5 6 0.039 0.17 0.358 150 150", "5 6 0.039 0.17 0.358 150 120")
    text = text.replace("7 8 0.0085 0.072 0.149 250 250 250", "7 8 0.0085 0.072 0.149 250 275 300")
    path.write_text(text)
    opened = open_grid(str(path))
    expected = opened.case.branch.rate_a_mva.copy()
    expected[opened.case.branch.name.index("7-8")] = 275.0
    np.testing.assert_array_equal(opened.case.branch.rate_b_mva, expected)
    assert "2 circuits have no rate B: rate A holds after an outage too" in opened.notes


def test_a_net_says_how_much_of_a_rating_may_be_used(tmp_path):
    """80 % of 345 kV x sqrt(3) x 1 kA = 478.05 MVA of a line, 110 % of 200 MVA of a transformer."""
    import pandapower as pp

    net = pp.create_empty_network()
    high, middle, low = (pp.create_bus(net, vn_kv=vn_kv) for vn_kv in (345.0, 345.0, 345.0))
    pp.create_ext_grid(net, high)
    pp.create_line_from_parameters(
        net, high, middle, 1.0, r_ohm_per_km=1.0, x_ohm_per_km=10.0, c_nf_per_km=0.0, max_i_ka=1.0,
        max_loading_percent=80.0,
    )  # fmt: skip
    pp.create_transformer_from_parameters(
        net, middle, low, sn_mva=200.0, vn_hv_kv=345.0, vn_lv_kv=345.0, vkr_percent=0.0, vk_percent=10.0, pfe_kw=0.0,
        i0_percent=0.0, max_loading_percent=110.0,
    )  # fmt: skip
    pp.create_load(net, low, p_mw=50.0)
    path = tmp_path / "grid.json"
    pp.to_json(net, str(path))
    opened = open_grid(str(path))
    # Products of a few doubles.
    np.testing.assert_allclose(opened.case.branch.rate_a_mva, [0.8 * 345.0 * np.sqrt(3.0), 220.0], rtol=1e-14)
    assert any(note.startswith("2 circuits have a max_loading_percent") for note in opened.notes)
