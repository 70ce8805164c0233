"""Reference runs of the classical model in ANDES, kept as golden files of the frequency validation.

python scripts/andes_reference.py                          with ANDES in the same environment
python scripts/andes_reference.py --export grid.json       or in two steps: here without ANDES,
python scripts/andes_reference.py --grid grid.json         and there with nothing but ANDES

ANDES (H. Cui, F. Li, K. Tomsovic, Hybrid symbolic-numeric framework for power system modeling and analysis, IEEE
Trans. Power Systems 36(2), 2021) solves the whole network as a differential-algebraic system with the trapezoidal
rule; nothing of this project's reduction or integration is in it. Machines are GENCLS, turbines with governors
TGOV1NDB, which is our governor exactly: valve lag, lead-lag T2/T3 = F T_r / T_r for the reheat, dead band without a
step. Loads turn into constant impedances. Left out because ANDES cannot express it: tie damping, the governors' rate
limit (off on both sides) and limits on the target instead of the valve (not reached).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

PROGRAM = "andes_reference.py"
GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "regression" / "golden"
STEP_S = 0.0025
DURATION_S = 20.0
SAMPLE_S = 0.1
EVENT_S = 1.0
# A real unit in each of three places, and a load in each of two.
EVENTS = ("loss of G9", "loss of G5", "loss of G11", "loss of load 20", "loss of load 41")
BUSES = (1, 9, 17, 18, 37, 41, 53, 61)  # numbers of the buses whose frequency is kept


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to read the grid and write the references."""

    out: Path = GOLDEN
    """Directory for one CSV an event and one JSON with their provenance."""
    export: Path | None = None
    """Only write the grid as numbers to this file."""
    grid: Path | None = None
    """Read the grid from this file instead of building it."""


