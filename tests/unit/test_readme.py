"""The README's map is true."""

import re
from pathlib import Path

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
