"""Damages what users hand in, input after input, and looks whether each ends in one clear line.

python scripts/fuzz.py
python scripts/fuzz.py --inputs 500 --kinds scenario command_line --json fuzz.json

Scenario files, grids (grid files with their tables, pandapower nets, MATPOWER's .m and .mat), the metrics,
configuration, checkpoint and model of a run, and command lines are changed at random: bits and bytes, numbers that
nobody can compute with, missing, repeated and nested pieces. Every one has to be taken or refused by the exception
meant for it, in one line and without warnings beside it; a grid that is taken has a power flow of finite voltages.
Exit status 1 if one ends otherwise; it is written to --out then.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import os
import random
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import command_line

PROGRAM = "fuzz.py"
KINDS = (
    "scenario", "grid_file", "pandapower", "matpower", "mat", "metrics", "config", "checkpoint", "model",
    "command_line",
)  # fmt: skip
LONGEST_S = 10.0  # for one input, compilation apart: what takes longer hangs
NASTY = (
    b"nan", b"-inf", b"1e300", b"-1e300", b"1e-300", b"0", b"-0.0", b"-1", b"1.5", b"9223372036854775808", b"9" * 5000,
    b"true", b"null", b'""', b"[]", b"{}", b"1_0", b"0x10", b"1e999", b"'a'", b"2026-01-01",
)  # fmt: skip
PIECES = (
    b"[" * 1000, b"{" * 1000, b"a=" + b"[" * 1000 + b"]" * 1000, b"\x00", b"\x81", b"\xff\xfe", b"\r", b"\n", b'"',
    b",", b"=", b"[[", b"]", b"\xe2\x80\xa8", b"#", b"-", b"--", b" ",
)  # fmt: skip
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
COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("train_mappo", ("--total-episodes", "4", "--seed", "1", "--lr-actor", "1e-3", "--no-tensorboard")),
    ("evaluate", ("--model-path", "m.pt", "--n-episodes", "3", "--report", "r.html", "--seed", "0", "--compare")),
    ("plot_response", ("--load", "load 41", "--step-mw", "500", "--level", "area", "--duration-s", "10")),
    ("plot_network", ("--outage", "54-53 #2", "21-68", "--load-level", "0.9", "--dpi", "100")),
    ("screen_contingencies", ("--load-level", "0.6", "--wind", "0.2", "--engine", "newton", "--top", "5")),
    ("soak", ("--steps", "20000", "--suites", "normal", "n1", "--max-growth-mb", "100")),
    ("tune_baselines", ("--workers", "1", "--seed", "3")),
    ("ablation", ("--variants", "a,b", "--seeds", "3", "--out", "runs/x")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    """How many, of what."""

    inputs: int = 10_000
    """Damaged inputs of each kind."""
    kinds: tuple[str, ...] = KINDS
    """Which: scenario, grid_file, pandapower, matpower, mat, metrics, config, checkpoint, model, command_line."""
    seed: int = 0
    """Of the damage."""
    out: Path = Path("fuzz")
    """Directory that receives inputs that ended wrongly."""
    json: Path | None = None
    """File to write the counts to."""

    def __post_init__(self) -> None:
        command_line.require_at_least(self, inputs=1, seed=0)
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            named = unknown[0] if unknown else "none"
            raise command_line.OptionError(f"--kinds {named}, expected of {', '.join(KINDS)}")


@dataclass(kw_only=True)
class Counts:
    """How the inputs of one kind ended."""

    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)  # what happened instead


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """One to three pieces of damage."""
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64, 512)))
        what = rng.randrange(9)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.choice((0x00, 0x0A, 0x22, 0x2C, 0x81, 0xFF, rng.randrange(256)))
        elif what == 2:
            del data[at:end]
        elif what == 3:
            data[at:at] = data[at:end]
        elif what == 4:
            data[at:at] = rng.choice(PIECES)
        elif what == 5:
            del data[at:]
        elif what == 6:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        else:
            numbers = list(re.finditer(rb"-?\d[\d_.e+-]*|true|false|null", data))
            if numbers:
                number = rng.choice(numbers)
                data[number.start() : number.end()] = rng.choice(NASTY)
    return bytes(data)


def damaged_words(words: Sequence[str], rng: random.Random) -> list[str]:
    """A command line whose words are changed, left out, repeated or strange."""
    found = list(words)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(found)) if found else 0
        what = rng.randrange(5)
        if what == 0 and found:
            del found[at]
        elif what == 1 and found:
            found.insert(at, rng.choice(found))
        elif what == 2:
            found.insert(at, rng.choice(NASTY).decode())
        elif found:
            # As the system hands over bytes that are no text; a word of a command line holds no zero.
            word = damaged(found[at].encode("utf-8", "surrogateescape"), rng).replace(b"\0", b"")
            found[at] = word.decode("utf-8", "surrogateescape") if what == 3 else rng.choice(NASTY).decode()
    # Help is a page and no complaint.
    return [word for word in found if word not in ("-h", "--help")]


# What makes an input, what takes it, and the exceptions that may refuse it.
Way = tuple[Callable[[random.Random], bytes], Callable[[bytes], None], tuple[type[Exception], ...]]


def _scenario(directory: Path) -> Way:
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


def _matpower(directory: Path) -> Way:
    from cases.arrays import CaseDataError

    path = directory / "ring.m"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        _solved(str(path))

    return lambda rng: damaged(MATPOWER, rng), take, (CaseDataError,)


def _mat(directory: Path) -> Way:
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


def _pandapower(directory: Path) -> Way:
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


def _grid_file(directory: Path) -> Way:
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


def _metrics(directory: Path) -> Way:
    from marl.training.curves import MetricsError, read_metrics
    from marl.training.logger import MetricsTable

    path = directory / "metrics.csv"
    rows = (f"{k},{10 * k},{-1.5 * k},{2.5e-3 * k},\r\n" for k in range(1, 9))
    whole = ("update,step,train/return,train/kl_bess,eval/return\r\n" + "".join(rows)).encode()

    def take(content: bytes) -> None:
        path.write_bytes(content)
        MetricsTable(path, resume_after=5).add(6, 60, {"train/return": -9.0})
        try:
            read_metrics(path)
        except MetricsError as error:
            raise AssertionError(f"what a run has taken up is no table: {error}") from error
        path.write_bytes(content)
        read_metrics(path)

    return lambda rng: damaged(whole, rng), take, (MetricsError,)


def _config(directory: Path) -> Way:
    from marl.config.presets import preset
    from marl.config.training import ConfigError
    from marl.training.run_directory import CONFIG, read_config

    whole = json.dumps({"case": "ieee68", "training": asdict(preset("recommended"))}, indent=2).encode()

    def take(content: bytes) -> None:
        (directory / CONFIG).write_bytes(content)
        read_config(directory)

    return lambda rng: damaged(whole, rng), take, (ConfigError,)


def _policy() -> Any:
    import torch

    from marl.config.network import NetworkConfig
    from marl.networks.policy import Policy
    from marl.protocol import AgentGroup

    torch.manual_seed(0)
    group = AgentGroup(name="bess", agents=("bess_0", "bess_1"), observation_size=3, action_size=1)
    return Policy((group,), NetworkConfig(actor_hidden=(4,)), {"observation": "default"})


def _checkpoint(directory: Path) -> Way:
    from marl import checkpoint

    path = directory / "run.pt"
    content = {"learner": _policy().content(), "numbers": (1.5, 2**70), "rows": [{"update": 3}]}
    checkpoint.save(path, "run", content)
    whole, known = path.read_bytes(), checkpoint.checksum(checkpoint.load(path, "run"))

    def take(data: bytes) -> None:
        path.write_bytes(data)
        if checkpoint.checksum(checkpoint.load(path, "run")) != known:
            raise AssertionError("another content was read than was written")

    return lambda rng: damaged(whole, rng), take, (checkpoint.CheckpointError,)


def _model(directory: Path) -> Way:
    """Of before the checksum, so that what is inside is damaged too."""
    import torch

    from marl import checkpoint
    from marl.networks.policy import Policy

    path = directory / "model.pt"
    torch.save({"format": checkpoint.FORMAT, "kind": "policy", "content": _policy().content()}, path)
    whole = path.read_bytes()

    def take(data: bytes) -> None:
        path.write_bytes(data)
        policy = Policy.load(path)
        if not all(torch.isfinite(x).all() for x in policy.state_dict().values()):
            raise AssertionError("a policy of what is no number was taken")

    return lambda rng: damaged(whole, rng), take, (checkpoint.CheckpointError,)


class _Refused(Exception):
    """A command line was refused with status 2 and these words."""


def _command_line(directory: Path) -> Way:
    from marl.config.check import ConfigError

    scripts = {name: importlib.import_module(name) for name, _ in COMMANDS}

    def make(rng: random.Random) -> bytes:
        name, words = rng.choice(COMMANDS)
        return json.dumps([name, *damaged_words(words, rng)]).encode()

    def take(content: bytes) -> None:
        name, *words = json.loads(content)
        module, told = scripts[name], io.StringIO()
        try:
            with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
                if name == "train_mappo":
                    module.parse(words)
                else:
                    options = module.Options if hasattr(module, "Options") else module.Arguments
                    command_line.parse(options, program=name, description="", arguments=words)
        except SystemExit as end:
            if end.code != 2:
                raise AssertionError(f"exit status {end.code}") from end
            raise _Refused(told.getvalue().removesuffix("\n")) from end

    return make, take, (_Refused, command_line.OptionError, command_line.OutputError, ConfigError)


WAYS: dict[str, Callable[[Path], Way]] = {
    "scenario": _scenario,
    "grid_file": _grid_file,
    "pandapower": _pandapower,
    "matpower": _matpower,
    "mat": _mat,
    "metrics": _metrics,
    "config": _config,
    "checkpoint": _checkpoint,
    "model": _model,
    "command_line": _command_line,
}


def fuzz(kind: str, inputs: int, seed: int, out: Path | None, tick: Callable[[], object]) -> Counts:
    """Damaged inputs of one kind.

    Args:
        kind: of KINDS.
        inputs: how many.
        seed: of the damage.
        out: receives those that end wrongly; None keeps none.
        tick: called after each.
    """
    counts, rng = Counts(), random.Random(f"{kind} {seed}")
    # In memory where there is such a place: files of a run are flushed to the disk each time.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place:
        make, take, refusals = WAYS[kind](Path(place))
        for k in range(inputs):
            content = make(rng)
            began, wrong = time.perf_counter(), ""
            try:
                with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(record=True) as heard:
                    warnings.simplefilter("always")
                    take(content)
                counts.accepted += 1
            except refusals as error:
                counts.refused += 1
                if len(str(error).splitlines()) != 1:
                    wrong = f"refused in {len(str(error).splitlines())} lines: {error}"
            except Exception as error:  # of any kind: these are what is looked for
                wrong = f"{type(error).__name__}: {error}"
            if heard:
                wrong = wrong or f"warned: {heard[0].message}"
            spent_s = time.perf_counter() - began
            counts.slowest_s = max(counts.slowest_s, spent_s)
            if spent_s > LONGEST_S:
                wrong = wrong or f"took {spent_s:.0f} s"
            if wrong:
                counts.wrong.append(f"input {k}: {wrong}")
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    (out / f"{kind}-{seed}-{k}").write_bytes(content)
            tick()
    return counts


def work(options: Options) -> int:
    """Damages, counts and writes; the exit status."""
    found: dict[str, Counts] = {}
    with command_line.progress_bar(options.inputs * len(options.kinds), " inputs") as bar:
        for kind in options.kinds:
            found[kind] = counts = fuzz(
                kind, options.inputs, options.seed, options.out, lambda: bar.update(1)
            )
            print(
                f"{kind:14s}{options.inputs:8,d} inputs: {counts.refused:7,d} refused in one line, "
                f"{counts.accepted:7,d} taken, {len(counts.wrong):3d} otherwise; slowest {counts.slowest_s:.2f} s",
                flush=True,
            )
            for line in counts.wrong[:5]:
                print(f"  {line[:300]}", flush=True)
    command_line.write_json(options.json, {kind: asdict(counts) for kind, counts in found.items()})
    return 1 if any(counts.wrong for counts in found.values()) else 0


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 every input ended well, 1 one did not, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json"], single_thread=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
