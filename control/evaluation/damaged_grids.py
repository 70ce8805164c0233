"""Damaged scenario files and grids: grid files with their tables, pandapower nets, MATPOWER's .m and .mat.

A grid that is taken has a power flow of finite voltages.
"""

from __future__ import annotations

import io
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from control.evaluation.damage import Way, damaged

__all__ = ["GRID_FILES", "MATPOWER", "SCENARIO", "grid_file", "mat", "matpower", "pandapower", "scenario"]

NUMBERS = (-1.0, 0.0, 1.5, 1e300, -1e300, 1e-300, math.nan, math.inf)
ENTRIES: tuple[Any, ...] = (
    *NUMBERS,
    None,
    2**70,
    True,
    "",
    "text",
    [],
    {},
    999_999,
    -5,
)  # of a table of JSON
SCENARIO = b"""base = "n1"
name = "evening peak"
n_intervals = 100
start_minute = 281_000.0
outage_rate_per_h = 0.25
outages_min = 0
packet_loss = 0.01
scada_class_delays = [1, 2, 3]
inertia_scale_to_mws = 150000.0

[forecast]
dispatch_wind_percent = 6.0

[battery]
energy_mwh = 25.0
p_max_mw = 50.0

[gas_turbine]
operating_point_mw = 120.0

[[event]]
time_s = 120.0
kind = "machine_out"
element = "G6"

[[event]]
time_s = 10.0
kind = "load_ramp"
element = "load 41"
p_mw = 50.0
duration_s = 60.0
"""
MATPOWER = b"""function mpc = ring
% four buses in a ring with one chord
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
\t5\t3\t0\t0\t0\t0\t1\t1\t0\t132\t1\t1.1\t0.9;
\t7\t1\t70\t25\t0\t12\t1\t1\t0\t132\t1\t1.1\t0.9;
\t9\t2\t40\t15\t0\t0\t1\t1\t0\t132\t1\t1.1\t0.9;
\t11\t1\t35\t10\t0\t0\t1\t1\t0\t132\t1\t1.1\t0.9;
];
mpc.gen = [
\t5\t60\t0\t90\t-90\t1.03\t100\t1\t200\t0;
\t9\t55\t0\t90\t-90\t1.01\t100\t1\t120\t0;
];
mpc.branch = [
\t5\t7\t0.012\t0.09\t0.03\t100\t0\t0\t0\t0\t1\t-360\t360;
\t7\t9\t0.015\t0.07\t0.02\t100\t0\t0\t0\t0\t1\t-360\t360;
\t9\t11\t0.010\t0.08\t0.02\t100\t0\t0\t0.98\t0\t1\t-360\t360;
\t11\t5\t0.020\t0.11\t0.04\t100\t0\t0\t0\t0\t1\t-360\t360;
\t7\t11\t0.018\t0.12\t0.02\t100\t0\t0\t0\t0\t1\t-360\t360;
];
mpc.bus(:, 3) = mpc.bus(:, 3) * 1.1;  %% loads grow
"""
# A grid file with every table that can stand beside it; each input damages one of them.
GRID_FILES = {
    "grid.toml": b"""grid = "ring.m"
machines = "machines.csv"
plants = "plants.csv"
renewables = "wind.csv"
areas = "areas.csv"
limits = "fit"
load_scale = 0.95
""",
    "inline.toml": b"""grid = "ring.m"
areas = "coherency"
n_areas = 2

[[plant]]
name = "store"
kind = "bess"
bus = 7
mw = 5.0
mwh = 2.5

[[plant]]
name = "turbine"
kind = "gas"
bus = 9

[[renewable]]
name = "wind_north"
kind = "wind"
bus = 11
mw = 12.0
series = "wind_3"
""",
    "machines.csv": b"machine,kind,h_s,xd_pu,xd1_pu,rating_mva\nG5,thermal,4.0,1.8,0.3,200\nG9,hydro,,,,\n",
    "plants.csv": b"name,kind,bus,mw,mwh,lag_s\nstore,bess,7,5,2.5,\nturbine,gas,9,6,,8\nhall,dr,11,2,,4\n",
    "wind.csv": b"name,kind,bus,mw,series\nwind_north,wind,11,12,wind_3\nroofs,pv,7,8,\n",
    "areas.csv": b"bus,area\n5,west\n7,west\n9,east\n11,east\n",
}


def scenario(directory: Path) -> Way:
    """Scenario files; what is taken makes an episode."""
    import numpy as np

    from cases.ieee68 import load_ieee68
    from cases.series import load_series
    from control.scenario.config import ScenarioError
    from control.scenario.episode import EpisodeBuilder
    from control.scenario.file import read_scenario

    case, series, path = load_ieee68(), load_series(), directory / "own.toml"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        config = read_scenario(path, case)
        config = replace(config, n_intervals=min(config.n_intervals, 20), events=())
        # What is taken makes an episode.
        EpisodeBuilder(case, series, config).build(np.random.default_rng(0), lambda *_: 0.0)

    return lambda rng: damaged(SCENARIO, rng), take, (ScenarioError,)


