"""Responses of the coupled grid to single events, and the levels of aggregation against each other.

The coarser levels, which aggregate, are compared with the `machine` level with a power flow at every other step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.dynamics.events import Event
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.parameters import Level, SwingConfig
from grid_model.dynamics.recorder import Trace
from grid_model.dynamics.simulator import GridSimulator
from grid_model.power_flow.solution import PowerFlowDiverged
from grid_model.validation.check import Check
from grid_model.validation.response import nadir_hz, rocof_hz_per_s, settling_hz, settling_time_s

EVENT_S = 1.0
DURATION_S = 60.0
EVENT_LOAD_LEVEL = 0.8  # of the events that compare the levels; units carry as much less
# The model a row of the table is about: the classical machines that prove the integration, on which nothing is trained,
# and the simulator in which swing equations and AC power flow advance together.
CLASSICAL, COUPLED = "classical by itself", "coupled"
# Six real units, three loads that grow by 500 MW and one that is lost, on both sides of the ties.
EVENTS = (
    "loss of G2",
    "loss of G5",
    "loss of G9",
    "loss of G10",
    "loss of G11",
    "loss of G6",
    "load 17 +500 MW",
    "load 41 +500 MW",
    "load 20 +500 MW",
    "loss of load 20",
)


@dataclass(frozen=True, kw_only=True)
class EventResult:
    """The response of the centre of inertia to one event, compared with a reference."""

    event: str
    model: str  # CLASSICAL or COUPLED
    level: str
    rocof_hz_per_s: float  # at the first instant
    rocof_500ms_hz_per_s: float
    nadir_hz: float  # frequency, not deviation
    settling_hz: float
    settling_time_s: float
    reference: str
    max_deviation_hz: float  # of the whole trace from the reference's


def event_of(case: Case, name: str, time_s: float = EVENT_S, *, load_level: float = 1.0) -> Event:
    """The event of this name: 'loss of G9', 'loss of load 18', 'load 17 +500 MW'.

    Args:
        case: the grid.
        name: of the event.
        time_s: when it happens [s].
        load_level: share of the published load that a lost load carries.
    """
    if name.startswith("loss of load"):
        row = case.load.name.index(name.removeprefix("loss of "))
        lost_mw = load_level * float(case.load.p_mw[row])
        return Event(time_s=time_s, kind="load_step", index=row, p_mw=-lost_mw)
    if name.startswith("loss of "):
        return Event(
            time_s=time_s, kind="machine_out", index=case.machine.name.index(name.removeprefix("loss of "))
        )
    load, step = name.rsplit(" +", 1)
    row = case.load.name.index(load)
    return Event(time_s=time_s, kind="load_step", index=row, p_mw=float(step.removesuffix(" MW")))


def event_result(
    event: str, model: str, level: str, coi_hz: FloatArray, dt_s: float, reference: str, deviation_hz: float
) -> EventResult:
    """Figures of one trace of the centre of inertia whose event is at EVENT_S."""
    step = round(EVENT_S / dt_s)
    window_s = 5.0
    return EventResult(
        event=event,
        model=model,
        level=level,
        rocof_hz_per_s=float(rocof_hz_per_s(coi_hz, dt_s, step)),
        rocof_500ms_hz_per_s=float(rocof_hz_per_s(coi_hz, dt_s, step, 0.5)),
        nadir_hz=60.0 + float(nadir_hz(coi_hz, step)),
        settling_hz=60.0 + float(settling_hz(coi_hz, dt_s, window_s)),
        settling_time_s=float(settling_time_s(coi_hz, dt_s, step, window_s=window_s)),
        reference=reference,
        max_deviation_hz=deviation_hz,
    )


def balanced_grid(
    case: Case, n_env: int, config: SwingConfig, *, load_level: float = 1.0, interval_s: float = 4.0
) -> tuple[GridSimulator, Injections]:
    """Coupled grids at rest at a share of the published load, without plants, and the injections that keep them so."""
    grid = GridSimulator(
        case, n_env, config, resource_lag_s=np.ones(case.n_resource), interval_s=interval_s, check=False
    )

    def rows(values: FloatArray) -> FloatArray:
        return np.repeat(load_level * values[None, :], n_env, axis=0)

    injections = Injections(
        load_mw=rows(case.load.p_mw),
        load_mvar=rows(case.load.q_mvar),
        renewable_mw=np.zeros((n_env, case.n_renewable)),
        schedule_mw=rows(case.machine.p_mw),
        set_point_mw=np.zeros((n_env, case.n_resource)),
        resource_mw=np.zeros((n_env, case.n_resource)),
    )
    envs = np.arange(n_env)
    share = np.full((n_env, 1), min(1.0, max(0.0, (1.0 - load_level) / 0.6)))
    offset_mw = grid.start(envs, injections, share)
    grid.shift_schedule(envs, offset_mw)
    return grid, injections._replace(schedule_mw=injections.schedule_mw + offset_mw)


def simulate_event(
    case: Case, config: SwingConfig, load_level: float, event: Event, duration_s: float
) -> tuple[Trace, list[str]]:
    """The response of a grid in balance to one event: its trace, and the names of the groups.

    Raises:
        PowerFlowDiverged: the grid has no AC power flow after the event. ValueError: the event cannot happen.
    """
    grid, inputs = balanced_grid(case, 1, config, load_level=load_level)
    recorder = grid.record(0)
    for k in range(-(-round(duration_s) // round(grid.interval_s))):
        solved = grid.advance(inputs, {0: [event]} if k == 0 else None)[0]
        if not solved:
            raise PowerFlowDiverged(
                f"the grid has no AC power flow between {k * grid.interval_s:g} and "
                f"{(k + 1) * grid.interval_s:g} s; a lower load level may help"
            )
    names = {"machine": case.machine.name, "area": case.area_names, "system": ("whole grid",)}
    return recorder.trace(), list(names[config.level])


def run_events(
    case: Case,
    level: Level,
    names: Sequence[str] = EVENTS,
    duration_s: float = DURATION_S,
    *,
    renewal_s: float | None = None,
) -> FloatArray:
    """Centre of inertia in the coupled grid after each event [Hz], [step, event]; row 0 is the start.

    Relays of load shedding are off: the levels are compared, not the defence plan. At the published load the largest
    units leave a grid whose swings have no AC solution with constant-power loads, hence the lower load.

    Args:
        case: the grid.
        level: of aggregation, `machine`, `area` or `system`.
        names: of the events, [event].
        duration_s: time after the events [s].
        renewal_s: how often the power flow is renewed in a swing [s]; None leaves it to the model.

    Raises:
        PowerFlowDiverged: the grid has no solution after one of the events.
    """
    config = SwingConfig(level=level, load_shedding=None)
    if renewal_s is not None:
        config = replace(config, renewal_s=renewal_s)
    grid, injections = balanced_grid(case, len(names), config, load_level=EVENT_LOAD_LEVEL)
    events = {env: [event_of(case, name, load_level=EVENT_LOAD_LEVEL)] for env, name in enumerate(names)}
    rows = [np.zeros((1, len(names)))]
    for k in range(round(duration_s / grid.interval_s)):
        solved = grid.advance(injections, events if k == 0 else None)
        if not solved.all():
            lost = ", ".join(names[int(env)] for env in np.flatnonzero(~solved))
            raise PowerFlowDiverged(f"{level} level, after {lost}: the grid has no AC solution")
        rows.append(grid.coi_trace_hz())
    return np.concatenate(rows)


def compare_levels(
    case: Case, levels: Sequence[Level], names: Sequence[str] = EVENTS
) -> tuple[list[Check], list[EventResult]]:
    """Ten events at the levels named; their reference is the `machine` level with a power flow at every other step."""
    dt_s = SwingConfig().dt_s
    fine = run_events(case, "machine", names, renewal_s=2.0 * dt_s)
    reference = f"machine level, power flow every {2e3 * dt_s:g} ms"
    checks: list[Check] = []
    results: list[EventResult] = []
    for level in levels:
        traces = run_events(case, level, names)
        nadir, settling, rocof = [], [], []
        for k, name in enumerate(names):
            away = float(np.abs(traces[:, k] - fine[:, k]).max())
            ours = event_result(name, COUPLED, level, traces[:, k], dt_s, reference, away)
            theirs = event_result(name, COUPLED, "machine", fine[:, k], dt_s, reference, 0.0)
            results.append(ours)
            nadir.append(1e3 * (ours.nadir_hz - theirs.nadir_hz))
            settling.append(1e3 * (ours.settling_hz - theirs.settling_hz))
            rocof.append(100.0 * (ours.rocof_hz_per_s / theirs.rocof_hz_per_s - 1.0))
        where = f"{level} against machine level with a power flow every 40 ms, ten events"
        checks += [
            Check(
                what=f"{where}: first-instant RoCoF",
                value=float(np.abs(rocof).max()),
                limit=ROCOF_LIMIT[level],
                unit="%",
                reason="the same inertia; losses, voltages and with them loads differ with who meets the power first: "
                "near machines, areas, or all",
            ),
            Check(
                what=f"{where}: nadir",
                value=float(np.abs(nadir).max()),
                limit=LEVEL_LIMIT_MHZ[level],
                unit="mHz",
                reason=LEVEL_REASON[level],
            ),
            Check(
                what=f"{where}: settling frequency",
                value=float(np.abs(settling).max()),
                limit=1.0,
                unit="mHz",
                reason="the same balance; what is left of the swings at 55 to 60 s",
            ),
        ]
    return checks, results


ROCOF_LIMIT = {"machine": 0.1, "area": 2.0, "system": 20.0}
LEVEL_LIMIT_MHZ = {"machine": 2.0, "area": 2.0, "system": 2.0}
LEVEL_REASON = {
    "machine": "power flow every 0.25 s while machines swing, every 4 s later; losses between are of first order",
    "area": "swings inside areas, whose losses and whose governors' share of the swing are not represented",
    "system": "swings between areas too: far areas still run at 60 Hz while near ones fall, their governors act later",
}
