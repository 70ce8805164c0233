"""Where the tuning of a baseline searches: parameters as positions, and from where and how far each search looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from control.controllers.agc import FEED_FORWARD, AgcParameters, Within
from control.controllers.area_agc import AreaAgcParameters
from control.controllers.base import (
    AVERAGE_DF,
    BEFORE_DF,
    CLASSES,
    DF_HZ,
    EARLIER_DF,
    FORECAST,
    NEAR_LIMIT,
    NEAREST_DF,
    OWN_DF,
    OWN_OUTPUT,
    SLOPE,
    SYSTEM_DF,
    UTILISATION,
    BaselineError,
)
from control.controllers.local_pi import LocalPiParameters
from control.controllers.predictive import PredictiveParameters
from control.controllers.registry import BASELINES, content_of, stored_parameters
from control.plants.fleet_state import BESS
from control.scenario.fleet_sizing import fleet_of, sized
from control.scenario.suites import NORMAL
from control.task.layout import EXTENDED_SIZE, MEMORY_SIZE, SIZE

__all__ = ["Problem", "Space", "problem_of"]


@dataclass(frozen=True, kw_only=True)
class Space:
    """Parameters of a dataclass whose fields are `Annotated` with `Within`, as numbers from 0 to 1."""

    name: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    log: FloatArray  # 1 where the logarithm is searched

    @classmethod
    def of(cls, parameters: type[Any], without: tuple[str, ...] = (), case: Case | None = None) -> Space:
        """All tunable fields of a parameter class, but for those named.

        Args:
            parameters: the class.
            without: fields that are left out.
            case: the grid, at whose size powers and gains are looked for; the 68-bus system if None.
        """
        hints = get_type_hints(parameters, include_extras=True)
        found = {
            name: extra
            for name, hint in hints.items()
            for extra in getattr(hint, "__metadata__", ())
            if isinstance(extra, Within) and name not in without
        }
        return cls(
            name=tuple(found),
            low=np.array([w.low * _factor(parameters, name, case) for name, w in found.items()]),
            high=np.array([w.high * _factor(parameters, name, case) for name, w in found.items()]),
            log=np.array([float(within.log) for within in found.values()]),
        )

    def decode(self, unit: FloatArray) -> dict[str, FloatArray]:
        """{name: [...]} from positions [..., parameter], cut to 0..1."""
        unit = np.clip(unit, 0.0, 1.0)
        safe_low = np.where(self.log > 0.0, self.low, 1.0)
        safe_high = np.where(self.log > 0.0, self.high, 1.0)
        geometric = safe_low * (safe_high / safe_low) ** unit
        value = np.where(self.log > 0.0, geometric, self.low + (self.high - self.low) * unit)
        return {name: value[..., i] for i, name in enumerate(self.name)}

    def encode(self, values: Mapping[str, Any]) -> FloatArray:
        """Position of given parameters, [parameter]."""
        x = np.array([float(values[name]) for name in self.name])
        low, high = self.low, self.high
        safe = np.where(self.log > 0.0, np.maximum(x, low), 1.0)
        safe_low = np.where(self.log > 0.0, low, 1.0)
        ratio = np.where(self.log > 0.0, high / np.where(self.log > 0.0, low, high), np.e)
        unit = np.where(self.log > 0.0, np.log(safe / safe_low) / np.log(ratio), (x - low) / (high - low))
        return np.clip(unit, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A baseline as a search: where it starts, how far it looks, and what a position means."""

    start: FloatArray  # [n]
    sigma: FloatArray  # [n]
    decode: Callable[[FloatArray], dict[str, Any]]  # positions [..., n] -> parameters
    encode: Callable[[dict[str, Any]], FloatArray]  # parameters -> position [n]


