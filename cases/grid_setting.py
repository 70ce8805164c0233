"""How large a grid is beside the 68-bus system, and which columns of the real year drive its areas.

Sizes of plants, outages, inertia, scales of observations and weights of the reward are given once, in MW of the 68-bus
system (`NOMINAL_LOAD_MW` of load). On another grid they are multiplied by `size`, so that what agents see, do and are
paid for stays of order one. The defaults are the 68-bus system's own and change nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass

from cases.arrays import CaseDataError

__all__ = ["PUBLISHED_BUSES", "GridSetting"]

PUBLISHED_BUSES = 68  # over which the reward's frequency term is a sum


@dataclass(frozen=True, kw_only=True)
class GridSetting:
    """What of a task follows from its grid's size, as factors to the figures of the 68-bus system."""

    size: float = 1.0  # nominal load over that of the 68-bus system
    # Size of one plant over one of the 68-bus system, by kind: all of a kind together are `size` times as large.
    plant_size: tuple[float, float, float] = (1.0, 1.0, 1.0)  # bess, gas, dr
    # One over it weighs the frequency term, a sum over buses, so that it stays what it is on 68.
    bus_count: float = 1.0  # buses over those of the 68-bus system
    region_of_area: tuple[int, ...] = (0, 1, 2, 2, 2)  # column of the year's load that an area follows
    inertia_mws: float | None = None  # sum of H S; of the 68-bus system, as published, if None
    unit_p_mw: tuple[float, float, float] | None = (
        None  # least, largest and, in `stress`, largest that may trip
    )
    always_running: bool = (
        False  # no unit commitment: a grid without costs and minimum loads has nothing to decide by
    )

    def __post_init__(self) -> None:
        for name in ("size", "bus_count"):
            if not 0.0 < getattr(self, name) < 1e6:
                raise CaseDataError(f"grid setting: {name} = {getattr(self, name)}, expected > 0.")
        if any(not 0.0 < r < 1e6 for r in self.plant_size):
            raise CaseDataError(f"grid setting: plant_size = {self.plant_size}, expected > 0.")
        if not self.region_of_area or min(self.region_of_area) < 0:
            raise CaseDataError(
                f"grid setting: region_of_area = {self.region_of_area}, expected a column for each area."
            )

    @property
    def is_published(self) -> bool:
        """Whether these are the figures of the 68-bus system."""
        return self == GridSetting()
