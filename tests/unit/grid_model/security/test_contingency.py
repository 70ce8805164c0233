"""N-1: verdicts on grids whose outages can be worked by hand, and three engines on the 68 buses."""

import sys
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from builders import grid, one_area, three_area, two_bus
from cases.arrays import CaseDataError
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.tables import DcLineTable
from grid_model.network.admittance import bus_admittance
from grid_model.network.pandapower_net import build_network
from grid_model.network.topology import bridges, live_buses, multigraph
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.reactive_limits import typical_limits
from grid_model.power_flow.solution import PowerFlowDiverged
from grid_model.security import newton_outages
from grid_model.security.ac_solutions import BY_NONE, BY_PANDAPOWER, BY_SECOND_START
from grid_model.security.contingency import screen
from grid_model.security.lightsim_screen import LightsimScreen
from grid_model.security.newton_outages import NewtonOutages
from grid_model.security.newton_screen import NewtonScreen
from grid_model.security.outage import (
    OutageTopology,
    UnknownOutage,
    bus_injection_mva,
    circuit_pairs,
    outage_topology,
    outages_named,
    part_of,
    published_point,
    scaled_point,
    single_outages,
)
from grid_model.security.pandapower_screen import PandapowerScreen


def result_of(screening, name):
    return next(result for result in screening.results if result.outage.name == name)


def with_reference_at_a_live_bus(v_pu):
    """Voltages turned so that the first live bus has angle zero: engines may differ in what they refer to."""
    first = np.flatnonzero(np.abs(v_pu) > 0.0)[0]
    return v_pu * np.exp(-1j * np.angle(v_pu[first]))


def test_the_loss_of_one_of_two_circuits_overloads_the_other():
    """100 MW over circuits of rate A 60 and rate B 72 MVA: 50 MW each is fine, 100 MW is 139 %."""
    case = two_bus(p_load_mw=100.0, circuits=2)
    case = replace(
        case, branch=replace(case.branch, rate_a_mva=np.full(2, 60.0), rate_b_mva=np.full(2, 72.0))
    )
    screening = screen(case, published_point(case))
    assert not screening.base.violations
    result = result_of(screening, "1-2 #1")
    assert (result.verdict, result.condition.worst_branch) == ("violated", "1-2 #2")
    # The sending end carries P and the reactive losses X I^2 = 0.1 pu: |100 + 10j| MVA, I a little over 1.
    assert result.condition.worst_loading_percent == pytest.approx(100.5 / 72 * 100, rel=0.002)
    (violation,) = result.condition.violations
    assert (violation.limit, violation.element, violation.allowed) == ("loading_percent", "1-2 #2", 100.0)


@pytest.mark.parametrize("engine", ["newton", "lightsim2grid", "pandapower"])
def test_a_loss_beyond_the_transfer_limit_diverges_and_is_in_the_table(engine):
    """P_max = 1 / (2 X) without reactive load: 6.25 pu over two circuits of 0.16, 3.125 pu over one."""
    case = two_bus(p_load_mw=500.0, x_pu=0.16, circuits=2)
    screening = screen(case, published_point(case), engine)
    for name in ("1-2 #1", "1-2 #2"):
        result = result_of(screening, name)
        assert (result.verdict, result.condition, result.solved_by) == ("diverged", None, BY_NONE)
    assert {r.outage.name for r in screening.ranked()[:3]} == {"1-2 #1", "1-2 #2", "G1"}


def test_the_loss_of_the_only_machine_is_in_the_table_too():
    case = two_bus(circuits=2)
    for engine in ("newton", "lightsim2grid", "pandapower"):
        assert result_of(screen(case, published_point(case), engine), "G1").verdict == "diverged"


