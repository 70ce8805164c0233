"""What a run writes while it learns: one row per update in metrics.csv, the same tags in TensorBoard."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from marl.checkpoint import CheckpointError, write_atomically


class MetricsTable:
    """metrics.csv: `update`, `step` and one column per tag; rows after a resumed update are taken back.

    A run goes on whatever has become of its table, which nothing else depends on: fields that are no numbers are
    emptied, rows that cannot be told are left out, a table without its columns is put aside, and a line says so.
    """

    def __init__(self, path: Path, *, resume_after: int | None) -> None:
        self.path = path
        self.columns: list[str] = ["update", "step"]
        self.rows: list[dict[str, Any]] = []
        if resume_after is not None and path.exists():
            self._take_up(resume_after)
        self._rewrite()

    def _take_up(self, resume_after: int) -> None:
        """Columns, and rows up to this update.

        Raises:
            CheckpointError: the table cannot be read.
        """
        try:
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        except OSError as error:
            raise CheckpointError(f"cannot read {self.path}: {error.strerror or error}") from error
        header, *lines = text.split("\n")  # what the table is written with holds no line breaks in its fields
        columns = header.rstrip("\r").split(",")
        if not {"update", "step"} <= set(columns) or len(set(columns)) < len(columns) or "\0" in header:
            aside = self.path.with_suffix(".broken.csv")
            self.path.replace(aside)
            print(
                f"{self.path} has lost its columns: it is kept as {aside.name}, and begins anew",
                file=sys.stderr,
            )
            return
        self.columns = columns
        damaged = 0
        for line in lines[:-1]:  # the last is empty, or what a killed run had written of its row
            fields = line.rstrip("\r").split(",")
            row: dict[str, Any] = dict(zip(columns, fields, strict=False))
            if len(fields) != len(columns) or not _is_count(row["update"]) or not _is_count(row["step"]):
                damaged += 1
                continue
            if int(row["update"]) <= resume_after:
                wrong = [tag for tag, field in row.items() if not _is_number(field)]
                damaged += bool(wrong)
                self.rows.append(row | dict.fromkeys(wrong, ""))
        if damaged:
            print(f"{self.path}: {damaged} damaged rows, in which numbers are missing now", file=sys.stderr)

    def _rewrite(self) -> None:
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, self.columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, table.getvalue().encode("utf-8"))

    def add(self, update: int, step: int, values: Mapping[str, float]) -> None:
        """Appends a row; a tag not met before adds its column to the whole table.

        Raises:
            CheckpointError: it cannot be written.
        """
        row: dict[str, Any] = {
            "update": update,
            "step": step,
            **{tag: f"{x:.8g}" for tag, x in values.items()},
        }
        self.rows.append(row)
        new = [tag for tag in row if tag not in self.columns]
        if new:
            self.columns += new
            self._rewrite()
        else:
            try:
                with open(self.path, "a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, self.columns, restval="").writerow(row)
            except OSError as error:
                raise CheckpointError(f"cannot write {self.path}: {error.strerror or error}") from error


def _is_count(field: str) -> bool:
    """Whether it is digits, and not more of them than any count has."""
    return field.isascii() and field.isdigit() and len(field) < 19


def _is_number(field: str) -> bool:
    try:
        float(field or "nan")
    except ValueError:
        return False
    return True


class RowWriter(Protocol):
    """Whatever else receives a run's metrics."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """The tags of an update, at this number of environment steps."""

    def close(self) -> None:
        """No more comes."""


class MetricsLogger:
    """metrics.csv and, where wanted, TensorBoard events of one run directory.

    A row whose evaluation is under way waits for it, and the rows after it wait too. `waiting` holds them as plain
    data: it belongs into checkpoints, and a resumed run begins with it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tensorboard: bool,
        resume_after: int | None,
        waiting: Sequence[Mapping[str, Any]] = (),
        more: Sequence[RowWriter] = (),
    ) -> None:
        """Opens the files.

        Args:
            directory: of the run.
            tensorboard: write events as well.
            resume_after: update that a resumed run goes on from: rows after it, and those of `waiting`, are taken back.
            waiting: rows that the checkpoint found waiting.
            more: what else receives the rows, in their order.
        """
        self.waiting = [dict(row) for row in waiting]
        self._awaited: set[int] = set()
        self._late: dict[int, Mapping[str, float]] = {}
        if waiting and resume_after is not None:
            resume_after = min(resume_after, waiting[0]["update"] - 1)
        self.table = MetricsTable(directory / "metrics.csv", resume_after=resume_after)
        self._directory, self._tensorboard = directory, tensorboard
        self._purge_step = int(self.table.rows[-1]["step"]) + 1 if self.table.rows else None
        self._writer: Any = None
        self._more = tuple(more)

    def wait_for(self, update: int) -> None:
        """From this update's row on, all wait until `complete`."""
        self._awaited.add(update)

    def complete(self, update: int, values: Mapping[str, float]) -> None:
        """The late values of an update's row, which may have been added before or not; it waits no longer."""
        self._late[update] = values
        self._awaited.discard(update)
        self._write()

    def add(self, update: int, step: int, values: Mapping[str, float]) -> None:
        """A row: what is known of this update."""
        self.waiting.append({"update": update, "step": step, "values": dict(values)})
        self._write()

    def _write(self) -> None:
        while self.waiting and all(self.waiting[0]["update"] < update for update in self._awaited):
            row = self.waiting.pop(0)
            values = row["values"] | self._late.pop(row["update"], {})
            self.table.add(row["update"], row["step"], values)
            for writer in self._more:
                writer.add(row["step"], values)
            if self._tensorboard:
                if self._writer is None:
                    # a second of imports: not before there is something to write
                    from torch.utils.tensorboard import SummaryWriter

                    self._writer = SummaryWriter(str(self._directory), purge_step=self._purge_step)
                for tag, value in values.items():
                    self._writer.add_scalar(tag, value, row["step"])

    def close(self) -> None:
        """Writes what still waits, as it is, and closes the files."""
        self._awaited.clear()
        self._write()
        for writer in (self._writer, *self._more):
            if writer is not None:
                writer.close()
