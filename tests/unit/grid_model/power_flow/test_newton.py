"""The engine against lightsim2grid and pandapower, and what it promises beyond a right solution."""

from dataclasses import replace

import numpy as np
import pytest

from builders import grid, three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.network.admittance import bus_admittance
from grid_model.network.pandapower_net import build_network
from grid_model.power_flow.lightsim import PowerFlowEngine
from grid_model.power_flow.load_law import drawn_mva, load_law
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.reactive_limits import ReactiveLimits

CASE = load_ieee68()
SLACK = CASE.machine.slack_machine
# Both solve to 1e-9 pu of mismatch; the weakest solvable states here magnify that forty times.
AGREEMENT_PU = 4e-8


def random_state(rng, case=CASE):
    """Up to three circuits and now and then a machine out, reactors, injections."""
    branch_on, machine_on = np.ones(case.n_branch, np.bool_), np.ones(case.n_machine, np.bool_)
    branch_on[rng.integers(0, case.n_branch, rng.integers(0, 4))] = False
    machine_on[rng.integers(0, case.n_machine)] = rng.random() > 0.3
    share = rng.uniform(0.0, 1.0, case.n_reactor)
    return branch_on, machine_on, share, rng.uniform(0.6, 1.05, case.n_bus)


def with_taps(case, rng):
    """The same grid with its transformers on other steps."""
    tap = np.where(case.branch.is_transformer, rng.uniform(0.97, 1.07, case.n_branch), 1.0)
    return replace(
        case, branch=replace(case.branch, tap=tap, tap_bus=np.where(tap != 1.0, case.branch.from_bus, -1))
    )


def same_angles(v_pu, other_pu):
    """Turn a solution so that its largest bus has the angle of the other one's."""
    bus = np.abs(other_pu).argmax()
    turn = other_pu[bus] / v_pu[bus]
    return v_pu * turn / abs(turn)


def mismatch_mva(case, engine, env, injection, law=None):
    """Largest violation of Kirchhoff's laws, of set-points and of the shares of slack, from a dense matrix."""
    v, live = engine.v_pu[env], engine.bus_live[env]
    on = engine.machine_in_service[env]
    y = bus_admittance(case, engine.branch_in_service[env], engine.reactor_share[env])
    missing = v * np.conj(y @ v) * case.base_mva - injection
    if law is not None:
        missing += drawn_mva(law, np.abs(v))
    missing[~live] = 0.0
    weight = np.zeros(case.n_bus)
    np.add.at(weight, case.machine.bus[on], case.machine.rating_mva[on])
    missing -= weight / weight.sum() * missing.real.sum()
    held = case.machine.bus[on]
    missing[held] = missing[held].real
    assert np.abs(np.abs(v[held]) - case.machine.vm_set_pu[on]).max() < 1e-14
    return np.abs(missing).max()


@pytest.fixture(scope="module")
def engine():
    return NewtonEngine(CASE, 64, check=False)


