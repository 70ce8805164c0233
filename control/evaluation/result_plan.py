"""The plan by which all results are made anew: steps in order, what is there already, and what came out differently.

A step is done when it was carried out with the same commands, on the same sources and with the same files of earlier
steps, and what it wrote is still there as it wrote it. So a plan that was stopped goes on where it was, and a change
of the simulator makes all of it anew. What steps write is no source: tuned baselines would otherwise make their own
tuning outdated.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from cases.nearest_name import perhaps
from cases.toml_file import read_toml
from control.evaluation.fingerprint import COMPILED, PACKAGES

__all__ = ["Difference", "Plan", "PlanError", "Step", "differences", "read_plan"]

SOURCES = (*PACKAGES, "scripts")


class PlanError(ValueError):
    """A plan contradicts itself; the message says where."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the plan."""

    name: str
    commands: tuple[str, ...]  # carried out one after the other in the folder of the project
    writes: tuple[str, ...]  # files that come of it, as patterns
    reads: tuple[str, ...] = ()  # files of earlier steps that it depends on, as patterns
    scratch: tuple[str, ...] = ()  # folders in which its commands go on where they were, as patterns
    study: bool = False  # answers a question of its own: nothing that is shipped depends on it
    minutes: float  # that it takes on two cores


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All steps, in an order in which each finds what it needs."""

    root: Path
    steps: tuple[Step, ...]

    def chosen(self, names: Sequence[str], *, studies: bool) -> tuple[Step, ...]:
        """Steps of these names in the plan's order; if none is named all, but studies only where they are asked for.

        Raises:
            PlanError: no step has this name.
        """
        known = [step.name for step in self.steps]
        for name in names:
            if name not in known:
                raise PlanError(
                    f"no step is called {name!r}, expected {', '.join(known)}{perhaps(name, known)}"
                )
        if names:
            return tuple(step for step in self.steps if step.name in names)
        return tuple(step for step in self.steps if studies or not step.study)

    def key(self, step: Step) -> str:
        """What a step's result depends on, as hexadecimal digits."""
        written = {path for other in self.steps for path in self._files(other.writes)}
        digest = hashlib.sha256("\n".join(step.commands).encode())
        for name in SOURCES:
            for path in sorted((self.root / name).rglob("*")):
                if path.is_file() and path.suffix not in COMPILED and path not in written:
                    digest.update(path.relative_to(self.root).as_posix().encode() + path.read_bytes())
        digest.update(self._content(step.reads))
        digest.update(_versions().encode())
        return digest.hexdigest()

    def is_done(self, step: Step, record: Mapping[str, Any] | None) -> bool:
        """Whether what a record tells of, see `record`, is this step as it would be carried out now."""
        return record is not None and record == self.record(step)

    def record(self, step: Step) -> dict[str, str]:
        """What is to be remembered of a step that has just been carried out."""
        return {"key": self.key(step), "written": hashlib.sha256(self._content(step.writes)).hexdigest()}

    def results(self, step: Step) -> dict[str, Any]:
        """Contents of the JSON files that a step writes, by their paths, as far as they are there."""
        return {
            path.relative_to(self.root).as_posix(): json.loads(path.read_text(encoding="utf-8"))
            for path in self._files(step.writes)
            if path.suffix == ".json"
        }

    def set_aside(self, step: Step, aside: Path) -> list[Path]:
        """Move what commands of this step would go on from into another folder, because it is of other sources.

        Args:
            step: about to be carried out from its beginning.
            aside: folder, which is made.

        Returns:
            Folders as they were called.
        """
        moved = sorted({path for pattern in step.scratch for path in self.root.glob(pattern)})
        for path in moved:
            target = aside / path.relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        return moved

    def missing(self, step: Step) -> list[str]:
        """Patterns of what it should have written that no file fits."""
        return [pattern for pattern in step.writes if not self._files((pattern,))]

    def _files(self, patterns: Sequence[str]) -> list[Path]:
        return sorted({path for pattern in patterns for path in self.root.glob(pattern) if path.is_file()})

    def _content(self, patterns: Sequence[str]) -> bytes:
        digests = []
        for path in self._files(patterns):
            digests.append(path.relative_to(self.root).as_posix().encode() + path.read_bytes())
        return b"".join(digests)


@lru_cache(maxsize=1)
def _versions() -> str:
    """Of Python and all that is installed, which takes a good part of a second to find out."""
    versions = sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions())
    return "\n".join([platform.python_version(), *versions])


def read_plan(root: Path, plan: Path, commands: Path) -> Plan:
    """The plan in a file, whose steps without a command of their own are the results that `commands` names.

    Raises:
        PlanError: one of the files cannot be read, or a step has neither, or says nothing of its minutes.
    """
    entries = read_toml(plan, "plan", PlanError)  # first: the other is looked for beside it
    named = read_toml(commands, "list of commands", PlanError)
    steps = []
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise PlanError(f"{plan}: {name} = {entry!r}, expected a step, which is a table [{name}]")
        own = entry.get("commands") or ([named[name]["command"]] if name in named else [])
        if not own or "minutes" not in entry:
            raise PlanError(
                f"{plan.name}: step {name!r} needs minutes and commands, its own or in {commands.name}"
            )
        steps.append(
            Step(
                name=name,
                commands=tuple(own),
                writes=tuple(entry.get("writes", [f"results/{name}.json"])),
                reads=tuple(entry.get("reads", ())),
                scratch=tuple(entry.get("scratch", ())),
                study=bool(entry.get("study", False)),
                minutes=float(entry["minutes"]),
            )
        )
    return Plan(root=root, steps=tuple(steps))


@dataclass(frozen=True)
class Difference:
    """A figure that came out differently, or is only on one side."""

    where: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.where}: {self.before} -> {self.after}"


def differences(before: Any, after: Any, tolerance: float, where: str = "") -> Iterator[Difference]:
    """Figures of two results that differ by more than a share of the larger.

    Args:
        before: a JSON value.
        after: a JSON value.
        tolerance: for numbers; everything else has to be equal.
        where: name of the value, for the places within it.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            place = f"{where}.{name}" if where else str(name)
            yield from differences(before.get(name), after.get(name), tolerance, place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (x, y) in enumerate(zip(before, after, strict=True)):
            yield from differences(x, y, tolerance, f"{where}[{i}]")
    elif _is_number(before) and _is_number(after):
        if abs(before - after) > tolerance * max(abs(before), abs(after)):
            yield Difference(where, before, after)
    elif before != after:
        yield Difference(where, before, after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
