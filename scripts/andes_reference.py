"""Reference runs in ANDES, kept as golden files of the frequency validation.

python scripts/andes_reference.py                          with ANDES in the same environment
python scripts/andes_reference.py --export grid.json       or in two steps: here without ANDES,
python scripts/andes_reference.py --grid grid.json         and there with nothing but ANDES

ANDES (H. Cui, F. Li, K. Tomsovic, Hybrid symbolic-numeric framework for power system modeling and analysis, IEEE
Trans. Power Systems 36(2), 2021) solves the whole network as a differential-algebraic system with the trapezoidal
rule; nothing of this project's reduction or integration is in it. Turbines with governors are TGOV1NDB, which is our
governor exactly: valve lag, lead-lag T2/T3 = F T_r / T_r for the reheat, dead band without a step. Two references:

* `classical`: machines are GENCLS, loads turn into constant impedances. It proves the classical model by itself. Left
  out because ANDES cannot express it: tie damping, the governors' rate limit (off on both sides) and limits on the
  target instead of the valve (not reached).
* `full_order`: machines are GENROU with the published transient and subtransient data, each with one and the same
  exciter, SEXS with typical figures; loads are impedances, half impedance and half power, constant power, active and
  reactive alike, or the frequency model's default, P of constant current and Q of constant impedance. No limits, no
  relays, no stabilisers. The coupled simulator, on which policies are trained, is measured against it.

The full-order runs take about half a minute each on one core.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

PROGRAM = "andes_reference.py"
GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "regression" / "golden"
EVENT_S = 1.0
SAMPLE_S = 0.1

# The classical reference
STEP_S = 0.0025
DURATION_S = 20.0
# A real unit in each of three places, and a load in each of two.
EVENTS = ("loss of G9", "loss of G5", "loss of G11", "loss of load 20", "loss of load 41")
BUSES = (1, 9, 17, 18, 37, 41, 53, 61)  # numbers of the buses whose frequency is kept

# The full-order reference
FULL_STEP_S = 0.02  # half of it moves the centre of inertia by 0.03 mHz at most, G3 and G9, first 12 s
FULL_DURATION_S = 60.0
FULL_LEVELS = (1.0, 0.8)  # share of the published load
# Two units and two loads: 650 and 800 MW of New England, 680 MW there and 1000 MW at the far end of the ties.
FULL_EVENTS = ("loss of G3", "loss of load 20", "loss of G9", "loss of load 41")
# Shares of constant power, current and impedance in P and in Q; the last is the frequency model's default.
LOAD_SHARES = {
    "impedance": ((0.0, 0.0, 1.0), (0.0, 0.0, 1.0)),
    "half": ((0.5, 0.0, 0.5), (0.5, 0.0, 0.5)),
    "power": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
    "default": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}
# Gain, T_A/T_B, T_B and T_E of a static exciter with transient gain reduction: typical figures. No ceiling.
EXCITER = {"K": 100.0, "TATB": 0.1, "TB": 10.0, "TE": 0.05, "EMIN": -99.0, "EMAX": 99.0}
MACHINE_DATA = ("ra", "xl", "xd", "xd1", "xd2", "xq", "xq1", "xq2", "Td10", "Td20", "Tq10", "Tq20")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to read the grid and write the references."""

    reference: Literal["all", "classical", "full_order"] = "all"
    """Which reference to run."""
    out: Path = GOLDEN
    """Directory for one CSV an event and one JSON a reference with its provenance."""
    export: Path | None = None
    """Only write the grid as numbers to this file."""
    grid: Path | None = None
    """Read the grid from this file instead of building it."""


