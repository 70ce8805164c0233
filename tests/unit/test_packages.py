"""What an installation brings: every package of the tree, and the files that are read at run time."""

import configparser
import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("cases", "grid_model", "control", "marl")
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def named(section: str, key: str) -> list[str]:
    """Lines of a list of setup.cfg."""
    return [line.strip() for line in SETUP[section][key].splitlines() if line.strip()]


def test_every_package_of_the_tree_is_installed():
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for part in PARTS
        for path in (ROOT / part).rglob("__init__.py")
    }
    assert set(named("options", "packages")) == found


def test_every_file_that_is_no_source_is_installed_with_its_package():
    """As setuptools reads it: patterns by package, relative to its folder."""
    data = {package: named("options.package_data", package) for package in SETUP["options.package_data"]}
    patterns = [f"{package.replace('.', '/')}/{pattern}" for package, own in data.items() for pattern in own]
    files = [
        path.relative_to(ROOT).as_posix()
        for part in PARTS
        for path in (ROOT / part).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    ]
    assert len(files) > 20
    assert [name for name in files if not any(fnmatch.fnmatch(name, p) for p in patterns)] == []
