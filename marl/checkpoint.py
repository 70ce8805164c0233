"""Files that a run can be resumed from and a policy loaded from.

A checkpoint holds plain tensors, numbers, strings, lists and dictionaries, and loads with
`weights_only=True`: opening a stranger's file runs none of its code. numpy arrays travel as tensors and
come back as arrays. A file is written beside its final name, flushed and then renamed over it: whatever
happens on the way, the previous checkpoint stays whole. It carries a checksum of its content, so that a
byte that a disk or a copy has changed is found out before anything goes on from it; files of earlier
versions, which have none, load as they are.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT = "marl-checkpoint-1"
# Models that a run leaves beside its checkpoint, the better one first.
MODELS = ("best_model.pt", "final_model.pt")
_ARRAY, _INTEGER, _TUPLE = "__array__", "__integer__", "__tuple__"
# Integers beyond 64 bits, such as the state of a random generator, are stored as text.
_LARGEST_INTEGER = 2**63 - 1


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or read."""


class BrokenCheckpoint(CheckpointError):
    """A file whose bytes are not those that were written, or that is none of this project's."""


def checksum(encoded: Any) -> str:
    """SHA-256 of a content as it is encoded, in hexadecimal.

    It is taken of types, lengths, shapes and bytes of what is in it, in their order. Bytes of the archive around it,
    which torch's reader passes over, are free to change.

    Args:
        encoded: tensors, numbers, strings, lists and dictionaries of them.
    """
    digest = hashlib.sha256()
    _digest(encoded, digest.update)
    return digest.hexdigest()


def _digest(value: Any, take: Callable[[bytes], None]) -> None:
    if isinstance(value, torch.Tensor):
        whole = value.detach().cpu().contiguous()
        take(f"tensor {whole.dtype} {tuple(whole.shape)}:".encode())
        take(whole.reshape(-1).view(torch.uint8).numpy().tobytes() if whole.numel() else b"")
    elif isinstance(value, Mapping):
        take(f"mapping {len(value)}:".encode())
        for key, item in value.items():
            _digest(key, take)
            _digest(item, take)
    elif isinstance(value, list):
        take(f"list {len(value)}:".encode())
        for item in value:
            _digest(item, take)
    else:
        text = repr(value).encode("utf-8", "backslashreplace")
        take(f"{type(value).__name__} {len(text)}:".encode())
        take(text)


def _encode(value: Any, where: str) -> Any:
    """Plain data from plain data with numpy in it; `where` names the spot for the error message.

    Raises:
        CheckpointError: there is something in it that no checkpoint can hold.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            raise CheckpointError(f"{where} is an array of {value.dtype}, expected numbers or booleans")
        return {_ARRAY: torch.from_numpy(np.array(value, order="C", copy=True))}
    if isinstance(value, np.generic):
        return _encode(value.item(), where)
    if isinstance(value, bool | float | str | torch.Tensor) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else {_INTEGER: str(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str | int):
                raise CheckpointError(f"{where} has the key {key!r}, expected a string or an integer")
        return {key: _encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise CheckpointError(
        f"{where} is a {type(value).__name__}, expected tensors, arrays, numbers, strings or lists"
    )


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return value[_ARRAY].numpy().copy()
        if value.keys() == {_INTEGER}:
            return int(value[_INTEGER])
        if value.keys() == {_TUPLE}:
            return tuple(_decode(item) for item in value[_TUPLE])
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value


def copied_state(value: Any) -> Any:
    """Plain data with its tensors copied to the CPU, so that it does not change when training goes on."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {k: copied_state(v) for k, v in value.items()}
    return type(value)(copied_state(v) for v in value) if isinstance(value, list | tuple) else value


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file in one step; on any failure the old one stays and the half-written one goes.

    Raises:
        CheckpointError: it cannot be written; the message says whether there was a file before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # What kept the file from being written may keep its remains from being removed: the first reason is told.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        kept = "the previous file is intact" if os.path.exists(path) else "there was no previous file"
        reason = error.strerror or str(error)
        if isinstance(error, FileExistsError):  # what stands in the directory's place
            reason = f"{path.parent} is not a directory"
        raise CheckpointError(f"cannot write {path}: {reason}; {kept}") from error


