"""The coupled simulator, on which policies are trained, beside full-order machines in ANDES.

Both start at the same operating point and meet the same event with the same loads: constant impedance, half impedance
and half constant power, constant power. On the other side stand machines with transient and subtransient data and an
exciter (scripts/andes_reference.py), on this side the model of the step with its own network reduction, its power flow
every half second and its aggregation. Governors have no limits and relays are off on both sides. Three figures of the
centre of inertia are compared, as long as both sides have a solution: nadir, rate of change over 0.5 s, settling.

What lies outside its limit is listed with the reason that is known for it; anything else outside fails the validation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.dynamics.parameters import Level, SwingConfig
from grid_model.validation.check import Check
from grid_model.validation.frequency_checks import EVENT_S, NO_LIMITS, balanced_grid, event_of, read_golden
from grid_model.validation.response import nadir_hz, rocof_hz_per_s, settling_hz

__all__ = [
    "LIMIT",
    "LOAD_MODELS",
    "CoupledResult",
    "LoadModelName",
    "coupled_config",
    "coupled_traces",
    "read_full_order",
    "reference_version",
    "validate_coupled",
]

LoadModelName = Literal["impedance", "half", "power", "default"]
LOAD_MODELS: tuple[LoadModelName, ...] = get_args(LoadModelName)
LIMIT = {"nadir": 40.0, "rocof": 15.0, "settling": 10.0}  # mHz, %, mHz
UNIT = {"nadir": "mHz", "rocof": "%", "settling": "mHz"}
DURATION_S = 60.0
ROCOF_S = 0.5
SETTLING_S = 5.0  # the end of the trace over which it is averaged


@dataclass(frozen=True, kw_only=True)
class CoupledResult:
    """One event on both sides; a figure that a side has not is NaN."""

    event: str
    load_model: str
    level: str  # of aggregation
    load_level: float  # share of the published load
    terminal_voltage: str  # what the frequency model takes machines' terminal voltage for
    nadir_mhz: float
    rocof_mhz_per_s: float
    settling_mhz: float
    end_s: float  # last instant with a solution, the end of the trace if all have one
    andes_nadir_mhz: float
    andes_rocof_mhz_per_s: float
    andes_settling_mhz: float
    andes_end_s: float

    @property
    def deviation(self) -> dict[str, float]:
        """Ours less ANDES' of each figure in the unit of its limit; only of those that both sides have."""
        found = {
            "nadir": self.nadir_mhz - self.andes_nadir_mhz,
            "rocof": 100.0 * (self.rocof_mhz_per_s / self.andes_rocof_mhz_per_s - 1.0),
            "settling": self.settling_mhz - self.andes_settling_mhz,
        }
        return {name: value for name, value in found.items() if not math.isnan(value)}

    @property
    def outside(self) -> dict[str, float]:
        """The deviations that exceed their limit."""
        return {name: value for name, value in self.deviation.items() if abs(value) > LIMIT[name]}

    def why(self, figure: str) -> str:
        """The reason known for this figure to be outside its limit; empty if none is."""
        for known in KNOWN_OUTSIDE:
            if known.covers(self, figure):
                return known.why
        return ""


@dataclass(frozen=True, kw_only=True)
class KnownDeviation:
    """Rows that are known to lie outside a limit, by how much at most, and why."""

    figure: str
    load_models: tuple[str, ...]
    events: tuple[str, ...]
    at_most: float  # in the unit of the limit
    why: str

    def covers(self, result: CoupledResult, figure: str) -> bool:
        """Whether this is the reason for a figure of a row."""
        return (
            figure == self.figure
            and result.load_model in self.load_models
            and result.event in self.events
            and abs(result.deviation[figure]) <= self.at_most
        )


KNOWN_OUTSIDE: tuple[KnownDeviation, ...] = ()


def coupled_config(load_model: LoadModelName, level: Level = "machine") -> SwingConfig:
    """The frequency model of the step, without relays and limits of governors."""
    return SwingConfig(level=level, load_shedding=None, governor=NO_LIMITS)


