"""One grid as published: its tables, its base power and its nominal frequency.

A `Case` is what is known about a grid before anything is computed: buses, rated circuits, machines, loads,
and the plants and reactors this project adds, each a table (`tables.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cases.arrays import (
    CaseDataError,
    IntArray,
    require_length,
    require_position,
)
from cases.excitation import ExcitationTable
from cases.grid_setting import GridSetting
from cases.tables import (
    BranchTable,
    BusTable,
    DcLineTable,
    LoadTable,
    MachineTable,
    ReactorTable,
    RenewableTable,
    ResourceTable,
    ShuntTable,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One grid: its tables, its base power and its nominal frequency."""

    name: str
    base_mva: float
    f0_hz: float
    area_names: tuple[str, ...]
    bus: BusTable
    branch: BranchTable
    machine: MachineTable
    load: LoadTable
    reactor: ReactorTable
    renewable: RenewableTable
    resource: ResourceTable
    base_reactor_share: float = 0.0  # of every reactor, switched in at the published state
    shunt: ShuntTable = field(default_factory=ShuntTable.none)
    dc_line: DcLineTable = field(default_factory=DcLineTable.none)
    # Further bus numbers of the source, of buses that closed switches make one with another: (number, position).
    fused: tuple[tuple[int, int], ...] = ()
    # Of the machines; typical values take its place where none is known.
    excitation: ExcitationTable | None = None
    setting: GridSetting = field(default_factory=GridSetting)  # how large a task is here

    def __post_init__(self) -> None:
        if not self.base_mva > 0.0:
            raise CaseDataError(f"case {self.name}: base_mva = {self.base_mva}, expected > 0.")
        if not self.f0_hz > 0.0:
            raise CaseDataError(f"case {self.name}: f0_hz = {self.f0_hz}, expected > 0.")
        n = self.n_bus
        require_position("area", self.bus.area, len(self.area_names), label="bus", of=self.bus.bus_number)
        require_position("from_bus", self.branch.from_bus, n, label="branch", of=self.branch.name)
        require_position("to_bus", self.branch.to_bus, n, label="branch", of=self.branch.name)
        require_position("bus", self.machine.bus, n, label="machine", of=self.machine.name)
        require_position("bus", self.load.bus, n, label="load", of=self.load.name)
        require_position("bus", self.reactor.bus, n, label="reactor", of=range(len(self.reactor.bus)))
        require_position("bus", self.renewable.bus, n, label="renewable plant", of=self.renewable.name)
        require_position("bus", self.resource.bus, n, label="resource", of=self.resource.name)
        if self.excitation is not None:
            require_length("excitation table", self.n_machine, {"t_field_s": self.excitation.t_field_s})
        require_position("bus", self.shunt.bus, n, label="shunt", of=range(len(self.shunt.bus)))
        require_position("from_bus", self.dc_line.from_bus, n, label="DC line", of=self.dc_line.name)
        require_position("to_bus", self.dc_line.to_bus, n, label="DC line", of=self.dc_line.name)
        n_slack = np.bincount(self.island[self.machine.bus[self.machine.slack]], minlength=self.n_island)
        for island in np.flatnonzero(n_slack != 1):
            number = self.bus.bus_number[np.flatnonzero(self.island == island)[0]]
            if n_slack[island] == 0:
                raise CaseDataError(
                    f"case {self.name}: bus {number} has no path to the slack machine, expected one in its island."
                )
            raise CaseDataError(
                f"case {self.name}: {n_slack[island]} slack machines in the island of bus {number}, expected one."
            )

    @cached_property
    def island(self) -> IntArray:
        """Island of every bus with all circuits in service, counted from 0 by the lowest bus position, [bus]."""
        return connected_buses(self.n_bus, self.branch.from_bus, self.branch.to_bus)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is known about the grid, in hexadecimal: what was made for it carries this."""
        digest = hashlib.sha256()
        _take(self, digest.update)
        return digest.hexdigest()

    @property
    def identity(self) -> str:
        """What is made for this grid carries this: its name, and of grids of one's own the digest too."""
        return self.name if self.setting.is_published else f"{self.name} {self.digest[:16]}"

    @property
    def n_island(self) -> int:
        """Number of islands with all circuits in service."""
        return int(self.island.max()) + 1

    @property
    def n_bus(self) -> int:
        """Number of buses."""
        return len(self.bus.bus_number)

    @property
    def n_branch(self) -> int:
        """Number of rated circuits, lines and transformers together."""
        return len(self.branch.name)

    @property
    def n_line(self) -> int:
        """Number of line circuits: rows 0 to n_line - 1 of the branch table."""
        return self.branch.n_line

    @property
    def n_machine(self) -> int:
        """Number of synchronous machines."""
        return len(self.machine.name)

    @property
    def n_load(self) -> int:
        """Number of loads."""
        return len(self.load.name)

    @property
    def n_reactor(self) -> int:
        """Number of shunt reactors."""
        return len(self.reactor.bus)

    @property
    def n_dc_line(self) -> int:
        """Number of DC lines."""
        return len(self.dc_line.name)

    @property
    def n_renewable(self) -> int:
        """Number of wind and photovoltaic plants."""
        return len(self.renewable.name)

    @property
    def n_resource(self) -> int:
        """Number of controllable plants."""
        return len(self.resource.name)

    @property
    def n_area(self) -> int:
        """Number of areas."""
        return len(self.area_names)

    def bus_position(self, bus_number: int) -> int:
        """Position of the bus that carries this number in the source.

        Raises:
            CaseDataError: no bus carries this number.
        """
        found = np.flatnonzero(self.bus.bus_number == bus_number).tolist()
        found += [position for number, position in self.fused if number == bus_number]
        if len(found) == 0:
            raise CaseDataError(f"case {self.name}: no bus {bus_number}, expected one of the bus table.")
        return int(found[0])


def connected_buses(n_bus: int, from_bus: IntArray, to_bus: IntArray) -> IntArray:
    """Which buses chains of branches join: the number of each bus's island, counted by the lowest bus position, [bus].

    Args:
        n_bus: number of buses.
        from_bus: one end of each branch, [branch].
        to_bus: the other, [branch].
    """
    # Union-find: scipy's search would take longer to import, at every start, than this takes for 10,000 buses.
    root = list(range(n_bus))
    for a, b in zip(from_bus.tolist(), to_bus.tolist(), strict=True):
        while root[a] != a:
            root[a] = a = root[root[a]]
        while root[b] != b:
            root[b] = b = root[root[b]]
        root[max(a, b)] = min(a, b)
    for bus in range(n_bus):  # a root is lower than its members, so it is final when these are reached
        root[bus] = root[root[bus]]
    number: IntArray = np.unique(root, return_inverse=True)[1].astype(np.int64)
    return number


def _take(value: Any, update: Any) -> None:
    """Feed names, types, shapes and bytes of a table to a digest, in their order."""
    if is_dataclass(value):
        for item in fields(value):
            update(item.name.encode())
            _take(getattr(value, item.name), update)
    elif isinstance(value, np.ndarray):
        update(f"{value.dtype}{value.shape}".encode())
        update(np.ascontiguousarray(value).tobytes())
    else:
        update(repr(value).encode())