@pytest.mark.parametrize("engine", ["newton", "lightsim2grid", "pandapower", "dc"])
def test_an_island_names_its_buses_and_what_is_lost(engine):
    case = one_area()
    screening = screen(case, published_point(case), engine)
    result = result_of(screening, "3-4 #1")
    assert result.verdict == "islanded"
    assert result.islanded_bus_numbers == (4,)
    assert (result.lost_load_mw, result.lost_generation_mw) == (80.0, 0.0)
    assert result.rest == "secure"
    assert screening.bridges == ((3, 4),)
    assert screening.count()["islanded"] == 1


def test_a_lost_machine_is_picked_up_by_rating():
    """G11 feeds 400 MW; G21 and G31, rated 3 : 1, take 300 and 100 MW of it over their step-ups."""
    case = three_area()
    case = replace(case, machine=replace(case.machine, rating_mva=np.array([1000.0, 1500.0, 500.0])))
    fast = LightsimScreen(case)
    solutions = fast.solve(published_point(case))
    k = next(k for k, outage in enumerate(fast.outages) if outage.name == "G11")
    v = solutions.v_pu[k]
    for machine, p_mw in ((1, 250.0 + 300.0), (2, 200.0 + 100.0)):
        from_bus, to_bus = case.machine.bus[machine], case.machine.bus[machine] + 1  # 21-22 and 31-32
        # Lossless transformer of ratio 1.02: P = V1 V2 sin(d12) / (t X) S_base
        flow_mw = 100.0 * (v[from_bus] * np.conj(v[to_bus])).imag / (1.02 * 0.02)
        # Solver mismatch of 1e-7 MVA at every bus; lines carry no resistance.
        assert flow_mw == pytest.approx(p_mw, abs=1e-5)


def test_voltages_outside_their_band_are_named():
    """Losing one of two circuits drags the load bus below 0.95 pu; V2 from the quadratic of two buses."""
    p, q, x = 1.0, 0.4, 0.2
    case = two_bus(p_load_mw=100.0, q_load_mvar=40.0, x_pu=x, circuits=2)
    half = 0.5 - q * x
    v2 = np.sqrt(half + np.sqrt(half**2 - x**2 * (p**2 + q**2)))
    result = result_of(screen(case, published_point(case)), "1-2 #2")
    (violation,) = result.condition.violations
    assert (violation.limit, violation.element, violation.allowed) == ("vm_min_pu", "bus 2", 0.95)
    assert violation.value == pytest.approx(v2, abs=1e-9)  # Newton stops at 1e-9 pu
    assert (result.condition.vm_min_bus, result.condition.vm_max_bus) == (2, 1)


def test_what_the_quick_engine_leaves_unsolved_is_tried_again_from_a_second_start(monkeypatch):
    case = three_area()
    point = published_point(case)
    fast = LightsimScreen(case)
    good = fast.solve(point)

    def solves_nothing(self):
        n = len(self._meshed)
        return np.zeros((n, case.n_bus), dtype=np.complex128), np.zeros(n, dtype=np.bool_)

    monkeypatch.setattr(LightsimScreen, "_contingency_analysis", solves_nothing)
    bad = fast.solve(point)
    assert not bad.solved[fast._meshed].any()
    confirmed = fast.confirm(point, bad)
    assert confirmed.solved.all()
    assert {confirmed.solved_by[k] for k in fast._meshed} == {BY_SECOND_START}
    np.testing.assert_allclose(confirmed.v_pu, good.v_pu, rtol=0.0, atol=1e-8)  # what engines are held to


def test_what_no_start_solves_is_given_to_pandapower(monkeypatch):
    case = three_area()
    point = published_point(case)
    fast = LightsimScreen(case)
    good = fast.solve(point)
    bad = replace(
        good,
        v_pu=np.zeros_like(good.v_pu),
        solved=np.zeros_like(good.solved),
        solved_by=(BY_NONE,) * len(good.solved_by),
    )
    monkeypatch.setattr(
        fast._engine, "solve", lambda injection, envs: np.zeros(fast._engine.n_env, dtype=np.bool_)
    )
    confirmed = fast.confirm(point, bad)
    assert confirmed.solved_by == (BY_PANDAPOWER,) * len(fast.outages)
    for k in range(len(fast.outages)):
        np.testing.assert_allclose(
            with_reference_at_a_live_bus(confirmed.v_pu[k]),
            with_reference_at_a_live_bus(good.v_pu[k]),
            rtol=0.0,
            atol=1e-8,  # what engines are held to
        )


