"""The files in the directory of a run: its configuration, the versions it was made with, its checkpoint and models.

Names of files are here, and everything that is written or read there save checkpoints and metrics themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from marl.checkpoint import write_atomically
from marl.config.training import ConfigError, TrainingConfig, from_dict
from marl.training.run_claim import RunClaim

CHECKPOINT, BEST, FINAL = "checkpoint_last.pt", "best_model.pt", "final_model.pt"
BEFORE_LAST = "checkpoint_previous.pt"  # serves where a damaged disk has left no other
ROUND = "imitation_round_{}.pt"  # of a start by imitation, until there is a checkpoint
REFINEMENT = "refinement.pt"  # likewise, of what follows such a start
REDUCED = "reduced"  # folder of the part on the reduced model, see two_models
CONFIG, VERSIONS, STATISTICS, CURVES = (
    "config.json",
    "versions.json",
    "training_stats.json",
    "training_curves.png",
)
PUBLISHED = (BEST, FINAL, STATISTICS, CURVES)
# Whatever could move a result.
PACKAGES = ("torch", "numpy", "scipy", "pandapower", "lightsim2grid", "numba", "pettingzoo", "tyro")


def run_directory(path: Path) -> Path:
    """The run's directory, given itself or a file in it.

    Raises:
        ConfigError: the file is none of a run.
    """
    if not path.is_file():
        return path
    if not (path.parent / CONFIG).is_file():
        raise ConfigError(f"{path} is a file of no run: expected a run's directory, in which {CONFIG} is")
    return path.parent


def holds_run(directory: Path) -> bool:
    """Whether a run has left a checkpoint here."""
    return any((directory / name).exists() for name in (CHECKPOINT, BEFORE_LAST))


def round_file(directory: Path, k: int) -> Path:
    """Where round k, counted from 0, of an imitation is kept that a run begins with."""
    return directory / ROUND.format(k + 1)


def has_begun(directory: Path) -> bool:
    """Whether a run has left a checkpoint, or some of its start, here or in the folder of its reduced part."""
    places = (directory, directory / REDUCED)
    return any(
        holds_run(place) or round_file(place, 0).exists() or (place / REFINEMENT).exists() for place in places
    )


def forget_rounds(directory: Path) -> None:
    """Removes rounds of imitation and a refinement, whose outcome a checkpoint holds by now."""
    for path in (*directory.glob(ROUND.format("*")), directory / REFINEMENT):
        path.unlink(missing_ok=True)


def new_directory(config: TrainingConfig, out: Path | None, case: str) -> Path:
    """Where a new run goes: where it is asked to, or `runs/<case>-seed<k>-<time>`.

    Raises:
        ConfigError: there is a run already.
    """
    if out is None:
        return Path("runs") / f"{case}-seed{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    if has_begun(out):
        raise ConfigError(_taken(out))
    return out


def run_claim(directory: Path, *, resume: bool) -> RunClaim:
    """The directory for this run alone, before anything in it is read or written.

    Raises:
        ConfigError: a new run, and one has been here since `new_directory` looked.
        marl.training.run_claim.DirectoryClaimed: a run is going on in it.
        OSError: it cannot be written to.
    """
    claim = RunClaim(directory)
    if not resume and has_begun(directory):
        claim.release()
        raise ConfigError(_taken(directory))
    return claim


def _taken(directory: Path) -> str:
    return f"{directory} already holds a run: continue it with --resume {directory}, or choose another --out"


def read_config(path: Path) -> TrainingConfig:
    """The configuration that a run was started with.

    Args:
        path: the run's directory, or a config.json of any place.

    Raises:
        ConfigError: there is none, or it is of another version of this project.
    """
    directory = path
    if path.is_file() and path.suffix != ".json":
        raise ConfigError(f"{path} is neither a run's directory nor its {CONFIG}")
    if path.suffix != ".json":
        path = path / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = f"{path} is not there" if path is directory else f"{directory} is no run: it has no {CONFIG}"
        raise ConfigError(what) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # no text, no JSON, or nested beyond all sense
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return from_dict(values["training"])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} describes no training of this project, expected the {CONFIG} of a run"
        ) from error


def require_checkpoint(directory: Path) -> None:
    """Refuses to resume what has nothing to be resumed from, before anything is built.

    Raises:
        ConfigError: the run was stopped before its first checkpoint.
    """
    if not has_begun(directory):
        raise ConfigError(
            f"{directory} holds no {CHECKPOINT} to resume from: begin anew with its settings by "
            f"--config {directory / CONFIG}"
        )


def forget_refused(directory: Path) -> None:
    """Removes what a run has left that ended before it had begun; nothing of any other."""
    if has_begun(directory):
        return
    with contextlib.suppress(OSError):  # any file but its configuration keeps the directory
        if {path.name for path in directory.iterdir()} <= {CONFIG}:
            (directory / CONFIG).unlink(missing_ok=True)
            directory.rmdir()


def write_config(directory: Path, config: TrainingConfig, case: str, checkpoints: Path | None = None) -> None:
    """Keeps the run's configuration.

    Args:
        directory: of the run.
        config: all settings.
        case: names the grid.
        checkpoints: the directory that receives its models, if that is not the default one.
    """
    # A run may be resumed from another working directory: its models go where they went.
    place = {} if checkpoints is None else {"checkpoints": str(checkpoints.absolute())}
    _write_json(directory / CONFIG, {"case": case, **place, "training": dataclasses.asdict(config)})


def kept_checkpoints(directory: Path) -> Path | None:
    """The directory that receives the models of a run, by its configuration; None is the default one.

    Raises:
        ConfigError: what stands there is no path.
    """
    place = json.loads((directory / CONFIG).read_text(encoding="utf-8")).get("checkpoints")
    if place is None:
        return None
    if not isinstance(place, str) or not place or "\0" in place:
        raise ConfigError(f"{directory / CONFIG}: checkpoints = {place!r}, expected the path of a directory")
    return Path(place)


def write_versions(directory: Path) -> None:
    """What the run was made with: the commit, and the version of everything that could move a result."""
    ask = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(ask, cwd=Path(__file__).parent, capture_output=True, text=True)
        commit = done.stdout.strip()
    except OSError:  # a machine without git trains as well
        commit = ""
    _write_json(
        directory / VERSIONS,
        {
            "commit": commit or "unknown",
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: _version(name) for name in PACKAGES},
        },
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def publish(directory: Path, checkpoints: Path) -> None:
    """Copies the run's models and report to another directory, each replaced atomically."""
    for name in PUBLISHED:
        if (directory / name).exists():
            write_atomically(checkpoints / name, (directory / name).read_bytes())


def is_published(directory: Path, checkpoints: Path) -> bool:
    """Whether another directory holds all of the run's models and its report, to the byte."""
    left = [name for name in PUBLISHED if (directory / name).exists()]
    return {FINAL, BEST, STATISTICS} <= set(left) and all(
        (checkpoints / name).exists() and (checkpoints / name).read_bytes() == (directory / name).read_bytes()
        for name in left
    )


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode("utf-8"))
