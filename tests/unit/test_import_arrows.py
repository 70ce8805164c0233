"""Who may import whom: cases <- grid_model <- control <- marl's environment side; the learner knows no grid."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cases", "grid_model", "control", "marl")
# The modules of marl that adapt the grid to the learner.
GRID_SIDE = {
    "environment",
    "joint_environment",
    "observation",
    "reward",
    "measurement",
    "evaluation",
    "start",
}
ALLOWED = {
    "cases": {"cases"},
    "grid_model": {"cases", "grid_model"},
    "control": {"cases", "grid_model", "control"},
}
OWN = {*PACKAGES, "scripts", "tests", "builders"}
# Libraries that only these files may import.
RESERVED = {
    "pandapower": {"grid_model/network.py", "grid_model/power_flow.py", "grid_model/contingency.py"},
    "lightsim2grid": {"grid_model/network.py", "grid_model/power_flow.py", "grid_model/contingency.py"},
    "matplotlib": {"grid_model/plot.py"},
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).glob("*.py"))


def imports(path: Path, *, at_module_level: bool = False) -> Iterator[str]:
    """Dotted names of everything a file imports; imports for type checkers only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(child for statement in node.body for child in ast.walk(statement))
        if at_module_level and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            skipped.update(child for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import, expected a full name"
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", sources(), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_arrow_points_the_wrong_way(path):
    package, module = path.parent.name, path.stem
    file = f"{package}/{path.name}"
    if package == "marl":
        allowed = set(PACKAGES) if module in GRID_SIDE else {"marl"}
    else:
        allowed = ALLOWED[package]
    for name in imports(path):
        top = name.split(".")[0]
        if top in OWN:
            assert top in allowed, f"{file} imports {name}"
        if package == "marl" and module not in GRID_SIDE and top == "marl" and "." in name:
            assert name.split(".")[1] not in GRID_SIDE, f"{file}, part of the learner, imports {name}"
        if top == "torch":
            assert package == "marl", f"{file} imports {name}, expected only in marl"
        if top in RESERVED:
            assert file in RESERVED[top], f"{file} imports {name}, expected only in {RESERVED[top]}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_slow_libraries_are_imported_only_where_they_are_used(path):
    """Importing pandapower takes 2.5 s; it must not be paid by `--help`."""
    for name in imports(path, at_module_level=True):
        assert name.split(".")[0] not in {"pandapower", "lightsim2grid"}, (
            f"{path.name} imports {name} at its head"
        )
