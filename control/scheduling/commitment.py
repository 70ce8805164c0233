"""Unit commitment by priority list: which machines are in the schedule, at each mark of the dispatch.

Every area commits its own units, in the order of their full-load average cost c1 + c2 P_max, until what is left after
the loss of the largest of them still carries the units' part of the area's demand,

    sum_i P_max,i - max_i P_max,i >= D_a sum P_published,i / P_published,a        i: units in the schedule

and never fewer than two. Some run besides for the voltage's sake: of this grid G2, whose step-up would leave its own
bus at 0.94 pu, and G10, without which New York rises above 1.10 pu in the emptiest hours. Where a planned power flow
still is not clear of its limits, or the loss of a unit would let frequency fall too far, units join in the order of the
list until that is mended (`EpisodeBuilder.build`), and a unit that a scenario names in an event of its own runs
throughout. Too far is where governors and load damping of what is left settle beyond `largest_loss_hz`,

    P_i / (sum_j K_j + D - K_i) > largest_loss_hz,

0.30 Hz: frequency falls to about one and a half times where it settles, and load shedding begins 0.5 Hz below nominal.
The largest units of a grid, above `reserve_unit_mw` of published output (here G11 and G12), are left out: reserve is
not sized for their loss, and with all units running it would not be enough either.

A unit that is needed at a mark has been in the schedule for `min_up_s` before it and stays for as long after it, so no
unit runs for less, and gaps shorter than twice that are bridged. Quick starts are left out: a unit that trips is made
good by those that run.

The equivalents of neighbouring systems are many units of which a share is in the schedule, the one that the area's
demand is of its published output, between a least share and all of them. Inertia, gain and limits of an equivalent are
that share of the published ones: at the published operating point all of the published inertia is there.

A unit joins at a mark without power and is loaded from there by the ramps of the dispatch; one that leaves comes down
along a straight line from the mark before. Left out: costs of starts, fuel, and times from cold.

Reference:
    A. J. Wood, B. F. Wollenberg, G. B. Sheblé, Power Generation, Operation, and Control, 3rd ed., Wiley, 2014, sec.
    4.2.1 (priority lists).
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.tables import MachineTable
from control.scheduling.dispatch import DispatchConfig

__all__ = [
    "commit",
    "needed_units",
    "priority_list",
    "running_at_marks",
    "settles_within",
]

LEAST_UNITS = 2  # of an area that has so many


def priority_list(machine: MachineTable, p_max_mw: FloatArray) -> IntArray:
    """Real units by full-load average cost, the cheapest first; of equals the earlier in the table."""
    cost = machine.cost_linear + machine.cost_quadratic * p_max_mw
    units = np.flatnonzero(~machine.is_equivalent)
    order: IntArray = units[np.argsort(cost[units], kind="stable")]
    return order


def needed_units(
    demand_mw: FloatArray,
    machine: MachineTable,
    machine_area: IntArray,
    p_max_mw: FloatArray,
    must_run: tuple[str, ...] = (),
) -> BoolArray:
    """Units that the rule of the module's head asks for, equivalents left out.

    Args:
        demand_mw: of each area's machines together at each mark [MW], [mark, area].
        machine: the machines.
        machine_area: position of each machine's area, [machine].
        p_max_mw: most that the dispatch asks of each [MW], [machine].
        must_run: names of units that are needed whatever the demand.

    Returns:
        [mark, machine].
    """
    always = np.array([name in must_run for name in machine.name]) & ~machine.is_equivalent
    needed = np.repeat(always[None, :], len(demand_mw), axis=0)
    order = priority_list(machine, p_max_mw)
    for area in range(demand_mw.shape[1]):
        units = order[machine_area[order] == area]
        if len(units) == 0:
            continue
        share = machine.p_mw[units].sum() / machine.p_mw[machine_area == area].sum()
        left_mw = np.cumsum(p_max_mw[units]) - np.maximum.accumulate(p_max_mw[units])
        enough = left_mw >= share * demand_mw[:, area, None]  # [mark, units in the schedule]
        count = np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, len(units))
        needed[:, units] |= np.arange(len(units)) < np.maximum(count, LEAST_UNITS)[:, None]
    return needed


def commit(
    demand_mw: FloatArray,
    machine: MachineTable,
    machine_area: IntArray,
    p_max_mw: FloatArray,
    config: DispatchConfig,
) -> FloatArray:
    """How much of each machine is in the schedule from each mark to the next.

    Args:
        demand_mw: of each area's machines together at each mark, as forecast [MW], [mark, area].
        machine: the machines.
        machine_area: position of each machine's area, [machine].
        p_max_mw: most that the dispatch asks of each [MW], [machine].
        config: choices.

    Returns:
        0 or 1 of a unit, a share of an equivalent, [mark, machine].
    """
    n_mark = len(demand_mw)
    needed = needed_units(demand_mw, machine, machine_area, p_max_mw, config.must_run)
    reach = int(np.ceil(config.min_up_s / config.interval_s))
    share = np.zeros((n_mark, len(machine_area)))
    for k in range(n_mark):
        share[k] = needed[max(k - reach, 0) : k + reach + 1].any(axis=0)
    published_area_mw = np.bincount(machine_area, machine.p_mw, minlength=demand_mw.shape[1])
    level = demand_mw / np.maximum(published_area_mw, 1e-9)
    for i in np.flatnonzero(machine.is_equivalent).tolist():
        share[:, i] = np.clip(level[:, machine_area[i]], config.equivalent_min_share, 1.0)
    return share


def settles_within(
    p_mw: FloatArray,
    share: FloatArray,
    credible: BoolArray,
    gain_mw_per_hz: FloatArray,
    damping_mw_per_hz: float,
) -> float:
    """Where frequency settles after the loss of the worst unit, by what is left [Hz]; see the module's head.

    Args:
        p_mw: of each machine before the loss [MW], [machine].
        share: how much of each is in the schedule, [machine].
        credible: whether the reserve is sized for its loss, [machine].
        gain_mw_per_hz: K, of each machine's governors where all of it is in the schedule [MW/Hz], [machine].
        damping_mw_per_hz: D, of the load [MW/Hz].

    Returns:
        Size of the deviation; infinity where nothing is left that would hold it.
    """
    left = (gain_mw_per_hz @ share) - gain_mw_per_hz * share + damping_mw_per_hz
    settled = np.where(credible, p_mw / np.maximum(left, 1e-9), 0.0)
    return float(settled.max(initial=0.0))


def running_at_marks(share: FloatArray) -> BoolArray:
    """Machines with power at each mark: in the schedule before it and after it, [mark, machine]."""
    on: BoolArray = share > 0.0
    running = on.copy()
    running[1:] &= on[:-1]
    return running
