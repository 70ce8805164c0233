"""All results by one command: in order, each once, anew where something has changed, and what differs is told."""

import json
import sys
from pathlib import Path

import pytest

import make_results
from control.evaluation.result_plan import Difference, PlanError, differences, read_plan

ROOT = Path(__file__).resolve().parents[3]
PLAN = """
[first]
minutes = 2

[second]
commands = ["python step.py second 2.0"]
reads = ["results/first.json"]
scratch = ["runs/second"]
minutes = 0.5
"""
# Writes its figure, and notes in a file that it ran.
STEP = """
import json, pathlib, sys
name, figure = sys.argv[1:]
with open("ran.txt", "a") as ran:
    ran.write(name + "\\n")
if pathlib.Path("broken").exists():
    sys.exit(3)
pathlib.Path("runs/" + name).mkdir(parents=True, exist_ok=True)
pathlib.Path(f"results/{name}.json").write_text(json.dumps({"figure": float(figure), "text": "same"}))
"""


@pytest.fixture
def project(tmp_path):
    """A folder with a plan of two steps, of which the second reads what the first writes."""
    for folder in ("results", "scripts", "control/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "results" / "plan.toml").write_text(PLAN)
    (tmp_path / "results" / "commands.toml").write_text('[first]\ncommand = "python step.py first 1.0"\n')
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / "scripts" / "source.py").write_text("A = 1\n")
    (tmp_path / "results" / "first.json").write_text('{"figure": 1.1, "text": "same"}')
    return tmp_path


def made(project, *options):
    """Exit status, and the steps that have been carried out since the last time."""
    (project / "ran.txt").unlink(missing_ok=True)
    status = make_results.main(
        ["--root", str(project), "--plan", str(project / "results" / "plan.toml"),
         "--state", str(project / "runs" / "done.json"), *options]
    )  # fmt: skip
    ran = project / "ran.txt"
    return status, ran.read_text().split() if ran.exists() else []


def test_every_step_runs_once_and_again_when_what_it_depends_on_changes(project, capsys):
    assert made(project) == (0, ["first", "second"])
    assert "figure: 1.1 -> 1.0" in capsys.readouterr().out
    assert made(project) == (0, [])
    (project / "results" / "second.json").unlink()
    assert made(project) == (0, ["second"])
    (project / "results" / "first.json").write_text('{"figure": 7.0}')  # not as it was written
    assert made(project, "--only", "second") == (0, ["second"])
    assert made(project) == (0, ["first", "second"])
    (project / "scripts" / "source.py").write_text("A = 2\n")
    assert made(project) == (0, ["first", "second"])
    assert made(project, "--list")[1] == []
    assert "2 min on two cores" in capsys.readouterr().out.replace("2.5", "2")


def test_studies_are_made_where_they_are_asked_for(project, capsys):
    plan = project / "results" / "plan.toml"
    plan.write_text(PLAN.replace("[second]", "[second]\nstudy = true"))
    assert made(project) == (0, ["first"])
    assert made(project, "--list") == (0, [])
    assert "2 min on two cores, and 0 min of studies" in capsys.readouterr().out
    assert made(project, "--studies") == (0, ["second"])
    (project / "results" / "second.json").unlink()
    assert made(project, "--only", "second") == (0, ["second"])


def test_a_step_that_fails_ends_the_run_and_the_next_one_goes_on_with_it(project, capsys):
    (project / "broken").touch()
    assert made(project) == (1, ["first"])
    assert "exit status 3 of: python step.py first 1.0" in capsys.readouterr().err
    (project / "broken").unlink()
    assert made(project) == (0, ["first", "second"])


def test_runs_of_other_sources_are_set_aside_and_those_of_the_same_are_gone_on_with(project):
    kept = project / "runs" / "second" / "checkpoint"
    kept.parent.mkdir(parents=True)
    kept.write_text("of something else")
    assert made(project)[0] == 0
    assert not kept.exists()
    (aside,) = (project / "runs").glob("before-*/runs/second/checkpoint")
    assert aside.read_text() == "of something else"
    kept.write_text("half a run")
    (project / "results" / "second.json").unlink()
    state = json.loads((project / "runs" / "done.json").read_text())
    state["second"] = {"begun": state["second"]["key"]}  # as it is while the step is carried out
    (project / "runs" / "done.json").write_text(json.dumps(state))
    assert made(project) == (0, ["second"])
    assert kept.read_text() == "half a run"


def test_an_unknown_step_ends_in_one_line(project, capsys):
    assert made(project, "--only", "third") == (2, [])
    assert "no step is called 'third', expected first, second" in capsys.readouterr().err


def test_figures_differ_beyond_a_share_and_everything_else_at_all():
    before = {"a": [1.0, 2.0], "b": "x", "c": None, "flag": True}
    after = {"a": [1.009, 2.1], "b": "y", "d": 3, "flag": True}
    assert list(differences(before, after, 0.01)) == [
        Difference("a[1]", 2.0, 2.1), Difference("b", "x", "y"), Difference("d", None, 3),
    ]  # fmt: skip


def test_the_plan_of_this_project_can_be_read_and_its_scripts_are_there():
    plan = read_plan(ROOT, ROOT / "results" / "plan.toml", ROOT / "results" / "commands.toml")
    assert [step.name for step in plan.steps][-1] == "documents"
    assert sum(step.minutes for step in plan.steps) < 1140.0  # nineteen hours, studies included
    shipped = [step for step in plan.steps if not step.study]
    assert sum(step.minutes for step in shipped) <= 180.0
    # All that is shipped can be made without a study.
    written = {pattern for step in plan.steps if step.study for pattern in step.writes}
    assert not written & {pattern for step in shipped for pattern in step.reads}
    assert {"results/controllers.json", "marl/data/blended_seed0.pt", "control/data/*.json"} <= {
        pattern for step in shipped for pattern in step.writes
    }
    for step in plan.steps:
        for command in step.commands:
            program, *arguments = make_results.words(command)
            assert program in (sys.executable, "cp")
            if program == sys.executable:
                assert (ROOT / arguments[0]).is_file()


def test_a_plan_that_is_not_there_is_told_by_its_own_name(capsys):
    assert make_results.main(["--plan", "/nofile.toml", "--list"]) == 2
    assert capsys.readouterr().err == (
        "make_results.py: error: cannot read /nofile.toml: No such file or directory.\n"
    )


def test_a_step_without_a_command_is_named(project):
    (project / "results" / "plan.toml").write_text("[third]\nminutes = 1\n")
    with pytest.raises(PlanError, match="step 'third' needs minutes and commands"):
        read_plan(project, project / "results" / "plan.toml", project / "results" / "commands.toml")
