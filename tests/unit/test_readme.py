"""The README's map is true, and its figures were made by the recipes of today."""

import dataclasses
import json
import re
from pathlib import Path

from cases.ieee68 import load_ieee68
from control.scenario import read_scenario
from marl.config import recommended
from verify_learner import configuration

ROOT = Path(__file__).resolve().parents[2]


def test_the_map_names_every_module_and_no_other():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code_map = text.split("## Map\n\n```\n")[1].split("```")[0]
    for package in ("cases", "grid_model", "control", "marl"):
        section = re.split(
            r"^(?=\S)", code_map.split(f"\n{package}/")[-1].removeprefix(f"{package}/"), flags=re.M
        )[0]
        named = set(re.findall(r"(\w+\.py)", section))
        present = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
        assert named == present, package


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
    assert found == as_json(recommended())


def test_the_proof_on_another_task_is_of_the_recipe_in_the_script():
    found = json.loads((ROOT / "results" / "verify_learner.json").read_text(encoding="utf-8"))
    expected = as_json(configuration(found["frames"], 0))
    for config in (found["config"], expected):
        config["evaluation"].pop("eval_process", None)  # where episodes are played moves no result
    assert found["config"] == expected
