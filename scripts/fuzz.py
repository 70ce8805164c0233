"""Damages what users hand in, input after input, and looks whether each ends in one clear line.

python scripts/fuzz.py
python scripts/fuzz.py --inputs 500 --kinds scenario command_line --json fuzz.json

Scenario files, the metrics, configuration, checkpoint and model of a run, and command lines are changed at random:
bits and bytes, numbers that nobody can compute with, missing, repeated and nested pieces. Every one has to be taken or
refused by the exception meant for it, in one line. Exit status 1 if one ends otherwise; it is written to --out then.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import command_line

PROGRAM = "fuzz.py"
KINDS = ("scenario", "metrics", "config", "checkpoint", "model", "command_line")
LONGEST_S = 10.0  # for one input, compilation apart: what takes longer hangs
NASTY = (
    b"nan", b"-inf", b"1e300", b"-1e300", b"1e-300", b"0", b"-0.0", b"-1", b"1.5", b"9223372036854775808", b"9" * 5000,
    b"true", b"null", b'""', b"[]", b"{}", b"1_0", b"0x10", b"1e999", b"'a'", b"2026-01-01",
)  # fmt: skip
PIECES = (
    b"[" * 1000, b"{" * 1000, b"a=" + b"[" * 1000 + b"]" * 1000, b"\x00", b"\x81", b"\xff\xfe", b"\r", b"\n", b'"',
    b",", b"=", b"[[", b"]", b"\xe2\x80\xa8", b"#", b"-", b"--", b" ",
)  # fmt: skip
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
    """Which: scenario, metrics, config, checkpoint, model, command_line."""
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
                with contextlib.redirect_stderr(io.StringIO()):
                    take(content)
                counts.accepted += 1
            except refusals as error:
                counts.refused += 1
                if len(str(error).splitlines()) != 1:
                    wrong = f"refused in {len(str(error).splitlines())} lines: {error}"
            except Exception as error:  # of any kind: these are what is looked for
                wrong = f"{type(error).__name__}: {error}"
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