def coupled_traces(
    case: Case, config: SwingConfig, load_level: float, events: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """The coupled grid after each event, from the event on.

    Args:
        case: the grid.
        config: of the frequency model.
        load_level: share of the published load, machines and load alike.
        events: their names, [event].

    Returns:
        Deviation of the centre of inertia [Hz], [step, event], and the last instant at which each has a solution [s],
        [event].
    """
    grid, injections = balanced_grid(case, len(events), config, load_level=load_level)
    planned = {env: [event_of(case, name, load_level=load_level)] for env, name in enumerate(events)}
    rows = [np.zeros((1, len(events)))]
    end_s = np.full(len(events), DURATION_S)
    for k in range(round(DURATION_S / grid.interval_s)):
        solved = grid.advance(injections, planned if k == 0 else None)
        end_s = np.where(solved, end_s, np.minimum(end_s, k * grid.interval_s))
        rows.append(grid.coi_trace_hz())
    return np.concatenate(rows)[round(EVENT_S / config.dt_s) :], end_s


def validate_coupled(
    case: Case, levels: Sequence[Level], directory: Path
) -> tuple[list[Check], list[CoupledResult]]:
    """All events of the full-order reference, at its load levels and with its three load models.

    Args:
        case: the grid.
        levels: of aggregation; `machine` and `area` are compared, each by itself, `system` is left out: it is the
            same balance, and its one mass meets the event without the machines near it.
        directory: of the golden files of scripts/andes_reference.py.
    """
    reference = json.loads((directory / "full_order.json").read_text())
    ended = {(run["event"], run["level"], run["load_model"]): run["end_s"] for run in reference["runs"]}
    results: list[CoupledResult] = []
    for load_level in reference["levels"]:
        for load_model in LOAD_MODELS:
            for level in (level for level in levels if level != "system"):
                config = coupled_config(load_model, level)
                traces, end_s = coupled_traces(case, config, load_level, reference["events"])
                for k, event in enumerate(reference["events"]):
                    time_s, theirs = read_full_order(directory, event, load_level, load_model)
                    every = round((time_s[1] - time_s[0]) / config.dt_s)
                    andes_end_s = float(ended[event, load_level, load_model])
                    both_s = min(float(end_s[k]), andes_end_s)
                    results.append(
                        CoupledResult(
                            event=event,
                            load_model=load_model,
                            level=level,
                            load_level=load_level,
                            terminal_voltage="held",
                            **figures_of(traces[::every, k], every * config.dt_s, both_s),
                            end_s=float(end_s[k]),
                            **{
                                f"andes_{name}": value
                                for name, value in figures_of(theirs, every * config.dt_s, both_s).items()
                            },
                            andes_end_s=andes_end_s,
                        )
                    )
    unexplained = sum(not result.why(figure) for result in results for figure in result.outside)
    check = Check(
        what="coupled figures outside their limit against full-order machines without a known reason",
        value=float(unexplained),
        limit=0.0,
        unit="",
        reason="nadir within 40 mHz, RoCoF over 0.5 s within 15 %, settling within 10 mHz, as asked for",
    )
    return [check], results


def read_full_order(
    directory: Path, event: str, load_level: float, load_model: LoadModelName
) -> tuple[FloatArray, FloatArray]:
    """Times [s] and deviation of the centre of inertia [Hz] of a golden file, NaN where ANDES has no solution."""
    columns, values = read_golden(
        directory / f"full_order_{event.replace(' ', '_')}_level_{load_level:g}.csv"
    )
    return values[:, 0], 1e-3 * values[:, columns.index(f"{load_model}_mhz")]


def reference_version(directory: Path) -> str:
    """The version of ANDES that wrote the golden files in a directory."""
    return str(json.loads((directory / "full_order.json").read_text())["andes"])


def figures_of(coi_hz: FloatArray, dt_s: float, both_s: float) -> dict[str, float]:
    """Nadir [mHz], RoCoF [mHz/s] and settling [mHz] of a trace from the event on, as far as both sides have one.

    A nadir counts if frequency has turned a second before the last common instant; settling if both reach the end.
    """
    common = coi_hz[: max(1, 1 + math.floor((both_s - EVENT_S) / dt_s + 1e-6))]
    turned = len(common) - np.abs(common).argmax() > round(1.0 / dt_s)
    return {
        "nadir_mhz": 1e3 * float(nadir_hz(common)) if turned else math.nan,
        "rocof_mhz_per_s": 1e3 * float(rocof_hz_per_s(common, dt_s, 0, ROCOF_S))
        if len(common) > round(ROCOF_S / dt_s)
        else math.nan,
        "settling_mhz": 1e3 * float(settling_hz(common, dt_s, SETTLING_S))
        if both_s >= DURATION_S - dt_s
        else math.nan,
    }
