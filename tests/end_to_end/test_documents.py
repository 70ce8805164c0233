"""What documents say can be done: tutorials run, commands are accepted, the site builds and asks no other host."""

import contextlib
import importlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"python scripts/(\w+)\.py([^\n`]*)")


def commands() -> list[tuple[str, str, str]]:
    """Every command of the documents once: document, script and what follows it."""
    found: dict[tuple[str, str], str] = {}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        for script, rest in COMMAND.findall(text):
            found.setdefault((script, " ".join(rest.split())), document.relative_to(ROOT).as_posix())
    return [(document, script, rest) for (script, rest), document in found.items()]


class Accepted(BaseException):
    """The command line was taken; nothing is to be done about it here."""


@pytest.mark.parametrize(("document", "script", "rest"), commands())
def test_every_command_of_a_document_is_accepted(document, script, rest, monkeypatch, tmp_path):
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
    module = importlib.import_module(script)
    (tmp_path / "metrics.csv").touch()
    arguments = shlex.split(rest.replace("runs/RUN", str(tmp_path)), comments=True)
    if {"--help", "-h"} & set(arguments):
        with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(io.StringIO()):
            module.main(arguments)
        assert end.value.code == 0
        return
    with pytest.raises(Accepted):
        module.main(arguments)


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
