"""Every script whose disk is full: one line that names the file, nothing cut off, what was there stays.

A limit on the size of files stands in for the disk: the system refuses to write beyond it, as it does on a full one.
"""

import contextlib
import importlib
import json
from pathlib import Path

import pytest

resource = pytest.importorskip("resource", reason="needs limits of POSIX")

MODEL = Path(__file__).resolve().parents[2] / "marl" / "data" / "recommended_seed0.pt"
LIMIT_BYTES = 100  # less than any result
CASES = {
    "validate_power_flow": (["--variant", "tr18"], "--json", "found.json"),
    "screen_contingencies": ([], "--json", "found.json"),
    "plot_network": ([], "--out", "grid.png"),
    "plot_scenario": (["--episodes", "2"], "--out", "scenario.png"),
    "plot_response": (["--trip", "G11", "--duration-s", "4"], "--out", "response.svg"),
    "random_rollout": (["--scenario", "{tmp}/short.toml"], "--out", "rollout.pdf"),
    "evaluate": (
        ["--scenario", "{tmp}/short.toml", "--n-episodes", "1", "--model-path", "{model}"], "--json", "found.json",
    ),
}  # fmt: skip


@contextlib.contextmanager
def small_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", CASES)
def test_a_full_disk_ends_in_one_line_and_leaves_the_file_before(name, tmp_path, capsys):
    script = importlib.import_module(name)
    (tmp_path / "short.toml").write_text("n_intervals = 3\n")
    options, option, file = CASES[name]
    arguments = [word.format(tmp=tmp_path, model=MODEL) for word in options]
    path = tmp_path / "results" / file
    path.parent.mkdir()
    path.write_text(json.dumps("before"))
    with small_files():
        status = script.main([*arguments, option, str(path)])
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("compil")]
    (line,) = lines  # kernels that the full disk did not keep are told of
    assert line.startswith(f"{name}.py: error: cannot write {path}: ")
    assert "None" not in line
    assert status == 1
    assert path.read_text() == '"before"'
    assert [p.name for p in path.parent.iterdir()] == [file]
