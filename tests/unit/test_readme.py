"""The README's map is true, and its figures were made by the recipes of today."""

import dataclasses
import json
import re
from pathlib import Path

from cases.ieee68 import load_ieee68
from control.scenario.episode import read_scenario
from control.scenario.suites import VALIDATION_SEEDS
from marl.config.presets import recommended
from marl.verification.run import configuration

ROOT = Path(__file__).resolve().parents[2]


def test_the_map_names_every_module_and_no_other():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folder, named = "", set()
    for line in text.splitlines():
        if heading := re.match(r"(?:### )?`([\w/]+)/`", line):
            folder = heading.group(1)
        elif row := re.match(r"\| `(\w+\.py)` \|", line):
            named.add(f"{folder}/{row.group(1)}")
    present = {
        path.relative_to(ROOT).as_posix()
        for package in ("cases", "grid_model", "control", "marl")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert named == present


def test_every_file_the_readme_points_to_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / path).exists(), path


def test_the_scenario_file_of_the_documentation_can_be_read(tmp_path):
    text = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    path = tmp_path / "evening.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1), encoding="utf-8")
    scenario = read_scenario(path, load_ieee68())
    assert scenario.gas_turbine.operating_point_mw == 120.0
    assert scenario.events[0].kind == "machine_out"


def as_json(config) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def test_the_default_training_of_the_readme_is_the_default_recipe():
    found = json.loads((ROOT / "results" / "training.json").read_text(encoding="utf-8"))["config"]
    assert found == as_json(recommended().validated_from(VALIDATION_SEEDS.first))


def test_the_proof_on_another_task_is_of_the_recipe_in_the_script():
    found = json.loads((ROOT / "results" / "verify_learner.json").read_text(encoding="utf-8"))
    expected = as_json(configuration(found["frames"], 0, VALIDATION_SEEDS.first))
    for config in (found["config"], expected):
        config["evaluation"].pop("eval_process", None)  # where episodes are played moves no result
    assert found["config"] == expected