def save(path: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint of this kind ("policy", "run", "dump") atomically."""
    stream, encoded = io.BytesIO(), _encode(content, kind)
    torch.save({"format": FORMAT, "kind": kind, "content": encoded, "sha256": checksum(encoded)}, stream)
    write_atomically(path, stream.getvalue())


def alternative(path: Path, kind: str) -> str:
    """What is left to do without this file, from the models that stand beside it."""
    models = [path.with_name(name) for name in MODELS if name != path.name]
    there = [str(model) for model in models if os.path.exists(model)]
    if not there:
        return ""
    if kind == "run":  # a run goes on from its own checkpoint alone
        return f"; a new run with the same network can begin with the model it left: --start {there[0]}"
    return f"; another model of the same run is {there[0]}" if kind == "policy" else ""


def load(path: Path, kind: str) -> dict[str, Any]:
    """Reads a checkpoint and returns its content on the CPU.

    Args:
        path: of the file.
        kind: what it should hold: `run`, `policy` or `dump`.

    Raises:
        BrokenCheckpoint: its bytes are not those that were written, or those of no checkpoint.
        CheckpointError: the file is missing, cannot be read, or holds something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts that only a damaged file asks for
            data = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except OSError as error:
        if (
            error.errno == errno.EINVAL
        ):  # torch's reader looked for the end of an archive before the file's beginning
            raise BrokenCheckpoint(_broken(path, kind, "it ends too early")) from error
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except EOFError as error:
        raise BrokenCheckpoint(_broken(path, kind, "it ends too early")) from error
    # Bytes that are no checkpoint fail inside torch's reader in ways of every kind: all mean the same here.
    except Exception as error:
        reason = str(error).strip().splitlines()
        # Its first sentence; what torch goes on to advise is for those who write checkpoints with it.
        raise BrokenCheckpoint(
            _broken(path, kind, reason[0].split(". ")[0] if reason else type(error).__name__)
        ) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BrokenCheckpoint(f"{path} is no checkpoint of this project in format {FORMAT}")
    if data.get("kind") != kind:
        raise CheckpointError(
            f"{path} holds a {data.get('kind')}, expected a {kind}{alternative(path, kind)}"
        )
    if not set(data) <= {"format", "kind", "content", "sha256"}:
        # Damage of the checksum's name would make the file one of before there were any.
        raise BrokenCheckpoint(_broken(path, kind, "it has parts that no checkpoint has"))
    # Damage may also be of a kind that the content can be read no further with.
    try:
        known, content = data.get("sha256"), data["content"]
        if known is not None and known != checksum(content):
            raise BrokenCheckpoint(_broken(path, kind, "its content is not what its checksum says"))
        decoded = _decode(content)
    except CheckpointError:
        raise
    except Exception as error:
        raise BrokenCheckpoint(_broken(path, kind, f"{type(error).__name__}: {error}")) from error
    if not isinstance(decoded, dict):
        raise BrokenCheckpoint(_broken(path, kind, f"its content is a {type(decoded).__name__}"))
    return decoded


def _broken(path: Path, kind: str, what: str) -> str:
    return f"{path} is broken or no checkpoint ({what}){alternative(path, kind)}"


def keep_also(path: Path, also: Path) -> None:
    """Keeps a file under a second name too, so that it outlives its replacement; nothing where it is not there.

    Raises:
        CheckpointError: it cannot be kept.
    """
    if not path.exists():
        return
    temporary = also.with_name(f".{also.name}.{os.getpid()}.part")
    try:
        temporary.unlink(missing_ok=True)
        os.link(path, temporary)  # both names or one: no second copy of the bytes is written
        os.replace(temporary, also)
        temporary.unlink(missing_ok=True)  # where both were one file already, replacing did nothing
    except OSError:  # a file system without links
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        write_atomically(also, content)