def test_a_screen_does_not_depend_on_what_was_screened_before():
    case = load_ieee68()
    fast = LightsimScreen(case)
    heavy, light = scaled_point(case, load_level=1.0), scaled_point(case, load_level=0.5, wind=0.3, sun=0.2)
    first = fast.solve(light)
    fast.confirm(heavy, fast.solve(heavy))
    again = fast.solve(light)
    np.testing.assert_array_equal(again.solved, first.solved)
    # Newton stops at 1e-9 pu of mismatch, wherever it came from.
    np.testing.assert_allclose(again.v_pu, first.v_pu, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("engine", ["newton", "lightsim2grid", "pandapower"])
def test_a_grid_without_a_base_solution_says_so(engine):
    """7 pu over two circuits of 0.16 pu each: beyond 1 / (2 x 0.08) = 6.25 pu."""
    feasible = two_bus(p_load_mw=100.0, x_pu=0.16, circuits=2)
    point = replace(published_point(feasible), p_load_mw=np.array([700.0]), p_machine_mw=np.array([700.0]))
    with pytest.raises(PowerFlowDiverged, match="no solution before any outage"):
        screen(feasible, point, engine)


@pytest.fixture(scope="module")
def rogers() -> Case:
    return load_ieee68("rogers")


@pytest.fixture(scope="module", params=["newton", "lightsim2grid", "dc"])
def screening(request, rogers):
    return screen(rogers, published_point(rogers), request.param)


def test_every_element_of_the_68_buses_is_in_the_table_once(screening, rogers):
    names = [result.outage.name for result in screening.results]
    assert sorted(names) == sorted(
        [*rogers.branch.name, *rogers.machine.name, *rogers.renewable.name, *rogers.resource.name]
    )
    assert sum(screening.count().values()) == 151


def test_what_islands_are_the_bridges_that_networkx_finds(screening, rogers):
    """Bridges of the simple graph, less those that stand for parallel circuits."""
    graph = multigraph(rogers)
    names = {
        rogers.branch.name[key]
        for u, v in nx.bridges(nx.Graph(graph))
        if graph.number_of_edges(u, v) == 1
        for key in graph[u][v]
    }
    assert {r.outage.name for r in screening.results if r.verdict == "islanded"} == names
    assert {f"{a}-{b}" for a, b in screening.bridges} == names


def test_a_lost_plant_at_zero_output_leaves_the_base_case(rogers):
    """Wind and plants stand at zero at the published point, so nothing moves."""
    screening = screen(rogers, published_point(rogers))
    base = screening.base
    for result in screening.results[117:]:
        assert result.outage.kind in ("renewable", "resource")
        assert result.condition.vm_min_pu == pytest.approx(base.vm_min_pu, abs=1e-8)
        assert result.condition.vm_max_pu == pytest.approx(base.vm_max_pu, abs=1e-8)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 5], ids=["all", "every fifth"])
def test_both_ac_engines_agree_on_the_outages_of_the_68_buses(rogers, every):
    """Same outages solved, same voltages to 1e-8 pu, with wind, sun, reactors and plants at work."""
    point = scaled_point(rogers, load_level=0.85, wind=0.6, sun=0.5)
    point = replace(point, p_resource_mw=np.linspace(-20.0, 30.0, 20))
    fast, slow = LightsimScreen(rogers), PandapowerScreen(rogers)
    quick = fast.confirm(point, fast.solve(point))
    assert 140 < np.count_nonzero(quick.solved) < 151
    for k in sorted({*range(0, 151, every), *np.flatnonzero(~quick.solved)}):
        oracle = slow.voltages(point, k)
        assert (oracle is not None) == quick.solved[k], fast.outages[k].name
        if oracle is not None:
            np.testing.assert_allclose(
                with_reference_at_a_live_bus(quick.v_pu[k]),
                with_reference_at_a_live_bus(oracle),
                rtol=0.0,
                atol=1e-8,  # what the project promises
                err_msg=fast.outages[k].name,
            )


