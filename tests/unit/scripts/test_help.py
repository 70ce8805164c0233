"""--help of every script is answered at once: it imports no library that takes long."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
SLOW = ("torch", "pandapower", "lightsim2grid", "numba", "scipy", "matplotlib", "pandas", "gymnasium")
PROGRAMS = sorted(
    path.name
    for path in SCRIPTS.glob("*.py")
    if "if __name__" in path.read_text() and path.stem != "command_line"
)
# A tenth of a second of numpy is nothing, seconds of the others are: told by what is imported, not by a clock, which
# would tell of the machine's other work.
ASK = """
import runpy, sys
sys.argv = [{path!r}, "--help"]
sys.path.insert(0, {folder!r})
try:
    runpy.run_path({path!r}, run_name="__main__")
except SystemExit as end:
    print("status", end.code or 0)
print("slow", *[name for name in {slow!r} if name in sys.modules])
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_imports_nothing_that_takes_long(program):
    ask = ASK.format(path=str(SCRIPTS / program), folder=str(SCRIPTS), slow=SLOW)
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    *text, status, slow = done.stdout.splitlines()
    assert (status, slow) == ("status 0", "slow")
    assert any(line.startswith("usage: ") for line in text)


def test_an_interpreter_without_the_project_is_told_what_to_do(tmp_path):
    """-E and -S leave out everything that is installed."""
    done = subprocess.run(
        [sys.executable, "-E", "-S", str(SCRIPTS / "soak.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("soak.py: error: ")
    assert "does not have this project installed" in line
    assert "make setup" in line


def test_packages_of_another_checkout_are_refused(tmp_path):
    for name in ("cases", "grid_model", "control", "marl"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "soak.py"), "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"would import cases of {tmp_path}" in line
