"""What scripts share: options that are refused, and files that are looked at before the work."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import command_line
import option_checks

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of a script."""

    count: int = 1
    """At least one."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise command_line.OptionError(f"--count {self.count}, expected at least 1")


def test_a_refused_option_is_one_line_and_status_two(capsys):
    with pytest.raises(SystemExit) as end:
        command_line.parse(
            Options, program="do.py", description="", arguments=["--count", "-3"], default=Options()
        )
    assert end.value.code == 2
    assert capsys.readouterr().err == "do.py: error: --count -3, expected at least 1; see --help\n"


def test_a_long_word_in_a_message_is_not_broken(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        command_line.parse(Options, program="do.py", description="", arguments=["--count", "x" * 150])
    assert "x" * 150 in capsys.readouterr().err


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path: Path):
    there = tmp_path / "there.json"
    there.write_text("before")
    for path in (None, there, tmp_path / "new.json", tmp_path / "new" / "directory" / "new.json"):
        option_checks.require_writable("json", path)
    assert [p.name for p in tmp_path.iterdir()] == ["there.json"]
    assert there.read_text() == "before"


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(command_line.OutputError, match=f"--json {tmp_path} is a directory, expected a file"):
        option_checks.require_writable("json", tmp_path)
    for path in (file / "x.json", file / "y" / "x.json", tmp_path / ("x" * 300)):
        with pytest.raises(command_line.OutputError, match=f"--json {path} cannot be written: "):
            option_checks.require_writable("json", path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files")
def test_a_file_system_that_takes_no_files_is_found_out():
    """Its permissions say that root may write."""
    with pytest.raises(command_line.OutputError, match="--json /proc/x.json cannot be written: "):
        option_checks.require_writable("json", Path("/proc/x.json"))


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Of a script that computes."""

    step_mw: float = 500.0
    """Any."""
    seed: int = 0
    """Any."""
    bounds: tuple[float, ...] = (1.0,)
    """Any."""
    most: float = float("inf")
    """None by default."""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--step-mw", "nan"], "--step-mw nan, expected a finite number"),
        (["--step-mw", "-inf"], "--step-mw -inf, expected a finite number"),
        (["--bounds", "1", "nan"], "--bounds nan, expected a finite number"),
        (["--most", "nan"], "--most nan, expected a finite number"),
        (["--seed", "99999999999999999999999"], "--seed 99999999999999999999999, expected a number of at most 63"),
    ],
)  # fmt: skip
def test_numbers_that_nobody_can_compute_with_are_refused_in_every_script(given, told, capsys):
    status = 0
    try:
        command_line.run("do.py", Numbers, lambda options: 0, given, about=None)
    except SystemExit as end:
        status = end.code
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2
    assert line.startswith(f"do.py: error: {told}")


def test_a_default_may_be_infinite():
    assert command_line.run("do.py", Numbers, lambda options: 0, [], about=None) == 0


@pytest.mark.parametrize(
    ("error", "told", "status"),
    [
        (OSError(28, "No space left on device"), "No space left on device", 1),
        (OSError(28, "No space left on device", "a.csv"), "a.csv: No space left on device", 1),
        (OSError("no number in it"), "no number in it", 1),
        (ValueError("two\n  lines"), "two lines", 1),
        (ValueError(), "ValueError", 1),
        (MemoryError(), "out of memory", 1),
        (command_line.OptionError("--a b"), "--a b", 2),
    ],
)
def test_every_error_is_one_line_with_words_in_it(error, told, status, capsys):
    def work():
        raise error

    assert command_line.attempt("do.py", work) == status
    assert capsys.readouterr().err == f"do.py: error: {told}\n"


PRINTS = """
import sys
sys.path.insert(0, "scripts")
import command_line
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Options:
    lines: int = 1
    '''To print.'''

def work(options):
    for k in range(options.lines):
        print(k)

sys.exit(command_line.run("do.py", Options, work, sys.argv[1:], about="Prints."))
"""