def columns_of(grid: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """The rows of a table of the exported grid."""
    names = list(grid[table])
    return [dict(zip(names, row, strict=True)) for row in zip(*grid[table].values(), strict=True)]


def build(grid: dict[str, Any], load_model: str | None = None) -> Any:
    """The grid as an ANDES system, not set up yet: classical, or of full order where a load model is named."""
    andes: Any = import_module("andes")  # an optional library, not looked for before it is needed
    andes.config_logger(50)
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
    for reactor in columns_of(grid, "reactor"):
        if reactor["b_pu"] != 0.0:
            system.add("Shunt", {"bus": reactor["bus"], "Vn": 345.0, "Sn": 100.0, "b": reactor["b_pu"]})
    if load_model is not None:
        # What happens to a PQ load after the power flow; ANDES would make all of them impedances.
        config = system.PQ.config
        (config.p2p, config.p2i, config.p2z), (config.q2q, config.q2i, config.q2z) = LOAD_SHARES[load_model]
    governor = grid["governor"]
    wide = {"pmax": 1e3, "pmin": -1e3, "qmax": 1e3, "qmin": -1e3}
    for machine in columns_of(grid, "machine"):
        name = machine["name"]
        at = {"bus": machine["bus"], "Vn": 345.0, "Sn": 100.0, "ra": 0.0}
        static = {"idx": f"{name} static", "p0": machine["p_pu"], "q0": 0.0, "v0": machine["vm_set_pu"]}
        if machine["slack"]:
            static["a0"] = angle[machine["bus"]]
        system.add("Slack" if machine["slack"] else "PV", at | static | wide)
        rotor = {"idx": name, "gen": f"{name} static", "fn": 60.0}
        if load_model is None:
            rotor |= {"xl": 0.0, "xd1": machine["xd1_pu"], "M": machine["m_s"], "D": machine["d_pu"]}
            system.add("GENCLS", at | rotor)
        else:
            # Reactances are on the machine's own base, and M and D have to be on the same.
            own = 100.0 / machine["base_mva"]
            rotor |= {key: machine[key] for key in MACHINE_DATA}
            rotor |= {"Sn": machine["base_mva"], "M": machine["m_s"] * own, "D": machine["d_pu"] * own}
            system.add("GENROU", at | rotor)
            system.add("SEXS", {"idx": f"{name} exciter", "syn": name, **EXCITER})
        turbine = {"idx": f"{name} turbine", "syn": name, "Tn": 100.0, "R": 1.0 / machine["gain_pu"]}
        turbine |= {"T1": governor["t_valve_s"], "T3": governor["t_reheat_s"], "Dt": 0.0}
        turbine["T2"] = governor["high_pressure_fraction"] * governor["t_reheat_s"]
        turbine |= {"VMAX": 1e4, "VMIN": -1e4}
        turbine |= {"dbL": -governor["dead_band_pu"], "dbU": governor["dead_band_pu"]}
        system.add("TGOV1NDB", turbine)
    return system


def simulate(
    system: Any, grid: dict[str, Any], machine_model: str, event: str, step_s: float, duration_s: float
) -> None:
    """Power flow and one event; the trace stays in `system.dae.ts`.

    Raises:
        RuntimeError: ANDES' power flow differs from ours.
    """
    import numpy as np

    what = event.removeprefix("loss of ")
    model = "PQ" if what.startswith("load") else machine_model
    system.add("Toggle", {"model": model, "dev": what, "t": EVENT_S})
    system.setup()
    system.PFlow.config.tol = 1e-10
    system.PFlow.run()
    vm = np.abs(np.asarray(system.Bus.v.v) - np.array(grid["bus"]["vm_pu"])).max()
    if not system.PFlow.converged or vm > 1e-8:
        raise RuntimeError(f"ANDES' power flow differs from ours by {vm:.1e} pu, expected at most 1e-8 pu")
    config = system.TDS.config
    config.tf, config.tstep, config.fixt, config.shrinkt = duration_s, step_s, 1, 0
    # A machine out of service stands still, which ANDES would take for a loss of step.
    config.criteria, config.no_tqdm, config.tol = 0, 1, 1e-8
    system.TDS.run()


def run_event(grid: dict[str, Any], event: str) -> dict[str, Any]:
    """One event of the classical reference: samples of time [s], machines' and some buses' frequency deviation [Hz].

    Raises:
        RuntimeError: ANDES' power flow differs from ours, or its simulation stopped before the end.
    """
    import numpy as np

    system = build(grid)
    simulate(system, grid, "GENCLS", event, STEP_S, DURATION_S)
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


def run_full_order(grid: dict[str, Any], event: str, load_model: str) -> dict[str, Any]:
    """One event with full-order machines, from the event to the end or to where ANDES finds no solution any more.

    Returns:
        Samples of time [s], deviation of the centre of inertia of the machines in service [Hz] and mean voltage of
        the loads by their power [pu], NaN where ANDES has none; the time at which it ended [s] and the lowest
        voltage of a bus in the last second before that [pu].

    Raises:
        RuntimeError: ANDES' power flow differs from ours.
    """
    import numpy as np

    system = build(grid, load_model)
    simulate(system, grid, "GENROU", event, FULL_STEP_S, FULL_DURATION_S)
    time_s = np.asarray(system.dae.ts.t)
    speed = np.asarray(system.dae.ts.x)[:, system.GENROU.omega.a]
    vm_pu = np.asarray(system.dae.ts.y)[:, system.Bus.v.a]
    lost = event.removeprefix("loss of ")
    machine, load = grid["machine"], grid["load"]
    in_service = np.array([name != lost for name in machine["name"]])
    inertia = np.array(machine["m_s"]) * in_service
    coi_hz = 60.0 * (speed - 1.0) @ (inertia / inertia.sum())
    number = list(grid["bus"]["number"])
    power = np.array([0.0 if name == lost else p for name, p in zip(load["name"], load["p_pu"], strict=True)])
    load_vm_pu = vm_pu[:, [number.index(bus) for bus in load["bus"]]] @ (power / power.sum())
    samples = np.arange(round(EVENT_S / SAMPLE_S), round(FULL_DURATION_S / SAMPLE_S) + 1) * SAMPLE_S
    end_s = float(time_s[-1])
    solved = samples <= end_s + 1e-9
    # At its instant the voltages are those before the event.
    return {
        "time_s": samples,
        "coi_hz": np.where(solved, np.interp(samples, time_s, coi_hz), np.nan),
        "load_vm_pu": np.where(solved, np.interp(samples, time_s, load_vm_pu), np.nan),
        "end_s": end_s,
        "lowest_vm_pu": float(vm_pu[time_s > end_s - 1.0].min()),
    }


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


def write_full_order(directory: Path, event: str, level: float, results: dict[str, dict[str, Any]]) -> Path:
    """One CSV: deviation of the centre of inertia [mHz] and mean voltage of the loads [pu] by load model."""
    path = directory / f"full_order_{event.replace(' ', '_')}_level_{level:g}.csv"
    lines = [",".join(["time_s", *(f"{name}_{what}" for name in results for what in ("mhz", "vm_pu"))])]
    for k, time_s in enumerate(next(iter(results.values()))["time_s"]):
        row = [f"{time_s:.1f}"]
        for result in results.values():
            there = time_s <= result["end_s"] + 1e-9
            row += (
                [f"{1e3 * result['coi_hz'][k]:.2f}", f"{result['load_vm_pu'][k]:.5f}"] if there else ["", ""]
            )
        lines.append(",".join(row))
    path.write_text("\n".join(lines) + "\n")
    return path


def classical_reference(grid: dict[str, Any], directory: Path, version: str) -> None:
    """Runs the classical events and writes their files and provenance."""
    for event in EVENTS:
        print(f"{event}: {write(directory, event, grid, run_event(grid, event))}", flush=True)
    provenance = {
        "what": "frequency deviations [mHz] of the classical model in ANDES, variant rogers as published",
        "command": "python scripts/andes_reference.py --reference classical",
        "andes": version,
        "date": date.today().isoformat(),
        "step_s": STEP_S,
        "event_s": EVENT_S,
        "method": "trapezoidal rule, fixed step, tolerance 1e-8; bus frequency from central differences of the angle",
        "events": list(EVENTS),
    }
    (directory / "andes.json").write_text(json.dumps(provenance, indent=2) + "\n")


def full_order_reference(grids: dict[str, Any], directory: Path, version: str) -> None:
    """Runs the events of the full-order reference at every level and writes their files and provenance."""
    runs = []
    for level in FULL_LEVELS:
        for event in FULL_EVENTS:
            results = {name: run_full_order(grids[f"{level:g}"], event, name) for name in LOAD_SHARES}
            path = write_full_order(directory, event, level, results)
            for name, result in results.items():
                solved = result["end_s"] > FULL_DURATION_S - FULL_STEP_S
                run = {"event": event, "level": level, "load_model": name, "solved": solved}
                runs.append(
                    run
                    | {"end_s": round(result["end_s"], 2), "lowest_vm_pu": round(result["lowest_vm_pu"], 3)}
                )
            print(f"{event}, level {level:g}: {path}", flush=True)
    provenance = {
        "what": "centre of inertia [mHz] and mean voltage of the loads [pu] with full-order machines in ANDES, "
        "variant rogers at the coupled simulator's operating point",
        "command": "python scripts/andes_reference.py --reference full_order",
        "andes": version,
        "date": date.today().isoformat(),
        "machines": "GENROU, transient and subtransient data of machine.csv on base_mva",
        "exciters": "SEXS at every machine, without ceiling or stabiliser: typical figures",
        "exciter": EXCITER,
        "load_shares": LOAD_SHARES,
        "step_s": FULL_STEP_S,
        "duration_s": FULL_DURATION_S,
        "event_s": EVENT_S,
        "method": "trapezoidal rule, fixed step, tolerance 1e-8; no limits, no relays; a run ends where no step solves",
        "accuracy": "half the step moves the centre of inertia by 0.03 mHz at most (G3, power; G9, half and half)",
        "levels": list(FULL_LEVELS),
        "events": list(FULL_EVENTS),
        "runs": runs,
    }
    (directory / "full_order.json").write_text(json.dumps(provenance, indent=2) + "\n")


def exported_grids() -> dict[str, Any]:
    """The grids of both references by name: `published`, and the full-order ones by their load level."""
    from grid_model.validation.andes_reference import export_full_order, export_grid

    return {"published": export_grid()} | {f"{level:g}": export_full_order(level) for level in FULL_LEVELS}


def parse(arguments: Sequence[str]) -> Options:
    """The options; an environment that holds nothing but ANDES has no parser for dataclasses."""
    named = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if "--grid" in named and len(arguments) % 2 == 0 and set(named) <= {"--grid", "--out", "--reference"}:
        reference = named.get("--reference", "all")
        if reference in ("all", "classical", "full_order"):
            return Options(
                grid=Path(named["--grid"]),
                out=Path(named.get("--out", GOLDEN)),
                reference=reference,  # type: ignore[arg-type]
            )
    import command_line

    description = "Runs the reference events in ANDES and writes the golden files."
    return command_line.parse(Options, program=PROGRAM, description=description, arguments=arguments)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 written, 1 ANDES failed, 2 wrong option or no ANDES."""
    options = parse(arguments)
    grids = exported_grids() if options.grid is None else json.loads(options.grid.read_text())
    if options.export is not None:
        options.export.write_text(json.dumps(grids) + "\n")
        return 0
    try:
        version = import_module("andes").__version__
    except ModuleNotFoundError:
        print(f"{PROGRAM}: error: ANDES is not installed; pip install 'andes>=2.0'", file=sys.stderr)
        return 2
    try:
        if options.reference != "full_order":
            classical_reference(grids["published"], options.out, version)
        if options.reference != "classical":
            full_order_reference(grids, options.out, version)
    except RuntimeError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