def _factor(parameters: type[Any], name: str, case: Case | None) -> float:
    """How many times as large a parameter is on this grid as on the 68-bus system."""
    if case is None:
        return 1.0
    setting = case.setting
    of_kind = dict(zip(("bess", "gas", "dr"), setting.plant_size, strict=True))
    if name == "soc_recovery_mw":  # of all batteries, or of each
        return setting.size if parameters is AgcParameters else of_kind["bess"]
    if name == "dead_band_mw":
        return setting.size
    what, _, rest = name.partition("_")
    kind = rest.removeprefix("zone_").removesuffix("_mw")
    return of_kind[kind] if what in ("gain", "integral", "dead") and kind in of_kind else 1.0


def problem_of(name: str, out: Path, case: Case | None = None) -> Problem:
    """The search for one baseline; it starts from the results of the simpler ones, files in `out`.

    Args:
        name: of the baseline.
        out: folder of results.
        case: the grid; the 68-bus system if None.

    Raises:
        BaselineError: a simpler one has not been tuned, or its file holds something else.
    """

    def here(parameters: Any) -> dict[str, Any]:
        """Parameters for the 68-bus system at the size of this grid."""
        return {k: v * _factor(type(parameters), k, case) for k, v in asdict(parameters).items()}

    def stored(other: str) -> dict[str, Any]:
        path = out / f"{other}.json"
        if not path.is_file():
            raise BaselineError(
                f"{name} begins with what was found for {other}, and there is no {path}: tune {other} first"
            )
        try:
            parameters: dict[str, Any] = content_of(path.read_text(encoding="utf-8"), other)["parameters"]
        except ValueError as error:
            raise BaselineError(
                f"{path} holds no parameters of {other}: {error}; tune {other} anew"
            ) from error
        return parameters

    if name in ("agc", "agc_forecast"):
        space = Space.of(AgcParameters, FEED_FORWARD if name == "agc" else (), case)
        first = here(
            AgcParameters(
                gain=0.2,
                time_s=80.0,
                filter_s=1.0,
                dead_band_mw=2.0,
                handover_s=60.0,
                fast_gas=0.3,
                fast_dr=0.1,
                slow_gas=0.6,
                slow_dr=0.2,
                soc_recovery_mw=20.0,
                dead_zone_bess_mw=0.2,
                dead_zone_gas_mw=0.3,
                dead_zone_dr_mw=0.5,
            )
        )
        if name == "agc_forecast":
            first |= stored("agc") | {"forecast_gain": 0.2, "forecast_filter_s": 150.0}
        start = space.encode(first)
        return Problem(
            start=start,
            sigma=np.full(len(start), 0.15 if name == "agc" else 0.1),
            decode=space.decode,
            encode=space.encode,
        )
    if name == "area_agc":
        space = Space.of(AreaAgcParameters, case=case)
        start = space.encode(
            here(AreaAgcParameters(filter_s=1.0, dead_zone_bess_mw=0.2, dead_zone_gas_mw=0.3))
        )
        return Problem(start=start, sigma=np.full(len(start), 0.15), decode=space.decode, encode=space.encode)
    if name == "local_pi":
        space = Space.of(LocalPiParameters, case=case)
        start = space.encode(here(LocalPiParameters()))
        return Problem(start=start, sigma=np.full(len(start), 0.12), decode=space.decode, encode=space.encode)
    if name == "mpc":  # at the size of the 68-bus system, whatever the grid: see `PredictiveParameters`
        space = Space.of(PredictiveParameters)
        # On a grid of one's own from what serves it now.
        own = case is not None and not case.setting.is_published
        start = space.encode(
            stored_parameters(name, case)["parameters"] if own else asdict(PredictiveParameters())
        )
        return Problem(start=start, sigma=np.full(len(start), 0.12), decode=space.decode, encode=space.encode)
    problem = _linear_problem(name, stored("local_pi"), case or load_ieee68())
    if name == "linear_wide":  # begins as the law for the published dynamics
        start = problem.encode(stored("linear_memory"))
        problem = replace(problem, start=start, sigma=np.maximum(problem.sigma, 0.1 * np.abs(start)))
    if name == "linear_memory":  # begins as the best law without memory
        extended = stored("linear_extended")
        weight = np.zeros((len(CLASSES), MEMORY_SIZE + 1))
        weight[:, :EXTENDED_SIZE] = np.array(extended["weight"])[:, :-1]
        weight[:, -1] = np.array(extended["weight"])[:, -1]
        start = problem.encode({**extended, "weight": weight})
        problem = replace(problem, start=start, sigma=np.maximum(problem.sigma, 0.1 * np.abs(start)))
    return problem


