"""Who may import whom, by folder: cases <- grid_model <- control <- marl/environment; the learner knows no grid.

The compiler of kernels and the keeping of processes, which stand in `cases`, know nothing of either and serve both."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cases", "grid_model", "control", "marl")
ENVIRONMENT = "marl/environment"  # the only folder of marl that knows the grid
SHARED = ("cases/compiler", "cases/processes")  # below the grid and beside the learner
ALLOWED = {
    "cases": {"cases"},
    "grid_model": {"cases", "grid_model"},
    "control": {"cases", "grid_model", "control"},
}
OWN = {*PACKAGES, "scripts", "tests", "builders"}
# Libraries that only these folders and files may import.
RESERVED = {
    "pandapower": {
        "grid_model/network",
        "grid_model/power_flow",
        "grid_model/security",
        "control/evaluation/damaged_grids.py",  # makes nets to damage
    },
    "lightsim2grid": {"grid_model/power_flow", "grid_model/security"},
    "matplotlib": {"grid_model/picture", "control/evaluation", "marl/training/curves.py"},
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def folder(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


def dotted(place: str) -> str:
    return place.replace("/", ".") + "."


def identifier(path: Path) -> str:
    return path.relative_to(ROOT).as_posix().removesuffix(".py").replace("/", ".")


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


@pytest.mark.parametrize("path", sources(), ids=identifier)
def test_no_arrow_points_the_wrong_way(path):
    place = folder(path)
    package = place.split("/")[0]
    if package == "marl":
        allowed = set(PACKAGES) if place == ENVIRONMENT else {"marl"}
    else:
        allowed = ALLOWED[package]
    for name in imports(path):
        top = name.split(".")[0]
        if package == "marl" and any(name.startswith(dotted(shared)) for shared in SHARED):
            continue
        if place in SHARED and top == "cases":
            assert name.startswith(dotted(place)), f"{path.name}, which knows no grid, imports {name}"
        if top in OWN:
            assert top in allowed, f"{place}/{path.name} imports {name}"
        if package == "marl" and place != ENVIRONMENT:
            assert not name.startswith("marl.environment"), (
                f"{path.name}, part of the learner, imports {name}"
            )
        if top == "torch":
            assert package == "marl", f"{place}/{path.name} imports {name}, expected only in marl"
        if top in RESERVED:
            assert {place, f"{place}/{path.name}"} & RESERVED[top], (
                f"{place}/{path.name} imports {name}, expected only in {RESERVED[top]}"
            )


@pytest.mark.parametrize("path", sources(), ids=identifier)
def test_slow_libraries_are_imported_only_where_they_are_used(path):
    """Importing pandapower takes 2.5 s; it must not be paid by `--help`."""
    for name in imports(path, at_module_level=True):
        assert name.split(".")[0] not in {"pandapower", "lightsim2grid"}, (
            f"{path.name} imports {name} at its head"
        )


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_import_each_other_in_one_direction(package):
    """No circle between the folders of a package: each folder is a layer that can be read without those above."""
    arrows: dict[str, set[str]] = {}
    for path in (ROOT / package).rglob("*.py"):
        if path.name == "__init__.py":
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == package and len(parts) > 2:
                arrows.setdefault(folder(path), set()).add("/".join(parts[:2]))
    arrows = {place: others - {place} for place, others in arrows.items()}
    seen: list[str] = []

    def visit(place: str, trail: tuple[str, ...]) -> None:
        assert place not in trail, " -> ".join((*trail[trail.index(place) :], place))
        if place not in seen:
            for other in sorted(arrows.get(place, ())):
                visit(other, (*trail, place))
            seen.append(place)

    for place in sorted(arrows):
        visit(place, ())


@pytest.mark.parametrize(
    "path", [*sources(), *sorted((ROOT / "scripts").rglob("*.py"))], ids=lambda path: path.name
)
def test_pools_of_processes_are_those_that_end_with_their_parent(path):
    """A bare one leaves its processes behind when the one that made it is killed."""
    if path == ROOT / "cases" / "processes" / "ending.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        called = node.attr if isinstance(node, ast.Attribute) else ""
        assert not {"ProcessPoolExecutor", "Pool"} & {*names, called}, (
            f"{path.name} makes a pool of its own, expected cases.processes.ending.process_pool"
        )
