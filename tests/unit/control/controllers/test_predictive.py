"""Model-predictive control and its bound on the one-mass model, where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from builders import described, with_plants
from cases.arrays import FloatArray
from control.controllers.base import DF_HZ, NEAREST_DF, OWN_DF, OWN_OUTPUT, SYSTEM_DF, UTILISATION
from control.controllers.one_mass import (
    CD,
    EB,
    ED,
    MHZ,
    N_STAGE,
    N_STATE,
    PD,
    PG,
    UB,
    F,
    OneMass,
    Start,
    X,
    dead_band_side,
    discretise,
    one_mass,
)
from control.controllers.predictive import PredictiveConfig, PredictiveController, PredictiveParameters
from control.controllers.quadratic_program import Program, Unsolved, perfect_information
from control.controllers.receding_horizon import HorizonConfig
from control.controllers.registry import make_baseline
from control.evaluation.comparison import episode_figures, summary
from control.evaluation.grid_record import ByPlant, Figures
from control.evaluation.rollout import rollout
from control.evaluation.search_space import Space
from control.evaluation.suite_table import table_text
from control.plants.battery import S_PER_H
from control.plants.fleet_state import BESS, DR, GAS
from control.scenario.suites import SCENARIOS
from control.task.reward import RewardConfig
from marl.environment.batch import make_batch

piqp = pytest.importorskip("piqp")


@pytest.fixture(scope="module")
def task():
    return described()


@pytest.fixture(scope="module")
def case(task):
    return task.case


@pytest.fixture(scope="module")
def model(task):
    return one_mass(task)


def advance_one_mass(
    model: OneMass, start: Start, command_mw: FloatArray, d0_mw: float, d1_mw: float, n_sub: int = 40
) -> tuple[Start, float]:
    """One interval of the one-mass model itself, governors taken in or out of their dead band n_sub times.

    Args:
        model: the grid as one mass.
        start: state at the interval's beginning.
        command_mw: of each class at the interval's end [MW], [class].
        d0_mw: disturbance at the interval's beginning [MW].
        d1_mw: disturbance at its end, with a straight line between [MW].
        n_sub: parts of the interval.

    Returns:
        State at the end, and the mean of Df^2 over the interval [Hz^2].
    """
    span_s = model.interval_s / n_sub
    off, on = discretise(model, span_s, False), discretise(model, span_s, True)
    y = start.vector()
    dr_mw = command_mw[DR] - start.owed_mwh * S_PER_H / model.rebound_s
    v_begin = np.array([start.command_mw[BESS], start.command_mw[GAS], start.dr_set_point_mw, d0_mw])
    v_end = np.array([command_mw[BESS], command_mw[GAS], dr_mw, d1_mw])
    state, square = y[:N_STATE], 0.0
    for i in range(n_sub):
        side = float(dead_band_side(state[F : F + 1], model.governor.dead_band_hz)[0])
        step = on if side else off
        v0 = v_begin + (v_end - v_begin) * (i / n_sub)
        v1 = v_begin + (v_end - v_begin) * ((i + 1) / n_sub)
        after = step.phi @ state + step.gamma0 @ v0 + step.gamma1 @ v1 + side * step.constant
        square += (state[F] ** 2 + state[F] * after[F] + after[F] ** 2) / 3.0 / n_sub
        state = after
    end = Start(
        df_hz=state[F] / MHZ,
        reheat_mw=state[X],
        gas_mw=state[PG],
        dr_mw=state[PD],
        energy_mwh=state[EB],
        owed_mwh=state[ED],
        command_mw=(float(command_mw[0]), float(command_mw[1]), float(command_mw[2])),
        dr_set_point_mw=dr_mw,
    )
    return end, float(square) / MHZ**2


def cost_of_interval(model, before, after, square_hz2) -> float:
    """The reward's own costs."""
    moved = np.abs(np.array(after.command_mw) - np.array(before.command_mw))
    effort = 0.1 * model.cost_per_mw2 * moved**2 / model.count
    return float(1000.0 * model.n_bus * square_hz2 + (model.cost_per_mw * moved + effort).sum())