def test_severity_adds_what_exceeds_each_limit():
    """139.6 % is 0.396 ratings; ranking puts it before what is secure."""
    case = two_bus(p_load_mw=100.0, circuits=2)
    case = replace(
        case, branch=replace(case.branch, rate_a_mva=np.full(2, 60.0), rate_b_mva=np.full(2, 72.0))
    )
    screening = screen(case, published_point(case))
    condition = result_of(screening, "1-2 #1").condition
    assert condition.severity == pytest.approx(condition.worst_loading_percent / 100.0 - 1.0, rel=1e-12)


def test_a_generator_that_feeds_an_island_of_its_own_is_lost_with_it():
    """1 = 2 - 3 with a machine at 3: the circuit 2-3 cuts off 40 MW of generation and 10 MW of load."""
    case = grid(
        branches=[(1, 2, 0.1), (1, 2, 0.1), (2, 3, 0.1)],
        machines={1: 60.0, 3: 40.0},
        loads={2: (90.0, 0.0), 3: (10.0, 0.0)},
        rating_mva=100.0,
    )
    case = replace(case, machine=replace(case.machine, rating_mva=np.array([100.0, 50.0])))
    result = result_of(screen(case, published_point(case)), "2-3 #1")
    assert (result.verdict, result.islanded_bus_numbers) == ("islanded", (3,))
    assert (result.lost_load_mw, result.lost_generation_mw) == (10.0, 40.0)


@pytest.mark.parametrize(("load_level", "wind"), [(1.05, 0.1), (0.6, 0.6)])
def test_verdicts_and_flows_are_those_of_lightsim2grid(load_level, wind):
    """Every circuit, machine and plant, islanding and unsolvable outages among them."""
    case = load_ieee68()
    point = scaled_point(case, load_level=load_level, wind=wind, sun=0.3)
    theirs = LightsimScreen(case)
    found = theirs.confirm(point, theirs.solve(point))
    ours = NewtonOutages(case).solve(point)
    np.testing.assert_array_equal(ours.solved, found.solved)
    # Both within 1e-9 pu of mismatch, on flows of up to 2,000 MVA.
    np.testing.assert_allclose(ours.flow_mva, found.flow_mva, rtol=0.0, atol=1e-4)
    newton, lightsim = screen(case, point, "newton"), screen(case, point, "lightsim2grid")
    assert [r.verdict for r in newton.results] == [r.verdict for r in lightsim.results]


def test_pairs_of_circuits_go_the_same_way():
    """Both circuits of a corridor and pairs over the grid: each is what the engine alone makes of it."""
    case = load_ieee68()
    pairs = [(0, 1), (5, 40), (20, 60), (3, 77), (90, 12)]
    branch_on = np.ones((len(pairs), case.n_branch), np.bool_)
    for k, pair in enumerate(pairs):
        branch_on[k, list(pair)] = False
    live = np.stack([live_buses(case, on) for on in branch_on])
    branch_on &= live[:, case.branch.from_bus] & live[:, case.branch.to_bus]
    topology = OutageTopology(
        branch_in_service=branch_on,
        machine_in_service=live[:, case.machine.bus],
        renewable_in_service=live[:, case.renewable.bus],
        resource_in_service=live[:, case.resource.bus],
        dc_line_in_service=np.ones((len(pairs), 0), np.bool_),
        bus_live=live,
    )
    screening = NewtonScreen(case, topology)
    point = published_point(case)
    screening.solve(point)
    screening.confirm(point)
    alone = NewtonEngine(case, 1, check=False)
    for k in range(len(pairs)):
        alone.set_topology(0, branch_on[k], topology.machine_in_service[k])
        alone.set_reactors(0, case.base_reactor_share)
        alone.start_at(np.array([0]), screening.base_v_pu)
        assert alone.solve(bus_injection_mva(case, point)[None])[0] == screening.solved[k]
        if screening.solved[k]:
            # Dead buses count as zero in both; the starts are the same, so are the bits.
            np.testing.assert_array_equal(alone.v_pu[0], screening.v_pu[k])
    assert screening.solved.any()


