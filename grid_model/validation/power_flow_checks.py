"""How far the power flow can be trusted: a published solution, the source's own, two oracles, and Kirchhoff.

The case is solved as published: one slack machine, none of this project's own plants and reactors. Four
questions are asked of the result. Does it agree with the printed table, where there is one? With what pandapower finds
for the net that the case was made of? Do pandapower and lightsim2grid agree with the engine on the case itself, with a
single slack and with a distributed one? And do the voltages fulfil Kirchhoff's laws by admittances that are built from
the case's tables alone? pandapower must have a solution; a grid that lightsim2grid cannot take or solve is judged
without it, and several islands without a distributed slack.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, FloatArray, IntArray
from cases.case import Case
from cases.ieee68 import DATA_DIRECTORY, load_ieee68, load_published_solution
from grid_model.network.admittance import ComplexArray, branch_admittance, fixed_shunt_pu
from grid_model.network.limits import apparent_power_mva, loading_percent
from grid_model.network.pandapower_net import build_network, set_reactor_share
from grid_model.power_flow.lightsim import PowerFlowEngine, what_lightsim2grid_lacks
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.solution import PowerFlowDiverged, governor_share
from grid_model.validation.check import Check

PUBLISHED_LIMIT = 0.5e-4 + 1e-8
PUBLISHED_REASON = "half a unit of the fourth decimal, the last one printed, and 1e-8 of solver mismatch"
ENGINE_LIMIT_PU = 1e-8
ENGINE_REASON = "all stop at 1e-9 pu of mismatch or less"
LIGHTSIM_BASE_MVA = 100.0
LIGHTSIM_REASON = (
    "as all; it takes injections in steps of 2^-23 MW, which weigh the more the smaller the base"
)
KIRCHHOFF_LIMIT_MVA = 1e-6
KIRCHHOFF_REASON = "the engine stops at 1e-7 MVA; rounding at admittances of 1e3 pu adds less than that"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A printed solution in the order of the case's buses; angles as printed."""

    vm_pu: FloatArray
    va_degree: FloatArray


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """What a solved case looks like and which checks it passed."""

    case: Case
    checks: tuple[Check, ...]
    vm_pu: FloatArray  # pandapower's solution, single slack, [bus]
    va_degree: FloatArray
    published: Published | None
    source_dv_pu: (
        FloatArray | None
    )  # distance of the engine's voltages from those of the net itself, angles included
    engine_dv_pu: FloatArray  # distance of the engine's voltages, larger of both slack modes, [bus]
    lightsim_dv_pu: FloatArray | None  # the same to lightsim2grid; None where that has no solution, [bus]
    mismatch_mva: FloatArray  # Kirchhoff, largest of the programs, [bus]
    loading_percent: FloatArray  # of rate A, [branch]
    total_load_mw: float
    total_load_mvar: float
    losses_mw: float
    slack_p_mw: float
    slack_q_mvar: float

    @property
    def all_hold(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    @property
    def dv_pu(self) -> FloatArray | None:
        """Distance from the published voltage magnitudes, [bus]."""
        return None if self.published is None else np.abs(self.vm_pu - self.published.vm_pu)

    @property
    def dva_degree(self) -> FloatArray | None:
        """Distance from the published angles, [bus]."""
        return None if self.published is None else np.abs(self.va_degree - self.published.va_degree)

    def heaviest(self, n: int) -> IntArray:
        """Rows of the n heaviest circuits, heaviest first."""
        return np.argsort(-self.loading_percent, kind="stable")[:n].astype(np.int64)

    def summary(self) -> dict[str, float | int]:
        """The figures as one flat object."""
        low, high = int(self.vm_pu.argmin()), int(self.vm_pu.argmax())
        number = self.case.bus.bus_number
        figures: dict[str, float | int] = {}
        if self.dv_pu is not None and self.dva_degree is not None:
            figures["max_dv_pu"] = float(self.dv_pu.max())
            figures["max_dva_degree"] = float(self.dva_degree.max())
        if self.source_dv_pu is not None:
            figures["source_max_dv_pu"] = float(self.source_dv_pu.max())
        figures["engine_max_dv_pu"] = float(self.engine_dv_pu.max())
        if self.lightsim_dv_pu is not None:
            figures["lightsim2grid_max_dv_pu"] = float(self.lightsim_dv_pu.max())
        figures |= {
            "kirchhoff_max_mva": float(self.mismatch_mva.max()),
            "total_load_mw": self.total_load_mw,
            "losses_mw": self.losses_mw,
            "slack_p_mw": self.slack_p_mw,
            "vm_min_pu": float(self.vm_pu[low]),
            "vm_min_bus": int(number[low]),
            "vm_max_pu": float(self.vm_pu[high]),
            "vm_max_bus": int(number[high]),
            "max_loading_percent": float(self.loading_percent.max()),
        }
        return figures


def validate(
    case: Case, published: Published | None = None, source_dv_pu: FloatArray | None = None
) -> ValidationReport:
    """Solve a case as published and put every check to it.

    Args:
        case: the grid.
        published: a printed solution.
        source_dv_pu: distance of the engine's voltages from those of the net that the case was made of, [n].
    """
    single = case.machine.slack.astype(np.float64)
    shared = governor_share(case.machine)
    dv_pu, mismatch_mva = np.zeros(case.n_bus), np.zeros(case.n_bus)
    lightsim_dv_pu: FloatArray | None = np.zeros(case.n_bus)
    for share in (
        (shared, single) if case.n_island == 1 else (single,)
    ):  # the single slack last: its solution is the one reported
        net = build_network(case, resources=False, renewables=False, distributed_slack=share is shared)
        set_reactor_share(net, case, case.base_reactor_share)
        oracle = solve_with_pandapower(net, distributed_slack=share is shared)
        engine = NewtonEngine(case, slack_share=share, reactor_share=case.base_reactor_share, check=False)
        dv_pu = np.maximum(dv_pu, np.abs(engine.v_pu[0] - oracle.v_pu))
        solutions = [oracle.v_pu, engine.v_pu[0]]
        second = _lightsim2grid(case, share)
        if second is None or lightsim_dv_pu is None:
            lightsim_dv_pu = None
        else:
            lightsim_dv_pu = np.maximum(lightsim_dv_pu, np.abs(engine.v_pu[0] - second))
            solutions.append(second)
        for v_pu in solutions:
            mismatch_mva = np.maximum(mismatch_mva, kirchhoff_mismatch_mva(case, v_pu, share))
    loading = loading_percent(apparent_power_mva(engine.s_from_mva, engine.s_to_mva), case.branch.rate_a_mva)[
        0
    ]
    slack = case.machine.slack_machine
    vm_pu, va_degree = np.abs(oracle.v_pu), np.rad2deg(np.angle(oracle.v_pu))
    checks = [
        *(
            Check(
                what="pandapower on the net itself, largest distance",
                value=float(distance_pu.max()),
                limit=ENGINE_LIMIT_PU,
                unit="pu",
                reason=ENGINE_REASON,
            )
            for distance_pu in (() if source_dv_pu is None else (source_dv_pu,))
        ),
        Check(
            what="pandapower, largest distance",
            value=float(dv_pu.max()),
            limit=ENGINE_LIMIT_PU,
            unit="pu",
            reason=ENGINE_REASON,
        ),
        *(
            Check(
                what="lightsim2grid, largest distance",
                value=float(distance_pu.max()),
                limit=ENGINE_LIMIT_PU * max(1.0, LIGHTSIM_BASE_MVA / case.base_mva),
                unit="pu",
                reason=LIGHTSIM_REASON,
            )
            for distance_pu in (() if lightsim_dv_pu is None else (lightsim_dv_pu,))
        ),
        Check(
            what="Kirchhoff, largest mismatch",
            value=float(mismatch_mva.max()),
            limit=KIRCHHOFF_LIMIT_MVA,
            unit="MVA",
            reason=KIRCHHOFF_REASON,
        ),
    ]
    if published is not None:
        dv, dva = np.abs(vm_pu - published.vm_pu).max(), np.abs(va_degree - published.va_degree).max()
        checks += [
            Check(
                what="published voltages, largest distance",
                value=float(dv),
                limit=PUBLISHED_LIMIT,
                unit="pu",
                reason=PUBLISHED_REASON,
            ),
            Check(
                what="published angles, largest distance",
                value=float(dva),
                limit=PUBLISHED_LIMIT,
                unit="degree",
                reason=PUBLISHED_REASON,
            ),
        ]
    return ValidationReport(
        case=case,
        checks=tuple(checks),
        vm_pu=vm_pu,
        va_degree=va_degree,
        published=published,
        source_dv_pu=source_dv_pu,
        engine_dv_pu=dv_pu,
        lightsim_dv_pu=lightsim_dv_pu,
        mismatch_mva=mismatch_mva,
        loading_percent=loading,
        total_load_mw=float(case.load.p_mw.sum()),
        total_load_mvar=float(case.load.q_mvar.sum()),
        losses_mw=float(oracle.machine_p_mw.sum() - case.load.p_mw.sum()),
        slack_p_mw=float(oracle.machine_p_mw[slack]),
        slack_q_mvar=float(oracle.machine_q_mvar[slack]),
    )


def _lightsim2grid(case: Case, slack_share: FloatArray) -> ComplexArray | None:
    """Voltages by lightsim2grid, [bus]; None where it does not take the grid or finds no solution."""
    if what_lightsim2grid_lacks(case) is not None:
        return None
    try:
        engine = PowerFlowEngine(
            case, slack_share=slack_share, reactor_share=case.base_reactor_share, check=False
        )
    except PowerFlowDiverged:
        return None
    return engine.v_pu[0]


def kirchhoff_mismatch_mva(case: Case, v_pu: ComplexArray, slack_share: FloatArray) -> FloatArray:
    """Power that does not balance at each bus.

        S_b = V_b conj(sum_c Y_bc V_c) S_base,      dS_b = S_b - (scheduled machines + DC lines - loads)

    A machine's bus, or a DC line's, has free reactive power. What the machines' buses of an island together send
    beyond their schedule is the imbalance; each may keep its share of it, and no more.

    Args:
        case: the grid as published: this project's own plants and reactors left out.
        v_pu: complex voltages [pu], shape [bus].
        slack_share: share of each machine in the imbalance of its island, shape [machine].

    Returns:
        |dS_b| [MVA], shape [bus].
    """
    y, f, t = branch_admittance(case), case.branch.from_bus, case.branch.to_bus
    current = fixed_shunt_pu(case) * v_pu
    reactor = -1j * case.base_reactor_share * case.reactor.q_mvar / case.base_mva
    np.add.at(current, case.reactor.bus, reactor * v_pu[case.reactor.bus])
    np.add.at(current, f, y.y_ff_pu * v_pu[f] + y.y_ft_pu * v_pu[t])
    np.add.at(current, t, y.y_tf_pu * v_pu[f] + y.y_tt_pu * v_pu[t])
    mismatch = case.base_mva * v_pu * np.conj(current)
    load, vm_pu = case.load, np.abs(v_pu[case.load.bus])
    p_drawn = load.p_mw * _at_voltage(vm_pu, load.p_current_share, load.p_impedance_share)
    q_drawn = load.q_mvar * _at_voltage(vm_pu, load.q_current_share, load.q_impedance_share)
    np.add.at(mismatch, load.bus, p_drawn + 1j * q_drawn)
    line = case.dc_line
    np.add.at(mismatch, line.from_bus, line.p_from_mw)
    np.add.at(mismatch, line.to_bus, -line.p_to_mw)
    np.add.at(mismatch, case.machine.bus, -case.machine.p_mw)
    holding = np.concatenate([case.machine.bus, line.from_bus, line.to_bus])
    mismatch[holding] = mismatch[holding].real
    machine_bus = np.unique(case.machine.bus)
    imbalance_mw = np.bincount(case.island[machine_bus], mismatch[machine_bus].real)
    np.add.at(mismatch, case.machine.bus, -slack_share * imbalance_mw[case.island[case.machine.bus]])
    magnitude: FloatArray = np.abs(mismatch)
    return magnitude


def _at_voltage(vm_pu: FloatArray, current_share: FloatArray, impedance_share: FloatArray) -> FloatArray:
    """Power of a load against that at 1 pu, 1 - i - z + i V + z V^2, [load]."""
    power: FloatArray = 1.0 + current_share * (vm_pu - 1.0) + impedance_share * (vm_pu**2 - 1.0)
    return power


def validate_variant(variant: str, directory: Path | None = None) -> ValidationReport:
    """Loads a variant of the 68-bus case and validates it, against the published table where it has one.

    Args:
        variant: `tr18` or `rogers`.
        directory: of the case's tables; None reads the package's own.

    Raises:
        CaseDataError: the case is wrong, or the published table is of other buses.
    """
    directory = DATA_DIRECTORY if directory is None else directory
    case = load_ieee68(variant, directory)
    if variant != "tr18":
        return validate(case)
    table = load_published_solution(directory)
    if sorted(table.bus_number) != sorted(case.bus.bus_number):
        raise CaseDataError(
            "published_solution_tr18.csv: its buses are not those of bus.csv, expected one row a bus."
        )
    row = [int((table.bus_number == number).argmax()) for number in case.bus.bus_number]
    return validate(case, Published(vm_pu=table.vm_pu[row], va_degree=table.va_degree[row]))