def test_the_one_mass_model_has_the_inertia_of_the_case(case, model):
    h_mws = (case.machine.h_s * case.machine.base_mva).sum()
    assert model.inertia_mws_per_hz == pytest.approx(2.0 * h_mws / 60.0)
    np.testing.assert_allclose(model.step_mw, [5 * 50 / 15, 8 * 10 / 15, 7 * 5 / 15])


def test_inside_the_dead_band_frequency_answers_a_step_as_the_formula_says(model):
    """Df = d/D (1 - exp(-D t / M)) without governors."""
    step = discretise(model, 4.0, False)
    y, v = np.zeros(6), np.array([0.0, 0.0, 0.0, -20.0])
    for _ in range(5):
        y = step.phi @ y + (step.gamma0 + step.gamma1) @ v
    d, m = model.damping_mw_per_hz, model.inertia_mws_per_hz
    assert y[F] / 1000.0 == pytest.approx(-20.0 / d * (1.0 - np.exp(-d * 20.0 / m)), rel=1e-10)


def test_outside_the_dead_band_frequency_settles_where_droop_and_damping_meet(model):
    """D f + K (f + b) = d, for a loss of 500 MW: f = -(500 + 2500 x 0.017) / (2500 + D)."""
    state = Start()
    for _ in range(200):
        state, _ = advance_one_mass(model, state, np.zeros(3), -500.0, -500.0)
    k, b = model.governor.gain_mw_per_hz, model.governor.dead_band_hz
    assert state.df_hz == pytest.approx(-(500.0 + k * b) / (k + model.damping_mw_per_hz), rel=1e-6)


def test_mpc_is_the_perfect_information_program_where_nothing_is_hidden(model):
    """A lasting 25 MW known from the start: receding horizon and whole program cost the same within 1 %.

    25 MW keeps frequency inside the dead band while batteries, 16.7 MW an interval, take it over.
    """
    n, d_mw = 20, -25.0
    begin = Start(energy_mwh=0.5 * model.energy_mwh)
    bound = perfect_information(model, np.full(n + 1, d_mw), 0.5)
    program = Program(model, np.full(30, 4.0))
    state, known, total, total_known = begin, begin, 0.0, 0.0
    for k in range(n):
        z, _ = program.solve(state, np.full(31, d_mw))
        after, square = advance_one_mass(model, state, z[0, 6:9], d_mw, d_mw)
        total += cost_of_interval(model, state, after, square)
        state = after
        after, square = advance_one_mass(model, known, bound.command_mw[k], d_mw, d_mw)
        total_known += cost_of_interval(model, known, after, square)
        known = after
    assert total == pytest.approx(total_known, rel=0.01)
    # The program takes frequency as straight within 4 s, which here is worth 4 % of the cost.
    assert bound.cost == pytest.approx(total_known, rel=0.05)
    # What it has found: the disturbance is met, frequency is back.
    assert abs(state.df_hz) < 5e-4


def test_the_bound_costs_less_than_any_other_way_and_keeps_the_limits(model):
    rng = np.random.default_rng(0)
    d_mw = np.concatenate([[0.0], np.cumsum(rng.normal(0.0, 5.0, 60))])
    bound = perfect_information(model, d_mw, 0.5)
    following = []  # a plain controller: batteries follow the disturbance
    state = Start(energy_mwh=0.5 * model.energy_mwh)
    for k in range(60):
        command = np.array([np.clip(-d_mw[k], -250.0, 250.0), 0.0, 0.0])
        after, square = advance_one_mass(model, state, command, d_mw[k], d_mw[k + 1])
        following.append(cost_of_interval(model, state, after, square))
        state = after
    assert bound.cost < sum(following)
    moved = np.abs(np.diff(np.vstack([np.zeros(3), bound.command_mw]), axis=0))
    # A millionth of powers of about 100 MW.
    assert np.all(moved <= model.step_mw + 1e-4)


