"""What kept results depend on: every source and data file of this project, and the versions of all that is installed.

A result is kept under the fingerprint of everything that could change it. Nothing is picked by hand: a list of the
files that matter would be wrong one day, and an outdated figure is worse than an hour of computing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["PACKAGES", "fingerprint", "package_folders"]

# By name, so that nothing is imported: this package must not know the learner, but its policies play here.
PACKAGES = ("cases", "grid_model", "control", "marl")
COMPILED = {".pyc", ".nbi", ".nbc"}  # follow from the sources


def package_folders() -> tuple[Path, ...]:
    """Folders of this project's packages as Python would import them."""
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent)
    return tuple(found)


def fingerprint(folders: Iterable[Path] | None = None) -> str:
    """SHA-256 of all files of the packages, code and data, and of the installed versions, as hexadecimal digits.

    Args:
        folders: of the packages; those that Python would import if None.
    """
    digest = hashlib.sha256()
    for folder in package_folders() if folders is None else folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in COMPILED:
                name = (folder.name / path.relative_to(folder)).as_posix()
                digest.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    versions = sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions())
    digest.update("\n".join([platform.python_version(), *versions]).encode())
    return digest.hexdigest()
