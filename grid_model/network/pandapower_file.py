"""A pandapower net from a JSON file of the user's, or one of pandapower's own by its name.

Of a file nothing is imported but what pandapower's own files name: to import a module is to run it.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cases.arrays import CaseDataError
from cases.ieee68 import NAMES
from cases.nearest_name import perhaps

__all__ = ["in_one_line", "read_pandapower"]

MAX_FILE_BYTES = 256 * 2**20  # a net of 80,000 buses has some 100 MB
KNOWN_MODULES = (
    "pandapower",
    "pandas",
    "numpy",
    "networkx",
    "shapely",
    "geopandas",
    "builtins",
)  # of objects in files


def read_pandapower(source: str) -> Any:
    """A pandapower net from a JSON file, or one of pandapower's own by its name (case39, case118, ...).

    Raises:
        CaseDataError: there is no such file or net, or the file is something else.
    """
    import pandapower as pp
    import pandapower.networks

    path = Path(source)
    if path.suffix == ".json":
        if not os.path.exists(path):  # also of a name longer than any file's
            raise CaseDataError(f"{source}: no such file, expected a pandapower net.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CaseDataError(
                f"{path.name}: {path.stat().st_size / 2**20:.0f} MB, expected at most {MAX_FILE_BYTES // 2**20} MB."
            )
        try:
            content = ""
            content = path.read_text(encoding="utf-8")
            with warnings.catch_warnings(), _known_modules_only():
                warnings.simplefilter("ignore")
                net = pp.from_json(io.StringIO(content))
        except Exception as error:  # pandapower raises whatever a broken file leads it to
            _require_class(path, content)
            raise CaseDataError(
                f"{path.name}: cannot be read ({in_one_line(error)}), expected a pandapower net."
            ) from error
        if not isinstance(net, pp.pandapowerNet):
            raise CaseDataError(f"{path.name}: holds a {type(net).__name__}, expected a pandapower net.")
        net.name = net.name or path.stem
        return net
    make = getattr(pandapower.networks, source, None)
    if not _makes_a_net(make):
        known = sorted(name for name in dir(pandapower.networks) if name.startswith("case"))
        what = "a directory" if os.path.isdir(path) else "neither a grid file nor a net that pandapower has"
        raise CaseDataError(
            f"{source}: {what}{perhaps(source, (*NAMES, *known))}, expected a file that ends in .json, .m, .mat or "
            f".toml, or a name: {', '.join((*NAMES, *known))}, or another of pandapower.networks."
        )
    net = make()  # type: ignore[misc]
    net.name = source
    return net


def _require_class(path: Path, content: str) -> None:
    """Tells JSON of another kind from a broken net, which says of itself what it is.

    Raises:
        CaseDataError: it is JSON, and of something else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict) or "_class" not in found:
        what = "an object without _class" if isinstance(found, dict) else f"a {type(found).__name__}"
        raise CaseDataError(
            f"{path.name}: holds JSON of something else ({what}), expected a pandapower net, as "
            "pandapower.to_json writes it."
        ) from None


@contextlib.contextmanager
def _known_modules_only() -> Iterator[None]:
    """While a file is read, pandapower imports no module but those that its own files name.

    Its reader imports whatever module the file says before it looks at what is to be made of it, and to import a
    module is to run it.
    """
    from pandapower import io_utils

    def import_known(name: str) -> Any:
        if name.split(".")[0] not in KNOWN_MODULES:
            raise ImportError(f"an object of module {name}, which is none of {', '.join(KNOWN_MODULES)}")
        return importlib.import_module(name)

    usual = io_utils.importlib
    setattr(io_utils, "importlib", SimpleNamespace(import_module=import_known))  # noqa: B010  it has no such option
    try:
        yield
    finally:
        setattr(io_utils, "importlib", usual)  # noqa: B010


def in_one_line(error: Exception) -> str:
    """What an exception of pandapower's says, without colours, in one line of bearable length."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
    if isinstance(error, KeyError):
        text = f"no {text}"
    return (text or type(error).__name__)[:200]


def _makes_a_net(make: Any) -> bool:
    """Whether it is a function of pandapower.networks that needs no argument."""
    if not (inspect.isfunction(make) and make.__module__.startswith("pandapower.networks")):
        return False
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(make).parameters.values()
    )
