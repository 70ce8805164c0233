"""scripts/validate_power_flow.py as a user runs it."""

import importlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cases.ieee68 import DATA_DIRECTORY

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "validate_power_flow.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, from a directory that is not the project's."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT.parent,
    )


@pytest.fixture
def call(capsys, monkeypatch):
    """The script in this process, which spares the imports: exit status, output and errors."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    main = importlib.import_module("validate_power_flow").main

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            status = main(arguments)
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return called


def test_both_variants_hold_and_the_file_says_by_how_much(tmp_path):
    out = tmp_path / "validation.json"
    done = run("--json", str(out))
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    common = {
        "engine_max_dv_pu", "total_load_mw", "losses_mw", "slack_p_mw",
        "vm_min_pu", "vm_min_bus", "vm_max_pu", "vm_max_bus",
    }  # fmt: skip
    assert common <= set(figures["rogers"])
    assert common | {"max_dv_pu", "max_dva_degree"} <= set(figures["tr18"])
    assert not {"max_dv_pu", "max_dva_degree"} & set(figures["rogers"])
    # Half a unit of the last printed digit, plus solver tolerance.
    assert figures["tr18"]["max_dv_pu"] <= 5.0001e-5
    assert figures["tr18"]["max_dva_degree"] <= 5.0001e-5
    for oracle in ("engine_max_dv_pu", "lightsim2grid_max_dv_pu"):
        # what the project promises
        assert max(figures[variant][oracle] for variant in figures) <= 1e-8
    assert figures["rogers"]["total_load_mw"] == pytest.approx(18233.9)
    assert (figures["tr18"]["vm_min_bus"], figures["tr18"]["vm_max_bus"]) == (
        64,
        51,
    )  # as in the published table
    for variant in ("tr18", "rogers"):
        assert f"== {variant}" in done.stdout
    assert "FAILED" not in done.stdout


def test_one_variant_is_printed_bus_by_bus(call):
    done = call("--variant", "tr18", "--buses")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    numbers = [
        int(row[0])
        for row in rows
        if len(row) == 10 and row[1] in ("NETS", "NYPS", "area3", "area4", "area5")
    ]
    assert numbers == list(range(1, 69))
    assert "rogers" not in done.stdout


def test_a_case_that_differs_from_the_published_one_fails(tmp_path, call):
    """Doubling a reactance moves angles by degrees: the published table no longer agrees."""
    data = Path(shutil.copytree(DATA_DIRECTORY, tmp_path / "ieee68"))
    branch = (data / "branch.csv").read_text()
    assert branch.count("0.0007,0.0089,0.1342") == 1
    (data / "branch.csv").write_text(branch.replace("0.0007,0.0089,0.1342", "0.0007,0.0178,0.1342"))
    done = call("--variant", "tr18", "--data", str(data))
    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_a_grid_of_ones_own_is_held_to_the_same_checks(tmp_path, call):
    out = tmp_path / "validation.json"
    done = call("--case", "case39", "--json", str(out))
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())["case39"]
    assert figures["total_load_mw"] == pytest.approx(6254.23)  # as published with the 39 buses
    assert "assumed: 10 machines have no dynamic data" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variant", "ieee"), "--variant"),
        (("--data", "no_such_directory"), "bus.csv: no such file"),
        (("--json", "no_such_directory/out.json"), "its directory does not exist"),
    ],
)
def test_a_mistake_ends_in_one_clear_line(arguments, message, call):
    done = call(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_help_is_answered_at_once():
    start_s = time.perf_counter()
    done = run("--help")
    assert done.returncode == 0
    assert "--variant" in done.stdout
    # Importing pandapower alone takes 2.5 s; half of that leaves room for a busy machine.
    assert time.perf_counter() - start_s < 1.25
