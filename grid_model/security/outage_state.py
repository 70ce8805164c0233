"""A grid after the loss of elements named by their names: its power flow at rest, or its frequencies soon after."""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.dynamics.events import Event
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.parameters import swing_of
from grid_model.dynamics.simulator import GridSimulator
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.solution import PowerFlowDiverged
from grid_model.security.outage import what_there_is


class UnknownElement(ValueError):
    """A case has no element of this name, or it is named twice."""


def in_service(case: Case, lost: tuple[str, ...]) -> tuple[BoolArray, BoolArray]:
    """What stays in service, [branch] and [machine], when the elements named are lost.

    Raises:
        UnknownElement: the case has no element of this name, and the message tells which are near; or one is named
            twice.
    """
    branch_in_service = np.ones(case.n_branch, dtype=np.bool_)
    machine_in_service = np.ones(case.n_machine, dtype=np.bool_)
    for number, name in enumerate(lost):
        if name in lost[:number]:
            raise UnknownElement(f"{name}: named twice, expected every element once")
        if name in case.branch.name:
            branch_in_service[case.branch.name.index(name)] = False
        elif name in case.machine.name:
            machine_in_service[case.machine.name.index(name)] = False
        else:
            raise UnknownElement(f"{name}: case {case.name} has no such element; {what_there_is(case, name)}")
    return branch_in_service, machine_in_service


def steady_state(
    case: Case,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    *,
    load_level: float,
    reactor_share: float,
    single_slack: bool,
) -> NewtonEngine:
    """The AC power flow with what stays in service.

    Args:
        case: the grid.
        branch_in_service: circuits that are left, [branch].
        machine_in_service: machines that are left, [machine].
        load_level: share of nominal load and machine power.
        reactor_share: share of the shunt reactors in service.
        single_slack: the imbalance goes to the slack machine alone, else to all by rating.

    Raises:
        PowerFlowDiverged: there is no solution.
    """
    slack_share = case.machine.slack.astype(np.float64) if single_slack else None
    engine = NewtonEngine(case, slack_share=slack_share, reactor_share=reactor_share)
    engine.set_topology(0, branch_in_service, machine_in_service)
    injection_mva = engine.reference_injection()
    np.add.at(injection_mva, case.machine.bus, np.where(machine_in_service, 0.0, -case.machine.p_mw))
    if not engine.solve(load_level * injection_mva[None, :]).all():
        raise PowerFlowDiverged(f"no solution at load level {load_level:g} without what is lost")
    return engine


def after_outages(
    case: Case,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    *,
    load_level: float,
    reactor_share: float,
    time_s: float,
) -> tuple[NewtonEngine, FloatArray]:
    """State some time after the outages hit a grid at rest: power flow, and deviation of every bus [Hz], [bus].

    Args:
        case: the grid.
        branch_in_service: circuits that are left, [branch].
        machine_in_service: machines that are left, [machine].
        load_level: share of nominal load and machine power.
        reactor_share: share of the shunt reactors in service.
        time_s: from the outages to the state asked for [s], a whole number of integration steps.

    Raises:
        ValueError: the time is no multiple of the integration step.
        PowerFlowDiverged: there is no solution.
    """
    grid = GridSimulator(case, 1, swing_of(case), resource_lag_s=np.ones(case.n_resource), interval_s=time_s)
    level = load_level
    inputs = Injections(
        load_mw=level * case.load.p_mw[None, :],
        load_mvar=level * case.load.q_mvar[None, :],
        renewable_mw=np.zeros((1, case.n_renewable)),
        schedule_mw=level * case.machine.p_mw[None, :],
        set_point_mw=np.zeros((1, case.n_resource)),
        resource_mw=np.zeros((1, case.n_resource)),
    )
    only = np.array([0])
    unbalanced_mw = grid.start(only, inputs, np.array([[reactor_share]]))
    grid.shift_schedule(only, unbalanced_mw)
    events = [Event(time_s=0.0, kind="branch_out", index=int(k)) for k in np.flatnonzero(~branch_in_service)]
    events += [
        Event(time_s=0.0, kind="machine_out", index=int(k)) for k in np.flatnonzero(~machine_in_service)
    ]
    if not grid.advance(grid.injections, {0: events}).all():
        raise PowerFlowDiverged(f"no solution at load level {level:g} without what is lost")
    return grid.engine, grid.bus_df_hz()[0]