def load(engine, states, envs):
    """Put states into environments; the injections, [env, bus]."""
    nominal = engine.reference_injection()
    injection = np.zeros((engine.n_env, CASE.n_bus), np.complex128)
    for env, (branch_on, machine_on, share, scale) in zip(envs, states, strict=True):
        engine.set_topology(env, branch_on, machine_on)
        engine.set_reactors(env, share)
        engine.reset_voltages(env)
        injection[env] = nominal * scale
    return injection


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_random_states_agree_with_lightsim2grid(seed):
    """250 states a seed, ratios of transformers drawn for each seed.

    What lightsim2grid solves is solved, to the same voltages but for two differences: with the slack machine out it
    turns all angles to another machine, and a few stressed states it solves at a bus collapsed to a low voltage.
    """
    rng = np.random.default_rng(seed)
    case = with_taps(CASE, rng)
    n = 250
    ours, theirs = NewtonEngine(case, n, check=False), PowerFlowEngine(case, n, check=False)
    np.testing.assert_allclose(ours.v_pu, theirs.v_pu, rtol=0.0, atol=1e-9)
    states = [random_state(rng) for _ in range(n)]
    injection = load(ours, states, range(n))
    load(theirs, states, range(n))
    solved, also = ours.solve(injection), theirs.solve(injection)
    assert solved[also].all()
    assert also.sum() > 150
    power, other_power = ours.machine_power(injection), theirs.machine_power(injection)
    collapsed = 0
    for env in np.flatnonzero(solved):
        # 1e-9 pu on 100 MVA is 1e-7 MVA, as large at the reference bus by the sum of all.
        assert mismatch_mva(case, ours, env, injection[env]) < 1e-6
        if not also[env]:
            continue
        v_pu = same_angles(theirs.v_pu[env], ours.v_pu[env])
        live = ours.bus_live[env]
        lowest, other_lowest = np.abs(ours.v_pu[env, live]).min(), np.abs(v_pu[live]).min()
        if other_lowest < lowest - 0.1:
            collapsed += 1
            continue
        np.testing.assert_allclose(ours.v_pu[env], v_pu, rtol=0.0, atol=AGREEMENT_PU)
        # 1e-7 pu on admittances of up to 300 pu and 100 MVA, less what neighbours share.
        np.testing.assert_allclose(ours.s_from_mva[env], theirs.s_from_mva[env], rtol=0.0, atol=1e-4)
        np.testing.assert_allclose(power[env], other_power[env], rtol=0.0, atol=1e-4)
    assert collapsed <= 5