def test_the_controller_finds_and_removes_a_disturbance_it_is_never_told(task):
    fleet = task.fleet
    controller = PredictiveController(task, 1)
    controller.reset(np.arange(1), np.zeros(1, dtype=np.int64))
    model, state, plants = controller.model, Start(energy_mwh=62.5), fleet.start(1)
    for _ in range(45):
        seen = np.zeros((1, fleet.n_resource, 15))
        seen[:, :, OWN_DF] = state.df_hz / DF_HZ
        seen[:, :, OWN_OUTPUT] = plants.output_mw / fleet.range_mw
        seen[:, fleet.bess, UTILISATION] = 2.0 * fleet.state_of_charge(plants) - 1.0
        fleet.advance(plants, controller.act(seen))
        command = np.array([plants.command_mw[0, fleet.kind == code].sum() for code in (0, 1, 2)])
        state, _ = advance_one_mass(model, state, command, -60.0, -60.0)
    # Three minutes on, the estimate is within the governors' and the linearisation's errors, a few MW.
    assert controller.filter.estimate()[1][0] == pytest.approx(-60.0, abs=5.0)
    # A plan that takes the disturbance to fade over ten minutes, and energy to be worth something, leaves 2 of 200 mHz.
    assert abs(state.df_hz) < 3e-3


def observation_of(task, df_hz: float, n_env: int = 1) -> np.ndarray:
    """All plants on schedule, batteries half full, one frequency everywhere."""
    seen = np.zeros((n_env, task.fleet.n_resource, 15))
    for place in (OWN_DF, SYSTEM_DF, NEAREST_DF):
        seen[:, :, place] = df_hz / DF_HZ
    return seen


def test_other_weights_of_the_reward_move_the_plans_of_mpc_and_bound():
    """Where movement costs much more, less is moved and more frequency left; both plan for the task they are given.

    A quiet program for 25 MW, far from all limits, so the only reason to move less is the price.
    """
    short = replace(SCENARIOS["normal"], n_intervals=8)
    cheap = make_batch(short, 1, check=False)
    dear = make_batch(short, 1, check=False, reward=RewardConfig(movement=50.0, effort=20.0))
    moved, bounds = [], []
    for batch in (cheap, dear):
        controller = PredictiveController(batch.description, 1)
        controller.reset(np.arange(1), np.zeros(1, dtype=np.int64))
        controller.act(observation_of(batch.description, 0.0))
        action = controller.act(observation_of(batch.description, -0.004))
        moved.append(float(np.abs(action * batch.description.fleet.step_mw).sum()))
        model = one_mass(batch.description, batch.description.scenario_swing)
        bounds.append(perfect_information(model, np.full(9, -25.0), 0.5))
    assert moved[1] < 0.9 * moved[0]
    assert np.abs(bounds[1].command_mw[-1].sum()) < 0.9 * np.abs(bounds[0].command_mw[-1].sum())
    assert np.abs(bounds[1].df_hz).max() > np.abs(bounds[0].df_hz).max()


def test_where_frequency_alone_is_paid_for_its_weight_scales_the_cost(task):
    """Without prices of movement and effort the best plan is the same, and costs twice as much at twice the weight."""
    d_mw = np.full(9, -10.0)
    costs = []
    for weight in (1000.0, 2000.0):
        free = replace(task, reward=RewardConfig(frequency_per_hz2=weight, movement=0.0, effort=0.0))
        costs.append(perfect_information(one_mass(free), d_mw, 0.5).frequency_cost)
    # Solved to a millionth; the plan with free movement is one of many, all of the same cost.
    assert costs[1] == pytest.approx(2.0 * costs[0], rel=1e-5)