def test_combinations_are_screened_like_single_outages_and_agree_with_pandapower(rogers):
    """Two circuits, a circuit and a machine, a cut that islands: verdicts and loadings of both programs."""
    outages = outages_named(rogers, ["18-49 + 46-38", "# why", "54-53 #2 + G11", "", "1-54", "19-68 + 68-67"])
    assert [outage.name for outage in outages] == ["18-49 + 46-38", "54-53 #2 + G11", "1-54", "19-68 + 68-67"]
    ours, theirs = (
        screen(rogers, published_point(rogers), engine, outages) for engine in ("newton", "pandapower")
    )
    for mine, other in zip(ours.results, theirs.results, strict=True):
        assert (mine.verdict, mine.rest, mine.islanded_bus_numbers) == (
            other.verdict,
            other.rest,
            other.islanded_bus_numbers,
        )
        if mine.condition is not None:
            # Two solves of 1e-8 pu at loadings near 100 %.
            assert mine.condition.worst_loading_percent == pytest.approx(
                other.condition.worst_loading_percent, abs=1e-4
            )
    assert ours.results[2].verdict == "islanded"
    assert ours.bridges == theirs.bridges


def test_all_pairs_of_circuits_are_in_the_list_once():
    case = three_area()
    pairs = circuit_pairs(case)
    assert len(pairs) == case.n_branch * (case.n_branch - 1) // 2
    assert len({frozenset(part.row for part in pair.parts) for pair in pairs}) == len(pairs)


def test_a_long_list_is_screened_in_parts_with_the_same_results(rogers, monkeypatch):
    whole = screen(rogers, published_point(rogers)).results
    monkeypatch.setattr(newton_outages, "PART", 50)
    assert screen(rogers, published_point(rogers)).results == whole


def test_a_long_list_shows_a_bar_on_a_terminal(monkeypatch, capsys):
    case = three_area()
    monkeypatch.setattr(newton_outages, "PART", 8)
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        screening = screen(case, published_point(case))
        assert len(screening.results) > 8
        assert (f"/{len(screening.results)} " in capsys.readouterr().err) == terminal


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["54-53 + G11"], r"line 1: '54-53' is no element of case .*54-53 #1"),
        (["G11", "G99"], "line 2: 'G99' is no element"),
        (["G11 + G11"], "line 1: .* names an element twice"),
        (["# nothing"], "no outage in the list"),
    ],
)
def test_a_list_that_names_what_is_not_there_is_refused(rogers, lines, words):
    with pytest.raises(UnknownOutage, match=words):
        outages_named(rogers, lines)


def test_engines_for_single_outages_take_no_list(rogers):
    with pytest.raises(ValueError, match="expected newton or pandapower"):
        screen(rogers, published_point(rogers), "dc", outages_named(rogers, ["G11"]))


