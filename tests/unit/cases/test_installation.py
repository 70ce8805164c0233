"""The guard against a foreign package under one of our import names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cases.installation import ForeignPackageError, require_own_package

ROOT = Path(__file__).resolve().parents[3]


def test_our_own_packages_pass():
    for name in ("cases", "grid_model", "control", "marl"):
        require_own_package(name)


def test_a_package_of_the_standard_library_is_recognised_as_foreign():
    with pytest.raises(ForeignPackageError, match="`import json` finds .*json, expected .*"):
        require_own_package("json")


def test_a_foreign_control_ends_in_an_error_that_says_so(tmp_path):
    """A fresh interpreter finds another `control` first, as with python-control in the same environment."""
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "__init__.py").write_text("")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    done = subprocess.run(
        [sys.executable, "-c", "import cases"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "ForeignPackageError" in done.stderr
    assert "python-control" in done.stderr
    assert str(tmp_path / "control") in done.stderr