def columns_of(grid: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """The rows of a table of the exported grid."""
    names = list(grid[table])
    return [dict(zip(names, row, strict=True)) for row in zip(*grid[table].values(), strict=True)]


def build(grid: dict[str, Any]) -> Any:
    """The grid as an ANDES system, not set up yet."""
    andes: Any = import_module("andes")  # an optional library, not looked for before it is needed
    andes.config_logger(40)
    system = andes.System(no_output=True, default_config=True)
    angle = dict(zip(grid["bus"]["number"], grid["bus"]["va_rad"], strict=True))
    for bus in columns_of(grid, "bus"):
        system.add("Bus", {"idx": bus["number"], "Vn": 345.0, "v0": bus["vm_pu"], "a0": bus["va_rad"]})
    for k, branch in enumerate(columns_of(grid, "branch")):
        line = {"idx": f"line {k}", "bus1": branch["from_bus"], "bus2": branch["to_bus"], "Sn": 100.0}
        line |= {"Vn1": 345.0, "Vn2": 345.0, "trans": int(branch["tap"] != 1.0), "tap": branch["tap"]}
        # ANDES adds 1e-8 to r and x against division by zero, which shows in the seventh digit of a voltage.
        series = {"r": branch["r_pu"] - 1e-8, "x": branch["x_pu"] - 1e-8}
        system.add("Line", line | series | {"b": branch["b_pu"]})
    for load in columns_of(grid, "load"):
        demand = {"idx": load["name"], "bus": load["bus"], "Vn": 345.0}
        system.add("PQ", demand | {"p0": load["p_pu"], "q0": load["q_pu"]})
    governor = grid["governor"]
    wide = {"pmax": 1e3, "pmin": -1e3, "qmax": 1e3, "qmin": -1e3}
    for machine in columns_of(grid, "machine"):
        name = machine["name"]
        at = {"bus": machine["bus"], "Vn": 345.0, "Sn": 100.0, "ra": 0.0}
        static = {"idx": f"{name} static", "p0": machine["p_pu"], "q0": 0.0, "v0": machine["vm_set_pu"]}
        if machine["slack"]:
            static["a0"] = angle[machine["bus"]]
        system.add("Slack" if machine["slack"] else "PV", at | static | wide)
        rotor = {"idx": name, "gen": f"{name} static", "fn": 60.0, "xl": 0.0, "xd1": machine["xd1_pu"]}
        system.add("GENCLS", at | rotor | {"M": machine["m_s"], "D": machine["d_pu"]})
        turbine = {"idx": f"{name} turbine", "syn": name, "Tn": 100.0, "R": 1.0 / machine["gain_pu"]}
        turbine |= {"T1": governor["t_valve_s"], "T3": governor["t_reheat_s"], "Dt": 0.0}
        turbine["T2"] = governor["high_pressure_fraction"] * governor["t_reheat_s"]
        turbine |= {"VMAX": 1e4, "VMIN": -1e4}
        turbine |= {"dbL": -governor["dead_band_pu"], "dbU": governor["dead_band_pu"]}
        system.add("TGOV1NDB", turbine)
    return system


def run_event(grid: dict[str, Any], event: str) -> dict[str, Any]:
    """One event in ANDES: samples of time [s], machines' and some buses' frequency deviation [Hz].

    Raises:
        RuntimeError: ANDES' power flow differs from ours, or its simulation stopped before the end.
    """
    import numpy as np

    system = build(grid)
    what = event.removeprefix("loss of ")
    model = "PQ" if what.startswith("load") else "GENCLS"
    system.add("Toggle", {"model": model, "dev": what, "t": EVENT_S})
    system.setup()
    system.PFlow.config.tol = 1e-10
    system.PFlow.run()
    vm = np.abs(np.asarray(system.Bus.v.v) - np.array(grid["bus"]["vm_pu"])).max()
    if not system.PFlow.converged or vm > 1e-8:
        raise RuntimeError(f"ANDES' power flow differs from ours by {vm:.1e} pu, expected at most 1e-8 pu")
    config = system.TDS.config
    config.tf, config.tstep, config.fixt, config.shrinkt = DURATION_S, STEP_S, 1, 0
    # A machine out of service stands still, which ANDES would take for a loss of step.
    config.criteria, config.no_tqdm, config.tol = 0, 1, 1e-8
    system.TDS.run()
    time_s = np.asarray(system.dae.ts.t)
    speed = np.asarray(system.dae.ts.x)[:, system.GENCLS.omega.a]
    number = list(grid["bus"]["number"])
    bus_angle = np.asarray(system.dae.ts.y)[:, [system.Bus.a.a[number.index(bus)] for bus in BUSES]]
    if abs(time_s[-1] - DURATION_S) > STEP_S:
        raise RuntimeError(f"ANDES stopped at {time_s[-1]:.3f} s, expected {DURATION_S} s")
    # The rate of the angle on both sides of the event apart: at it the angle jumps.
    after = np.flatnonzero(time_s > EVENT_S)
    late = np.gradient(bus_angle[after], time_s[after], axis=0, edge_order=2) / (2.0 * np.pi)
    samples = np.arange(round(EVENT_S / SAMPLE_S) + 1, round(DURATION_S / SAMPLE_S)) * SAMPLE_S
    machines = np.stack([np.interp(samples, time_s, 60.0 * (w - 1.0)) for w in speed.T], axis=1)
    buses = np.stack([np.interp(samples, time_s[after], rate) for rate in late.T], axis=1)
    return {"time_s": samples, "machine_hz": machines, "bus_hz": buses}


def write(directory: Path, event: str, grid: dict[str, Any], result: dict[str, Any]) -> Path:
    """One CSV of deviations in mHz; a thousandth of a mHz is far below any tolerance."""
    path = directory / f"andes_{event.replace(' ', '_')}.csv"
    header = ["time_s", *grid["machine"]["name"], *(f"bus {bus}" for bus in BUSES)]
    rows = zip(result["time_s"], result["machine_hz"], result["bus_hz"], strict=True)
    lines = [",".join(header)]
    for time_s, machines, buses in rows:
        lines.append(f"{time_s:.1f}," + ",".join(f"{1e3 * value:.3f}" for value in (*machines, *buses)))
    path.write_text("\n".join(lines) + "\n")
    return path


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 written, 1 ANDES failed, 2 wrong option or no ANDES."""
    if arguments and arguments[0] == "--grid" and len(arguments) in (2, 4):
        # An environment that holds nothing but ANDES has no parser for dataclasses.
        out = Path(arguments[3]) if len(arguments) == 4 else GOLDEN
        options = Options(grid=Path(arguments[1]), out=out)
    else:
        import command_line

        description = "Runs the reference events in ANDES and writes the golden files."
        options = command_line.parse(Options, program=PROGRAM, description=description, arguments=arguments)
    if options.grid is None:
        from grid_model.validation.andes_reference import export_grid

        grid = export_grid()
    else:
        grid = json.loads(options.grid.read_text())
    if options.export is not None:
        options.export.write_text(json.dumps(grid) + "\n")
        return 0
    try:
        version = import_module("andes").__version__
    except ModuleNotFoundError:
        print(f"{PROGRAM}: error: ANDES is not installed; pip install 'andes>=2.0'", file=sys.stderr)
        return 2
    for event in EVENTS:
        try:
            path = write(options.out, event, grid, run_event(grid, event))
        except RuntimeError as error:
            print(f"{PROGRAM}: error: {event}: {error}", file=sys.stderr)
            return 1
        print(f"{event}: {path}", flush=True)
    provenance = {
        "what": "frequency deviations [mHz] of the classical model in ANDES, variant rogers as published",
        "command": "python scripts/andes_reference.py",
        "andes": version,
        "date": date.today().isoformat(),
        "step_s": STEP_S,
        "event_s": EVENT_S,
        "method": "trapezoidal rule, fixed step, tolerance 1e-8; bus frequency from central differences of the angle",
        "events": list(EVENTS),
    }
    (options.out / "andes.json").write_text(json.dumps(provenance, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