def test_a_branch_exactly_at_its_rating_is_secure_in_every_engine(rogers):
    """Ratings set to the very flow that one engine finds, and a voltage band to the very voltage.

    The engines' flows differ in their last digits, some above and some below; none may call it broken.
    """
    outages = outages_named(rogers, ["54-53 #1"])
    state = NewtonOutages(rogers, outages).solve(published_point(rogers))
    flow_mva, vm_pu = state.flow_mva[0], np.abs(state.v_pu[0])
    rated = np.maximum(flow_mva, 1.0)  # the lost circuit carries nothing
    at_limit = replace(
        rogers,
        branch=replace(rogers.branch, rate_a_mva=rated, rate_b_mva=rated, rate_c_mva=rated),
        bus=replace(rogers.bus, vm_min_pu=vm_pu, vm_max_pu=np.full(rogers.n_bus, 1.10)),
    )
    below = replace(at_limit, branch=replace(at_limit.branch, rate_a_mva=rated * (1.0 - 1e-4),
                                             rate_b_mva=rated * (1.0 - 1e-4)))  # fmt: skip
    for engine in ("newton", "pandapower"):
        (result,) = screen(at_limit, published_point(at_limit), engine, outages).results
        assert result.outcome == "secure", result.condition
        (result,) = screen(below, published_point(below), engine, outages).results
        assert result.outcome == "violated"


def rest_by_pandapower(case, circuit):
    """Outcome of what the loss of one circuit leaves, from a net that the lost part is cut out of.

    The main part keeps its schedule; what it lost is shared by the machines left, in proportion to rating, which is
    what pandapower's slack weights do.
    """
    import pandapower as pp

    net = build_network(case, resources=False, renewables=False, reactors=False)
    table, index = ("line", circuit) if circuit < case.n_line else ("trafo", circuit - case.n_line)
    net[table] = net[table].drop(index)
    graph = nx.MultiGraph()
    graph.add_nodes_from(net.bus.index)
    graph.add_edges_from(zip(net.line["from_bus"], net.line["to_bus"], strict=True))
    graph.add_edges_from(zip(net.trafo["hv_bus"], net.trafo["lv_bus"], strict=True))
    main = max(nx.connected_components(graph), key=len)
    lost_mw = (
        net.gen["p_mw"][~net.gen["bus"].isin(main)].sum(),
        net.load["p_mw"][~net.load["bus"].isin(main)].sum(),
    )
    pp.toolbox.drop_buses(net, [bus for bus in net.bus.index if bus not in main])
    net.gen["slack_weight"] = net.gen["sn_mva"] / net.gen["sn_mva"].sum()
    net.gen["slack"] = net.gen.index == (
        net.gen.index[net.gen["slack"]][0] if net.gen["slack"].any() else net.gen["sn_mva"].idxmax()
    )
    try:
        pp.runpp(
            net, init="dc", distributed_slack=True, calculate_voltage_angles=True, trafo_model="pi",
            tolerance_mva=1e-8, max_iteration=30, numba=False, lightsim2grid=False,
        )  # fmt: skip
    except pp.LoadflowNotConverged:
        return "islanded_diverged", lost_mw, None
    vm_pu = net.res_bus["vm_pu"]
    broken = (vm_pu > 1.10).any() or (vm_pu < 0.95).any()
    worst = 0.0
    for result, ends, first in (
        (net.res_line, ("from", "to"), 0),
        (net.res_trafo, ("hv", "lv"), case.n_line),
    ):
        s_mva = np.max([np.hypot(result[f"p_{end}_mw"], result[f"q_{end}_mvar"]) for end in ends], axis=0)
        worst = max(worst, (100.0 * s_mva / case.branch.rate_b_mva[first + result.index.to_numpy()]).max())
    return (
        ("islanded_violated" if broken or worst > 100.0 else "islanded_secure"),
        lost_mw,
        (vm_pu.min(), worst),
    )


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 6], ids=["all", "every sixth"])
def test_what_an_islanding_outage_leaves_is_what_pandapower_makes_of_the_rest(rogers, every):
    """Whether the rest solves, keeps its limits, and how much load and generation is lost."""
    circuits = single_outages(rogers)
    outages = tuple(circuits[row] for row in bridges(rogers)[::every])
    islanded = screen(rogers, published_point(rogers), "newton", outages).results
    assert len(islanded) == 18 // every
    for result in islanded:
        outcome, (generation_mw, load_mw), state = rest_by_pandapower(rogers, result.outage.row)
        assert result.outcome == outcome, result.outage.name
        assert result.islanded_generation_mw == pytest.approx(
            generation_mw, abs=1e-9
        )  # sums of published figures
        assert result.islanded_load_mw == pytest.approx(load_mw, abs=1e-9)
        if state is not None:
            assert result.condition.vm_min_pu == pytest.approx(state[0], abs=1e-8)  # what engines are held to
            # Two solves of 1e-8 pu at loadings near 100 %.
            assert result.condition.worst_loading_percent == pytest.approx(state[1], abs=1e-4)


