"""A task and the condition of its grid: in a few lines of text, and as what a picture shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import IntArray
from control.evaluation.grid_record import percent_of_rating_a
from control.task.task import Task

if TYPE_CHECKING:
    from grid_model.picture.moving_picture import GridState, MovingPicture

MOST_NAMED = 8  # buses


def describe(task: Task, env: int) -> str:
    """The condition of one environment's grid in a few lines."""
    loop, case = task.loop, task.case
    result, batteries = task.last_result, loop.fleet.bess
    f_hz = case.f0_hz + float(loop.coi_df_hz[env])
    load_mw = float(loop.served_mw[env].sum())
    lines = [
        f"interval {int(loop.interval[env])}/{task.scenario.n_intervals}   frequency {f_hz:.4f} Hz   "
        f"load {load_mw:.0f} MW   renewables {float(loop.renewable_mw[env].sum()):.0f} MW   "
        f"elements out {int(loop.elements_out[env])}",
        "   ".join(
            f"{kind} {float(loop.resources.output_mw[env, rows].sum()):+.1f} MW"
            for kind, rows in task.of_kind.items()
        ),
    ]
    if len(batteries):
        lines[-1] += f"   state of charge {100.0 * float(loop.utilisation[env, batteries].mean()):.0f} %"
    if task.physics == "reduced":  # no voltages, no flows, one island
        return "\n".join(lines)
    grid = loop.grid
    if result is not None and grid.engine.bus_live[env].any():
        worst = int(result.loading_percent[env].argmax())
        vm_pu = np.where(grid.engine.bus_live[env], result.vm_pu[env], np.nan)
        low, high = int(np.nanargmin(vm_pu)), int(np.nanargmax(vm_pu))
        broken = [
            name
            for name, flag in (
                ("frequency", result.frequency_violation),
                ("branch", result.branch_violation),
                ("voltage", result.voltage_violation),
                ("unserved load", result.unserved_violation),
            )
            if flag[env]
        ]
        lines.append(
            f"heaviest branch {case.branch.name[worst]} {result.loading_percent[env, worst]:.0f} %   "
            f"voltage {vm_pu[low]:.3f} pu at bus {case.bus.bus_number[low]} to {vm_pu[high]:.3f} pu at bus "
            f"{case.bus.bus_number[high]}   limits broken: {', '.join(broken) or 'none'}"
        )
    if grid.topology.n_island[env] > 1:
        size = np.bincount(grid.topology.bus_island[env] + 1)[1:]
        each = zip(size, grid.island_df_hz(env), strict=True)
        lines.append(
            "islands: " + ", ".join(f"{n} buses at {case.f0_hz + df_hz:.4f} Hz" for n, df_hz in each)
        )
    lines += [
        f"dark: {_buses(task, dark.bus)} ({dark.reason}, {_load_mw(task, env, dark.bus):.0f} MW of load)"
        for dark in grid.dark[env]
    ]
    return "\n".join(lines)


def moving_picture(task: Task) -> MovingPicture:
    """An empty picture of a task's grid, for `state_of` to fill; matplotlib is imported only here."""
    from grid_model.picture.moving_picture import MovingPicture

    case, scenario = task.case, task.scenario
    return MovingPicture(
        case,
        range_mw=task.loop.fleet.range_mw,
        duration_s=scenario.n_intervals * scenario.interval_s,
        title=f"{case.name}, scenario {scenario.name}",
    )


def state_of(task: Task, env: int) -> GridState:
    """The condition of one environment's grid, for a picture; of the full physics, which has voltages and flows."""
    from grid_model.picture.moving_picture import GridState

    loop, case = task.loop, task.case
    engine = loop.grid.engine
    one = slice(env, env + 1)
    return GridState(
        time_s=float(loop.interval[env]) * task.scenario.interval_s,
        bus_df_hz=np.where(engine.bus_live[env], loop.bus_df_hz[env], np.nan),
        loading_percent=percent_of_rating_a(case, engine.s_from_mva[one], engine.s_to_mva[one])[0],
        branch_in_service=engine.branch_in_service[env].copy(),
        machine_in_service=engine.machine_in_service[env].copy(),
        plant_mw=loop.resources.output_mw[env].copy(),
        charge=loop.utilisation[env, loop.fleet.bess].copy(),
    )


def _buses(task: Task, bus: IntArray) -> str:
    """Labels of buses, or how many they are."""
    if len(bus) > MOST_NAMED:
        return f"{len(bus)} buses"
    return ("bus " if len(bus) == 1 else "buses ") + ", ".join(str(task.case.bus.bus_number[k]) for k in bus)


def _load_mw(task: Task, env: int, bus: IntArray) -> float:
    """What loads at these buses want."""
    grid = task.loop.grid
    wanted = grid.injections.load_mw[env] + grid.profile.load_step_mw[env]
    return float(wanted[np.isin(task.case.load.bus, bus)].sum())


def describe_task(task: Task) -> str:
    """Grid, scenario, agents and what they are shown, in a few lines."""
    case, scenario = task.case, task.scenario
    lines = [
        f"Case {case.name}: {case.n_bus} buses in {case.n_area} areas, {case.n_line} line circuits, "
        f"{case.n_branch - case.n_line} transformers, {case.n_machine} machines, {case.n_load} loads, "
        f"{case.n_renewable} renewable plants ({case.renewable.p_max_mw.sum():.0f} MW).",
        f"Scenario {scenario.name}: {scenario.n_intervals} intervals of {scenario.interval_s:g} s, "
        f"SCADA {scenario.scada_delay_intervals} intervals late, {scenario.outage_rate_per_h:g} outages an hour.",
    ]
    for kind, rows in task.of_kind.items():
        buses = ", ".join(str(case.bus.bus_number[b]) for b in case.resource.bus[rows])
        lines.append(
            f"  {kind:5s}{len(rows)} agents at buses {buses}: {task.observation_size} observations, "
            f"set-point moves at most {task.loop.fleet.step_mw[rows[0]]:.2f} MW an interval"
        )
    return "\n".join([*lines, f"Critic's state: {task.state_size} numbers. Actions in [-1, 1]."])
