"""What pandapower answered for the published state of a grid, remembered from one start to the next.

Asking takes seconds, most of them imports, and the answer to the same question is the same. So voltages are kept in
the user's cache directory under a hash of all that they follow from: every table of the case, shares, the versions
that solve and the sources that author the network. The engine is compared with them at every start all the same. The
answer for the operating case of the 68-bus system, by the versions that are pinned, comes with the project, so that the
first start needs no pandapower either; a test asks anew and says what to do when it no longer holds.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from contextlib import suppress
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.series import default_cache_directory
from cases.whole_file import replacing
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.oracle import solve_with_pandapower

FOLDER = "pandapower-voltages"
SHIPPED = Path(__file__).parent / "pandapower_answers"
PROGRAMS = ("pandapower", "pandas", "numpy", "scipy")
_PACKAGE = Path(__file__).parents[1]
SOURCES = tuple(
    _PACKAGE / name
    for name in ("network/pandapower_net.py", "power_flow/oracle.py", "power_flow/remembered_oracle.py")
)


def published_voltages(
    case: Case, slack_share: FloatArray, reactor_share: float, *, again: bool = False
) -> ComplexArray:
    """Voltages of the published state by pandapower, [bus]; asked only where no answer is remembered.

    A directory that cannot be written costs the time to ask at the next start, nothing else.

    Args:
        case: the grid; its plants and renewables inject nothing in the published state.
        slack_share: of each machine in the imbalance, [machine].
        reactor_share: share of the shunt reactors switched in.
        again: ask in any case.

    Raises:
        PowerFlowDiverged: there is no solution; that is not remembered.
    """
    name = f"{question(case, slack_share, reactor_share)}.npz"
    path = default_cache_directory() / FOLDER / name
    if not again:
        for kept in (SHIPPED / name, path):
            v_pu = _read(kept, case.n_bus)
            if v_pu is not None:
                return v_pu
    v_pu = _ask(case, slack_share, reactor_share)
    with suppress(OSError):
        _write(path, v_pu)
    return v_pu


def question(case: Case, slack_share: FloatArray, reactor_share: float) -> str:
    """Hash of everything that the answer follows from."""
    digest = hashlib.sha256()
    for name in PROGRAMS:
        digest.update(f"{name} {version(name)}\n".encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    _add(digest, case)
    _add(digest, slack_share)
    _add(digest, float(reactor_share))
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """Everything in a table, by name: arrays by their bytes, anything else as Python writes it."""
    if is_dataclass(value):
        for field in fields(value):
            digest.update(f"\n{field.name}: ".encode())
            _add(digest, getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    else:
        digest.update(repr(value).encode())


def _ask(case: Case, slack_share: FloatArray, reactor_share: float) -> ComplexArray:
    """One island after the other: pandapower distributes the slack of a single one."""
    from grid_model.network.pandapower_net import build_network, set_reactor_share, switch_circuits

    net = build_network(case, resources=False, renewables=False, reactors=True, distributed_slack=True)
    net.gen["slack_weight"] = slack_share
    set_reactor_share(net, case, reactor_share)
    if case.n_island == 1:
        return solve_with_pandapower(net, distributed_slack=True).v_pu
    v_pu = np.zeros(case.n_bus, dtype=np.complex128)
    for island in range(case.n_island):
        live = case.island == island
        switch_circuits(net, case, live[case.branch.from_bus], live)
        net.gen["in_service"] = live[case.machine.bus]
        v_pu[live] = solve_with_pandapower(net, distributed_slack=True).v_pu[live]
    return v_pu


def _read(path: Path, n_bus: int) -> ComplexArray | None:
    """What is remembered, or None where there is nothing that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            v_pu: ComplexArray = stored["v_pu"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None
    return v_pu if v_pu.shape == (n_bus,) and v_pu.dtype == np.complex128 else None


def _write(path: Path, v_pu: ComplexArray) -> None:
    """Whole or not at all, so that no reader sees half a file.

    Args:
        path: where; its directory is made if it is not there.
        v_pu: voltages, [bus].

    Raises:
        OSError: the directory cannot be made, or the file cannot be written or put in its place.
    """
    with replacing(path) as part:
        np.savez(part, v_pu=v_pu)