def test_a_sample_of_states_agrees_with_pandapower():
    """Circuits, reactors and loads; with the slack machine in, so that angles refer to the same bus."""
    rng = np.random.default_rng(3)
    ours = NewtonEngine(CASE, 6)  # checks the published state against pandapower too
    states = [random_state(rng) for _ in range(6)]
    for _, machine_on, _, _ in states:
        machine_on[SLACK] = True
    injection = load(ours, states, range(6))
    assert ours.solve(injection).all()
    net = build_network(CASE, resources=False, renewables=False)
    nominal = net.load["p_mw"].to_numpy().copy(), net.load["q_mvar"].to_numpy().copy()
    for env, (_, _, share, scale) in enumerate(states):
        live, on = ours.bus_live[env], ours.branch_in_service[env]
        net.bus["in_service"] = live
        net.line["in_service"], net.trafo["in_service"] = on[: CASE.n_line], on[CASE.n_line :]
        net.load["in_service"], net.shunt["in_service"] = live[CASE.load.bus], live[CASE.reactor.bus]
        net.gen["in_service"] = ours.machine_in_service[env]
        net.load["p_mw"] = nominal[0] * scale[CASE.load.bus]
        net.load["q_mvar"] = nominal[1] * scale[CASE.load.bus]
        net.gen["p_mw"] = CASE.machine.p_mw * scale[CASE.machine.bus]
        net.shunt["q_mvar"] = share * CASE.reactor.q_mvar
        rating = np.where(ours.machine_in_service[env], CASE.machine.rating_mva, 0.0)
        net.gen["slack_weight"] = rating / rating.sum()
        solution = solve_with_pandapower(net)
        v_pu = np.where(live, solution.v_pu, 0.0)
        np.testing.assert_allclose(ours.v_pu[env], v_pu, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("p_exponent", [0.0, 0.7, 1.0, 2.0])
def test_loads_that_depend_on_voltage_agree_with_pandapower(p_exponent):
    """Shares of constant current and impedance in percent; exponents 0, 1 and 2 are those shares at 100 %."""
    net = build_network(CASE, resources=False, renewables=False, reactors=False)
    engine = NewtonEngine(CASE, 1, check=False)
    at_load = np.zeros(CASE.n_bus, np.complex128)
    np.add.at(at_load, CASE.load.bus, CASE.load.p_mw + 1j * CASE.load.q_mvar)
    machines = engine.reference_injection() + at_load
    if p_exponent == 0.7:  # a mixture: P 30 % constant, 50 % current, 20 % impedance, Q 10, 20, 70
        share_i, share_z = (0.5, 0.2), (0.2, 0.7)
        law = load_law(
            *((s[0] * at_load.real + 1j * s[1] * at_load.imag)[None] for s in (share_i, (0.2, 0.7)))
        )
        constant = 0.3 * at_load.real + 0.1j * at_load.imag
    else:
        share_i, share_z = ((float(p_exponent == 1.0),) * 2, (float(p_exponent == 2.0),) * 2)
        zero, exponent = np.zeros((1, CASE.n_bus), np.complex128), np.full((1, CASE.n_bus), p_exponent)
        law = load_law(zero, zero, at_load[None], exponent, exponent)
        constant = np.zeros(CASE.n_bus)
    net.load["const_i_p_percent"], net.load["const_i_q_percent"] = 100.0 * np.array(share_i)
    net.load["const_z_p_percent"], net.load["const_z_q_percent"] = 100.0 * np.array(share_z)
    injection = (machines - constant)[None]
    assert engine.solve(injection, law_mva=law)[0]
    assert mismatch_mva(CASE, engine, 0, injection[0], law[0]) < 1e-6
    solution = solve_with_pandapower(net)
    np.testing.assert_allclose(engine.v_pu[0], solution.v_pu, rtol=0.0, atol=1e-8)
    power = engine.machine_power(machines[None] - machines - constant, np.array([0]))[0]
    # Voltages to 1e-8 pu on machines' admittances of some hundred pu and 100 MVA.
    np.testing.assert_allclose(power.real, solution.machine_p_mw, rtol=0.0, atol=1e-4)


def test_bits_do_not_depend_on_the_batch_or_the_place_in_it(engine):
    """Ten states alone, in batches of 3, 8 and 64 and shuffled, beside others and beside a state without solution."""
    rng = np.random.default_rng(5)
    states = [random_state(rng) for _ in range(10)]

    def solve(n_env, chosen, places, others=()):
        batch = NewtonEngine(CASE, n_env, check=False) if n_env < 64 else engine
        injection = load(batch, [*chosen, *others], [*places, *range(64 - len(others), 64)])
        batch.solve(injection)
        found = [batch.v_pu, batch.s_from_mva, batch.s_to_mva, batch.machine_power(injection)]
        return [array[places].copy() for array in (*found, batch.converged, batch.iterations)]

    each = [solve(1, [state], [0]) for state in states]
    alone = [np.concatenate(arrays) for arrays in zip(*each, strict=True)]
    assert alone[4].sum() > 6
    hopeless = (np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_), 0.0, 9.0)
    infinite = (*hopeless[:3], 1e200)  # its squares overflow
    for n_env, places, others in (
        (3, [2, 0, 1], ()),
        (8, [7, 1, 0, 3, 6, 5, 2, 4], ()),
        (64, list(range(3, 13)), ()),
        (64, rng.permutation(40)[:10].tolist(), [random_state(rng) for _ in range(24)]),
        (64, [62 - 6 * k for k in range(1, 11)], (hopeless, infinite)),
    ):
        for ours, theirs in zip(solve(n_env, states[: len(places)], places, others), alone, strict=True):
            np.testing.assert_array_equal(ours, theirs[: len(places)])
    assert engine.converged[62:].tolist() == [False, False]


def test_a_solve_of_some_environments_leaves_the_others(engine):
    """Bits of those not named stay, and those named get the bits of a solve of all."""
    rng = np.random.default_rng(6)
    everything = (np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_))
    states = [(*everything, 0.2, rng.uniform(0.9, 1.0, CASE.n_bus)) for _ in range(64)]
    injection = load(engine, states, range(64))
    before = engine.v_pu.copy()
    named = np.array([3, 17, 18, 40])
    engine.solve(injection, named)
    some = engine.v_pu.copy()
    rest = np.setdiff1d(np.arange(64), named)
    np.testing.assert_array_equal(some[rest], before[rest])
    engine.restore_voltages(before)
    engine.solve(injection)
    np.testing.assert_array_equal(engine.v_pu[named], some[named])


