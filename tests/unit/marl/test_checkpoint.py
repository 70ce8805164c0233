"""Checkpoints: what comes back, and what is said when it does not."""

import errno
import os

import numpy as np
import pytest
import torch

from marl import checkpoint
from marl.checkpoint import CheckpointError

CONTENT = {
    "tensor": torch.arange(3.0),
    "array": np.arange(6, dtype=np.int64).reshape(2, 3),
    "mask": np.array([True, False]),
    "generator": np.random.default_rng(7).bit_generator.state,  # holds 128-bit integers
    "phasors": np.array([1.0 + 0.5j, -0.2j]),
    "pair": (0.9, 0.999),
    "nested": [{"a": None, 3: "text"}, 1.5, True],
    "scalar": np.float64(2.5),
}


def test_everything_comes_back_as_it_was(tmp_path):
    checkpoint.save(tmp_path / "c.pt", "run", CONTENT)
    found = checkpoint.load(tmp_path / "c.pt", "run")
    assert torch.equal(found["tensor"], CONTENT["tensor"])
    np.testing.assert_array_equal(found["array"], CONTENT["array"])
    assert found["array"].dtype == np.int64
    assert found["mask"].dtype == np.bool_
    np.testing.assert_array_equal(found["phasors"], CONTENT["phasors"])
    for key in ("generator", "pair", "nested", "scalar"):
        assert found[key] == CONTENT[key]
    again = np.random.default_rng(0)
    again.bit_generator.state = found["generator"]
    assert again.integers(1 << 40) == np.random.default_rng(7).integers(1 << 40)


def test_a_checkpoint_is_plain_data_to_torch(tmp_path):
    """torch alone opens it with weights_only=True, which runs no code of the file's."""
    checkpoint.save(tmp_path / "c.pt", "run", CONTENT)
    data = torch.load(tmp_path / "c.pt", weights_only=True)
    assert data["kind"] == "run"


def test_what_is_not_plain_data_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"run\['a'\]\[1\] is a PosixPath"):
        checkpoint.save(tmp_path / "c.pt", "run", {"a": [1, tmp_path]})
    with pytest.raises(CheckpointError, match="array of"):
        checkpoint.save(tmp_path / "c.pt", "run", {"a": np.array(["x"])})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    checkpoint.save(path, "run", {"a": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device; the previous file is intact"):
        checkpoint.save(path, "run", {"a": 2})
    assert checkpoint.load(path, "run") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]  # no half-written file left behind


def test_what_kept_a_file_from_being_written_is_told_where_its_remains_cannot_be_removed_either(tmp_path):
    (tmp_path / "file").write_text("in the directory's place")
    with pytest.raises(CheckpointError, match="file is not a directory; there was no previous file"):
        checkpoint.write_atomically(tmp_path / "file" / "x.json", b"{}")
    with pytest.raises(CheckpointError, match="Not a directory; there was no previous file"):
        checkpoint.write_atomically(tmp_path / "file" / "deeper" / "x.json", b"{}")
    with pytest.raises(CheckpointError, match="File name too long; there was no previous file"):
        checkpoint.write_atomically(tmp_path / ("x" * 300), b"{}")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("keep", [0, 10, 400, 0.5, 0.99])
def test_a_cut_off_checkpoint_is_called_broken(tmp_path, keep):
    path = tmp_path / "c.pt"
    checkpoint.save(path, "run", CONTENT)
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(CheckpointError, match=r"c\.pt is broken"):
        checkpoint.load(path, "run")


def test_in_place_of_a_broken_file_only_what_is_there_and_helps_is_recommended(tmp_path):
    """A run is resumed from checkpoint_last.pt whatever file of it is named: the way out is a new run from a model."""
    last, best, final = (
        tmp_path / name for name in ("checkpoint_last.pt", "best_model.pt", "final_model.pt")
    )

    def said(path, kind):
        path.write_bytes(b"broken")
        with pytest.raises(CheckpointError, match="broken or no checkpoint") as caught:
            checkpoint.load(path, kind)
        return str(caught.value)

    assert said(last, "run").endswith(")")  # nothing is there to go on from
    assert said(best, "policy").endswith(")")
    checkpoint.save(final, "policy", {})
    assert said(best, "policy").endswith(f"; another model of the same run is {final}")
    best.unlink()
    assert said(last, "run").endswith(f"can begin with the model it left: --start {final}")
    checkpoint.save(best, "policy", {})
    assert said(last, "run").endswith(f"--start {best}")


def test_a_file_of_something_else_is_called_so(tmp_path):
    path = tmp_path / "c.pt"
    path.write_text("update,step\n1,2\n")
    with pytest.raises(CheckpointError, match="broken or no checkpoint"):
        checkpoint.load(path, "run")
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="no checkpoint of this project"):
        checkpoint.load(path, "run")


def test_a_file_with_code_in_it_is_refused_unopened(tmp_path):
    class Harm:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harm"),))

    torch.save(Harm(), tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="broken or no checkpoint"):
        checkpoint.load(tmp_path / "c.pt", "run")
    assert not (tmp_path / "harm").exists()


def test_a_missing_file_and_another_kind_are_told_apart(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "none.pt", "run")
    checkpoint.save(tmp_path / "c.pt", "run", {})
    with pytest.raises(CheckpointError, match="holds a run, expected a policy"):
        checkpoint.load(tmp_path / "c.pt", "policy")