def _solved(source: str) -> None:
    """Opens a grid; what is taken has been solved.

    Raises:
        AssertionError: a voltage of it is no number.
    """
    import numpy as np

    from grid_model.power_flow.open_case import open_and_solve

    opened = open_and_solve(source)
    if not np.isfinite(opened.v_pu).all():
        raise AssertionError("a grid was taken whose voltages are no numbers")


def matpower(directory: Path) -> Way:
    """MATPOWER's case files, .m."""
    from cases.arrays import CaseDataError

    path = directory / "ring.m"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        _solved(str(path))

    return lambda rng: damaged(MATPOWER, rng), take, (CaseDataError,)


def mat(directory: Path) -> Way:
    """MATPOWER's cases as MATLAB saves them."""
    import numpy as np
    from scipy.io import savemat

    from cases.arrays import CaseDataError
    from cases.matlab_program import run_case_file

    path = directory / "ring.mat"
    fields: dict[str, Any] = dict(run_case_file("ring.m", MATPOWER.decode()))

    def saved(content: dict[str, Any], packed: bool) -> bytes:
        file: Any = io.BytesIO()
        savemat(file, {"mpc": content}, do_compression=packed)
        return bytes(file.getvalue())

    wholes = [saved(fields, packed) for packed in (False, True)]

    def make(rng: random.Random) -> bytes:
        """Half of them damaged as bytes, half in entries of the matrices."""
        if rng.random() < 0.5:
            return damaged(rng.choice(wholes), rng)
        changed = {
            name: value.copy() if isinstance(value, np.ndarray) else value for name, value in fields.items()
        }
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choice(("bus", "gen", "branch"))
            row = changed[name][rng.randrange(len(changed[name]))]
            row[rng.randrange(len(row))] = rng.choice(NUMBERS)
        return saved(changed, rng.random() < 0.5)

    def take(content: bytes) -> None:
        path.write_bytes(content)
        _solved(str(path))

    return make, take, (CaseDataError,)


def pandapower(directory: Path) -> Way:
    """pandapower's nets as JSON."""
    import pandapower as pp
    import pandapower.networks

    from cases.arrays import CaseDataError

    path = directory / "net.json"
    net = pandapower.networks.simple_four_bus_system()  # lines, a transformer, loads, static generators
    pp.create_gen(net, 1, p_mw=0.01, vm_pu=1.0)
    tables = {
        name: list(net[name].columns) for name in ("bus", "line", "trafo", "load", "gen", "ext_grid", "sgen")
    }
    plain = pp.to_json(net)

    def make(rng: random.Random) -> bytes:
        """Half of them damaged as text, half in an entry of a table, which text hardly ever hits."""
        if rng.random() < 0.5:
            return damaged(plain.encode(), rng)
        content = json.loads(plain)
        name = rng.choice(sorted(tables))
        frame = content["_object"][name]
        table = json.loads(frame["_object"])
        for _ in range(rng.choice((1, 1, 2))):
            what = rng.randrange(4)
            if what == 0:
                column = rng.randrange(len(table["columns"]))
                del table["columns"][column]
                for row in table["data"]:
                    del row[column]
            elif what == 1 and table["data"]:
                k = rng.randrange(len(table["data"]))
                table["data"].insert(k, list(table["data"][k]))
                table["index"].insert(k, table["index"][k])
            elif table["data"] and table["columns"]:
                row = rng.choice(table["data"])
                row[rng.randrange(len(row))] = rng.choice(ENTRIES)
        frame["_object"] = json.dumps(table)
        return json.dumps(content).encode()

    def take(content: bytes) -> None:
        path.write_bytes(content)
        _solved(str(path))

    return make, take, (CaseDataError,)


def grid_file(directory: Path) -> Way:
    """Grid files, and the tables that stand beside them."""
    from cases.arrays import CaseDataError
    from control.scenario.task_grid import open_task_grid

    (directory / "ring.m").write_bytes(MATPOWER)

    def make(rng: random.Random) -> bytes:
        name = rng.choice(sorted(GRID_FILES))
        return name.encode() + b"\n" + damaged(GRID_FILES[name], rng)

    def take(content: bytes) -> None:
        name, _, data = content.partition(b"\n")
        for file, whole in GRID_FILES.items():
            (directory / file).write_bytes(data if file == name.decode() else whole)
        top = "inline.toml" if name == b"inline.toml" else "grid.toml"
        open_task_grid(str(directory / top))

    return make, take, (CaseDataError,)