def test_where_there_is_no_solution_voltages_stay_and_flows_are_theirs(engine):
    everything = (np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_))
    injection = load(engine, [(*everything, 0.0, 1.0)] * 64, range(64))
    assert engine.solve(injection).all()
    before, flows = engine.v_pu.copy(), engine.s_from_mva.copy()
    injection[5] *= 9.0
    injection[6, 20] = np.nan
    assert np.flatnonzero(~engine.solve(injection)).tolist() == [5, 6]
    np.testing.assert_array_equal(engine.v_pu[5:7], before[5:7])
    np.testing.assert_allclose(engine.s_from_mva[5:7], flows[5:7], rtol=0.0, atol=1e-10)  # rounding
    injection[5] = injection[6] = injection[7]
    assert engine.solve(injection).all()


def test_islands_live_on_with_a_slack_each():
    """Three areas cut apart; each is what its own engine makes of it. One island allowed: the largest lives."""
    case = three_area()
    injection = np.zeros((1, case.n_bus), np.complex128)
    on = np.arange(case.n_branch) >= case.n_line
    machines = np.ones(case.n_machine, np.bool_)
    together = NewtonEngine(case, 1, check=False, n_island=3)
    injection[0] = together.reference_injection()
    together.set_topology(0, on, machines)
    assert together.bus_live.all()
    assert together.solve(injection)[0]
    for area in range(3):
        bus = np.flatnonzero(case.bus.area == area)
        machine, low = case.machine.bus[area], bus[bus != case.machine.bus[area]][0]
        # One transformer x = 0.02 of ratio 1.02 at the load's side: solved by hand from the voltages found.
        v = together.v_pu[0]
        assert abs(v[machine]) == pytest.approx(1.0, abs=1e-15)
        current = (v[low] / 1.02 - v[machine]) / 0.02j
        s_low = 100.0 * v[low] * np.conj(current / 1.02)
        assert s_low == pytest.approx(injection[0, low], abs=1e-6)  # 1e-9 pu on 100 MVA, and rounding
    slack = together.slack_mw[0].sum()
    assert slack == pytest.approx(-injection[0].real.sum(), abs=1e-6)  # no losses without resistance
    one = NewtonEngine(case, 1, check=False)
    one.set_topology(0, on, machines)
    assert one.bus_live[0].sum() == 2


def test_islands_of_one_environment_leave_no_trace_in_the_others():
    """The 68-bus grid cut in two in environment 3 of 9; the others are bit for bit what they are alone."""
    alone, batch = NewtonEngine(CASE, 1, check=False), NewtonEngine(CASE, 9, check=False, n_island=4)
    injection = np.repeat(alone.reference_injection()[None] * 0.9, 9, axis=0)
    area = CASE.bus.area
    between = (area[CASE.branch.from_bus] == 0) != (area[CASE.branch.to_bus] == 0)
    batch.set_topology(3, ~between, np.ones(CASE.n_machine, np.bool_))
    assert batch.solve(injection).all()
    assert alone.solve(injection[:1]).all()
    for env in (0, 2, 4, 8):
        np.testing.assert_array_equal(batch.v_pu[env], alone.v_pu[0])
        np.testing.assert_array_equal(batch.slack_mw[env], [alone.slack_mw[0, 0], 0.0, 0.0, 0.0])
    # Each island's machines share its own losses and what it lacks.
    loss_mw = (batch.s_from_mva + batch.s_to_mva).real[3]
    for island, inside in enumerate((area != 0, area == 0)):
        rows = inside[CASE.branch.from_bus] & inside[CASE.branch.to_bus]
        lack_mw = loss_mw[rows].sum() - injection[3, inside].real.sum()
        assert batch.slack_mw[3, island] == pytest.approx(lack_mw, abs=68 * 1e-7)  # 1e-9 pu at each bus


