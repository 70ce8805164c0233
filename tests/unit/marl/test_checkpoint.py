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


def test_a_checkpoint_that_ends_anywhere_is_called_broken_whatever_torch_says_of_it(tmp_path):
    """For some lengths its reader looks for the archive's end before the beginning: EINVAL, as of a bad disk."""
    path = tmp_path / "c.pt"
    checkpoint.save(path, "run", {"weights": np.zeros(40_000)})
    whole, said = path.read_bytes(), []
    for keep in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:keep])
        with pytest.raises(
            checkpoint.BrokenCheckpoint, match=r"c\.pt is broken or no checkpoint \("
        ) as caught:
            checkpoint.load(path, "run")
        said.append(str(caught.value))
    assert sum("it ends too early" in text for text in said) > 5


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
    with pytest.raises(CheckpointError, match="holds a run, expected a policy$"):
        checkpoint.load(tmp_path / "c.pt", "policy")
    (tmp_path / "best_model.pt").touch()
    with pytest.raises(
        CheckpointError, match=r"expected a policy; another model of the same run is .*best_model\.pt"
    ):
        checkpoint.load(tmp_path / "c.pt", "policy")


def test_a_damaged_byte_ends_in_one_line_or_changes_nothing(tmp_path):
    """Bytes of the archive that mean nothing may change; what is read is what was written, or it is refused."""
    path = tmp_path / "c.pt"
    checkpoint.save(path, "run", CONTENT)
    whole = path.read_bytes()
    known = checkpoint.checksum(checkpoint._encode(checkpoint.load(path, "run"), "run"))
    told = []
    for position in np.random.default_rng(3).integers(len(whole), size=300):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            found = checkpoint.load(path, "run")
        except CheckpointError as error:
            told.append(str(error))
        else:
            assert checkpoint.checksum(checkpoint._encode(found, "run")) == known
    assert not [line for line in told if "\n" in line]
    assert len(told) > 30  # the content is about a quarter of so small a file, the rest is padding and names


def test_one_flipped_bit_of_a_weight_is_found_out(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save(path, "policy", {"weights": torch.full((64,), 1.2345678)})
    whole = path.read_bytes()
    bits = np.float32(1.2345678).tobytes()
    assert bits in whole
    path.write_bytes(whole.replace(bits, bytes([bits[0] ^ 1, *bits[1:]]), 1))
    with pytest.raises(checkpoint.BrokenCheckpoint, match="is broken or no checkpoint .*checksum"):
        checkpoint.load(path, "policy")


def test_a_file_whose_checksum_has_lost_its_name_is_not_taken_for_one_of_before(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save(path, "run", {"a": torch.zeros(3)})
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha\x0056"))
    with pytest.raises(checkpoint.BrokenCheckpoint, match="it has parts that no checkpoint has"):
        checkpoint.load(path, "run")


def test_files_of_before_the_checksum_load(tmp_path):
    path = tmp_path / "c.pt"
    content = checkpoint._encode(CONTENT, "run")
    torch.save({"format": checkpoint.FORMAT, "kind": "run", "content": content}, path)
    assert torch.equal(checkpoint.load(path, "run")["tensor"], CONTENT["tensor"])


@pytest.mark.parametrize("links", [True, False])
def test_a_file_kept_under_a_second_name_outlives_its_replacement(tmp_path, monkeypatch, links):
    if not links:

        def refuse(*_):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    last, before = tmp_path / "last", tmp_path / "before"
    checkpoint.keep_also(last, before)  # nothing there, nothing done
    for content in (b"1", b"2", b"3"):
        checkpoint.keep_also(last, before)
        checkpoint.write_atomically(last, content)
    assert (before.read_bytes(), last.read_bytes()) == (b"2", b"3")
    checkpoint.keep_also(before, last)
    checkpoint.keep_also(before, last)  # both are one file now
    assert sorted(p.name for p in tmp_path.iterdir()) == ["before", "last"]
    assert last.read_bytes() == b"2"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_model_whose_weights_are_no_numbers_is_refused(tmp_path, number):
    from marl.config.network import NetworkConfig
    from marl.networks.policy import Policy
    from marl.protocol import AgentGroup

    group = AgentGroup(name="unit", agents=("unit_0",), observation_size=2, action_size=1)
    policy = Policy((group,), NetworkConfig(actor_hidden=(4,)))
    policy.save(tmp_path / "whole.pt")
    Policy.load(tmp_path / "whole.pt")
    with torch.no_grad():
        next(policy.parameters()).view(-1)[0] = number
    policy.save(tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"m\.pt .* holds what is no finite number$"):
        Policy.load(tmp_path / "m.pt")
