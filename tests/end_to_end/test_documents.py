"""What documents say can be done: tutorials run, commands are accepted, the site builds and asks no other host."""

import contextlib
import importlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys

import pytest

import command_line
import try_documents
from document_commands import ROOT, script_commands

PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


class Accepted(BaseException):
    """The command line was taken; nothing is to be done about it here."""


@pytest.mark.parametrize(
    "command", script_commands(), ids=lambda command: f"{command.document}-{command.script}-{command.rest}"
)
def test_every_command_of_a_document_is_accepted(command, monkeypatch, tmp_path):
    """Parsed by the script itself, to where the work would begin; runs/RUN stands for a run of the reader's."""
    import command_line

    parse = command_line.parse

    def accepted(*arguments, **options):
        parsed = parse(*arguments, **options)
        if options.get("others_follow"):
            return parsed
        raise Accepted

    monkeypatch.setattr(command_line, "parse", accepted)
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(command.script)
    (tmp_path / "metrics.csv").touch()
    arguments = shlex.split(command.rest.replace("runs/RUN", str(tmp_path)), comments=True)
    if {"--help", "-h"} & set(arguments):
        with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(io.StringIO()):
            module.main(arguments)
        assert end.value.code == 0
        return
    with pytest.raises(Accepted):
        module.main(arguments)


def test_commands_are_run_in_a_folder_of_their_own_and_counted(capsys):
    """One that is run, one that is skipped with its reason; what is written stays out of the repository."""
    before = set(ROOT.iterdir())
    assert try_documents.main(["--only", "outage.svg", "update_readme", "verify_learner.json"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1] == "3 commands, 2 ok (1 of them in small), 1 skipped"
    assert any(line.startswith("skip") and "trains for many minutes" in line for line in lines)
    assert set(ROOT.iterdir()) == before
    assert try_documents.main(["--only", "no such words"]) == 2


def test_every_reason_to_skip_is_of_a_command_that_a_document_prints_or_of_a_script(capsys):
    assert try_documents.main(["--dry"]) == 0
    *lines, count = capsys.readouterr().out.strip().splitlines()
    assert count.startswith(f"{len(lines)} commands, 0 ok, ")
    for beginning, _ in (*try_documents.SKIPPED, *try_documents.SMALLER):
        assert (ROOT / "scripts" / f"{beginning.split()[0]}.py").is_file()


def test_a_command_of_an_extra_that_is_not_there_is_skipped_and_says_which(monkeypatch):
    (command,) = (c for c in try_documents.all_commands(()) if "train_mappo.py --ray local" in c.text)
    monkeypatch.setattr(try_documents, "find_spec", lambda name: None)
    assert "pip install -e '.[ray]'" in try_documents.reason_to_skip(command)
    monkeypatch.setattr(try_documents, "find_spec", lambda name: name)
    assert try_documents.reason_to_skip(command) == ""


def test_a_command_in_small_is_the_same_but_for_its_sizes():
    words = ["--case", "case39", "--n_episodes", "20", "--only", "agc", "local_pi", "--compare"]
    assert try_documents.with_options(words, "--n-episodes 1 --seeds 2") == [
        "--case", "case39", "--only", "agc", "local_pi", "--compare", "--n-episodes", "1", "--seeds", "2",
    ]  # fmt: skip


def test_a_command_that_builds_on_a_run_brings_its_training_along():
    chosen = [command.rest for command in try_documents.all_commands(("training_curves",))]
    assert len(chosen) == 2
    assert chosen[0].endswith("--out runs/mine")


def test_parts_together_are_all_commands():
    every = try_documents.all_commands(())
    parts = [try_documents.Options(part=f"{k}/3").of_part(every) for k in (1, 2, 3)]
    assert {c.text for part in parts for c in part} == {c.text for c in every}
    assert sum(len(part) for part in parts) == len(every) + 2  # each begins with the small training
    with pytest.raises(command_line.OptionError, match="expected k/n"):
        try_documents.Options(part="3/2")


@pytest.mark.parametrize(
    ("tutorial", "shorter"),
    [
        ("frequency_event", {}),
        ("own_learner", {"N_LAW, N_STEP, N_ROUND = 32, 150, 12": "N_LAW, N_STEP, N_ROUND = 8, 40, 3"}),
    ],
)
def test_a_tutorial_runs_as_it_stands(tutorial, shorter, tmp_path):
    """All blocks of Python in their order, by a fresh interpreter; what they assert holds."""
    text = (ROOT / "docs" / "tutorials" / f"{tutorial}.md").read_text(encoding="utf-8")
    program = "\n".join(PYTHON.findall(text))
    assert len(program.splitlines()) > 30
    for long, short in shorter.items():
        assert program.count(long) == 1
        program = program.replace(long, short)
    path = tmp_path / "tutorial.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, path], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed (extra docs)")
def test_the_site_builds_and_asks_no_other_host(tmp_path):
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        tmp_path / "site",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    asks = re.compile(
        r"<(?:script|img|iframe|source)[^>]*src=\"?https?://|<link[^>]*stylesheet[^>]*href=\"?https?://"
    )
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        assert not asks.search(page.read_text(encoding="utf-8")), page.name
    api = (tmp_path / "site" / "api" / "environment.html").read_text(encoding="utf-8")
    assert "make_batch" in api
    assert "Raises" in api