def test_reactive_limits_agree_with_pandapower_where_its_answer_is_a_solution():
    """Machines of the 68-bus grid held to 0.9 of what some of them give; pandapower never lets one go back."""
    free = NewtonEngine(CASE, 1, check=False)
    injection = free.reference_injection()[None]
    loads = np.zeros((3, CASE.n_bus), np.complex128)
    np.add.at(loads, (slice(None), CASE.load.bus), -1j * CASE.load.q_mvar)
    q_mvar = free.machine_power(loads[:1])[0].imag
    q_max = np.where(np.arange(CASE.n_machine) % 4 == 1, q_mvar - 15.0, q_mvar + 200.0)
    limits = ReactiveLimits(q_min_mvar=q_mvar - 300.0, q_max_mvar=q_max)
    engine = NewtonEngine(CASE, 3, check=False, limits=limits)
    injections = np.repeat(injection, 3, axis=0)
    assert engine.solve(injections).all()
    given = engine.machine_power(loads).imag
    at_limit = given[0] > q_max - 1e-5
    assert 0 < at_limit.sum() < CASE.n_machine
    vm_pu = np.abs(engine.v_pu[0, CASE.machine.bus])
    assert (given[0] < q_max + 1e-5).all()
    np.testing.assert_allclose(vm_pu[~at_limit], CASE.machine.vm_set_pu[~at_limit], rtol=1e-14)
    assert (vm_pu[at_limit] < CASE.machine.vm_set_pu[at_limit]).all()
    np.testing.assert_array_equal(engine.v_pu[0], engine.v_pu[2])

    net = build_network(CASE, resources=False, renewables=False, reactors=False)
    net.gen["min_q_mvar"], net.gen["max_q_mvar"] = limits.q_min_mvar, limits.q_max_mvar
    import pandapower

    pandapower.runpp(
        net,
        init="dc",
        distributed_slack=True,
        enforce_q_lims=True,
        tolerance_mva=1e-10,
        trafo_model="pi",
        numba=False,
        lightsim2grid=False,
    )
    v_pu = net.res_bus["vm_pu"] * np.exp(1j * np.deg2rad(net.res_bus["va_degree"]))
    np.testing.assert_allclose(engine.v_pu[0], v_pu, rtol=0.0, atol=1e-7)


def test_a_machine_at_its_limit_goes_back_when_it_can():
    """A load of 100 Mvar between two machines; limits of 90 Mvar together cannot hold it, others can.

    Whatever the order of switching, each machine holds 1 pu within its limits, or gives its limit below 1 pu.
    """
    case = grid(
        branches=[(1, 2, 0.05), (2, 3, 0.2)],
        machines={1: 50.0, 3: 50.0},
        loads={2: (100.0, 100.0)},
        name="line",
    )
    free = NewtonEngine(case, 1, check=False)
    injection = free.reference_injection()[None]
    for q_max in ((40.0, 500.0), (500.0, 5.0), (60.0, 30.0)):
        limits = ReactiveLimits(q_min_mvar=np.full(2, -50.0), q_max_mvar=np.array(q_max))
        engine = NewtonEngine(case, 1, check=False, limits=limits)
        solved = engine.solve(injection)[0]
        q = engine.machine_power(np.zeros((1, 3), np.complex128))[0].imag
        vm_pu = np.abs(engine.v_pu[0, case.machine.bus])
        if q_max == (60.0, 30.0):
            assert not solved  # 90 Mvar at most for a load of 100 Mvar and the lines
            continue
        assert solved
        for k in range(2):
            held = abs(vm_pu[k] - 1.0) < 1e-12 and q[k] <= q_max[k] + 1e-5
            limited = q[k] == pytest.approx(q_max[k], abs=1e-5) and vm_pu[k] <= 1.0 + 1e-9
            assert held or limited