def printing(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script that prints, run by the shell."""
    words = shlex.join([sys.executable, "-c", PRINTS, *arguments])
    # The status is that of the script, also where another reads from it.
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} {redirection}"], cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("arguments", [(), ("--lines", "100000"), ("--help",)])
def test_a_full_standard_output_is_one_line_and_status_one(arguments):
    done = printing("> /dev/full", *arguments)
    assert done.stderr == "do.py: error: cannot write to the standard output: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of POSIX")
def test_a_closed_standard_output_is_one_line_and_a_reader_that_leaves_none():
    done = printing(">&-")
    assert (done.stderr, done.returncode) == ("do.py: error: the standard output is closed\n", 1)
    done = printing("| head -n 1", "--lines", "100000")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 1)


def test_a_report_of_a_kind_that_nobody_writes_is_refused_before_anything_is_played(capsys):
    import evaluate

    with pytest.raises(SystemExit) as end:
        evaluate.main(["--suite", "normal", "--report", "table.docx"])
    assert end.value.code == 2
    assert "--report table.docx ends in '.docx', expected one of .html, .htm, .md" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "option", "given", "meant"),
    [
        ("tune_baselines", "--only", "AGC", "agc"),
        ("evaluate", "--policies", "AGC", "agc"),
        ("evaluate", "--suite", "Normal", "normal"),
        ("train_mappo", "--preset", "Quick", "quick"),
        ("train_mappo", "--algorithm", "MAPPO", "mappo"),
        ("train_mappo", "--scenario", "Training", "training"),
        ("train_mappo", "--case", "CASE39", "case39"),
        ("plot_network", "--color", "Frequency", "frequency"),
    ],
)
def test_a_name_in_another_letter_case_is_told_which_was_meant(script, option, given, meant, capsys):
    module = importlib.import_module(script)
    try:
        status = module.main([option, given])
    except SystemExit as end:
        status = end.code
    assert status in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"(perhaps you meant {meant})" in line


@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [
        ("evaluate", ["--policies", "agc", "--page", "x.txt"], "--page x.txt ends in '.txt', expected one of .html"),
        ("demo", ["--out", "x.txt"], "--out x.txt ends in '.txt'"),
        ("plot_response", ["--trip", "G11", "--page", "x.pdf"], "--page x.pdf ends in '.pdf'"),
        ("screen_contingencies", ["--page", "n1"], "--page n1 ends in ''"),
        ("evaluate", ["--fps", "30"], "--frames and --fps are of --video"),
        ("evaluate", ["--video", "x.gif", "--fps", "1000000"], "--fps 1000000, expected at most 50"),
        ("evaluate", ["--suite", "normal", "--level", "system"], "--level system: the table"),
        ("evaluate", ["--suite", "n1", "--compare"], "--compare has no effect on the table by --suite"),
        ("evaluate", ["--policies", "agc", "--render"], "--render has no effect on the table by --policies"),
        ("evaluate", ["--policies", "agc", "--visualize"], "--visualize has no effect on the table by --policies"),
        ("evaluate", ["--suite", "n1", "--out", "x"], "--out has no effect on the table by --suite"),
        ("evaluate", ["--suite", "n1", "--scenario", "stress"], "--scenario has no effect on the table by --suite"),
        ("evaluate", ["--suite", "n1", "--model-path", "x.pt"], "--model-path has no effect on the table by --suite"),
        ("evaluate", ["--seeds", "1:2", "--seed", "3"], "--seed has no effect on the table by --seeds"),
        ("evaluate", ["--suite", "n1", "--ray", "local", "--workers", "8"], "--workers has no effect"),
        ("evaluate", ["--out", "x"], "--out has no effect on the figures of one policy, without --suite"),
        ("evaluate", ["--report", "x.md"], "--report has no effect on the figures of one policy"),
        ("evaluate", ["--page", "x.html", "--compare"], "--compare has no effect on one episode by --page"),
        ("evaluate", ["--export", "x", "--json", "x.json"], "--json has no effect on one episode by --export"),
        ("evaluate", ["--video", "a.avi"], "--video a.avi ends in '.avi', expected one of .gif, .mp4"),
        ("evaluate", ["--export", "e.xlsx"], "--export e.xlsx ends in '.xlsx', expected one of .csv, .parquet"),
        ("evaluate", ["--export", "e", "--seeds", "1:2"], "--seeds are of the table; --export shows"),
        ("evaluate", ["--policies", ""], "--policies is given an empty value"),
        ("evaluate", ["--suite="], "--suite is given an empty value"),
        ("evaluate", ["--case", "", "--suite", "n1"], "--case is given an empty value"),
        ("train_mappo", ["--resume", ""], "--resume is given an empty value"),
        ("train_mappo", ["--case="], "--case is given an empty value"),
        ("random_rollout", ["--observation", "foo"], "invalid choice 'foo' for argument '--observation'"),
        ("plot_network", ["--variant", "tr18", "--case", "case39"], "--variant is of the 68-bus system"),
        ("screen_contingencies", ["--variant", "tr18", "--case", "case39"], "--variant is of the 68-bus system"),
        ("validate_power_flow", ["--variant", "tr18", "--case", "case39"], "--variant is of the 68-bus system"),
        ("validate_power_flow", ["--data", "x", "--case", "case39"], "--data holds tables of the 68-bus system"),
        ("tune_baselines", ["--workers", "0"], "--workers 0, expected at least 1"),
        ("tune_baselines", ["--candidates", "1"], "--candidates 1, expected at least 4"),
        ("tune_baselines", ["--generations", "0"], "--generations 0, expected at least 1"),
        ("tune_baselines", ["--only", "area_agc"], "area_agc sees flows over ties"),
        ("train_mappo", ["--physics", "reduced", "--level", "machine"], 'level = "machine" is of the full simulator'),
    ],
)  # fmt: skip
def test_options_that_contradict_each_other_or_cannot_be_are_told_before_anything_is_done(
    script, arguments, told, capsys
):
    module = importlib.import_module(script)
    try:
        status = module.main(arguments)
    except SystemExit as end:
        status = end.code
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2
    assert f"error: {told}" in line


def test_ctrl_c_while_a_script_reads_its_modules_is_one_line(tmp_path: Path):
    """A module that is read after `command_line` is stopped in its midst, as a hand on the keyboard would."""
    script = tmp_path / "go.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        f"sys.argv[0] = {str(ROOT / 'scripts' / 'go.py')!r}\n"
        "import command_line\nraise KeyboardInterrupt\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == "go.py: stopped, nothing was written\n"
    assert done.returncode != 0


def test_a_directory_that_cannot_be_is_named_by_its_option(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    for path, told in (
        (tmp_path / "file", "is a file, expected a directory"),
        (tmp_path / "file" / "x", "lies below"),
    ):
        with pytest.raises(command_line.OutputError, match=f"--out .*{told}"):
            option_checks.require_folder("out", path)
    with pytest.raises(command_line.OutputError, match="--json .* cannot be written: .*file is a file"):
        option_checks.require_writable("json", tmp_path / "file" / "x.json")
    option_checks.require_folder("out", tmp_path / "new" / "one")
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_refused_leaves_nothing_behind(tmp_path: Path, capsys):
    import train_mappo

    for options, told in (
        (["--samplers", "2", "--out", str(tmp_path / "run")], "add --ray local"),
        (["--out", str(tmp_path / "file")], "is a file, expected a directory"),
        (["--resume", str(tmp_path / "file")], "is a file of no run"),
        (["--config", str(tmp_path / "file")], "neither a run's directory nor its config.json"),
    ):
        (tmp_path / "file").write_text("x")
        assert train_mappo.main([*options, "--checkpoints", str(tmp_path / "models")]) in (1, 2)
        said = capsys.readouterr().err.splitlines()
        # Whoever is the first to need kernels compiles them, and says so.
        (line,) = [line for line in said if not line.startswith(("compiling ", "compiled "))]
        assert told in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_script_ends_as_the_others_do():
    """By `run` or `attempt`: so none ends in a traceback on a full disk or where nobody takes what it prints."""
    # Runs where ANDES is installed and this project is not; what others stand on.
    alone = {"andes_reference.py", "command_line.py", "document_commands.py", "option_checks.py"}
    for path in sorted((ROOT / "scripts").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path.name not in alone:
            assert re.search(r"command_line\.(run|attempt)\(", source), path.name
            assert not re.search(
                r"(?<!command_line)\.write_(text|bytes)\(|open\([^)]*[\"'][wax]b?[\"']", source
            ), path.name


def test_packages_write_files_by_the_one_writer_of_theirs():
    """What is written in place is cut off by a full disk, under a name that says it is whole."""
    writers = {
        "cases/whole_file.py",
        "marl/checkpoint.py",  # the learner imports nothing of the grid's
        "control/evaluation/damage.py",  # where a process writes down how it died
        "control/evaluation/damaged_grids.py",  # what is to be broken
        "marl/environment/damaged_runs.py",
    }
    by_way = re.compile(r"\.write_(?:text|bytes)\(|open\([^)]*[\"'][wx]b?[\"']|np\.savez?\w*\(|\.savefig\(")
    for package in command_line.PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name in writers:
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                found = by_way.search(line)
                # To `part`, the place beside the file, or to a stream in memory.
                assert not found or re.search(r"\bpart\b|picture", line) or line.startswith("    figure."), (
                    name,
                    line,
                )


def test_the_command_that_resumes_says_what_the_run_does_not_remember(tmp_path):
    import train_mappo

    def told(*options):
        parsed = train_mappo.parse(["--out", str(tmp_path / "run"), *options])
        return train_mappo.resume_command(parsed, tmp_path / "run").split("--resume ")[1]

    assert told() == str(tmp_path / "run")
    assert told("--checkpoints", "models", "--ray", "local") == f"{tmp_path / 'run'} --ray local"


def test_what_the_benchmark_times_until_agc_is_the_quick_preset(tmp_path):
    import train_mappo
    from benchmarks.whole_training import QUICK

    found, preset = (
        train_mappo.parse(["--out", str(tmp_path / "run"), *options]).training
        for options in (QUICK, ["--preset", "quick"])
    )
    assert found == preset