def test_a_program_stopped_at_its_iteration_limit_is_not_taken_for_a_solution(model):
    """PIQP hands out the finite numbers of its last iteration whatever its status says."""
    program = Program(model, np.full(20, 4.0), max_iterations=2)
    start, d_mw = Start(energy_mwh=0.5 * model.energy_mwh), np.full(21, -200.0)
    program._renew(start.vector(), d_mw)
    assert program._solver.solve() == piqp.PIQP_MAX_ITER_REACHED
    assert np.isfinite(program._solver.result.x).all()
    with pytest.raises(Unsolved, match="PIQP_MAX_ITER_REACHED after 2 iterations"):
        program.solve(start, d_mw)
    with pytest.raises(Unsolved):
        perfect_information(model, d_mw, 0.5, program=program)


def test_a_program_without_a_solution_says_so(model):
    """Batteries that are to be at full power at once, from a standstill."""
    program = Program(model, np.full(5, 4.0))
    program._high[:, UB] = program._low[:, UB] = model.high_mw[BESS]
    with pytest.raises(Unsolved, match="PIQP_PRIMAL_INFEASIBLE"):
        program.solve(Start(energy_mwh=0.5 * model.energy_mwh), np.zeros(6))


def test_a_solution_does_not_depend_on_those_before_it(model):
    start, calm, hard = Start(energy_mwh=0.5 * model.energy_mwh), np.full(21, -15.0), np.full(21, -400.0)
    fresh, used = (Program(model, np.full(20, 4.0)) for _ in range(2))
    used.solve(start, hard, passes=6)
    used.side[:] = 0.0
    np.testing.assert_array_equal(used.solve(start, calm)[0], fresh.solve(start, calm)[0])
    with pytest.raises(Unsolved):
        used.solve(start, np.full(21, np.nan))
    np.testing.assert_array_equal(used.solve(start, calm)[0], fresh.solve(start, calm)[0])


@pytest.mark.parametrize("d_mw", [-15.0, -300.0])
def test_another_solver_finds_the_same_plan(model, d_mw):
    """OSQP, by another method, on the same program: a quiet one, and one after an outage with all limits at work."""
    osqp = pytest.importorskip("osqp")
    program = Program(model, np.full(20, 4.0), half_full_per_mwh2=0.06)
    start = Start(energy_mwh=0.4 * model.energy_mwh)
    z, cost = program.solve(start, np.full(21, d_mw))
    a = sparse.vstack([program._matrix(program._active), sparse.eye(20 * N_STAGE)], format="csc")
    low, high = (
        np.concatenate([program._b.ravel(), limit.ravel()]) for limit in (program._low, program._high)
    )
    other = osqp.OSQP()
    other.setup(
        program._p, program._q, a, low, high, verbose=False, eps_abs=1e-8, eps_rel=1e-8, max_iter=200_000
    )
    found = other.solve(raise_error=True)
    assert cost == pytest.approx(found.info.obj_val + program._constant(start.vector()), rel=1e-5)
    # Where two ways cost nearly the same, OSQP ends between them: a thousandth of 100 MW.
    np.testing.assert_allclose(z[:, UB : CD + 1], found.x.reshape(20, N_STAGE)[:, UB : CD + 1], atol=0.1)


def test_batteries_away_from_zero_cost_what_is_asked_for_them(model):
    """Sum over stages of (r u + s u^2) times control intervals: no other plan of the same program has a lower sum."""
    stage_s, discharge_per_mw, away_per_mw2 = np.array((4.0,) * 20 + (16.0,) * 5), 0.5, 0.01
    prices = {"discharge_per_mw": discharge_per_mw, "away_per_mw2": away_per_mw2}
    start, d_mw = Start(energy_mwh=0.5 * model.energy_mwh), np.full(26, -100.0)
    (free, least), (priced, cost) = (
        Program(model, stage_s, **options).solve(start, d_mw, passes=6) for options in ({}, prices)
    )

    def price(z):
        return float(stage_s / 4.0 @ (discharge_per_mw * z[:, UB] + away_per_mw2 * z[:, UB] ** 2))

    assert least <= cost - price(priced) + 1e-6 * least  # what both are solved to
    assert cost <= least + price(free) + 1e-6 * least
    assert priced[-1, UB] < free[-1, UB] - 20.0  # the gas plants carry it instead
    assert priced[-1, UB + 1] > free[-1, UB + 1] + 20.0


