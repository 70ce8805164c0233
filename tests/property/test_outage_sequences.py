"""Random outages and repairs over batches in which every environment has a topology of its own."""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.simulator import GridSimulator
from grid_model.network.topology import live_buses

CASE = load_ieee68("rogers")
LEVEL = 0.6
LOADED_AT_ONCE = GovernorConfig(loading_percent_per_min=None)  # so that all is as before within minutes
N_STEP = 50
SETTLING_STEPS = 300  # 1200 s: of the loads' way back to their powers (60 s) 2e-9 is left


def elements() -> list[tuple[str, int]]:
    """All circuits and real units, save the step-ups of the equivalents, which never trip whole."""
    everything = np.ones(CASE.n_branch, dtype=np.bool_)
    found = []
    for k in range(CASE.n_branch):
        everything[k] = False
        live = live_buses(CASE, everything)
        everything[k] = True
        if live[CASE.machine.bus[CASE.machine.is_equivalent]].all():
            found.append(("branch", k))
    return found + [("machine", int(k)) for k in np.flatnonzero(~CASE.machine.is_equivalent)]


def play(n_env: int, seed: int) -> tuple[GridSimulator, np.ndarray]:
    """One batch of sequences, checked on the way; the last environment never loses anything."""
    lag_s = np.array([{"bess": 0.3, "gas": 8.0, "dr": 4.0}[kind] for kind in CASE.resource.kind])
    grid = GridSimulator(
        CASE,
        n_env,
        SwingConfig(load_shedding=None, governor=LOADED_AT_ONCE),
        resource_lag_s=lag_s,
        check=False,
    )

    def rows(values: np.ndarray) -> np.ndarray:
        return np.repeat(values[None, :], n_env, axis=0)

    inputs = Injections(
        load_mw=rows(LEVEL * CASE.load.p_mw),
        load_mvar=rows(LEVEL * CASE.load.q_mvar),
        renewable_mw=rows(0.05 * CASE.renewable.p_max_mw),
        schedule_mw=rows(LEVEL * CASE.machine.p_mw),
        set_point_mw=np.zeros((n_env, CASE.n_resource)),
        resource_mw=np.zeros((n_env, CASE.n_resource)),
    )
    envs = np.arange(n_env)
    offset_mw = grid.start(envs, inputs, np.full((n_env, 1), 0.6))
    grid.shift_schedule(envs, offset_mw)
    inputs = inputs._replace(schedule_mw=inputs.schedule_mw + offset_mw)

    rng = np.random.default_rng(seed)
    candidates = elements()
    out: list[list[tuple[str, int]]] = [[] for _ in range(n_env)]
    ever_lost = np.zeros(n_env, dtype=np.bool_)  # a power flow of a combination found no solution
    for step in range(N_STEP + SETTLING_STEPS):
        events: dict[int, list[Event]] = {}
        for env in range(n_env - 1):
            if step == N_STEP:
                events[env] = [Event(time_s=0.5, kind=f"{kind}_in", index=k) for kind, k in out[env]]
                out[env] = []
            elif step < N_STEP and rng.uniform() < 0.15:
                time_s = float(rng.uniform(0.0, 4.0))
                if len(out[env]) < 2 and rng.uniform() < 0.6:
                    kind, k = candidates[rng.integers(len(candidates))]
                    if (kind, k) not in out[env]:
                        out[env].append((kind, k))
                        events[env] = [Event(time_s=time_s, kind=f"{kind}_out", index=k)]
                elif out[env]:
                    kind, k = out[env].pop(int(rng.integers(len(out[env]))))
                    events[env] = [Event(time_s=time_s, kind=f"{kind}_in", index=k)]
        solved = grid.advance(inputs, {env: found for env, found in events.items() if found})
        ever_lost |= ~solved
        check_balance(grid, inputs, solved)
        assert np.isfinite(grid.df_hz).all()
        assert np.isfinite(grid.engine.v_pu).all()
    return grid, ever_lost


def check_balance(grid: GridSimulator, inputs: Injections, solved: np.ndarray) -> None:
    """Machines + renewables = load that is served, at its frequency and voltage, + losses from the flows.

    P = P0 (1 + 0.01 df / 0.6) V / Vr, with Vr on its way after V.
    """
    engine = grid.engine
    df_hz = np.einsum("ebg,ge->eb", grid.topology.impact_share, grid.df_hz)[:, CASE.load.bus]
    load_mw = inputs.load_mw * (1.0 + 0.01 * df_hz / 0.6) * engine.bus_live[:, CASE.load.bus]
    # Within the few per cent that voltages move the loads by; to the last digit by what they drew.
    assert np.all(np.abs(grid.drawn_mw() - load_mw.sum(axis=1))[solved] < 0.05 * load_mw.sum(axis=1)[solved])
    plant_mw = grid.renewable_mw()
    losses_mw = (engine.s_from_mva + engine.s_to_mva).real.sum(axis=1)
    gap_mw = grid.machine_mw.sum(axis=1) + plant_mw.sum(axis=1) - grid.drawn_mw() - losses_mw
    # Newton stops below 1e-7 MW a bus, and injections are handed over in steps of 1.2e-7 MW; 68 buses.
    assert np.abs(gap_mw[solved]).max() < 68 * 2.2e-7


def compare_with_untouched(grid: GridSimulator, ever_lost: np.ndarray) -> None:
    """After the last repair every grid is where the one stands that never lost anything."""
    same = ~ever_lost
    assert same.mean() > 0.9
    # What is left of swings (damped by 3 % or more) and of the reheaters (8 s) after 1200 s is below the last digit;
    # governors hold a deviation inside their dead band, so frequency returns with the load damping of some 100 s.
    np.testing.assert_allclose(
        grid.df_hz[:, same], grid.df_hz[:, [-1] * int(same.sum())], rtol=0.0, atol=1e-6
    )
    np.testing.assert_allclose(
        grid.engine.v_pu[same], grid.engine.v_pu[[-1] * int(same.sum())], rtol=0.0, atol=1e-6
    )
    assert grid.engine.branch_in_service.all()
    assert grid.engine.machine_in_service.all()


def test_outages_and_repairs_leave_a_healthy_grid_behind():
    compare_with_untouched(*play(16, seed=1))


@pytest.mark.slow
def test_two_thousand_sequences_of_outages_and_repairs():
    for seed in range(32):  # 32 batches of 64, of which 63 are disturbed
        compare_with_untouched(*play(64, seed=100 + seed))
