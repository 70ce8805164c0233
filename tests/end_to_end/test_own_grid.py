"""docs/own_grid.md is carried out as it stands, and what it says is refused is refused."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import evaluate
from cases.ieee68 import load_ieee68
from control.scenario import task_grid
from control.scenario.task_grid import open_task_grid
from marl.environment import make_batch, parallel_env
from marl.environment.gymnasium_env import joint_env
from marl.environment.trained_grid import (
    OtherGrid,
    about_grid,
    case_of,
    require_its_grid,
    require_source_of_grid,
)

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "own_grid.md").read_text(encoding="utf-8")


def run(command, directory):
    words = shlex.split(command)
    return subprocess.run(
        [sys.executable, str(ROOT / words[1]), *words[2:]],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_the_ten_minutes_lead_from_a_file_to_a_policy(tmp_path):
    part = TEXT[TEXT.index("## Ten minutes") : TEXT.index("To set it beside")]
    commands = re.findall(r"^ +(python scripts/.*)$", part, flags=re.MULTILINE)
    assert len(commands) == 5
    out = []
    for command in commands:
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        out.append(done.stdout)
    assert "Case case39: 39 buses in 6 areas" in out[2]
    assert "5 bess, 8 gas, 7 dr; 14 plants of wind and sun" in out[3]
    assert "trained policy" in out[4]
    # Another grid, and classical control that nobody has tuned for this one.
    refused = run(
        "python scripts/evaluate.py --model_path runs/mine/final_model.pt --case case9 --n_episodes 1",
        tmp_path,
    )
    assert refused.returncode == 1
    assert re.fullmatch(
        r"evaluate.py: error: the policy was trained on case39 \w{16}, not on case9: play it there by "
        r"--case case39\n",
        refused.stderr,
    )
    refused = run("python scripts/train_mappo.py --case case39 --preset residual --out runs/other", tmp_path)
    assert refused.returncode == 2
    assert "run: python scripts/tune_baselines.py --only linear_memory with the same --case" in refused.stderr


def test_the_grid_file_of_the_page_is_one(tmp_path):
    content = re.search(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    assert content is not None
    (tmp_path / "mine.toml").write_text(content[1], encoding="utf-8")
    (tmp_path / "machines.csv").write_text(
        "machine,kind,h_s\n" + "".join(f"G{n},thermal,{4.5 if n == 30 else ''}\n" for n in range(30, 40))
    )
    (tmp_path / "plants.csv").write_text("name,kind,bus,mw,mwh\nakku,bess,4,50,25\nturbine,gas,30,40,\n")
    case = open_task_grid(str(tmp_path / "mine.toml")).case
    assert case.machine.h_s.max() == 4.5
    assert case.n_area == 3
    assert case.resource.name == ("akku", "turbine")
    assert case.load.p_mw.sum() == pytest.approx(0.95 * 6254.23, rel=1e-12)  # of case39


def test_a_model_acts_on_its_own_grid_alone():
    published, other = load_ieee68(), open_task_grid("case9").case
    for metadata in ({"case": "ieee68"}, {}):  # today's, and of the first versions
        require_its_grid(metadata, published, "model")
        with pytest.raises(
            OtherGrid, match="trained on ieee68, not on case9 .*: play it there, without --case"
        ):
            require_its_grid(metadata, other, "model")
    about = about_grid(other, "case9")
    assert case_of(about) == "case9"
    require_its_grid(about, other, "model")
    with pytest.raises(
        OtherGrid, match="trained on case9 .*, not on ieee68-rogers: play it there by --case case9"
    ):
        require_its_grid(about, published, "model")
    assert Path(other.name).stem == "case9"  # by its name alone, the same is told before a grid is opened
    for metadata, source, found in (
        ({"case": "ieee68"}, "case9", "trained on ieee68, not on case9: play it there, without --case"),
        ({}, "case9", "trained on ieee68, not on case9"),
        (about, "case39", "trained on case9 .*, not on case39: play it there by --case case9"),
        (about, "mine/case39.toml", "trained on case9 .*, not on mine/case39.toml"),
        (about, "rogers", "trained on case9 .*, not on rogers"),
    ):
        with pytest.raises(OtherGrid, match=found):
            require_source_of_grid(metadata, source, "model")
    # What only the grid itself can tell: whether it has changed, and what stands in a file.
    for metadata, source in (
        (about, "case9"),
        (about, "mine/case9.toml"),
        ({}, "mine/copy.toml"),
        ({}, "rogers"),
    ):
        require_source_of_grid(metadata, source, "model")
    with pytest.raises(OtherGrid, match="which has changed since"):
        require_its_grid(about | {"grid": "case9 0123456789abcdef"}, other, "model")


def test_a_policy_of_another_grid_is_refused_before_that_is_opened(capsys, monkeypatch):
    """It took twenty seconds."""
    model = str(ROOT / "marl" / "data" / "recommended_seed0.pt")
    monkeypatch.setattr(task_grid, "open_task_grid", lambda source: pytest.fail(f"{source} was opened"))
    for arguments in (["--model_path", model], ["--policies", f"agc,{model}"]):
        assert evaluate.main([*arguments, "--case", "case39"]) == 1
        said = capsys.readouterr().err
        assert "was trained on ieee68, not on case39: play it there, without --case" in said


@pytest.mark.parametrize("n_area", [1, 3])
def test_level_area_takes_any_number_of_areas_in_every_interface(tmp_path, n_area):
    """case9 has three machines; with one area it is what level `system` plays."""
    path = tmp_path / "small.toml"
    path.write_text(f'grid = "case9"\nn_areas = {n_area}\n')
    batch = make_batch("n1", 1, case=str(path), level="area", auto_reset=False)
    assert batch.loop.grid.n_group == n_area
    zoo = parallel_env(scenario="n1", case=str(path), level="area")
    joint = joint_env("n1", case=str(path), level="area")
    system = make_batch("n1", 1, case=str(path), level="system", auto_reset=False)
    seeds, rng = np.array([7]), np.random.default_rng(0)
    batch.reset(seeds)
    system.reset(seeds)
    zoo.reset(seed=7)
    joint.reset(seed=7)
    for _ in range(5):
        action = rng.uniform(-1.0, 1.0, len(joint.names)).astype(np.float32)
        by_name = {name: action[k : k + 1] for k, name in enumerate(joint.names)}
        of_group = {g.name: np.array([[by_name[a] for a in g.agents]]) for g in batch.groups}
        step, coi = batch.step(of_group), system.step(of_group)
        reward = zoo.step(by_name)[1]
        assert step.reward[0] == reward[joint.names[0]] == joint.step(action)[1]
        assert np.isfinite(step.observation.state).all()
        if n_area == 1:
            np.testing.assert_array_equal(step.observation.state, coi.observation.state)
