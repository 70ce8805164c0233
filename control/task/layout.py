"""The layout of an agent's observation: which number stands where, what it is divided by, and how fresh it is.

Written down once: the observer fills observations by it, controllers read them by it. Every number is divided by its
scale, which brings it to order one. Fresh ones are measured on the spot; the others come through the control centre
and are as late as the scenario's SCADA says (two intervals by default).

A layout of one's own sees more by another entry here and the line in `observation.py` that fills it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "AVERAGE_DF",
    "AVERAGE_S",
    "BEFORE_DF",
    "DF_HZ",
    "EARLIER_DF",
    "EXTENDED_SIZE",
    "FORECAST",
    "FORECAST_MW",
    "FORECAST_STEPS",
    "HOUR",
    "LAST_ACTION",
    "LAYOUT",
    "MEMORY_SIZE",
    "NEAREST_DF",
    "NEAR_LIMIT",
    "NEAR_LIMIT_FROM",
    "N_NEAREST",
    "OBSERVATION_SIZE",
    "OWN_DF",
    "OWN_LOAD",
    "OWN_OUTPUT",
    "SIZE",
    "SLOPE",
    "SLOPE_MW",
    "SYSTEM_DF",
    "UTILISATION",
    "WEEKDAY",
    "Quantity",
]

N_NEAREST = 5  # buses whose frequency an agent is shown besides its own
FORECAST_STEPS = (0, 2, 4)  # steps 1, 3 and 5 of 5 minutes
AVERAGE_S = (20.0, 100.0)  # time constants of the leaky averages of the own frequency deviation
NEAR_LIMIT_FROM = 0.5  # of the capacity utilisation: what is beyond is shown once more, by itself

# Scales that bring every number to order one; those in MW are the 68-bus system's, other grids' by `setting.size`.
DF_HZ = 0.05
FORECAST_MW = 500.0
SLOPE_MW = 100.0


class Quantity(NamedTuple):
    """One entry of an observation."""

    name: str
    scale: str  # what it is divided by, or where its range goes
    fresh: bool  # measured on the spot, not by SCADA
    size: int = 1  # numbers it takes
    smallest: str = "default"  # observation from which on it is shown; see SIZE for their order


LAYOUT = (
    Quantity("own frequency deviation", f"{DF_HZ} Hz", fresh=True),
    Quantity("own load", "its nominal power", fresh=True),
    Quantity("own output", "own range", fresh=True),
    Quantity("system frequency deviation", f"{DF_HZ} Hz", fresh=False),
    Quantity("frequency deviation of the nearest buses", f"{DF_HZ} Hz", fresh=False, size=N_NEAREST),
    Quantity(
        "renewable forecast less schedule", f"{FORECAST_MW:g} MW", fresh=False, size=len(FORECAST_STEPS)
    ),
    Quantity("hour", "0..24 h as -1..1", fresh=True),
    Quantity("weekday", "Monday 0 .. Sunday 6 as -1..1", fresh=True),
    # Output over the range on the output's side; of a battery the state of charge, 0..1 as -1..1.
    Quantity("capacity utilisation", "own range", fresh=True),
    Quantity("own frequency deviation before", f"{DF_HZ} Hz", fresh=True, smallest="extended"),
    Quantity("own last action", "as it is", fresh=True, smallest="extended"),
    # Change of the machines' total schedule in the coming interval.
    Quantity("slope of the schedule", f"{SLOPE_MW:g} MW an interval", fresh=True, smallest="extended"),
    Quantity("own frequency deviation two intervals before", f"{DF_HZ} Hz", fresh=True, smallest="memory"),
    Quantity(
        "leaky averages of own frequency deviation",
        f"{DF_HZ} Hz",
        fresh=True,
        size=len(AVERAGE_S),
        smallest="memory",
    ),
    # Of the capacity utilisation u, what lies beyond a half: sign(u) max(|u| - 1/2, 0) / (1/2). Zero every day, +-1
    # with a battery full or empty, where a linear law has to give way.
    Quantity("nearness of a limit", "utilisation beyond a half, -1..1", fresh=True, smallest="memory"),
)


def _numbers(name: str) -> slice:
    """Where a quantity is in an observation.

    Raises:
        KeyError: no quantity has this name.
    """
    at = 0
    for quantity in LAYOUT:
        if quantity.name == name:
            return slice(at, at + quantity.size)
        at += quantity.size
    raise KeyError(name)


def _number(name: str) -> int:
    """Where a quantity of one number stands."""
    return int(_numbers(name).start)


OWN_DF = _number("own frequency deviation")
OWN_LOAD = _number("own load")
OWN_OUTPUT = _number("own output")
SYSTEM_DF = _number("system frequency deviation")
NEAREST_DF = _numbers("frequency deviation of the nearest buses")
FORECAST = _numbers("renewable forecast less schedule")
HOUR = _number("hour")
WEEKDAY = _number("weekday")
UTILISATION = _number("capacity utilisation")
BEFORE_DF = _number("own frequency deviation before")
LAST_ACTION = _number("own last action")
SLOPE = _number("slope of the schedule")
EARLIER_DF = _number("own frequency deviation two intervals before")
AVERAGE_DF = _numbers("leaky averages of own frequency deviation")
NEAR_LIMIT = _number("nearness of a limit")

OBSERVATION_SIZE = sum(quantity.size for quantity in LAYOUT if quantity.smallest == "default")
EXTENDED_SIZE = OBSERVATION_SIZE + sum(
    quantity.size for quantity in LAYOUT if quantity.smallest == "extended"
)
MEMORY_SIZE = sum(quantity.size for quantity in LAYOUT)
# Numbers of each observation; each begins with the one before.
SIZE = {"default": OBSERVATION_SIZE, "extended": EXTENDED_SIZE, "memory": MEMORY_SIZE}