def test_what_is_lost_on_an_island_is_told_apart_from_what_is_lost_elsewhere():
    """Bus 4 with 80 MW is cut off and G1 with its 100 MW stays on the main part, lost at once with it."""
    case = one_area()
    name = case.machine.name[-1]
    lost_mw = float(case.machine.p_mw[-1])
    assert case.machine.bus[-1] != 3
    (result,) = screen(
        case, published_point(case), "newton", outages_named(case, [f"3-4 #1 + {name}"])
    ).results
    assert result.islanded_bus_numbers == (4,)
    assert (result.islanded_load_mw, result.islanded_generation_mw) == (80.0, 0.0)
    assert (result.lost_load_mw, result.lost_generation_mw) == (80.0, lost_mw)


def test_outages_keep_their_results_wherever_they_are_solved(rogers):
    """From the second solve on outages stand in another order; a list turned round is the same too, bit for bit."""
    topology = outage_topology(rogers, single_outages(rogers))
    point = scaled_point(rogers, load_level=0.9, wind=0.4)
    screening = NewtonScreen(rogers, topology)
    found, n = [], rogers.n_branch
    for rows in (None, None, np.arange(n), None):
        screening.solve(point, rows)
        found.append((screening.v_pu.copy(), screening.flow_mva.copy(), screening.solved.copy()))
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(mine[:n], theirs[:n])
    for mine, theirs in zip(found[0], found[3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    screening.take(part_of(topology, slice(None, None, -1)))
    screening.solve(point)
    np.testing.assert_array_equal(screening.v_pu[::-1], found[0][0])
    np.testing.assert_array_equal(screening.flow_mva[::-1], found[0][1])


def complementary(limits, machine, q_mvar, vm_pu):
    """Each machine holds its set-point within its limits, or gives a limit on the right side of it."""
    # 1e-9 pu of mismatch on 100 MVA is 1e-7 Mvar; voltages follow by 1e-9 pu.
    held = (np.abs(vm_pu - machine.vm_set_pu) < 1e-8) & (q_mvar < limits.q_max_mvar + 1e-5)
    held &= q_mvar > limits.q_min_mvar - 1e-5
    high = (np.abs(q_mvar - limits.q_max_mvar) < 1e-5) & (vm_pu <= machine.vm_set_pu + 1e-8)
    low = (np.abs(q_mvar - limits.q_min_mvar) < 1e-5) & (vm_pu >= machine.vm_set_pu - 1e-8)
    return held | high | low


def test_outages_within_reactive_limits_satisfy_them_machine_by_machine(rogers):
    """Reactive power from the currents in the network alone; one machine stands at each bus."""
    limits = typical_limits(rogers.machine)
    outages = single_outages(rogers)[: rogers.n_branch + rogers.n_machine]
    point = published_point(rogers)
    solutions = NewtonScreen(rogers, outage_topology(rogers, outages), limits)
    solutions.solve(point)
    at_limit = 0
    for k in np.flatnonzero(solutions.solved):
        on = solutions.topology.branch_in_service[k]
        y_pu = bus_admittance(rogers, on, rogers.base_reactor_share)
        s_mva = 100.0 * solutions.v_pu[k] * np.conj(y_pu @ solutions.v_pu[k])
        np.add.at(s_mva, rogers.load.bus, 1j * rogers.load.q_mvar)
        bus = rogers.machine.bus
        left = solutions.topology.machine_in_service[k]
        q_mvar, vm_pu = s_mva[bus].imag, np.abs(solutions.v_pu[k][bus])
        assert complementary(limits, rogers.machine, q_mvar, vm_pu)[left].all(), outages[k].name
        at_limit += np.count_nonzero(np.abs(q_mvar - limits.q_max_mvar)[left] < 1e-5)
    assert at_limit > 0  # the loss of G2, G3 and G11 among them


def test_machines_with_a_dead_bus_are_passed_over_within_reactive_limits(rogers):
    """What the loss of a step-up leaves is what the loss of its machine leaves, less an idle transformer."""
    limits = typical_limits(rogers.machine)
    outages = outages_named(rogers, ["2-58", "G2"])
    cut, lost = screen(rogers, published_point(rogers), "newton", outages, limits).results
    assert (cut.outcome, lost.verdict) == ("islanded_secure", "violated")
    # An idle transformer without charging draws nothing.
    assert cut.condition.worst_loading_percent == pytest.approx(
        lost.condition.worst_loading_percent, abs=1e-5
    )


def test_pandapower_agrees_on_outages_within_reactive_limits(rogers):
    """Where no machine has to go back, pandapower's own enforcement finds the same."""
    limits = typical_limits(rogers.machine)
    outages = outages_named(rogers, ["G3", "G11", "16-18", "18-49"])
    ours, theirs = (
        screen(rogers, published_point(rogers), engine, outages, limits)
        for engine in ("newton", "pandapower")
    )
    for mine, other in zip(ours.results, theirs.results, strict=True):
        assert mine.outcome == other.outcome
        if mine.condition is not None:
            assert mine.condition.vm_min_pu == pytest.approx(other.condition.vm_min_pu, abs=1e-7)


def test_engines_without_reactive_limits_say_so(rogers):
    with pytest.raises(ValueError, match="dc knows no reactive limits"):
        screen(rogers, published_point(rogers), "dc", limits=typical_limits(rogers.machine))


def test_typical_reactive_limits_follow_from_power_factors(rogers):
    """800 MVA: sin(acos 0.85) = 0.52678 and sin(acos 0.95) = 0.31225 of it."""
    limits = typical_limits(rogers.machine)
    k = rogers.machine.name.index("G2")
    assert limits.q_max_mvar[k] == pytest.approx(800.0 * 0.52678, abs=0.005)  # half a digit of the sine
    assert limits.q_min_mvar[k] == pytest.approx(-800.0 * 0.31225, abs=0.005)


def test_the_loss_of_a_dc_line_is_an_outage_of_its_own_kind():
    """80 MW from area A to area C, 77 MW arrive; its loss is solved as pandapower solves it."""
    case = three_area()
    line = DcLineTable(
        name=("DC line 1",),
        from_bus=np.array([case.bus_position(12)]),
        to_bus=np.array([case.bus_position(32)]),
        p_from_mw=np.array([80.0]),
        p_to_mw=np.array([77.0]),
        vm_from_pu=np.array([1.0]),
        vm_to_pu=np.array([1.01]),
    )
    case = replace(case, dc_line=line)
    point = published_point(case)
    newton, oracle = screen(case, point), screen(case, point, "pandapower")
    outage = newton.results[-1].outage
    assert (outage.kind, outage.name, outage.from_bus_number, outage.to_bus_number) == (
        "dc_line",
        "DC line 1",
        12,
        32,
    )
    assert len(newton.results) == case.n_branch + case.n_machine + 1
    for ours, theirs in zip(newton.results, oracle.results, strict=True):
        assert ours.verdict == theirs.verdict
        assert ours.condition is not None
        assert theirs.condition is not None
        # Both stop at 1e-7 MW or less; ratings are 500 MVA.
        difference = ours.condition.worst_loading_percent - theirs.condition.worst_loading_percent
        assert abs(difference) < 1e-6
    with pytest.raises(CaseDataError, match="1 DC lines, expected none for DC sensitivities"):
        screen(case, point, "dc")
