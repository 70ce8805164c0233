"""The classical model as plain numbers, for a reference run in ANDES (scripts/andes_reference.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ieee68 import load_ieee68
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.parameters import SwingConfig
from grid_model.validation.classical import ClassicalGrid


def export_grid() -> dict[str, Any]:
    """Everything ANDES needs, as plain numbers on 100 MVA and 60 Hz."""
    case = load_ieee68("rogers")
    grid = ClassicalGrid(case, SwingConfig(level="machine", tie_damping_s=0.0))
    governor, number = grid.config.governor, case.bus.bus_number
    per_unit = case.f0_hz / case.base_mva
    tables: dict[str, dict[str, Any]] = {
        "bus": {"number": number, "vm_pu": np.abs(grid.v_pu), "va_rad": np.angle(grid.v_pu)},
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
            "p_pu": case.load.p_mw / case.base_mva,
            "q_pu": case.load.q_mvar / case.base_mva,
        },
        "machine": {
            "name": case.machine.name,
            "bus": number[case.machine.bus],
            "slack": case.machine.slack.astype(int),
            "p_pu": case.machine.p_mw / case.base_mva,
            "vm_set_pu": case.machine.vm_set_pu,
            "xd1_pu": machine_reactance_pu(case),
            "m_s": 2.0 * case.machine.h_s * case.machine.base_mva / case.base_mva,
            "d_pu": grid.damping_mw_per_hz * per_unit,
            "gain_pu": grid.gain_mw_per_hz * per_unit,
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
