"""What the documents name exists, and the figures of results were made by the recipes of today."""

import ast
import dataclasses
import importlib
import json
import re
from pathlib import Path

import pytest

from cases.ieee68 import load_ieee68
from control.scenario.file import read_scenario
from control.scenario.suites import VALIDATION_SEEDS
from marl.config.presets import recommended
from marl.config.training import from_dict
from marl.training.study import settings
from marl.verification.run import TASKS, configuration

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "findings" / "README.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def first_line(module: Path) -> str:
    """Of its docstring."""
    return (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def test_the_map_names_every_module_by_its_first_line_and_no_other():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folder, named = "", {}
    for line in text.splitlines():
        if heading := re.match(r"(?:### )?`([\w/]+)/`", line):
            folder = heading.group(1)
        elif row := re.match(r"\| `(\w+\.py)` \| (.*) \|$", line):
            named[f"{folder}/{row.group(1)}"] = row.group(2)
    present = {
        path.relative_to(ROOT).as_posix(): first_line(path)
        for package in ("cases", "grid_model", "control", "marl")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert named == present


def anchors(text: str) -> set[str]:
    """What links call the headings of a page: GitHub keeps letters, digits, dashes and underscores."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_and_import_of_a_document_exists(document):
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"`((?:cases|grid_model|control|marl|scripts|tests|docs)/[\w/.-]+)`", text)
    for path in named + re.findall(r"python (scripts/[\w/]+\.py)", text):
        assert (ROOT / path).exists(), path
    own = r"^\s*from ((?:cases|grid_model|control|marl)[\w.]*) import ([\w, ]+)$"
    for module, names in re.findall(own, text, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"from {module} import {name}"


def test_the_readme_is_read_in_a_minute():
    """150 lines are what a newcomer reads before giving up; everything else has a document of its own."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("document", DOCUMENTS[2:], ids=lambda path: path.name)
def test_every_document_begins_with_its_contents(document):
    text = document.read_text(encoding="utf-8")
    before_first_section = text.split("\n## ")[0]
    own = set(re.findall(r"\]\(#([\w-]+)\)", before_first_section))
    sections = anchors("\n".join(line for line in text.splitlines() if line.startswith("## ")))
    assert own == sections


def test_the_scenario_file_of_the_documentation_can_be_read(tmp_path):
    text = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    path = tmp_path / "evening.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1), encoding="utf-8")
    scenario = read_scenario(path, load_ieee68())
    assert scenario.gas_turbine.operating_point_mw == 120.0
    assert scenario.events[0].kind == "machine_out"


def as_json(config) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def test_the_default_training_of_the_results_is_the_default_recipe():
    found = json.loads((ROOT / "results" / "training.json").read_text(encoding="utf-8"))["config"]
    assert from_dict(found) == recommended().validated_from(VALIDATION_SEEDS.first)


@pytest.mark.parametrize(
    ("result", "task"), [("verify_learner.json", "navigation"), ("verify_memory.json", "remembered")]
)
def test_the_proof_on_another_task_is_of_the_recipe_in_the_script(result, task):
    found = json.loads((ROOT / "results" / result).read_text(encoding="utf-8"))
    assert found["task"] == TASKS[task]
    for learner, one in found["learners"].items():
        expected = as_json(configuration(found["frames"], 0, VALIDATION_SEEDS.first, learner, task))
        # What came later moves no result where it is as it was before there was a choice.
        assert settings(one["config"]) == settings(expected)
