"""What a run writes while it learns: one row per update in metrics.csv, the same tags in TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class MetricsTable:
    """metrics.csv: `update`, `step` and one column per tag; rows after a resumed update are taken back."""

    def __init__(self, path: Path, *, resume_after: int | None) -> None:
        self.path = path
        self.columns: list[str] = ["update", "step"]
        self.rows: list[dict[str, Any]] = []
        if resume_after is not None and path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                self.columns = list(reader.fieldnames or self.columns)
                # A killed run may have left half a row: columns are missing, or its update is one too late.
                self.rows = [
                    r
                    for r in reader
                    if None not in r.values() and r["update"].isdigit() and int(r["update"]) <= resume_after
                ]
        self._rewrite()

    def _rewrite(self) -> None:
        temporary = self.path.with_suffix(".part")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        temporary.replace(self.path)

    def add(self, update: int, step: int, values: Mapping[str, float]) -> None:
        """Appends a row; a tag not met before adds its column to the whole table."""
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
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, restval="").writerow(row)


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
    ) -> None:
        """Opens the files.

        Args:
            directory: of the run.
            tensorboard: write events as well.
            resume_after: update that a resumed run goes on from: rows after it, and those of `waiting`, are taken back.
            waiting: rows that the checkpoint found waiting.
        """
        self.waiting = [dict(row) for row in waiting]
        self._awaited: int | None = None
        self._late: dict[int, Mapping[str, float]] = {}
        if waiting and resume_after is not None:
            resume_after = min(resume_after, waiting[0]["update"] - 1)
        self.table = MetricsTable(directory / "metrics.csv", resume_after=resume_after)
        self._directory, self._tensorboard = directory, tensorboard
        self._purge_step = int(self.table.rows[-1]["step"]) + 1 if self.table.rows else None
        self._writer: Any = None

    def wait_for(self, update: int) -> None:
        """From this update's row on, all wait until `complete`."""
        self._awaited = update

    def complete(self, update: int, values: Mapping[str, float]) -> None:
        """The late values of an update's row, which may have been added before or not; nothing waits any longer."""
        self._late[update] = values
        self._awaited = None
        self._write()

    def add(self, update: int, step: int, values: Mapping[str, float]) -> None:
        """A row: what is known of this update."""
        self.waiting.append({"update": update, "step": step, "values": dict(values)})
        self._write()

    def _write(self) -> None:
        while self.waiting and (self._awaited is None or self.waiting[0]["update"] < self._awaited):
            row = self.waiting.pop(0)
            values = row["values"] | self._late.pop(row["update"], {})
            self.table.add(row["update"], row["step"], values)
            if self._tensorboard:
                if self._writer is None:
                    # a second of imports: not before there is something to write
                    from torch.utils.tensorboard import SummaryWriter

                    self._writer = SummaryWriter(str(self._directory), purge_step=self._purge_step)
                for tag, value in values.items():
                    self._writer.add_scalar(tag, value, row["step"])

    def close(self) -> None:
        """Writes what still waits, as it is, and closes the files."""
        self._awaited = None
        self._write()
        if self._writer is not None:
            self._writer.close()