@pytest.mark.parametrize(
    ("q_mvar", "vm_pu", "met"),
    [
        ((30.0, 10.0), 1.0, True),  # held, within 100 Mvar together
        ((60.0, 40.0), 0.97, True),  # at the upper limit, and the voltage below its set-point
        ((60.0, 40.0), 1.02, False),  # at the upper limit with a voltage above it: it could go back
        ((-50.0, -50.0), 1.02, True),  # at the lower limit, the voltage above
        ((70.0, 40.0), 1.0, False),  # held beyond the limit
        ((30.0, 10.0), 0.97, False),  # neither held nor at a limit
    ],
)
def test_what_meets_reactive_limits_is_told_bus_by_bus(q_mvar, vm_pu, met):
    """Two machines at one bus, 60 and 40 Mvar at most and -50 each at least: together 100 and -100."""
    case = grid(branches=[(1, 2, 0.1)], machines={1: 50.0, 2: 50.0}, loads={2: (100.0, 0.0)})
    machine = replace(case.machine, bus=np.zeros(2, dtype=np.int64))
    limits = ReactiveLimits(q_min_mvar=np.full(2, -50.0), q_max_mvar=np.array([60.0, 40.0]))
    on = np.ones(2, np.bool_)
    assert limits.are_met(machine, on, np.array(q_mvar), np.array([vm_pu, 1.0])) == met


def test_two_buses_are_as_by_hand():
    """100 MW over x = 0.1 pu at 1 pu: sin of twice the angle is 0.2 for a load without reactive power.

    V2 = cos d, P = sin(2 d) / (2 x): with P = 1 and x = 0.1, d = asin(0.2) / 2.
    """
    engine = NewtonEngine(two_bus(p_load_mw=100.0, x_pu=0.1), 1, check=False)
    angle = 0.5 * np.arcsin(0.2)
    np.testing.assert_allclose(
        engine.v_pu[0], [1.0, np.cos(angle) * np.exp(-1j * angle)], rtol=0.0, atol=1e-10
    )  # quadratic convergence leaves far less than the tolerance of 1e-9


def test_a_solution_is_started_from_as_it_is_and_stays(engine):
    """Restored voltages need no step, and flows are bit for bit those of the solve."""
    everything = (np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_))
    injection = load(engine, [(*everything, 0.1, 0.97)] * 64, range(64))
    assert engine.solve(injection).all()
    v_pu, flows = engine.v_pu.copy(), engine.s_from_mva.copy()
    engine.restore_voltages(np.ones_like(v_pu))
    engine.restore_voltages(v_pu)
    np.testing.assert_array_equal(engine.s_from_mva, flows)
    assert engine.solve(injection).all()
    assert engine.iterations.max() == 0


def test_other_voltages_to_hold_give_the_bits_of_switching_anew():
    """Two environments of which one has a machine out, and one whose machines held none before."""
    ways = [NewtonEngine(CASE, 3, check=False) for _ in range(2)]
    vm_pu = CASE.machine.vm_set_pu + np.random.default_rng(0).uniform(-0.01, 0.01, (3, CASE.n_machine))
    machine_on = np.ones(CASE.n_machine, np.bool_)
    machine_on[1] = False
    for engine in ways:
        engine.set_topology(1, np.ones(CASE.n_branch, np.bool_), machine_on)
        engine.hold_voltages(2, False, CASE.machine.vm_set_pu)
    ways[0].hold_at(np.arange(3), vm_pu)
    for env in range(3):
        ways[1].hold_voltages(env, True, vm_pu[env])
    for engine in ways:
        assert engine.solve(np.repeat(engine.reference_injection()[None], 3, axis=0)).all()
    np.testing.assert_array_equal(ways[0].v_pu, ways[1].v_pu)
    np.testing.assert_allclose(
        np.abs(ways[0].v_pu[0, CASE.machine.bus]), vm_pu[0], rtol=0.0, atol=1e-14
    )  # rounding
