"""Bring your own grid: a name or a file -> Case, with what had to be assumed.

    rogers, tr18       the 68-bus system; ieee68 is rogers
    *.m, *.mat         a MATPOWER case
    *.json             a pandapower net
    case39, case118    one of pandapower's own, or any other name of pandapower.networks

Beside the case stand the reactive limits that its file gives to the machines; those of the 68-bus system, which has
none, are typical ones. A circuit without an emergency rating (B) has its normal one (A) after an outage too.

The grid is solved as its source's own solver does, with the slack of each island taking what the schedule leaves. That
power becomes the slack's schedule, so that nothing is left to share among the governors. A further reference of an
island becomes a machine with the power that keeps its angle. A pandapower net has its own solution beside it, and the
case has to give the same voltages: a grid is taken as it is, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, ComplexArray, FloatArray, IntArray
from cases.case import Case
from cases.grid_tables import UNLIMITED_MVA, ImportedCase, case_from_tables
from cases.ieee68 import load_ieee68, variant_named
from cases.matpower import read_matpower
from cases.matpower_matrices import BUS_I, BUS_TYPE, GEN_BUS, PQ, RATE_A, RATE_B, RATE_C, GridTables, living
from cases.reference_angles import HeldAngle
from grid_model.network.pandapower_file import read_pandapower
from grid_model.network.pandapower_tables import SolvedNet, solve_net
from grid_model.power_flow.angles import source_voltages
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.reactive_limits import ReactiveLimits, typical_limits
from grid_model.power_flow.solution import PowerFlowDiverged

# Both solves stop at a mismatch of 1e-8 MVA; anything a table lacks shows as more than this.
AGREEMENT_PU = 1e-6
QMAX, QMIN = 3, 4  # columns of mpc.gen
NO_LIMIT_MVAR = 9999.0  # files write this or more for a machine without a limit
HELD_RAD = 1e-12  # an angle of a further reference is found to rounding
STEP_MW = 1.0  # to see how angles follow powers
MAX_ROUND = 20


@dataclass(frozen=True, kw_only=True)
class OpenedGrid(ImportedCase):
    """A case, what had to be assumed for it, and what its machines can give."""

    reactive_limits: ReactiveLimits


@dataclass(frozen=True, kw_only=True)
class SolvedGrid(OpenedGrid):
    """A grid of the user's own with its solution."""

    v_pu: ComplexArray  # with the slack of each island alone, angles as this project counts them, [bus]
    net: SolvedNet | None  # pandapower's own solution, where the source is one of its nets


def open_grid(source: str, dynamics: Path | None = None) -> OpenedGrid:
    """Open a grid by its name or file.

    Args:
        source: see above.
        dynamics: side-car CSV with machine data, for grids that come without.

    Raises:
        CaseDataError: there is no such grid, or it cannot be true, or cannot be represented, or has no solution.
    """
    variant = variant_named(source)
    if variant is not None:
        if dynamics is not None:
            raise CaseDataError(f"{source} has its own machine data, expected no side-car file.")
        case = load_ieee68(variant)
        return OpenedGrid(case=case, notes=(), reactive_limits=typical_limits(case.machine))
    return open_and_solve(source, dynamics)


def fill_emergency_rating(tables: GridTables) -> GridTables:
    """Rate A as rate B wherever the file gives no rate B, or one below rate A; listed in the notes."""
    branch = tables.branch.copy()
    rate_a = np.where(branch[:, RATE_A] > 0.0, branch[:, RATE_A], UNLIMITED_MVA)
    rate_b, rate_c = branch[:, RATE_B], branch[:, RATE_C]
    missing = ~((rate_b >= rate_a) & np.isfinite(rate_b))
    rate_b[missing] = rate_a[missing]
    short = missing & ~((rate_c >= rate_b) & np.isfinite(rate_c))
    rate_c[short] = rate_b[short]
    notes = tables.notes
    if missing.any():
        notes += (f"{np.count_nonzero(missing)} circuits have no rate B: rate A holds after an outage too",)
    return replace(tables, branch=branch, notes=notes)


def reactive_limits_of(tables: GridTables) -> ReactiveLimits:
    """QMIN and QMAX of the machines that hold a voltage, in the order of the case; infinite where there is none."""
    alive = living(tables, [])
    type_of = dict(zip(alive.bus[:, BUS_I].tolist(), alive.bus[:, BUS_TYPE].tolist(), strict=True))
    holds = np.array([type_of[bus] != PQ for bus in alive.gen[:, GEN_BUS].tolist()])
    gen = alive.gen[holds]
    low, high = gen[:, QMIN], gen[:, QMAX]
    limited = (np.abs(low) < NO_LIMIT_MVAR) | (np.abs(high) < NO_LIMIT_MVAR)
    return ReactiveLimits(
        q_min_mvar=np.where(np.abs(low) < NO_LIMIT_MVAR, low, -np.inf),
        q_max_mvar=np.where(np.abs(high) < NO_LIMIT_MVAR, high, np.inf),
        source=f"{tables.source}, which gives them for {np.count_nonzero(limited)} of {len(gen)} machines",
    )


