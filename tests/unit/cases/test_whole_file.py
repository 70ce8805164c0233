"""A file is replaced whole or stays as it was, and nothing is left beside it."""

import errno
import json
import os

import pytest

from cases.whole_file import OutputError, replacing, write_json


def test_figures_take_the_place_of_those_before(tmp_path):
    path = tmp_path / "new" / "directory" / "found.json"
    for worst in (1.0, 1.5):
        write_json(path, {"worst": worst})
        assert json.loads(path.read_text()) == {"worst": worst}
    assert os.listdir(path.parent) == ["found.json"]


def test_no_path_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(None, {"worst": 1.0})
    assert os.listdir(tmp_path) == []


def test_what_fails_half_way_leaves_the_file_before_and_nothing_else(tmp_path):
    path = tmp_path / "grid.png"
    path.write_bytes(b"before")

    def draw():
        with replacing(path) as part:
            assert part.suffix == ".png"  # a library takes the format from it
            part.write_bytes(b"half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        draw()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["grid.png"]


def test_a_full_disk_is_one_line_and_what_is_no_json_leaves_the_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "found.json"
    write_json(path, 1)
    with pytest.raises(TypeError):
        write_json(path, object())

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="cannot write .*found.json: No space left on device"):
        write_json(path, 2)
    assert json.loads(path.read_text()) == 1
    assert os.listdir(tmp_path) == ["found.json"]


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="taken/found.json"):
        write_json(tmp_path / "taken" / "found.json", {})


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError("encoder error -2")]
)
def test_what_a_library_says_of_a_disk_gets_the_name_of_the_file(tmp_path, error):
    """Errors of writing name no file, and Pillow's have no number."""

    def draw():
        with replacing(tmp_path / "grid.png") as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(OutputError) as caught:
        draw()
    assert str(caught.value) == f"cannot write {tmp_path / 'grid.png'}: {error.strerror or error}"
    assert os.listdir(tmp_path) == []