def test_without_a_solution_the_commands_go_on_along_the_last_plan_and_it_is_counted(task, monkeypatch):
    """Two environments; the program of the first finds nothing for three intervals, that of the second always does."""
    stage_s = (4.0, 4.0, 8.0)
    controller = PredictiveController(task, 2, PredictiveConfig(horizon=HorizonConfig(stage_s=stage_s)))
    controller.reset(np.arange(2), np.zeros(2, dtype=np.int64))
    controller.act(observation_of(task, 0.0, 2))
    controller.act(observation_of(task, -0.01, 2))
    plan_mw = controller.horizon.plan_mw[0].copy()  # now, and after 4, 8 and 16 s
    assert np.abs(plan_mw[1:, 0]).min() > 1.0  # batteries are to move
    assert controller.horizon.unsolved.tolist() == [0, 0]

    def nothing(*_, **__):
        raise Unsolved("piqp: at its iteration limit")

    monkeypatch.setattr(controller.horizon.program[0], "solve", nothing)
    # 8 s after the plan was made, 12 s (half way between 8 and 16 s), 16 s, and on beyond its horizon.
    expected = [plan_mw[2], 0.5 * (plan_mw[2] + plan_mw[3]), plan_mw[3], plan_mw[3]]
    for count, target_mw in enumerate(expected, 1):
        np.testing.assert_allclose(controller.horizon.go_on(0), target_mw, rtol=1e-12)
        assert controller.horizon.unsolved.tolist() == [count, 0]
    controller.act(observation_of(task, -0.01, 2))
    assert controller.horizon.unsolved.tolist() == [5, 0]
    controller.reset(np.array([0]), np.zeros(1, dtype=np.int64))
    assert controller.horizon.unsolved.tolist() == [0, 0]
    # No plan yet: set-points stay on schedule.
    action = controller.act(observation_of(task, -0.05, 2))
    np.testing.assert_array_equal(action[0], 0.0)
    assert controller.horizon.unsolved.tolist() == [1, 0]


def test_candidates_of_a_search_plan_side_by_side_as_each_does_alone(task):
    """Parameters of their own in every environment: filters, how long things last and what energy is worth."""
    rng = np.random.default_rng(4)
    space = Space.of(PredictiveParameters)
    numbers = space.decode(rng.uniform(size=(3, len(space.name))))
    together = PredictiveController(task, 3, PredictiveParameters(**numbers).of_each(task.case, 3))
    alone = [
        PredictiveController(
            task,
            1,
            PredictiveParameters(**{k: float(v[i]) for k, v in numbers.items()}).of_each(task.case, 1),
        )
        for i in range(3)
    ]
    seen = [observation_of(task, df_hz, 3) for df_hz in (0.0, -0.004, -0.009, -0.006)]
    for observation in seen:
        action = together.act(observation)
        for i, one in enumerate(alone):
            np.testing.assert_allclose(action[i], one.act(observation[i : i + 1])[0], atol=1e-9)
    assert np.abs(action[0] - action[1]).max() > 1e-3  # they do differ