def _linear_problem(name: str, local_pi: dict[str, Any], case: Case) -> Problem:
    """Linear policies start as the tuned local PI in velocity form, as well as their observation allows."""
    fleet = fleet_of(case, sized(NORMAL, case))
    size = SIZE[BASELINES[name].observation]
    free = [BESS] if name == "linear_bess" else list(CLASSES)  # classes that act at all
    weight = np.zeros((3, size + 1))
    spread = np.full((3, size + 1), 0.05)
    spread[:, OWN_DF], spread[:, SYSTEM_DF], spread[:, NEAREST_DF] = 0.4, 0.3, 0.15
    spread[:, OWN_OUTPUT] = spread[:, UTILISATION] = spread[:, FORECAST] = 0.1
    dead_zone = np.zeros(3)
    for code, kind in zip(CLASSES, ("bess", "gas", "dr"), strict=True):
        if code not in fleet.kind:
            continue
        i = int(np.flatnonzero(fleet.kind == code)[0])
        per_step = DF_HZ / fleet.step_mw[i]
        gain, rate = local_pi[f"gain_{kind}"], local_pi[f"integral_{kind}"]
        weight[code, OWN_DF] = -(gain + rate * fleet.interval_s) * per_step
        if size >= EXTENDED_SIZE:
            weight[code, BEFORE_DF] = gain * per_step
            spread[code, BEFORE_DF], spread[code, SLOPE] = 0.4, 0.1
            if size == MEMORY_SIZE:
                spread[code, EARLIER_DF], spread[code, AVERAGE_DF], spread[code, NEAR_LIMIT] = 0.3, 0.3, 0.1
        else:  # the neighbours' frequency two intervals ago is the nearest thing to the own one before
            weight[code, OWN_DF] = -(0.5 * gain + rate * fleet.interval_s) * per_step
            weight[code, NEAREST_DF] = 0.1 * gain * per_step
        weight[code, OWN_OUTPUT] = (
            -fleet.interval_s / local_pi[f"leak_{kind}_s"] * fleet.range_mw[i] / fleet.step_mw[i]
        )
        dead_zone[code] = min(local_pi[f"dead_zone_{kind}_mw"] / fleet.step_mw[i], 0.5)
    n = len(free)
    start = np.concatenate([weight[free].ravel(), dead_zone[free], np.zeros(n)])
    sigma = np.concatenate([spread[free].ravel(), np.full(2 * n, 0.05)])
    # Large weights may be off by a part of themselves.
    sigma = np.maximum(sigma, 0.1 * np.abs(start))

    def decode(position: FloatArray) -> dict[str, Any]:
        shape = position.shape[:-1]
        weights, dead_zones = np.zeros((*shape, 3, size + 1)), np.ones((*shape, 3))
        soft_zones = np.zeros((*shape, 3))
        weights[..., free, :] = position[..., : -2 * n].reshape(*shape, n, size + 1)
        dead_zones[..., free] = np.clip(position[..., -2 * n : -n], 0.0, 1.0)
        soft_zones[..., free] = np.maximum(position[..., -n:], 0.0)
        return {"weight": weights, "dead_zone": dead_zones, "soft_zone": soft_zones}

    def encode(parameters: dict[str, Any]) -> FloatArray:
        weights, dead_zones = np.array(parameters["weight"]), np.array(parameters["dead_zone"])
        soft_zones = np.array(parameters.get("soft_zone", np.zeros(3)))
        return np.concatenate([weights[free].ravel(), dead_zones[free], soft_zones[free]])

    return Problem(start=start, sigma=sigma, decode=decode, encode=encode)
