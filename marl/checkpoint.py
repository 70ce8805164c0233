"""Files that a run can be resumed from and a policy loaded from.

A checkpoint holds plain tensors, numbers, strings, lists and dictionaries, and loads with
`weights_only=True`: opening a stranger's file runs none of its code. numpy arrays travel as tensors and
come back as arrays. A file is written beside its final name, flushed and then renamed over it: whatever
happens on the way, the previous checkpoint stays whole.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
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
    stream = io.BytesIO()
    torch.save({"format": FORMAT, "kind": kind, "content": _encode(content, kind)}, stream)
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
        CheckpointError: the file is missing, cannot be read, is broken, or holds something else.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    # Bytes that are no checkpoint fail inside torch's reader in ways of every kind: all mean the same here.
    except Exception as error:
        reason = str(error).strip().splitlines()
        what = reason[0] if reason else type(error).__name__
        raise CheckpointError(
            f"{path} is broken or no checkpoint ({what}){alternative(path, kind)}"
        ) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this project in format {FORMAT}")
    if data["kind"] != kind:
        raise CheckpointError(f"{path} holds a {data['kind']}, expected a {kind}")
    content: dict[str, Any] = _decode(data["content"])
    return content
