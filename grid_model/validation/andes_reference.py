"""The grid as plain numbers, for reference runs in ANDES (scripts/andes_reference.py).

Two models of the same grid leave here. `export_grid` is the classical model at the published operating point.
`export_full_order` is for machines with their published transient and subtransient data, at an operating point of the
coupled simulator: its voltages, machines' powers, reactors, governors and load damping, so that both sides start from
one state. The full-order machine lives in ANDES alone; nothing of it enters the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.csv_table import read_csv_table
from cases.ieee68 import DATA_DIRECTORY, load_ieee68
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.parameters import SwingConfig
from grid_model.network.admittance import ComplexArray
from grid_model.validation.classical import ClassicalGrid
from grid_model.validation.coupled import coupled_config
from grid_model.validation.event_response import balanced_grid

__all__ = ["FULL_ORDER_COLUMNS", "export_full_order", "export_grid"]

# Reactances [pu] and time constants [s] of machine.csv, each machine's on its own base_mva, by ANDES' names of them.
FULL_ORDER_COLUMNS = {
    "ra": "ra_pu",
    "xl": "xl_pu",
    "xd": "xd_pu",
    "xd1": "xd1_pu",
    "xd2": "xd2_pu",
    "xq": "xq_pu",
    "xq1": "xq1_pu",
    "xq2": "xq2_pu",
    "Td10": "td01_s",
    "Td20": "td02_s",
    "Tq10": "tq01_s",
    "Tq20": "tq02_s",
}


def export_grid() -> dict[str, Any]:
    """The classical model at the published operating point, as plain numbers on 100 MVA and 60 Hz."""
    case = load_ieee68("rogers")
    grid = ClassicalGrid(case, SwingConfig(level="machine", tie_damping_s=0.0))
    return _numbers(
        case,
        grid.config,
        v_pu=grid.v_pu,
        load_level=1.0,
        reactor_share=np.zeros(case.n_reactor),
        machine_mw=case.machine.p_mw,
        damping_mw_per_hz=grid.damping_mw_per_hz,
        gain_mw_per_hz=grid.gain_mw_per_hz,
    )


def export_full_order(load_level: float) -> dict[str, Any]:
    """Full-order machines at the operating point of the coupled grid at a share of the published load.

    Machines' own data stay on their own base, `base_mva` of machine.csv; all else is on 100 MVA and 60 Hz.
    """
    case = load_ieee68("rogers")
    config = coupled_config("power")
    grid, _ = balanced_grid(case, 1, config, load_level=load_level)
    per_hz = config.load_damping / case.f0_hz * load_level
    exported = _numbers(
        case,
        config,
        v_pu=grid.engine.v_pu[0],
        load_level=load_level,
        reactor_share=grid.engine.reactor_share[0],
        machine_mw=grid.machine_mw[0],
        damping_mw_per_hz=(per_hz * case.load.p_mw) @ grid.topology.impact_share[0][case.load.bus],
        gain_mw_per_hz=grid.topology.swing.gain_mw_per_hz[:, 0],
    )
    table = read_csv_table(DATA_DIRECTORY / "machine.csv")
    row = table.rows_by("machine", list(case.machine.name))
    exported["machine"]["base_mva"] = case.machine.base_mva.tolist()
    for andes_name, column in FULL_ORDER_COLUMNS.items():
        exported["machine"][andes_name] = table.floats(column, at_least=0.0)[row].tolist()
    return exported


def _numbers(
    case: Case,
    config: SwingConfig,
    *,
    v_pu: ComplexArray,
    load_level: float,
    reactor_share: FloatArray,
    machine_mw: FloatArray,
    damping_mw_per_hz: FloatArray,
    gain_mw_per_hz: FloatArray,
) -> dict[str, Any]:
    """Everything that both references need, on 100 MVA and 60 Hz."""
    governor, number = config.governor, case.bus.bus_number
    per_unit = case.f0_hz / case.base_mva
    tables: dict[str, dict[str, Any]] = {
        "bus": {"number": number, "vm_pu": np.abs(v_pu), "va_rad": np.angle(v_pu)},
        "branch": {
            "from_bus": number[case.branch.from_bus],
            "to_bus": number[case.branch.to_bus],
            "r_pu": case.branch.r_pu,
            "x_pu": case.branch.x_pu,
            "b_pu": case.branch.b_pu,
            "tap": case.branch.tap,
        },
        "load": {
            "name": case.load.name,
            "bus": number[case.load.bus],
            "p_pu": load_level * case.load.p_mw / case.base_mva,
            "q_pu": load_level * case.load.q_mvar / case.base_mva,
        },
        "reactor": {
            "bus": number[case.reactor.bus],
            "b_pu": -reactor_share * case.reactor.q_mvar / case.base_mva,
        },
        "machine": {
            "name": case.machine.name,
            "bus": number[case.machine.bus],
            "slack": case.machine.slack.astype(int),
            "p_pu": machine_mw / case.base_mva,
            "vm_set_pu": case.machine.vm_set_pu,
            "xd1_pu": machine_reactance_pu(case),
            "m_s": 2.0 * case.machine.h_s * case.machine.base_mva / case.base_mva,
            "d_pu": damping_mw_per_hz * per_unit,
            "gain_pu": gain_mw_per_hz * per_unit,
        },
    }
    numbers: dict[str, Any] = {
        table: {name: np.asarray(values).tolist() for name, values in columns.items()}
        for table, columns in tables.items()
    }
    numbers["governor"] = {
        "t_valve_s": governor.t_valve_s,
        "t_reheat_s": governor.t_reheat_s,
        "high_pressure_fraction": governor.high_pressure_fraction,
        "dead_band_pu": governor.dead_band_hz / case.f0_hz,
    }
    return numbers