def test_parameters_are_those_of_the_68_buses_at_the_size_of_a_grid(case):
    """Three times the megawatts: slopes three times as large, and a ninth for a squared megawatt-hour."""
    large = replace(case, setting=replace(case.setting, size=3.0))
    numbers = PredictiveParameters(
        slope_sd_mw_per_s=0.2,
        half_full_per_mwh2=0.09,
        model_sd_hz=0.0004,
        slope_fades_s=33.0,
        disturbance_fades_s=700.0,
    )
    (here,), (there,) = numbers.of_each(case, 1), numbers.of_each(large, 1)
    assert there.filter.slope_sd_mw_per_s == pytest.approx(3.0 * here.filter.slope_sd_mw_per_s)
    assert there.filter.disturbance_sd_mw == pytest.approx(3.0 * here.filter.disturbance_sd_mw)
    assert there.horizon.half_full_per_mwh2 == pytest.approx(here.horizon.half_full_per_mwh2 / 9.0)
    assert there.filter.model_sd_hz == here.filter.model_sd_hz == 0.0004
    assert there.filter.slope_fades_s == here.filter.slope_fades_s == 33.0
    assert there.disturbance_fades_s == here.disturbance_fades_s == 700.0
    assert here.filter.slope_sd_mw_per_s == 0.2
    assert here.horizon.half_full_per_mwh2 == 0.09


def test_intervals_without_a_solution_stand_in_the_record_and_in_the_table(monkeypatch):
    """The program of the second of two episodes finds nothing from its third interval on, in four of six."""
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=6), 2, check=False)
    controller = PredictiveController(batch.description, 2)
    solve, called = Program.solve, []

    def at_first_only(program, *arguments, **options):
        if program is controller.horizon.program[1]:  # which is made anew where the grid seems to be another
            called.append(1)
            if len(called) > 2:
                raise Unsolved("piqp: at its iteration limit")
        return solve(program, *arguments, **options)

    monkeypatch.setattr(Program, "solve", at_first_only)
    record = rollout(controller, ByPlant(batch), np.array([5, 6]), Figures)
    np.testing.assert_array_equal(record["unsolved"], [[0, 0, 0, 0, 0, 0], [0, 0, 1, 2, 3, 4]])
    figures = episode_figures(record, batch.case)
    assert figures["unsolved"].tolist() == [0.0, 4.0]
    row = {"title": "causal MPC", "information": "", **summary(figures, record.seed)}
    assert row["unsolved"] == 2.0
    told = table_text({"normal": {"mpc": row}}, {"normal": [5, 6]}).splitlines()
    assert "causal MPC: no solution in 2.00 intervals an episode" in told


@pytest.mark.parametrize("missing", ["bess", "gas", "dr"])
def test_a_grid_without_a_class_of_plants_is_controlled_by_the_others(case, missing):
    kinds = [kind for kind in ("bess", "gas", "dr") if kind != missing]
    task = described(with_plants(case, kinds))
    for controller in (
        PredictiveController(task, 1),
        make_baseline("agc_forecast", task, 1),
        make_baseline("local_pi", task, 1),
        make_baseline("linear", task, 1),
    ):
        controller.reset(np.arange(1), np.zeros(1, dtype=np.int64))
        for _ in range(4):
            action = controller.act(observation_of(task, -0.02))
        assert np.isfinite(action).all()
        if isinstance(
            controller, PredictiveController
        ):  # the tuned laws may leave a small deviation to others
            assert action.max() > 0.0
            assert controller.horizon.unsolved.tolist() == [0]


def test_batteries_near_empty_are_planned_for_on_a_grid_without_demand_response(case):
    """The places where plans were missing: full power out, energy for minutes, a deficit that lasts."""
    model = one_mass(described(with_plants(case, ["bess", "gas"])))
    horizon = HorizonConfig()
    program = Program(model, np.array(horizon.stage_s), half_full_per_mwh2=horizon.half_full_per_mwh2)
    rng = np.random.default_rng(0)
    for _ in range(60):
        start = Start(
            df_hz=rng.normal(0.0, 0.005),
            energy_mwh=rng.uniform(0.02, 0.2) * model.energy_mwh,
            command_mw=(rng.uniform(0.5, 1.0) * float(model.high_mw[BESS]), rng.normal(0.0, 10.0), 0.0),
        )
        d_mw = -start.command_mw[BESS] + np.cumsum(rng.normal(0.0, 3.0, len(horizon.stage_s) + 1))
        program.side = np.zeros(len(horizon.stage_s))
        program.solve(start, d_mw, passes=2)