def open_and_solve(source: str, dynamics: Path | None = None) -> SolvedGrid:
    """Open a grid of one's own and keep the solution; arguments as in `open_grid`.

    Raises:
        CaseDataError: as `open_grid`.
    """
    net: SolvedNet | None = None
    if Path(source).suffix in (".m", ".mat"):
        tables = read_matpower(Path(source))
    else:
        net = solve_net(read_pandapower(source))
        tables = net.tables
    imported = case_from_tables(fill_emergency_rating(tables), dynamics)
    try:
        case, v_pu, slack_mw = _solve(imported.case, imported.held_angles)
    except PowerFlowDiverged as error:
        raise CaseDataError(
            f"{imported.case.name}: its schedule has no AC power flow, expected a healthy grid."
        ) from error
    if net is not None:
        _require_same_voltages(case, v_pu, net)
    notes = list(imported.notes)
    for machine, p_mw in zip(np.flatnonzero(case.machine.slack), slack_mw, strict=True):
        if abs(p_mw) > 0.1:
            notes.append(
                f"the schedule leaves {p_mw:.1f} MW to the slack machine {case.machine.name[machine]}, which generates "
                f"{case.machine.p_mw[machine]:.1f} MW"
            )
    return SolvedGrid(
        case=case,
        notes=tuple(notes),
        zone=imported.zone,
        reactive_limits=reactive_limits_of(tables),
        v_pu=v_pu,
        net=net,
    )


def balanced(case: Case) -> Case:
    """The case with a slack power that balances its schedule, after loads or powers have been changed.

    Raises:
        CaseDataError: its schedule has no AC power flow.
    """
    try:
        return _solve(case, ())[0]
    except PowerFlowDiverged as error:
        raise CaseDataError(
            f"{case.name}: its schedule has no AC power flow, expected a healthy grid."
        ) from error


def _solve(case: Case, held: tuple[HeldAngle, ...]) -> tuple[Case, ComplexArray, FloatArray]:
    """The case with slack powers as solved, its voltages [bus], and what was left to the slacks [MW].

    Raises:
        PowerFlowDiverged: there is no solution, or no powers keep the angles.
    """
    single = case.machine.slack.astype(np.float64)
    if held:
        case = _keep_angles(case, held, single)
    engine = NewtonEngine(case, slack_share=single, reactor_share=case.base_reactor_share, check=False)
    slack = np.flatnonzero(case.machine.slack)
    # The engine numbers islands by size, and every slack bus has all of what its island shares.
    left_mw = engine.slack_mw[0, engine.island[0, case.machine.bus[slack]]]
    p_mw = case.machine.p_mw.copy()
    p_mw[slack] += left_mw
    return replace(case, machine=replace(case.machine, p_mw=p_mw)), engine.v_pu[0].copy(), left_mw


def _keep_angles(case: Case, held: tuple[HeldAngle, ...], single: FloatArray) -> Case:
    """The case with the powers of further references that keep their angles, by Newton's method on those powers.

    Raises:
        PowerFlowDiverged: they are not found.
    """
    row = np.array([h.machine for h in held], dtype=np.int64)
    bus: IntArray = case.machine.bus[row]
    wanted_rad = np.array([h.angle_rad for h in held])
    n, p_mw = len(row), case.machine.p_mw.copy()
    engine = NewtonEngine(case, n + 1, slack_share=single, reactor_share=case.base_reactor_share, check=False)
    steps = np.vstack([np.zeros(n), STEP_MW * np.eye(n)])
    base = engine.reference_injection()
    slack_bus = case.machine.bus[case.machine.slack]
    reference = slack_bus[case.island[slack_bus].argsort()][case.island[bus]]
    start = p_mw[row].copy()
    for _ in range(MAX_ROUND):
        injection = np.repeat(base[None], n + 1, axis=0)
        injection[:, bus] += p_mw[row] - start + steps  # further references stand at buses of their own
        if not engine.solve(injection).all():
            break
        against = engine.v_pu[:, bus] * np.conj(engine.v_pu[:, reference])
        off_rad = np.angle(against * np.exp(-1j * wanted_rad))
        if np.abs(off_rad[0]).max() < HELD_RAD:
            break
        slope = (off_rad[1:] - off_rad[0]).T / STEP_MW
        p_mw[row] -= np.linalg.solve(slope, off_rad[0])
        if np.abs(off_rad[0]).max() < 1e-9:  # the step just taken leaves its square
            break
    else:
        raise PowerFlowDiverged(f"case {case.name}: no powers keep the angles of its reference buses.")
    return replace(case, machine=replace(case.machine, p_mw=p_mw))


def _require_same_voltages(case: Case, v_pu: ComplexArray, net: SolvedNet) -> None:
    """The case solves to the net's own voltages.

    Raises:
        CaseDataError: a bus of the net is missing or further than AGREEMENT_PU from the net's solution.
    """
    distance = distance_to_net(case, v_pu, net)
    worst = int(distance.argmax())
    if not distance[worst] <= AGREEMENT_PU:
        raise CaseDataError(
            f"{case.name}: bus {net.label[worst]} comes out {distance[worst]:.1e} pu from the net's own "
            f"solution, expected at most {AGREEMENT_PU:g}: the net holds elements that cannot be represented."
        )


def distance_to_net(case: Case, v_pu: ComplexArray, net: SolvedNet) -> FloatArray:
    """|v - v_net| at every bus of the net, its angles included, [n]."""
    position = dict(zip(case.bus.bus_number.tolist(), range(case.n_bus), strict=True)) | dict(case.fused)
    at = np.array([position[number] for number in net.label.tolist()], dtype=np.int64)
    distance: FloatArray = np.abs(source_voltages(case, v_pu)[at] - net.v_pu)
    return distance
