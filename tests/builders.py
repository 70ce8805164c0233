"""Tiny grids with named parameters, so that a test can show its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from cases.arrays import IntArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.series import Series, load_series
from cases.tables import (
    BranchTable,
    BusTable,
    LoadTable,
    MachineTable,
    ReactorTable,
    RenewableTable,
    ResourceTable,
)
from control.scenario.suites import NORMAL
from control.task.description import TaskDescription

Branch = tuple[int, int, float]  # bus numbers and reactance [pu on 100 MVA]


def grid(
    *,
    branches: Sequence[Branch],
    machines: dict[int, float],
    loads: dict[int, tuple[float, float]],
    areas: dict[int, str] | None = None,
    n_line: int | None = None,
    r_pu: float = 0.0,
    b_pu: float = 0.0,
    tap: float = 1.0,
    rate_a_mva: float = 500.0,
    rating_mva: float = 1000.0,
    h_s: float = 5.0,
    name: str = "test",
) -> Case:
    """Any small grid.

    Args:
        branches: (from, to, x) a circuit; equal pairs are parallel circuits. The first n_line are lines
            (all if None), the rest transformers with the ratio `tap` at their from bus.
        machines: scheduled power [MW] by bus number; the first is the slack. Each holds 1 pu.
        loads: (p [MW], q [Mvar]) by bus number.
        areas: area by bus number; one area if None.
    """
    numbers = sorted({n for f, t, _ in branches for n in (f, t)} | set(machines) | set(loads))
    position = {number: k for k, number in enumerate(numbers)}
    area_of = areas or dict.fromkeys(numbers, "all")
    area_names = tuple(sorted(set(area_of.values())))
    n_bus, n_branch, n_machine = len(numbers), len(branches), len(machines)
    lines = n_branch if n_line is None else n_line
    is_transformer = np.arange(n_branch) >= lines
    from_bus = np.array([position[f] for f, _, _ in branches], dtype=np.int64)
    ratio = np.where(is_transformer, tap, 1.0)
    count: dict[tuple[int, int], int] = {}
    circuit, names = [], []
    for f, t, _ in branches:
        count[f, t] = count.get((f, t), 0) + 1
        circuit.append(count[f, t])
        names.append(f"{f}-{t} #{count[f, t]}")
    return Case(
        name=name,
        base_mva=100.0,
        f0_hz=60.0,
        area_names=area_names,
        bus=BusTable(
            bus_number=np.array(numbers, dtype=np.int64),
            area=np.array([area_names.index(area_of[n]) for n in numbers], dtype=np.int64),
            vn_kv=np.full(n_bus, 345.0),
            vm_min_pu=np.full(n_bus, 0.95),
            vm_max_pu=np.full(n_bus, 1.10),
            x=np.cos(2.0 * np.pi * np.arange(n_bus) / n_bus),
            y=np.sin(2.0 * np.pi * np.arange(n_bus) / n_bus),
        ),
        branch=BranchTable(
            name=tuple(names),
            corridor=np.arange(1, n_branch + 1, dtype=np.int64),
            circuit=np.array(circuit, dtype=np.int64),
            from_bus=from_bus,
            to_bus=np.array([position[t] for _, t, _ in branches], dtype=np.int64),
            is_transformer=is_transformer,
            r_pu=np.full(n_branch, r_pu),
            x_pu=np.array([x for _, _, x in branches]),
            b_pu=np.where(is_transformer, 0.0, b_pu),
            tap=ratio,
            tap_bus=np.where(ratio != 1.0, from_bus, -1),
            rate_a_mva=np.full(n_branch, rate_a_mva),
            rate_b_mva=np.full(n_branch, 1.2 * rate_a_mva),
            rate_c_mva=np.full(n_branch, 1.4 * rate_a_mva),
            rating_basis=("test",) * n_branch,
        ),
        machine=MachineTable(
            name=tuple(f"G{number}" for number in machines),
            bus=np.array([position[number] for number in machines], dtype=np.int64),
            p_mw=np.array(list(machines.values()), dtype=np.float64),
            vm_set_pu=np.ones(n_machine),
            slack=np.arange(n_machine) == 0,
            base_mva=np.full(n_machine, rating_mva),
            h_s=np.full(n_machine, h_s),
            xd_pu=np.full(n_machine, 1.8),
            xd1_pu=np.full(n_machine, 0.3),
            rating_mva=np.full(n_machine, rating_mva),
            is_equivalent=np.zeros(n_machine, dtype=np.bool_),
            cost_linear=np.full(n_machine, 18.0),
            cost_quadratic=np.full(n_machine, 0.01),
        ),
        load=LoadTable(
            name=tuple(f"load {number}" for number in loads),
            bus=np.array([position[number] for number in loads], dtype=np.int64),
            p_mw=np.array([p for p, _ in loads.values()], dtype=np.float64),
            q_mvar=np.array([q for _, q in loads.values()], dtype=np.float64),
        ),
        reactor=ReactorTable(bus=np.zeros(0, dtype=np.int64), q_mvar=np.zeros(0)),
        renewable=RenewableTable(
            name=(), kind=(), bus=np.zeros(0, dtype=np.int64), p_max_mw=np.zeros(0), series=()
        ),
        resource=ResourceTable(name=(), kind=(), bus=np.zeros(0, dtype=np.int64)),
    )


def two_bus(
    *, p_load_mw: float = 100.0, q_load_mvar: float = 0.0, x_pu: float = 0.1, circuits: int = 1
) -> Case:
    """A machine at bus 1 feeds a load at bus 2 over equal parallel circuits of x_pu each."""
    return grid(
        branches=[(1, 2, x_pu)] * circuits,
        machines={1: p_load_mw},
        loads={2: (p_load_mw, q_load_mvar)},
        name="two bus",
    )


def one_area() -> Case:
    """A triangle 1-2-3 with machines at 1 and 2, loads at 2 and 3, and one at the radial bus 4 behind 3."""
    return grid(
        branches=[(1, 2, 0.1), (2, 3, 0.1), (1, 3, 0.1), (3, 4, 0.05)],
        machines={1: 150.0, 2: 100.0},
        loads={2: (50.0, 10.0), 3: (120.0, 30.0), 4: (80.0, 20.0)},
        name="one area",
    )


def three_area() -> Case:
    """Three areas A, B, C of a machine bus (11, 21, 31) and a load bus (12, 22, 32), joined in a ring.

    Step-up transformers 11-12, 21-22, 31-32; ties 12-22 (two circuits), 22-32 and 12-32.
    """
    return grid(
        branches=[
            (12, 22, 0.08),
            (12, 22, 0.08),
            (22, 32, 0.08),
            (12, 32, 0.08),
            (12, 11, 0.02),
            (22, 21, 0.02),
            (32, 31, 0.02),
        ],
        n_line=4,
        tap=1.02,
        machines={11: 400.0, 21: 250.0, 31: 200.0},
        loads={12: (250.0, 60.0), 22: (300.0, 80.0), 32: (300.0, 70.0)},
        areas={11: "A", 12: "A", 21: "B", 22: "B", 31: "C", 32: "C"},
        b_pu=0.05,
        name="three area",
    )


@lru_cache(maxsize=1)
def real_year() -> Series:
    """The published series, read once."""
    return load_series(progress=False)


def described(case: Case | None = None, **options: Any) -> TaskDescription:
    """The task of the normal scenario on a grid, the 68-bus system if None; options: see `TaskDescription.of`."""
    return TaskDescription.of(case or load_ieee68(), real_year(), NORMAL, **options)


def with_plants(case: Case, kinds: Sequence[str]) -> Case:
    """The same grid with only the plants of these kinds."""
    rows = [i for i, kind in enumerate(case.resource.kind) if kind in kinds]
    kept = ResourceTable(
        name=tuple(case.resource.name[i] for i in rows),
        kind=tuple(case.resource.kind[i] for i in rows),
        bus=case.resource.bus[rows],
    )
    return replace(case, resource=kept)


def reorder_buses(case: Case, order: IntArray) -> Case:
    """The same grid with its bus table in another order: new position k holds what was at order[k]."""
    new = np.argsort(order)
    branch = case.branch
    tap_bus = np.where(branch.tap_bus >= 0, new[branch.tap_bus], -1)
    bus_columns = {name: getattr(case.bus, name)[order] for name in case.bus.__dataclass_fields__}
    return replace(
        case,
        bus=BusTable(**bus_columns),
        branch=replace(branch, from_bus=new[branch.from_bus], to_bus=new[branch.to_bus], tap_bus=tap_bus),
        machine=replace(case.machine, bus=new[case.machine.bus]),
        load=replace(case.load, bus=new[case.load.bus]),
        reactor=replace(case.reactor, bus=new[case.reactor.bus]),
        renewable=replace(case.renewable, bus=new[case.renewable.bus]),
        resource=replace(case.resource, bus=new[case.resource.bus]),
    )
