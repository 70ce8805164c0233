"""What scripts share: options that are refused, and files that are looked at before the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import command_line


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
        command_line.require_writable("json", path)
    assert [p.name for p in tmp_path.iterdir()] == ["there.json"]
    assert there.read_text() == "before"


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(command_line.OutputError, match=f"--json {tmp_path} is a directory, expected a file"):
        command_line.require_writable("json", tmp_path)
    for path in (file / "x.json", file / "y" / "x.json", tmp_path / ("x" * 300)):
        with pytest.raises(command_line.OutputError, match=f"--json {path} cannot be written: "):
            command_line.require_writable("json", path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files")
def test_a_file_system_that_takes_no_files_is_found_out():
    """Its permissions say that root may write."""
    with pytest.raises(command_line.OutputError, match="--json /proc/x.json cannot be written: "):
        command_line.require_writable("json", Path("/proc/x.json"))
